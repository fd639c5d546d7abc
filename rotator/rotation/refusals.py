"""Refusals that an operator must resolve: the reason and the hint of each.

Every text that the rules show to operators is here; `rotator.rotation.protocol` decides when each
applies.
"""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model import CLOCK, Account, CurrentEntry, Hold, Identity, Rotation, Secret, ShutGate
from rotator.model.times import rough_duration
from rotator.rotation.observation import Observation
from rotator.rotation.steps.bookkeeping import Refuse


def lasting(account: Account, path: str) -> str:
    """Return the commands that let nothing at `path` of Vault end by itself any more."""
    return (
        f"`vault kv metadata put -delete-version-after=0s {shlex.quote(path)}` for the entry, "
        f"`vault write {shlex.quote(account.mount)}/config delete_version_after=0s` for its mount"
    )


def _undelete(account: Account, version: int | str) -> str:
    return f"`vault kv undelete -versions={version} {_path(account)}`"


def _one_of(ids: list[str]) -> str:
    return ids[0] if len(ids) == 1 else "ID"


def _path(account: Account) -> str:
    """Return the path of the current entry as Vault's commands take it."""
    return shlex.quote(account.identity.vault_path)


def version_ends(account: Account, entry: CurrentEntry) -> Refuse:
    at = f"{entry.ends_at:%Y-%m-%d %H:%M:%S} UTC"
    return Refuse(
        code="version-ends",
        why=f"Vault removes version {entry.version} of {account.vault_path} by itself at {at} "
        "(`delete_version_after`): consumers will read nothing then",
        hint=f"nothing was deleted; {lasting(account, account.identity.vault_path)}, then "
        f"`rotator adopt {account.name} --from-vault` writes a version that stays",
    )


def pending_ends(account: Account, at: datetime) -> Refuse:
    return Refuse(
        code="version-ends",
        why=f"Vault removes the pending entry {account.pending_path} by itself at "
        f"{at:%Y-%m-%d %H:%M:%S} UTC (`delete_version_after`), so that its value is not sent",
        hint="that it was sent before is not certain; let nothing there end by itself: "
        f"{lasting(account, account.identity.pending_path)}. Once Vault has removed it, the "
        "rotation is undone, and another one begins",
    )


def version_ended(
    account: Account, version: int, ended_at: datetime, code: str = "entry-missing"
) -> Refuse:
    at = f"{ended_at:%Y-%m-%d %H:%M:%S} UTC"
    return Refuse(
        code=code,
        why=f"version {version} of {account.vault_path} was removed from Vault at {at}, by "
        "someone or by itself (`delete_version_after`): consumers read nothing",
        hint=f"nothing was deleted at Vonage; {_undelete(account, version)} brings "
        f"it back, `rotator adopt {account.name}` puts a working secret there if it was destroyed",
    )


def entry_missing(account: Account, version: int = 0) -> Refuse:
    if version:
        return Refuse(
            code="entry-missing",
            why=f"version {version} of the Vault entry {account.vault_path} was deleted",
            hint=f"{_undelete(account, version)} brings it back; where it was destroyed, "
            f"`rotator adopt {account.name}` puts the account's present secret there",
        )
    return Refuse(
        code="entry-missing",
        why=f"Vault has no entry at {account.vault_path}",
        hint=f"`rotator adopt {account.name}` puts the account's present secret there",
    )


def field_missing(account: Account) -> Refuse:
    return Refuse(
        code="field-missing",
        why=f"the Vault entry {account.vault_path} has no text in field {account.secret_field}",
        hint="set `secret_field` to the field that holds the secret, or put it there with "
        f"`rotator adopt {account.name}`",
    )


def wrong_entry(account: Account) -> Refuse:
    # What it names is not repeated: it may be a value in the wrong field.
    return Refuse(
        code="wrong-entry",
        why=f"the Vault entry {account.vault_path} has another text in field {account.key_field} "
        f"than API key {account.api_key}",
        hint="correct `vault_path`, `api_key` or `key_field` of this account",
    )


def account_changed(account: Account, was: Identity) -> Refuse:
    differences = was.differences(account.identity)
    before = ", ".join(f"{what} {old}" for what, old, _ in differences)
    after = ", ".join(f"{what} {new}" for what, _, new in differences)
    return Refuse(
        code="account-changed",
        why=f"the open rotation was begun for {before}, and the configuration now has {after}",
        hint=f"nothing was changed; put it back, let `rotator resume {account.name}` finish the "
        "rotation, and change it then; or leave this name as it was, and give what is new an "
        "account of its own",
    )


def account_taken(account: Account, other: str, what: str, which: str) -> Refuse:
    # A ledger knows mount and path, but not Vault's address.
    harm, remedy = "take the other one's secrets away", ""
    if which != account.api_key:
        harm = "write over what the other one keeps there"
        remedy = (
            "; if they are in two Vaults, give one of them another path, or each Vault a ledger"
        )
    return Refuse(
        code="account-taken",
        why=f"{what} {which} of {account.name} is that of account {other} already, and each of "
        f"them would {harm}",
        hint=f"remove one of them from whichever configuration has it; if {other} is what "
        f"{account.name} was called before, stop what still uses that name, then `rotator forget "
        f"{other}`{remedy}",
    )


def pending_foreign(account: Account, what: str, which: str) -> Refuse:
    # Its content is not shown: it came from Vault and might be a value.
    return Refuse(
        code="pending-foreign",
        why=f"the pending entry {account.pending_path} in Vault is for another {what} than "
        f"{which}, which {account.name} has",
        hint="nothing was changed; if another host has an account of this name, give one of them "
        "another name or `vault.pending_prefix`; if this one was changed, put it back, run "
        f"`rotator rotate-now {account.name}`, and change it then",
    )


def pending_unknown(account: Account) -> Refuse:
    return Refuse(
        code="pending-unknown",
        why=f"the pending entry {account.pending_path} in Vault is of a rotation that this ledger "
        "does not know: another host works on the account with a ledger of its own, or this "
        "ledger is not the one that the rotation was begun with",
        hint="nothing was changed; let the other host finish it. If there is none, `rotator "
        f"rotate-now {account.name} --take-over` continues it from here",
    )


def revoked(account: Account, secret_id: str | None) -> Refuse:
    # The id is None where only the note names it, as a note may contain anything.
    named = f"secret {secret_id}" if secret_id else "a secret"
    return Refuse(
        code="drift",
        why=f"Vault's note names {named}, which Vonage does not list",
        hint="someone revoked it outside rotator, and it stops working soon; "
        f"`rotator adopt {account.name}` takes another one, and with --secret-id the present one "
        "if it works on, as its id is another",
    )


def unknown_current(account: Account, listed: Iterable[Secret]) -> Refuse:
    made = sorted((secret.created_at, secret.id) for secret in listed)
    named = " and ".join(f"{secret_id} (made {at:%Y-%m-%d %H:%M:%S} UTC)" for at, secret_id in made)
    return Refuse(
        code="unknown-current",
        why=f"Vonage lists {named}, and which of them Vault holds is not recorded",
        hint="Vault holds the one that was made last before the entry was written, see `vault kv "
        f"metadata get {_path(account)}`; `rotator adopt {account.name} --from-vault --secret-id "
        "ID` records its id",
    )


def stopped_working(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="drift",
        why=f"secret {secret_id}, about to be pushed to Vault, stopped working",
        hint=f"see `rotator secrets list {name}`; the rotation goes on by itself if it works again",
    )


def held(account: Account, hold: Hold) -> Refuse:
    return Refuse(
        code="held",
        why=f"the account is held: {hold}",
        hint=f"`rotator release {account.name}` ends the hold",
    )


def hold_altered(name: str, why: str) -> Refuse:
    return Refuse(
        code="ledger-tampered",
        why=why,
        hint="nothing was deleted or changed; someone wrote to the ledger's tables, find out who. "
        f"`rotator release {name}` ends the hold in rows and entries alike, `rotator hold {name} "
        "--reason TEXT` puts one that is in both",
    )


def rows_altered(why: str) -> Refuse:
    return Refuse(
        code="ledger-tampered",
        why=why,
        hint="nothing was deleted or changed; someone wrote to the ledger's tables: `rotator "
        "ledger verify` names what differs; put that right, or restore a backup",
    )


def changed(account: Account, version: int, why: str) -> Refuse:
    known = version or "N"
    return Refuse(
        code="drift",
        why=why,
        hint=f"nothing was deleted; `rotator adopt {account.name} --from-vault` if the present "
        f"value is right, else restore what was there before with `vault kv rollback "
        f"-version={known} {_path(account)}`",
    )


def unlisted(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="drift",
        why=f"Vonage does not list secret {secret_id}, which Vault holds",
        hint="nothing was deleted; if the value works on, its id is another one, and "
        f"`rotator adopt {name} --from-vault --secret-id ID` says which; if it was revoked, "
        f"`rotator adopt {name}` takes one that works",
    )


def behind(account: Account, observation: Observation) -> Refuse:
    return Refuse(
        code="drift",
        why=f"a standby of Vault lags: it shows version {observation.current.version} of "
        f"{account.vault_path}, version {observation.ledger.written.version} was written; or Vault "
        "was restored from a backup",
        hint="nothing was deleted; a standby catches up in a minute. If Vault was restored, "
        f"`rotator adopt {account.name}` puts a working secret there, or with --from-vault takes "
        "the one that is",
    )


def overwritten(account: Account, rotation: Rotation, observation: Observation) -> Refuse:
    version = rotation.vault_version or "N"
    adopt = f"`rotator adopt {rotation.account}`"
    if observation.current.entry and rotation.new_id not in observation.listing.ids:
        # What rotator wrote works no more, so that going back to it would break consumers.
        remedy = f"end the rotation with a value that works: {adopt}, with --from-vault for the "
        remedy += "present one"
    elif observation.current.entry:
        remedy = (
            f"restore what rotator wrote with `vault kv rollback -version={version} "
            f"{_path(account)}`, and the rotation goes on, or end it with a value that works: "
            f"{adopt}, with --from-vault for the present one"
        )
    elif observation.current.version:
        # Vault refuses to roll back to a deleted version.
        remedy = (
            f"{_undelete(account, version)} brings it back, and the rotation goes on; "
            f"where it was destroyed, end it with a value that works: {adopt}"
        )
    else:
        remedy = f"end the rotation with a value that works: {adopt}"
    return Refuse(
        code="drift",
        why="someone else changed or removed the Vault entry after it was rotated",
        hint=f"nothing was deleted at Vonage; {remedy}",
    )


def dead(name: str) -> Refuse:
    return Refuse(
        code="current-refused",
        why="Vonage refuses the value that Vault holds",
        hint=f"`rotator adopt {name}` puts a working secret there, or set `managed_by` so that the "
        "parent account can rotate this one; a line end behind the value in Vault is part of it, "
        "and Vonage refuses that, too",
    )


def replaceable(account: Account) -> Refuse:
    """Return what is wrong with a dead value that a rotation replaces by itself."""
    return replace(
        dead(account.name),
        hint=f"`rotator rotate-now {account.name}` replaces it, as another credential of the "
        "account works",
    )


def with_rollback(action: Refuse, account: Account, version: int) -> Refuse:
    """Return the refusal with the hint that an older version of the entry still works."""
    # What is said of drift would lead back to a version that may be dead, or keep the dead value.
    adopt = f"`rotator adopt {account.name}` puts a working secret there"
    return replace(
        action,
        hint=f"version {version} still works: `vault kv rollback -version={version} "
        f"{_path(account)}` brings it back at once; else "
        f"{adopt if action.code == 'drift' else action.hint}",
    )


def no_slot(account: Account, ids: list[str]) -> Refuse:
    return Refuse(
        code="foreign-secret",
        why=f"both slots are taken, by {' and '.join(ids)}, and Vault has no value that could be "
        "seen to work before one of them is deleted",
        hint=f"delete the one that nothing uses with `rotator secrets delete {account.name} ID "
        f"--force`, or write the value of the other one to {account.vault_path} in Vault",
    )


def parent_refused(account: Account) -> Refuse:
    return Refuse(
        code="parent-refused",
        why=f"Vault has no secret of this account yet, and Vonage refuses the one of its parent "
        f"{account.managed_by}",
        hint=f"see `rotator status {account.managed_by} --refresh`",
    )


def _unused(name: str, secret_id: str | None, *, is_only: bool) -> str:
    """Return how to delete a secret that nothing uses. Vonage keeps an account's only one."""
    command = f"`rotator secrets delete {name} {secret_id} --force`"
    first = "make another secret in Vonage's dashboard, then " if is_only else ""
    return f"{first}{command}, and another one is made for Vault"


def first_refused(name: str, secret_id: str | None, *, is_only: bool = False) -> Refuse:
    return Refuse(
        code="first-secret-refused",
        why=f"secret {secret_id}, made as the first one for Vault, does not authenticate",
        hint="the rotation goes on by itself once it does; if it never will, nothing uses it: "
        f"{_unused(name, secret_id, is_only=is_only)}",
    )


def first_kept(name: str, secret_id: str | None, *, is_only: bool = False) -> Refuse:
    return Refuse(
        code="first-secret-unused",
        why=f"secret {secret_id}, made as the first one for Vault, is of no use any more, and is "
        "kept, as Vault has no value that could be seen to work before it is deleted",
        hint=f"nothing uses it: {_unused(name, secret_id, is_only=is_only)}",
    )


def clock_ahead(offset: timedelta) -> ShutGate:
    """Return the gate for a clock that is ahead, which would end a grace early."""
    size = rough_duration(timedelta(seconds=round(offset.total_seconds())))
    why = f"this machine's clock is {size} ahead of Vonage's, by which the grace is not over"
    return ShutGate(name=CLOCK, reason=why)


def clock_behind(offset: timedelta) -> Refuse:
    size = rough_duration(timedelta(seconds=round(-offset.total_seconds())))
    return Refuse(
        code="clock-behind",
        why=f"this machine's clock is {size} behind Vonage's: once put right, it would end a grace "
        "early",
        hint="set the clock right (`timedatectl set-ntp true`); `--grace 0s` goes without a grace",
    )


def foreign(account: Account, ids: list[str]) -> Refuse:
    return Refuse(
        code="foreign-secret",
        why=f"both slots are taken, and {' or '.join(ids)} may be in use, as far as rotator knows",
        hint=f"if nothing uses it, delete it with `rotator secrets delete {account.name} "
        f"{_one_of(ids)}`, or set "
        '`on_foreign = "evict-oldest"`',
    )


def adopted(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="unsafe-delete",
        why=f"both slots are taken, one by secret {secret_id}, which was adopted last, while Vault "
        "shows another: a standby of Vault may lag, or someone changed the entry",
        hint="nothing was deleted; a standby catches up in a minute. If Vault is right, `rotator "
        f"adopt {name} --from-vault` says so; if nothing uses it, `rotator secrets delete "
        f"{name} {secret_id} --force`",
    )


def unexplained(name: str, ids: list[str]) -> Refuse:
    return Refuse(
        code="foreign-secret",
        why=f"{' and '.join(ids)} appeared while an answer of Vonage was lost, and the value that "
        "rotator sent does not authenticate, so that it may be someone else's",
        hint="if nobody made it by hand, the rotation goes on by itself once the value works; if "
        "someone did and nothing uses it, delete it with `rotator secrets delete "
        f"{name} {_one_of(ids)} --force`",
    )


def once_used(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="unsafe-delete",
        why=f"to the ledger, secret {secret_id} was never used, but Vault holds another one than it"
        " was to replace, as if the ledger were restored from a backup",
        hint="nothing was deleted; see `rotator ledger verify`, and once nothing uses it, "
        f"`rotator secrets delete {name} {secret_id} --force`",
    )


def unsafe(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="unsafe-delete",
        why=f"deleting {secret_id} might take the account down: that Vault holds another, "
        "working secret is not certain",
        hint=f"see `rotator secrets list {name}`; `rotator adopt {name}` puts a working secret at "
        "the Vault entry",
    )

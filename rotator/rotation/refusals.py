"""Refusals that an operator must resolve: the reason and the hint of each.

Every text that the rules show to operators is here, but for what became of the current entry, which
`rotator.rotation.causes` finds; `rotator.rotation.protocol` decides when each applies.
"""

import shlex
from dataclasses import replace
from datetime import datetime

from rotator.model import CLOCK, Account, CurrentEntry, Hold, Identity, Rotation, ShutGate
from rotator.rotation import window
from rotator.rotation.causes import cause_of, is_ahead_of_ledger, of_another, was_changed
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


def _of_current(account: Account, observation: Observation, hint: str) -> Refuse:
    """Return the refusal for what became of the current entry, with its cure."""
    cause = cause_of(account, observation)
    return Refuse(code=cause.code, why=cause.why, hint=hint)


def entry_missing(account: Account, observation: Observation) -> Refuse:
    adopt = f"`rotator adopt {account.name}` puts the account's present secret there"
    if version := observation.current.version:
        back = f"{_undelete(account, version)} brings it back"
        adopt = f"nothing was deleted at Vonage; {back}; where it was destroyed, {adopt}"
    return _of_current(account, observation, adopt)


def field_missing(account: Account, observation: Observation) -> Refuse:
    return _of_current(
        account,
        observation,
        "set `secret_field` to the field that holds the secret, or put it there with "
        f"`rotator adopt {account.name}`",
    )


def wrong_entry(account: Account) -> Refuse:
    return Refuse(
        code="wrong-entry",
        why=of_another(account),
        hint="correct `vault_path`, `api_key` or `key_field` of this account; or, if someone "
        "changed the entry, put back the version that was right, see `vault kv metadata get "
        f"{_path(account)}`",
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


def revoked(account: Account, observation: Observation) -> Refuse:
    return _of_current(
        account,
        observation,
        f"`rotator adopt {account.name}` takes another one, and with --secret-id the present one "
        "if it works on, as its id is another",
    )


def unknown_current(account: Account, observation: Observation) -> Refuse:
    listed = observation.listing.secrets or ()
    made = sorted((secret.created_at, secret.id) for secret in listed)
    named = " and ".join(f"{secret_id} (made {at:%Y-%m-%d %H:%M:%S} UTC)" for at, secret_id in made)
    code, why = "unknown-current", f"Vonage lists {named}, and which of them Vault holds is not "
    why += "recorded"
    if was_changed(observation):
        cause = cause_of(account, observation)
        code, why = cause.code, cause.why
    return Refuse(
        code=code,
        why=why,
        hint="Vault holds the one that was made last before the entry was written, see `vault kv "
        f"metadata get {_path(account)}`; `rotator adopt {account.name} --from-vault --secret-id "
        "ID` records its id",
    )


def stopped_working(name: str, secret_id: str | None) -> Refuse:
    return Refuse(
        code="drift",
        why=f"secret {secret_id}, about to be pushed to Vault, stopped working",
        hint=f"see `rotator secrets list {name}`; the rotation goes on by itself once that works. "
        "If it never will, wait some minutes, until the push cannot arrive any more; then `rotator "
        f"forget {name} --abandon` ends the rotation, and the next run begins another",
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


def changed(account: Account, observation: Observation) -> Refuse:
    known = observation.ledger.written.version or "N"
    return _of_current(
        account,
        observation,
        f"nothing was deleted; `rotator adopt {account.name} --from-vault` if the present "
        f"value is right, else restore what was there before with `vault kv rollback "
        f"-version={known} {_path(account)}`",
    )


def unlisted(account: Account, observation: Observation) -> Refuse:
    adopt = f"`rotator adopt {account.name}"
    return _of_current(
        account,
        observation,
        "nothing was deleted; if the value works on, its id is another one, and "
        f"{adopt} --from-vault --secret-id ID` says which; if it was revoked, {adopt}` takes one "
        "that works",
    )


def behind(account: Account, observation: Observation) -> Refuse:
    return _of_current(
        account,
        observation,
        "nothing was deleted; a standby catches up in a minute. If Vault was restored, "
        f"`rotator adopt {account.name}` puts a working secret there, or with --from-vault takes "
        "the one that is",
    )


def overwritten(account: Account, rotation: Rotation, observation: Observation) -> Refuse:
    version = rotation.vault_version or "N"
    adopt = f"`rotator adopt {rotation.account}`"
    if is_ahead_of_ledger(observation):
        # What has been written since is what rotator means consumers to read.
        keep = f"`rotator adopt {rotation.account} --from-vault` keeps what Vault has"
        # What the ledger has lost may have deleted the old secret.
        hint = f"this deletes nothing; {keep}, and ends the rotation"
        return _of_current(account, observation, hint)
    if observation.current.entry and observation.current.authenticated_at:
        other = f"`rotator adopt {rotation.account} --from-vault` keeps the present one, {adopt} "
        adopt = f"{other}takes another"
    if observation.current.entry and rotation.new_id not in observation.listing.ids:
        # What rotator wrote works no more, so that going back to it would break consumers.
        remedy = f"end the rotation with a value that works: {adopt}"
    elif observation.current.entry:
        remedy = (
            f"restore what rotator wrote with `vault kv rollback -version={version} "
            f"{_path(account)}`, and the rotation goes on, or end it with a value that works: "
            f"{adopt}"
        )
    elif observation.current.version:
        # Vault refuses to roll back to a deleted version.
        remedy = (
            f"{_undelete(account, version)} brings it back, and the rotation goes on; "
            f"where it was destroyed, end it with a value that works: {adopt}"
        )
    else:
        remedy = f"end the rotation with a value that works: {adopt}"
    return _of_current(account, observation, f"nothing was deleted at Vonage; {remedy}")


def dead(account: Account, observation: Observation) -> Refuse:
    rotation, parent, entry = observation.rotation, account.managed_by, observation.current.entry
    hint = f"`rotator adopt {account.name}` puts a working secret there"
    if rotation and rotation.vault_version:
        # A rotation that has pushed goes on with what it has pushed alone.
        pass
    elif parent:
        hint += ", or mend its parent account, which could rotate this one: `rotator status "
        hint += f"{parent} --refresh`"
    else:
        hint += ", or set `managed_by` so that the parent account can rotate this one"
    if entry is None or entry.note is None or not entry.intact:
        # An intact note shows that the value is as it was written.
        hint += "; a line end behind the value in Vault is part of it, and Vonage refuses that, too"
    return _of_current(account, observation, hint)


def replaceable(account: Account, observation: Observation) -> Refuse:
    """Return what is wrong with a dead value that a rotation replaces by itself."""
    return _of_current(
        account,
        observation,
        f"`rotator rotate-now {account.name}` replaces it, as another credential of the account "
        "works",
    )


def predecessor_revoked(account: Account, rotation: Rotation) -> Refuse:
    due = window.deletion_at(account.policy, rotation)
    until = f"until {due:%Y-%m-%d %H:%M:%S} UTC" if due else "for its grace"
    return Refuse(
        code="drift",
        why=f"someone else revoked secret {rotation.predecessor_id} at Vonage, which was to stay "
        f"{until}: consumers that have not read the new one are cut off",
        hint="make those consumers read the new one from Vault; the rotation completes by itself, "
        f"with nothing left to delete, and `rotator rotate-now {account.name} --grace 0s` "
        "completes it now",
    )


def with_rollback(
    action: Refuse, account: Account, rotation: Rotation | None, version: int
) -> Refuse:
    """Return the refusal with the hint that an older version of the entry still works."""
    # What is said of drift would lead back to a version that may be dead, or keep the dead value.
    misleading = "rollback", "--from-vault", "nothing was deleted"
    other = f"`rotator adopt {account.name}` puts a working secret there"
    if not any(words in action.hint for words in misleading):
        other = action.hint
    return replace(
        action,
        hint=f"version {version} still works: `vault kv rollback -version={version} "
        f"{_path(account)}` brings it back at once{_end_of(account, rotation, version)}; else "
        f"{other}",
    )


def _end_of(account: Account, rotation: Rotation | None, version: int) -> str:
    """Return how a rotation ends after going back to a version that is not the one it wrote."""
    if rotation is None or rotation.vault_version in (None, version):
        return ""
    return f", then `rotator adopt {account.name} --from-vault` ends the rotation"


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


def clock_ahead() -> ShutGate:
    """Return the gate for a clock that is ahead, which would end a grace early."""
    # Without the offset, as for the clock that is behind: it changes all the time.
    why = "this machine's clock is ahead of Vonage's, by which the grace is not over"
    return ShutGate(name=CLOCK, reason=why)


def clock_behind() -> Refuse:
    return Refuse(
        code="clock-behind",
        why="this machine's clock is more than a day behind Vonage's: once put right, it would end "
        "a grace early",
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

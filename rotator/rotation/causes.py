"""Causes: what became of the secret that consumers read, and what that means for them.

A cause is found in an observation alone. One act has therefore one code and one sentence, whatever
finds it first: a pass, a look, a plan; with a rotation open, or with none.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rotator.model import Account, CurrentEntry, Note, Rotation
from rotator.rotation.observation import Observation
from rotator.rotation.steps.bookkeeping import Refuse

_NOTHING = "consumers read nothing"
_DEAD = "consumers read a secret that does not work"
_WORKS = "consumers still read a secret that works"
_ENDS_SOON = "consumers still read it, and it stops working soon"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What became of the secret that consumers read."""

    #: Stable name of the act, for programs.
    code: str
    #: What was done; by whom, where that is known.
    act: str
    #: What it means for consumers; "" where none of them can have read a secret.
    effect: str

    @property
    def why(self) -> str:
        """The cause in one sentence."""
        return f"{self.act}: {self.effect}" if self.effect else self.act


def cause_of(account: Account, observation: Observation) -> Cause:
    """Return the cause for an observation that shows something wrong with the current entry."""
    act = next(found for find in _ACTS if (found := find(account, observation)))
    return Cause(code=act.code, act=act.what, effect=_effect(observation))


def explained(action: Refuse, account: Account, observation: Observation) -> Refuse:
    """Return a refusal that names the cause first, if consumers read a dead secret, or nothing.

    Last, it says who made or revoked the secrets that it names, as far as that is known.
    """
    why = cause_of(account, observation).why if observation.is_broken else ""
    parts = [action.why] if why in action.why else [why, action.why]
    origins = observation.ledger.seen.origins.items()
    parts += [f"secret {each} was {words}" for each, words in origins if each in action.why]
    return replace(action, why="; ".join(parts))


def of_another(account: Account) -> str:
    """Return what is wrong with an entry that is another account's.

    What it names is not repeated: it may be a value in the wrong field.
    """
    what = f"the Vault entry {account.vault_path} has another text in field {account.key_field}"
    return f"{what} than API key {account.api_key}"


def was_changed(observation: Observation) -> bool:
    """Return whether someone else has changed what rotator wrote to the current entry.

    An intact note shows who wrote the value. That of a secret deleted since is an older version,
    put back, unless it is the version that rotator wrote last.
    """
    entry, ledger = observation.current.entry, observation.ledger
    pushed = _pushed(observation)
    if entry is None or entry.note is None:
        return ledger.written.version > 0 or pushed is not None
    if not entry.intact or (pushed and not _is_of(entry.note, pushed)):
        return True
    return entry.note.secret_id in ledger.deleted_ids and entry.version > ledger.written.version


def is_ahead_of_ledger(observation: Observation) -> bool:
    """Return whether rotator wrote the current entry after the open rotation had written to it.

    The note is intact, and of a later version and a secret that this ledger does not know. Its
    commits are lost, as a rotation ends before another one begins; or another ledger has it.
    """
    entry, rotation, ledger = observation.current.entry, _pushed(observation), observation.ledger
    if rotation is None or entry is None or entry.note is None or not entry.intact:
        return False
    if not observation.current.authenticated_at or entry.version <= (rotation.vault_version or 0):
        return False
    known = {rotation.predecessor_id, rotation.new_id} | ledger.expendable_ids | ledger.deleted_ids
    return entry.note.secret_id in observation.listing.ids - known


def _pushed(observation: Observation) -> Rotation | None:
    """Return the open rotation if it has written to the current entry."""
    rotation = observation.rotation
    return rotation if rotation and rotation.vault_version else None


def _is_of(note: Note, rotation: Rotation) -> bool:
    return note.rotation_id == rotation.id and rotation.new_id in (None, note.secret_id)


def _effect(observation: Observation) -> str:
    entry = observation.current.entry
    if entry is None or not entry.has_value:
        return _NOTHING if observation.is_broken else ""
    if entry.is_foreign:
        # The value is tried with this account's API key, and consumers read another one.
        return ""
    if observation.current.authenticated_at is None:
        return _DEAD
    return _WORKS if was_changed(observation) or _is_listed(entry, observation) else _ENDS_SOON


def _is_listed(entry: CurrentEntry, observation: Observation) -> bool:
    return entry.note is None or entry.note.secret_id in observation.listing.ids


# -- The acts: the first one that answers counts. --------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Act:
    """What was done, and its code."""

    code: str
    what: str


def _standby_lags(account: Account, observation: Observation) -> Act | None:
    if not observation.is_behind:
        return None
    shown, written = observation.current.version, observation.ledger.written.version
    act = f"a standby of Vault lags: it shows version {shown} of {account.vault_path}, version "
    return Act(
        code="drift", what=f"{act}{written} was written; or Vault was restored from a backup"
    )


def _entry_is_gone(account: Account, observation: Observation) -> Act | None:
    current, path = observation.current, account.vault_path
    if current.entry is not None:
        return None
    if current.removed_at:
        at = f"{current.removed_at:%Y-%m-%d %H:%M:%S} UTC"
        act = f"version {current.version} of {path} was removed from Vault at {at}, by someone or "
        act += "by itself (`delete_version_after`)"
    elif current.version:
        act = f"someone else destroyed version {current.version} of {path} in Vault"
    elif observation.is_broken:
        act = f"someone else removed the Vault entry {path} with all its versions"
    else:
        act = f"Vault has no entry at {path}"
    return Act(code="entry-missing", what=act)


def _field_is_missing(account: Account, observation: Observation) -> Act | None:
    entry = observation.current.entry
    if entry is None or entry.has_value:
        return None
    act = f"the Vault entry {account.vault_path} has no text in field {account.secret_field}"
    return Act(code="field-missing", what=act)


def _entry_is_another_accounts(account: Account, observation: Observation) -> Act | None:
    entry = observation.current.entry
    if entry is None or not entry.is_foreign:
        return None
    return Act(code="wrong-entry", what=of_another(account))


def _entry_is_ahead(account: Account, observation: Observation) -> Act | None:
    if not is_ahead_of_ledger(observation):
        return None
    act = f"the ledger has no record of what rotator last wrote to {account.vault_path} "
    why = "its last commits are lost, or another ledger has the account"
    return Act(code="drift", what=f"{act}({why})")


def _entry_was_changed(account: Account, observation: Observation) -> Act | None:
    if not was_changed(observation):
        return None
    return Act(code="drift", what=f"someone else changed the Vault entry {account.vault_path}")


def _secret_was_revoked(_account: Account, observation: Observation) -> Act | None:
    entry, rotation = observation.current.entry, observation.rotation
    if entry is None or entry.note is None or _is_listed(entry, observation):
        return None
    code = "drift" if observation.current.authenticated_at else "current-refused"
    secret_id = entry.note.secret_id
    if secret_id in observation.ledger.deleted_ids:
        return Act(code=code, what=f"secret {secret_id}, which Vault holds, was deleted by rotator")
    # An id that only the note names may be anything, and is not repeated.
    is_known = observation.current.note_is_recorded or (rotation and rotation.new_id == secret_id)
    named = f"secret {secret_id}" if is_known else "the secret that Vault's note names"
    if observation.listing.secrets is None:
        # No list shows that: Vonage may refuse whatever the account sends.
        return Act(code=code, what=f"Vonage refuses {named}, as if someone else had revoked it")
    return Act(code=code, what=f"someone else revoked {named} at Vonage")


def _value_is_refused(_account: Account, _observation: Observation) -> Act:
    return Act(code="current-refused", what="Vonage refuses the value that Vault holds")


_ACTS: tuple[Callable[[Account, Observation], Act | None], ...] = (
    _standby_lags,
    _entry_is_gone,
    _field_is_missing,
    _entry_is_another_accounts,
    _entry_is_ahead,
    _entry_was_changed,
    _secret_was_revoked,
    _value_is_refused,
)

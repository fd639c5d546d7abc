"""The two entries as JSON: the current entry and the write-ahead copy."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from rotator.errors import UnexpectedEntry
from rotator.model import EARLIEST, LATEST, Account, CurrentEntry, Note, PendingEntry, SecretValue
from rotator.model.times import rfc3339_exact
from rotator.rotation.ports import StoredCurrent, StoredPending

#: The field of the current entry that belongs to rotator.
NOTE_FIELD = "rotator"
#: Fields of a pending entry that identify its account; missing in older ones.
_OWNER = ("api_key", "issuer", "vault_path", "ledger_id")

Fields = Mapping[str, Any]

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def current_of(account: Account, version: int, fields: Fields) -> StoredCurrent:
    """Parse the current entry of `account`."""
    text = _text(fields, account.secret_field)
    value = None if text is None else SecretValue(text)
    note = _note_of(fields.get(NOTE_FIELD))
    entry = CurrentEntry(
        version=version,
        note=note,
        intact=note is not None and value is not None and note.matches(value),
        has_value=value is not None,
        is_foreign=_text(fields, account.key_field) not in (None, account.api_key),
    )
    return StoredCurrent(entry=entry, value=value, fields=fields)


def current_fields(
    account: Account, fields: Fields, value: SecretValue, note: Note
) -> dict[str, Any]:
    """Build the current entry of `account` from its former `fields`, keeping those not ours."""
    return {
        **fields,
        account.key_field: account.api_key,
        account.secret_field: value.reveal(),
        NOTE_FIELD: {
            "secret_id": note.secret_id,
            "rotation_id": note.rotation_id,
            "rotated_at": rfc3339_exact(note.rotated_at),
            "ledger_head": note.ledger_head,
            "check": note.check,
        },
    }


def pending_of(path: str, version: int, fields: Fields) -> StoredPending:
    """Parse a pending entry.

    Raises:
        UnexpectedEntry: rotator did not write it.
    """
    value, rotation_id = _text(fields, "value"), _text(fields, "rotation_id")
    listed_ids = _texts(fields.get("listed"))
    owner = {key: _text(fields, key) for key in _OWNER}
    is_odd = any(key in fields and text is None for key, text in owner.items())
    if value is None or rotation_id is None or listed_ids is None or is_odd:
        raise UnexpectedEntry(
            f"the pending entry at {path} is not one that rotator wrote",
            hint=f"look at {path} in Vault: it may hold the only copy of a secret; remove it"
            " with all its versions once it does not",
        )
    entry = PendingEntry(
        rotation_id=rotation_id,
        listed_ids=listed_ids,
        predecessor_id=_text(fields, "predecessor_id"),
        **owner,
    )
    return StoredPending(version=version, entry=entry, value=SecretValue(value))


def pending_fields(value: SecretValue, entry: PendingEntry) -> dict[str, Any]:
    """Build a pending entry."""
    return {
        "value": value.reveal(),
        "rotation_id": entry.rotation_id,
        "listed": sorted(entry.listed_ids),
        "predecessor_id": entry.predecessor_id,
        **{key: text for key in _OWNER if (text := getattr(entry, key)) is not None},
    }


def _note_of(found: object) -> Note | None:
    if not isinstance(found, dict):
        return None
    secret_id, rotation_id = _text(found, "secret_id"), _text(found, "rotation_id")
    ledger_head, check = _text(found, "ledger_head"), _text(found, "check")
    rotated_at = _moment(found.get("rotated_at"))
    # Constant-time comparison takes ASCII only; a check is hexadecimal anyway.
    if check is None or not check.isascii():
        return None
    if secret_id is None or rotation_id is None or ledger_head is None or rotated_at is None:
        return None
    return Note(
        secret_id=secret_id,
        rotation_id=rotation_id,
        rotated_at=rotated_at,
        ledger_head=ledger_head,
        check=check,
    )


def _text(fields: Fields, key: str) -> str | None:
    """Return the text at `key`; None where there is none, or none that could be sent anywhere."""
    found = fields.get(key)
    return found if _is_text(found) else None


def _texts(found: object) -> frozenset[str] | None:
    if not isinstance(found, list) or not all(_is_text(item) for item in found):
        return None
    return frozenset(found)


def _is_text(found: object) -> TypeGuard[str]:
    """Return whether it is text without half a surrogate pair, which UTF-8 cannot encode."""
    return isinstance(found, str) and found != "" and not _HALF_PAIR.search(found)


def _moment(found: object) -> datetime | None:
    """Parse a time with an offset and a plausible year."""
    if not isinstance(found, str):
        return None
    try:
        moment = datetime.fromisoformat(found)
    except ValueError:
        return None
    is_real = moment.tzinfo is not None and EARLIEST <= moment <= LATEST
    return moment.astimezone(UTC) if is_real else None

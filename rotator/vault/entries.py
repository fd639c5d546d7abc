"""The two entries as JSON: the current entry and the write-ahead copy."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, PlainValidator, Strict

from rotator.errors import UnexpectedEntry
from rotator.model import EARLIEST, LATEST, Account, CurrentEntry, Note, PendingEntry, SecretValue
from rotator.model.redaction import is_unicode
from rotator.model.times import rfc3339, rfc3339_exact
from rotator.rotation.ports import StoredCurrent, StoredPending
from rotator.vault.response import Body, parse

#: The field of the current entry that belongs to rotator.
NOTE_FIELD = "rotator"
#: Fields of a pending entry that identify its account; missing in older ones.
_OWNER = ("api_key", "issuer", "vault_path", "ledger_id")

Fields = Mapping[str, Any]


def _text(found: object) -> str | None:
    """Return text that is not empty and could be sent anywhere; None for anything else."""
    return found if isinstance(found, str) and found and is_unicode(found) else None


def _checked_text(found: object) -> str:
    text = _text(found)
    if text is None:
        raise ValueError
    return text


def _checked_ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError
    return text


def _checked_time(found: object) -> datetime:
    """Parse a time with an offset and a plausible year."""
    moment = datetime.fromisoformat(_checked_text(found))
    if moment.tzinfo is None or not EARLIEST <= moment <= LATEST:
        raise ValueError
    return moment.astimezone(UTC)


_Text = Annotated[str, PlainValidator(_checked_text)]


class _NoteFields(Body):
    secret_id: _Text
    rotation_id: _Text
    rotated_at: Annotated[datetime, PlainValidator(_checked_time)]
    ledger_head: _Text
    # Constant-time comparison takes ASCII only; a check is hexadecimal anyway.
    check: Annotated[_Text, AfterValidator(_checked_ascii)]
    # Whatever is no text is as good as none: the note is valid without.
    previous_field: Annotated[str | None, PlainValidator(_text)] = None
    previous_check: Annotated[str | None, PlainValidator(_text)] = None


class _PendingFields(Body):
    value: _Text
    rotation_id: _Text
    listed: Annotated[frozenset[_Text], Strict(strict=False)]
    predecessor_id: _Text | None = None
    # Missing or text, and never null.
    api_key: _Text = ""
    issuer: _Text = ""
    vault_path: _Text = ""
    ledger_id: _Text = ""


def current_of(account: Account, version: int, fields: Fields) -> StoredCurrent:
    """Parse the current entry of `account`."""
    text = _text(fields.get(account.secret_field))
    value = None if text is None else SecretValue(text)
    found = parse(_NoteFields, fields.get(NOTE_FIELD))
    note = Note(**dict(found)) if found else None
    name, previous = previous_in(account, fields, note)
    entry = CurrentEntry(
        version=version,
        note=note,
        intact=note is not None and value is not None and note.matches(value),
        has_value=value is not None,
        is_foreign=_text(fields.get(account.key_field)) not in (None, account.api_key),
        previous=name,
        is_previous_taken=_is_taken(account, fields, name),
    )
    return StoredCurrent(entry=entry, value=value, previous=previous, fields=fields)


def previous_in(
    account: Account, fields: Fields, note: Note | None
) -> tuple[str | None, SecretValue | None]:
    """Find the field with the replaced value by its hash, whatever is configured or named by now.

    A field that rotator did not write, or that does not hold what rotator wrote, is someone else's.
    """
    if note is None or note.previous_check is None:
        return None, None
    for name in fields.keys() - {account.secret_field, account.key_field, NOTE_FIELD}:
        text = _text(name) and _text(fields[name])
        if text and note.keeps(previous := SecretValue(text), name):
            return name, previous
    return None, None


def _is_taken(account: Account, fields: Fields, name: str | None) -> bool:
    """Return whether the field that is configured for a replaced value is someone else's."""
    configured = account.previous_field
    return bool(configured) and configured in fields and configured != name


def current_fields(
    account: Account,
    fields: Fields,
    value: SecretValue,
    note: Note,
    previous: SecretValue | None = None,
) -> dict[str, Any]:
    """Build the current entry of `account` from its former `fields`, keeping those not ours.

    `previous` is put into the field that the note names for it.
    """
    replaced = {note.previous_field: previous.reveal()} if note.previous_field and previous else {}
    facts = {
        "secret_id": note.secret_id,
        "rotation_id": note.rotation_id,
        "rotated_at": rfc3339_exact(note.rotated_at),
        "ledger_head": note.ledger_head,
        "check": note.check,
        "previous_field": note.previous_field,
        "previous_check": note.previous_check,
        "old_valid_until": rfc3339(note.old_valid_until),
        "next_rotation_at": rfc3339(note.next_rotation_at),
    }
    return {
        **fields,
        account.key_field: account.api_key,
        account.secret_field: value.reveal(),
        **replaced,
        NOTE_FIELD: {name: fact for name, fact in facts.items() if fact is not None},
    }


def without_previous(base: StoredCurrent) -> dict[str, Any]:
    """Return the fields of an entry without the replaced value, and without its name in the note.

    All others stay as they are.
    """
    fields = {name: found for name, found in base.fields.items() if name != base.entry.previous}
    if isinstance(note := fields.get(NOTE_FIELD), dict):
        about = ("previous_field", "previous_check")
        fields[NOTE_FIELD] = {name: fact for name, fact in note.items() if name not in about}
    return fields


def pending_of(path: str, version: int, fields: Fields) -> StoredPending:
    """Parse a pending entry.

    Raises:
        UnexpectedEntry: rotator did not write it.
    """
    found = parse(_PendingFields, fields)
    if found is None:
        raise UnexpectedEntry(
            f"the pending entry at {path} is not one that rotator wrote",
            hint=f"look at {path} in Vault: it may hold the only copy of a secret; remove it"
            " with all its versions once it does not",
        )
    entry = PendingEntry(
        rotation_id=found.rotation_id,
        listed_ids=found.listed,
        predecessor_id=found.predecessor_id,
        **{key: getattr(found, key) or None for key in _OWNER},
    )
    return StoredPending(version=version, entry=entry, value=SecretValue(found.value))


def pending_fields(value: SecretValue, entry: PendingEntry) -> dict[str, Any]:
    """Build a pending entry."""
    return {
        "value": value.reveal(),
        "rotation_id": entry.rotation_id,
        "listed": sorted(entry.listed_ids),
        "predecessor_id": entry.predecessor_id,
        **{key: text for key in _OWNER if (text := getattr(entry, key)) is not None},
    }

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.errors import UnexpectedEntry
from rotator.model import Note, PendingEntry, SecretValue
from rotator.vault.entries import (
    current_fields,
    current_of,
    pending_fields,
    pending_of,
    without_previous,
)
from tests.support.samples import account

VALUE = SecretValue("Abcdefgh1")
ACCOUNT = account("sms-prod")
NOTE = Note(
    secret_id="id-1",
    rotation_id="rotation-1",
    rotated_at=datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC),
    ledger_head="f" * 64,
    check=Note.check_of(VALUE, secret_id="id-1", rotation_id="rotation-1"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_what_is_written_reads_back() -> None:
    """A current entry that rotator wrote reads as intact, with the same note and value."""
    fields = current_fields(ACCOUNT, {}, VALUE, NOTE)
    read = current_of(ACCOUNT, 7, fields)

    assert read.value == VALUE
    assert read.entry.note == NOTE
    assert read.entry.intact
    assert read.entry.has_value
    assert not read.entry.is_foreign
    assert read.entry.version == 7


def test_foreign_fields_stay() -> None:
    """Whatever else is in the entry is kept, and an old note is replaced as a whole."""
    before = {
        "api_key": "old",
        "api_secret": "old",
        "rotator": {"stale": 1},
        "sender": ["a", {"b": None}],
    }
    fields = current_fields(ACCOUNT, before, VALUE, NOTE)

    assert fields["sender"] == ["a", {"b": None}]
    assert fields["api_key"] == "abcd1234"
    assert fields["api_secret"] == VALUE.reveal()
    assert "stale" not in fields["rotator"]
    assert before["api_secret"] == "old"


def test_the_note_is_spelled_as_documented() -> None:
    """The note's time is RFC 3339 in UTC with microseconds and Z, whatever zone it came in."""
    berlin = NOTE.rotated_at.astimezone(timezone(timedelta(hours=1)))
    note = Note(**{**vars(NOTE), "rotated_at": berlin})

    assert current_fields(ACCOUNT, {}, VALUE, note)["rotator"] == {
        "secret_id": "id-1",
        "rotation_id": "rotation-1",
        "rotated_at": "2026-11-23T07:28:00.123456Z",
        "ledger_head": "f" * 64,
        "check": NOTE.check,
    }


@pytest.mark.parametrize("key", ["secret_id", "rotation_id", "rotated_at", "ledger_head", "check"])
@pytest.mark.parametrize("broken", [None, "", 5, ["x"], "\ud800"])
def test_a_note_with_a_broken_field_is_no_note(key: str, broken: object) -> None:
    """All five fields are non-empty texts, or there is no note."""
    fields = current_fields(ACCOUNT, {}, VALUE, NOTE)
    fields["rotator"][key] = broken
    entry = current_of(ACCOUNT, 1, fields).entry

    assert entry.note is None
    assert not entry.intact
    assert entry.has_value


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "2026-11-23", "2026-11-23T07:28:00", "0001-01-01T00:00:00+23:59", "\u0666"],
)
def test_a_note_needs_a_real_moment(moment: str) -> None:
    """A time that is none, or lacks an offset, makes the note unusable."""
    fields = current_fields(ACCOUNT, {}, VALUE, NOTE)
    fields["rotator"]["rotated_at"] = moment

    assert current_of(ACCOUNT, 1, fields).entry.note is None


def test_a_check_that_is_not_ascii_is_no_check() -> None:
    """A check beyond ASCII cannot be compared in constant time, so it is not taken."""
    fields = current_fields(ACCOUNT, {}, VALUE, NOTE)
    fields["rotator"]["check"] = "é" * 64

    assert current_of(ACCOUNT, 1, fields).entry.note is None


def test_a_value_changed_by_hand_is_not_intact() -> None:
    """A note that was written with another value stays readable but no longer matches."""
    fields = {**current_fields(ACCOUNT, {}, VALUE, NOTE), "api_secret": "Changed1"}
    entry = current_of(ACCOUNT, 1, fields).entry

    assert entry.note == NOTE
    assert entry.has_value
    assert not entry.intact


@pytest.mark.parametrize("unusable", [None, "", 5, True, ["x"], {"a": "b"}, "half\ud800"])
def test_what_is_no_text_is_no_value(unusable: object) -> None:
    """A secret that is missing, empty, no text or half a character is no value."""
    fields = {**current_fields(ACCOUNT, {}, VALUE, NOTE), "api_secret": unusable}
    read = current_of(ACCOUNT, 1, fields)

    assert read.value is None
    assert not read.entry.has_value
    assert not read.entry.intact


def test_an_empty_entry_reads() -> None:
    """An entry without any of the fields has no value, no key and no note."""
    entry = current_of(ACCOUNT, 3, {}).entry

    assert (entry.note, entry.has_value, entry.is_foreign, entry.intact) == (
        None,
        False,
        False,
        False,
    )


def test_a_pending_entry_reads_back() -> None:
    """A pending entry that rotator wrote reads as what it was made of."""
    entry = PendingEntry(rotation_id="rotation-1", listed_ids=frozenset({"b", "a"}))
    fields = pending_fields(VALUE, entry)
    read = pending_of("secret/p", 4, fields)

    assert fields["listed"] == ["a", "b"]
    assert (read.version, read.entry, read.value) == (4, entry, VALUE)


def test_a_pending_entry_says_whose_it_is() -> None:
    """Beside the value stand the api key, its issuer, where the value is to go, and the ledger."""
    owner = {
        "api_key": "abcd1234",
        "issuer": "api.nexmo.com",
        "vault_path": "secret/vonage/sms",
        "ledger_id": "f3b1",
    }
    entry = PendingEntry(rotation_id="rotation-1", listed_ids=frozenset(), **owner)
    fields = pending_fields(VALUE, entry)

    assert {key: fields[key] for key in owner} == owner
    assert pending_of("secret/p", 4, fields).entry == entry


def test_an_older_pending_entry_says_nothing_of_it() -> None:
    """One that an earlier version wrote reads, and belongs to nobody in particular."""
    fields = {"value": "x", "rotation_id": "r", "listed": ["a"], "predecessor_id": "a"}
    read = pending_of("secret/p", 4, fields).entry

    assert read is not None
    assert (read.api_key, read.issuer, read.vault_path, read.ledger_id) == (None,) * 4


@pytest.mark.parametrize("key", ["api_key", "issuer", "vault_path", "ledger_id"])
@pytest.mark.parametrize("broken", [None, "", 5, ["a"]])
def test_an_owner_that_cannot_be_read_is_not_taken_for_none(key: str, broken: object) -> None:
    """Of a pending entry that says whose it is in a way that nobody understands, nothing is."""
    fields = {"value": "x", "rotation_id": "r", "listed": [], key: broken}

    with pytest.raises(UnexpectedEntry):
        pending_of("secret/p", 4, fields)


def test_a_pending_entry_with_nothing_listed_reads_back() -> None:
    """No listed ids are a list like any other."""
    entry = PendingEntry(rotation_id="rotation-1", listed_ids=frozenset())

    assert pending_of("secret/p", 4, pending_fields(VALUE, entry)).entry == entry


@pytest.mark.parametrize("key", ["value", "rotation_id", "listed"])
@pytest.mark.parametrize("broken", [None, "", 5, {"a": "b"}, [1], [""], "\ud800"])
def test_a_malformed_pending_entry_is_named_by_its_path(key: str, broken: object) -> None:
    """A pending entry that rotator did not write raises an error that says where it is."""
    entry = PendingEntry(rotation_id="rotation-1", listed_ids=frozenset({"a"}))
    fields = {**pending_fields(VALUE, entry), key: broken}
    with pytest.raises(UnexpectedEntry) as caught:
        pending_of("secret/rotator/pending/sms-prod", 4, fields)

    assert "secret/rotator/pending/sms-prod" in caught.value.message
    assert "secret/rotator/pending/sms-prod" in (caught.value.hint or "")
    assert VALUE.reveal() not in repr(caught.value)


@given(st.dictionaries(st.sampled_from(["api_secret", "api_key", "rotator", "x"]), JSON))
def test_any_entry_can_be_read(fields: dict[str, object]) -> None:
    """Whatever an entry holds, it reads without an error, and a merge over it can be sent."""
    read = current_of(ACCOUNT, 1, fields)
    merged = current_fields(ACCOUNT, read.fields, VALUE, NOTE)

    assert json.loads(json.dumps(merged))["api_secret"] == VALUE.reveal()
    assert current_of(ACCOUNT, 2, merged).entry.intact


@given(st.dictionaries(st.sampled_from(["value", "rotation_id", "listed"]), JSON))
def test_any_pending_entry_reads_or_is_refused(fields: dict[str, object]) -> None:
    """Whatever a pending entry holds, it is read or refused as unexpected."""
    try:
        read = pending_of("secret/p", 1, fields)
    except UnexpectedEntry:
        return

    assert read.entry is not None
    assert read.value is not None


# -- The replaced value beside the current one. --------------------------------------------

OLD = SecretValue("Replaced1")
BOTH = account("sms-prod", previous_field="past")


def kept(**more: object) -> dict[str, Any]:
    """Return the fields of an entry that keeps a replaced value, with `more` of others."""
    return current_fields(BOTH, more, VALUE, NOTE.keeping(OLD, "past"), OLD)


def test_a_replaced_value_reads_back() -> None:
    """Its field is known by the note, and nothing of the value is in the note."""
    fields = kept(sender="a")
    read = current_of(BOTH, 7, fields)

    assert fields["past"] == OLD.reveal()
    assert read.previous == OLD
    assert read.entry.previous == "past"
    assert not read.entry.is_previous_taken
    assert read.entry.intact
    assert OLD.reveal() not in json.dumps(fields["rotator"])


def test_a_replaced_value_leaves_alone() -> None:
    """All else stays, and of the note what is not about it; it may leave again."""
    fields = kept(sender="a")
    left = without_previous(current_of(BOTH, 7, fields))

    about = {"previous_field", "previous_check"}
    note = {name: fact for name, fact in fields["rotator"].items() if name not in about}
    assert left == {**{n: f for n, f in fields.items() if n != "past"}, "rotator": note}
    assert without_previous(current_of(BOTH, 8, left)) == left


@pytest.mark.parametrize(
    "change",
    [
        {"past": "Another12"},
        {"past": 5},
        {"past": None},
        {"rotator": 5},
        {"rotator": {}},
    ],
)
def test_what_rotator_did_not_write_is_not_removed(change: dict[str, Any]) -> None:
    """Neither a value that was changed nor one whose note is gone; the field is somebody's."""
    fields = {**kept(), **change}
    read = current_of(BOTH, 7, fields)

    assert read.entry.previous is None
    assert read.entry.is_previous_taken
    assert without_previous(read).get("past", "") == fields["past"]


@pytest.mark.parametrize("name", ["api_secret", "api_key", "rotator", "sender", "", 5, None])
def test_another_name_in_the_note_does_not_count(name: object) -> None:
    """The note binds name and value: no other field is taken for it, even with the same value.

    Nor does the name in the configuration.
    """
    fields = kept(sender=OLD.reveal()) | {"\ud800": OLD.reveal()}
    fields["rotator"] = {**fields["rotator"], "previous_field": name}
    configured, other = current_of(BOTH, 7, fields), current_of(ACCOUNT, 7, fields)

    assert configured.entry.previous == "past"
    assert other.entry.previous == "past"
    assert configured.entry.intact
    assert without_previous(other)["sender"] == OLD.reveal()


def test_another_configured_name_changes_nothing() -> None:
    """What the note names is found, whatever the configuration names since."""
    renamed = account("sms-prod", previous_field="other")
    read = current_of(renamed, 7, kept())

    assert read.entry.previous == "past"
    assert not read.entry.is_previous_taken
    assert current_of(renamed, 7, kept(other="theirs")).entry.is_previous_taken


def test_a_name_that_is_the_secrets_by_now_does_not_count() -> None:
    """Else the current value would leave."""
    moved = account("sms-prod", secret_field="past", key_field="api_secret")

    assert current_of(moved, 7, kept()).entry.previous is None


def test_times_are_for_consumers_alone() -> None:
    """They are written, and never read back."""
    note = replace(NOTE, old_valid_until=NOTE.rotated_at, next_rotation_at=NOTE.rotated_at)
    fields = current_fields(ACCOUNT, {}, VALUE, note)
    read = current_of(ACCOUNT, 7, fields).entry.note

    assert fields["rotator"]["old_valid_until"] == "2026-11-23T07:28:00Z"
    assert fields["rotator"]["next_rotation_at"] == "2026-11-23T07:28:00Z"
    assert read == note
    assert read is not None
    assert (read.old_valid_until, read.next_rotation_at) == (None, None)

from datetime import UTC, datetime

import pytest

from rotator.ledger import chain, tables
from rotator.ledger.chain import GENESIS, Entry
from rotator.rotation.ports import NewEntry

NOW = datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC)
DRAFT = NewEntry(event="done", step=None, detail={"code": None})
FIRST = chain.linked(DRAFT, account="a", at=NOW, seq=1, prev_hash=GENESIS)
SECOND = chain.linked(DRAFT, account="a", at=NOW, seq=2, prev_hash=FIRST.hash)


def test_an_entry_hashes_as_it_always_did() -> None:
    """The hash of a known entry never changes, or every ledger out there would seem forged."""
    canonical = (
        '{"account":"a","at":"2026-11-23T07:28:00.123456Z","detail":{"code":null},'
        '"event":"done","rotation_id":null,"seq":1,"step":null}'
    )

    assert canonical.encode().hex().startswith("7b226163636f756e74")
    assert FIRST.hash == "0743735bac2f05226e58da13399572184105bc5a8f45c283a3fdf89bb6cadcc0"


def test_an_entry_is_a_row() -> None:
    """An entry's fields are the table's columns, in their order."""
    assert list(Entry._fields) == tables.entry.c.keys()


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (SECOND, None),
        (SECOND._replace(seq=3), "entry 2 is missing: 3 stands in its place"),
        (SECOND._replace(seq=1), "entry 2 is missing: 1 stands in its place"),
        (SECOND._replace(prev_hash=GENESIS), "entry 2 does not follow the one before it"),
        (SECOND._replace(event="forged"), "entry 2 was changed"),
        (SECOND._replace(detail='{"code": null}'), "entry 2 was changed"),
        (SECOND._replace(hash=FIRST.hash), "entry 2 was changed"),
        (SECOND._replace(hash=SECOND.hash.upper()), "entry 2 was changed"),
        # SQLite keeps whatever it is given.
        (SECOND._replace(event=b"done"), "entry 2 was changed"),  # type: ignore[arg-type]
        (SECOND._replace(event=7), "entry 2 was changed"),  # type: ignore[arg-type]
    ],
)
def test_a_fault_names_the_entry(entry: Entry, fault: str | None) -> None:
    """What is wrong is said of the first entry where it shows."""
    assert chain.fault(entry, prev_hash=FIRST.hash, seq=2) == fault


def test_a_hash_that_is_none_is_a_fault() -> None:
    """Where the entry before has no hexadecimal hash, nothing can follow it."""
    entry = SECOND._replace(prev_hash="none")

    assert chain.fault(entry, prev_hash="none", seq=2) == "entry 2 was changed"


@pytest.mark.parametrize("detail", ["", "{", "no json", "[" * 100_000])
def test_a_detail_that_is_no_json_is_exported_as_it_is(detail: str) -> None:
    """A falsified entry does not keep the others from being exported."""
    assert FIRST._replace(detail=detail).exported()["detail"] == detail

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, delete, insert, text

from rotator.ledger import chain, tables
from rotator.ledger.chain import GENESIS, Entry
from rotator.ledger.database import writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Step
from rotator.rotation.ports import NewEntry

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
#: What PostgreSQL can hold outside of JSON.
PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=27)
#: Events that the ledger does not read: it needs certain facts of some of those that it does.
UNREAD = PLAIN.map("x-{}".format)
VALUES = TEXTS | st.integers(-(2**63), 2**63) | st.booleans() | st.none()
DETAILS = st.dictionaries(TEXTS, VALUES, max_size=5)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIMES = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
in_database = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def verified(lines: Sequence[str]) -> dict[str, str]:
    """Verify exported lines by what DESIGN says of the chain; give each account's head.

    Shares no code with rotator.
    """
    heads: dict[str, str] = {}
    lengths: dict[str, int] = {}
    for line in lines:
        entry = json.loads(line)
        account, prev_hash, stated = entry["account"], entry.pop("prev_hash"), entry.pop("hash")
        canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(bytes.fromhex(prev_hash) + canonical.encode("utf-8")).hexdigest()
        lengths[account] = lengths.get(account, 0) + 1
        assert sorted(entry) == ["account", "at", "detail", "event", "rotation_id", "seq", "step"]
        assert prev_hash == heads.get(account, "0" * 64)
        assert entry["seq"] == lengths[account]
        assert digest == stated
        heads[account] = stated
    return heads


def linked(drafts: Sequence[NewEntry], account: str = "a") -> list[Entry]:
    """Chain drafts."""
    entries: list[Entry] = []
    for seq, draft in enumerate(drafts, start=1):
        head = entries[-1].hash if entries else GENESIS
        entries.append(chain.linked(draft, account=account, at=NOW, seq=seq, prev_hash=head))
    return entries


def relinked(entries: Sequence[Entry]) -> list[Entry]:
    """Number and chain entries anew, as a forger would who knows how it is done."""
    forged: list[Entry] = []
    for seq, entry in enumerate(entries, start=1):
        head = forged[-1].hash if forged else GENESIS
        changed = entry._replace(seq=seq, prev_hash=head)
        forged.append(changed._replace(hash=chain.hash_of(changed)))
    return forged


# -- The hash. -----------------------------------------------------------------------------


@given(
    draft=st.builds(
        NewEntry,
        event=TEXTS,
        step=st.none() | st.sampled_from(Step),
        detail=DETAILS,
        rotation_id=st.none() | TEXTS,
    ),
    account=TEXTS,
    at=TIMES,
    seq=st.integers(1),
    prev_hash=HASHES,
)
def test_a_hash_is_that_of_the_canonical_text(
    draft: NewEntry, account: str, at: datetime, seq: int, prev_hash: str
) -> None:
    """Whatever is in an entry, its hash is the one that DESIGN defines."""
    entry = chain.linked(draft, account=account, at=at, seq=seq, prev_hash=prev_hash)
    utc = at.astimezone(UTC)
    whole = {
        "account": account,
        "at": f"{utc.year:04}-{utc.month:02}-{utc.day:02}T{utc.hour:02}:{utc.minute:02}:"
        f"{utc.second:02}.{utc.microsecond:06}Z",
        "detail": draft.detail,
        "event": draft.event,
        "rotation_id": draft.rotation_id,
        "seq": seq,
        "step": draft.step,
    }
    canonical = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    expected = hashlib.sha256(bytes.fromhex(prev_hash) + canonical.encode()).hexdigest()

    assert entry.hash == chain.hash_of(entry) == expected
    assert entry.exported() == whole | {"prev_hash": prev_hash, "hash": expected}
    assert chain.fault(entry, prev_hash=prev_hash, seq=seq) is None


@given(
    text=st.text(st.characters(categories=["Cs"]), min_size=1, max_size=3),
    field=st.sampled_from(["event", "rotation_id", "key", "value"]),
)
def test_half_a_surrogate_pair_has_no_hash(text: str, field: str) -> None:
    """JSON can spell it and UTF-8 cannot, so it is refused before it reaches the ledger."""
    detail: dict[str, str | int | bool | None] = {
        text if field == "key" else "k": text if field == "value" else "v"
    }
    draft = NewEntry(
        event=text if field == "event" else "done",
        step=None,
        detail=detail,
        rotation_id=text if field == "rotation_id" else None,
    )
    with pytest.raises(UnicodeEncodeError):
        chain.linked(draft, account="a", at=NOW, seq=1, prev_hash=GENESIS)


# -- What a ledger exports. ----------------------------------------------------------------


@in_database
@given(
    drafts=st.lists(
        st.builds(
            NewEntry,
            event=UNREAD,
            step=st.none(),
            detail=DETAILS,
            rotation_id=st.none() | PLAIN,
        ),
        min_size=1,
        max_size=6,
    ),
    is_ascii=st.booleans(),
)
def test_exported_lines_prove_themselves(
    database: Engine, drafts: list[NewEntry], *, is_ascii: bool
) -> None:
    """Who has only the exported lines and DESIGN finds every entry whole and the head right."""
    writer, queries = LedgerWriter(database, lease_seconds=0), LedgerReader(database)
    lease = writer.claim("a", NOW)
    head = writer.commit(lease, rotation=None, entries=drafts, snapshot=None, now=NOW).head
    lines = [json.dumps(entry.exported(), ensure_ascii=is_ascii) for entry in queries.entries()]
    verdict = queries.verify("a", anchor=head)

    assert verified(lines) == {"a": head}
    assert (verdict.head, verdict.fault, verdict.has_anchor) == (head, None, True)
    assert verdict.entries == len(lines)


# -- What a forger does. -------------------------------------------------------------------


class Forger:
    """Who owns the database, and writes into it what he likes."""

    def __init__(self, database: Engine) -> None:
        self._database = database
        is_sqlite = database.dialect.name == "sqlite"
        names = ("entry_no_update", "entry_no_delete", "entry_no_replace")
        with writing(database) as connection:
            for name in names if is_sqlite else ():
                connection.execute(text(f"DROP TRIGGER {name}"))
            if not is_sqlite:
                connection.execute(text("ALTER TABLE entry DISABLE TRIGGER USER"))

    def write(self, entries: Sequence[Entry], *, recorded: Sequence[Entry]) -> None:
        """Make `entries` all there are; the row of account `a` is as after `recorded`."""
        head = recorded[-1].hash if recorded else GENESIS
        with writing(self._database) as connection:
            connection.execute(delete(tables.entry))
            connection.execute(delete(tables.account))
            rows = [
                {"name": "a", "chain_seq": len(recorded), "chain_head": head},
                {"name": "b", "chain_seq": 0, "chain_head": GENESIS},
            ]
            connection.execute(insert(tables.account), rows)
            if entries:
                connection.execute(insert(tables.entry), [entry._asdict() for entry in entries])


@pytest.fixture
def forger(database: Engine) -> Forger:
    """Return a forger with access to the ledger."""
    return Forger(database)


CHAINS = st.lists(
    st.builds(NewEntry, event=st.sampled_from(["intent", "done"]), step=st.none(), detail=DETAILS),
    min_size=1,
    max_size=6,
).map(linked)
NEW_DETAILS = DETAILS.map(chain.canonical_json)
NEW_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "account": st.just("b"),
    "seq": st.integers(-3, 12),
    "rotation_id": st.none() | PLAIN,
    "at": PLAIN,
    "event": PLAIN,
    "step": st.none() | PLAIN,
    "detail": PLAIN | NEW_DETAILS | DETAILS.map(json.dumps),
    "prev_hash": HASHES | PLAIN,
    "hash": HASHES | PLAIN,
}
FORGED = st.fixed_dictionaries({"event": PLAIN, "detail": NEW_DETAILS, "prev_hash": HASHES})


HOW = ("change", "rehash", "remove", "swap", "insert", "cut")


def tampered(data: st.DataObject, entries: list[Entry]) -> list[Entry]:
    """Change, remove, exchange, insert or cut off entries, the database's keys kept.

    A changed entry has its own hash anew, perhaps, but not the ones after it.
    """
    index = data.draw(st.integers(0, len(entries) - 1), label="index")
    other = data.draw(st.integers(0, len(entries) - 1), label="other")
    changed = list(entries)
    match data.draw(st.sampled_from(HOW), label="how"):
        case "change":
            name = data.draw(st.sampled_from(Entry._fields), label="field")
            value: dict[str, Any] = {name: data.draw(NEW_VALUES[name], label="value")}
            changed[index] = entries[index]._replace(**value)
        case "rehash":
            changed[index] = entries[index]._replace(detail=data.draw(NEW_DETAILS, label="detail"))
            changed[index] = changed[index]._replace(hash=chain.hash_of(changed[index]))
        case "remove":
            del changed[index]
        case "swap":
            first, second = entries[index], entries[other]
            changed[index] = second._replace(seq=first.seq)
            changed[other] = first._replace(seq=second.seq)
        case "insert":
            place = data.draw(st.sampled_from([0, len(entries) + 1]), label="place")
            forged = entries[index]._replace(seq=place, **data.draw(FORGED))
            changed.append(forged._replace(hash=chain.hash_of(forged)))
        case "cut":
            changed = entries[:index]
    assume(changed != entries)
    assume(len({(entry.account, entry.seq) for entry in changed}) == len(changed))
    return changed


@in_database
@given(entries=CHAINS, data=st.data())
def test_any_tampering_is_found(
    database: Engine, forger: Forger, entries: list[Entry], data: st.DataObject
) -> None:
    """Any changed, removed, exchanged, inserted or cut-off entry breaks the account's chain."""
    forger.write(entries, recorded=entries)
    before = LedgerReader(database).verify("a")
    forger.write(tampered(data, entries), recorded=entries)

    assert before.fault is None
    assert LedgerReader(database).verify("a").fault is not None


@in_database
@given(entries=CHAINS, data=st.data())
def test_a_falsified_account_row_is_found(
    database: Engine, forger: Forger, entries: list[Entry], data: st.DataObject
) -> None:
    """The account's row has to say of the chain what is so, in length and in head."""
    recorded = tampered(data, entries)
    assume(len(recorded) != len(entries) or recorded[-1].hash != entries[-1].hash)
    forger.write(entries, recorded=recorded)

    assert LedgerReader(database).verify("a").fault is not None


@in_database
@given(entries=CHAINS, data=st.data())
def test_a_cut_with_a_matching_row_is_found_by_the_anchor(
    database: Engine, forger: Forger, entries: list[Entry], data: st.DataObject
) -> None:
    """Where the newest entries and the account's row were taken back, only Vault's note tells."""
    kept = entries[: data.draw(st.integers(0, len(entries) - 1), label="kept")]
    anchor = data.draw(st.sampled_from(entries), label="anchor")
    forger.write(kept, recorded=kept)
    queries = LedgerReader(database)
    verdict = queries.verify("a", anchor=anchor.hash)

    assert queries.verify("a").fault is None
    assert verdict.fault is None
    assert verdict.has_anchor is (anchor in kept)


@in_database
@given(entries=CHAINS, data=st.data())
def test_a_rewritten_chain_is_found_by_the_anchor(
    database: Engine, forger: Forger, entries: list[Entry], data: st.DataObject
) -> None:
    """Whoever changes one entry and all hashes after it cannot keep the head that Vault has."""
    index = data.draw(st.integers(0, len(entries) - 1), label="index")
    anchor = data.draw(st.integers(0, len(entries) - 1), label="anchor")
    changed = list(entries)
    changed[index] = changed[index]._replace(event="forged")
    forged = relinked(changed)
    forger.write(forged, recorded=forged)
    verdict = LedgerReader(database).verify("a", anchor=entries[anchor].hash)

    assert verdict.fault is None
    assert verdict.has_anchor is (anchor < index)

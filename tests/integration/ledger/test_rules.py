"""What the entries alone show: every honest history, and every way to alter one of its entries."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, update

from rotator.ledger import tables
from rotator.ledger.chain import Entry
from rotator.ledger.comparison import differences
from rotator.ledger.database import reading
from rotator.ledger.replay import Replay
from rotator.reporting.rules import RuleCheck, Violation
from rotator.reporting.verification import Verifier
from tests.integration.ledger.unseen_alterations import UNSEEN
from tests.support.altered_ledger import alterations, chained
from tests.support.legacy_ledger import drop_triggers
from tests.support.recorded_histories import HISTORIES, recorded
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.words import unfit


def read(entries: Sequence[Entry], rules: RuleCheck, replay: Replay) -> list[Violation]:
    """Read entries; return what breaks a rule."""
    for entry in entries:
        rules.read(entry, replay)
        replay.read(entry)
    return rules.violations


def unseen_in(
    connection: Connection, entries: Sequence[Entry], messages: set[str]
) -> Iterator[str]:
    """Yield each kind of alteration that breaks no rule, and with which the rows agree.

    What is told of the others is added to `messages`.
    """
    rules, replay, place = RuleCheck(), Replay(), 0
    for altered in alterations(entries):
        read(entries[place : altered.place], rules, replay)
        place, known = altered.place, replay.copy()
        broken = read(altered.tail, rules.copy(), known)
        different = [*differences(connection, NAME, known, is_complete=True)]
        messages |= {*map(str, broken), *different}
        if not broken and not different:
            yield altered.kind


@pytest.mark.parametrize("name", HISTORIES)
def test_an_honest_history_breaks_no_rule(tmp_path: Path, name: str) -> None:
    """With what each request names: nothing is excused."""
    with recorded(tmp_path, name) as fixture:
        HISTORIES[name][1](fixture)
        violations = read(fixture.entries(), RuleCheck(), Replay())

        assert len(fixture.entries()) > 10
        assert violations == []


@pytest.mark.timeout(600)
def test_each_alteration_is_found_or_is_listed(tmp_path: Path) -> None:
    """By the rules or by the rows, though the chain is whole; the list has nothing else.

    What is found is told in words.
    """
    unseen: set[str] = set()
    messages: set[str] = set()
    for name, (_, act) in HISTORIES.items():
        with recorded(tmp_path, name) as fixture:
            act(fixture)
            with reading(fixture.database) as connection:
                unseen |= set(unseen_in(connection, fixture.entries(), messages))
    listed = {kind for kinds in UNSEEN.values() for kind in kinds}

    assert sorted(unseen - listed) == [], "goes unnoticed, and no reason is given"
    assert sorted(listed - unseen) == [], "is listed as unnoticed, and is found"
    assert [text for text in messages if unfit(text)] == []


def forge(fixture: RotationFixture, entries: Sequence[Entry]) -> None:
    """Put other entries in the place of an account's, with a whole chain."""
    fixture.is_tampered_with = True
    drop_triggers(fixture.database)
    whole = chained(entries)
    with fixture.database.begin() as connection:
        connection.execute(delete(tables.entry).where(tables.entry.c.account == NAME))
        connection.execute(insert(tables.entry), [entry._asdict() for entry in whole])
        end = {"chain_seq": len(whole), "chain_head": whole[-1].hash}
        connection.execute(
            update(tables.account).where(tables.account.c.name == NAME).values(**end)
        )


def test_the_first_entry_that_breaks_a_rule_is_named(tmp_path: Path) -> None:
    """Where chain and rows are whole: a grace was ended, and who asked for it is left out."""
    with recorded(tmp_path, "ended") as fixture:
        HISTORIES["ended"][1](fixture)
        verifier = Verifier(
            reader=fixture.queries, accounts=fixture.accounts, store=None, checks_rules=True
        )
        honest = verifier.verify(NAME)
        forge(
            fixture,
            [
                entry
                for entry in fixture.entries()
                if not (entry.event == "requested" and '"grace_seconds":0' in entry.detail)
            ],
        )
        forged = verifier.verify(NAME)
        document = json.loads(json.dumps(forged.document()))

        assert (honest.rules, honest.faults) == ("kept", [])
        assert (forged.chain, forged.rows, forged.rules) == ("whole", "match", "BROKEN")
        assert [fault.partition(", and")[0] for fault in forged.faults] == [
            "entry 17 breaks rule 4: it states a grace of 0s instead of a grace of 1d"
        ]
        assert document["ok"] is False
        assert document["rules"]["verdict"] == "broken"
        assert document["rules"]["faults"][0]["seq"] == 17


def test_behind_a_broken_chain_no_rule_is_checked(tmp_path: Path) -> None:
    """What cannot be relied on is no evidence; it is told apart from a rule that was kept."""
    with recorded(tmp_path, "plain") as fixture:
        HISTORIES["plain"][1](fixture)
        fixture.is_tampered_with = True
        drop_triggers(fixture.database)
        with fixture.database.begin() as connection:
            changed = update(tables.entry).where(tables.entry.c.seq == 3)
            connection.execute(changed.values(event="held"))
        found = Verifier(
            reader=fixture.queries, accounts=fixture.accounts, store=None, checks_rules=True
        ).verify(NAME)

        assert (found.chain, found.rules) == ("FAILED", "not checked")


def test_without_being_asked_nothing_is_said_of_rules(tmp_path: Path) -> None:
    """The document of `ledger verify` is what it was."""
    with recorded(tmp_path, "plain") as fixture:
        HISTORIES["plain"][1](fixture)
        found = Verifier(reader=fixture.queries, accounts=fixture.accounts, store=None).verify(NAME)

        assert found.rules is None
        assert "rules" not in found.document()

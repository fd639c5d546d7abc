"""Ledgers of honest users that look odd: none of them breaks a rule.

Upgrades, also one after the other; copies, backups and clocks that are put right in between.
"""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from rotator.ledger import schema
from rotator.ledger.chain import Entry, canonical_json
from rotator.ledger.copy import copy
from rotator.ledger.database import open_database
from rotator.ledger.facts import number_in
from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader
from rotator.model import Hold, Outcome
from rotator.reporting.rules import RuleCheck
from tests.support.recorded_histories import GATE, HISTORIES, recorded
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture
from tests.support.samples import ANN
from tests.support.small_histories import checked

HOUR, DAY, NONE = timedelta(hours=1), timedelta(days=1), timedelta()
#: What 0.2.0 did not record.
LATER = ("authenticated_at", "fencing_token", "gates", "over", "pending_version")
#: Which of the processes, counted from the first, are of the older version.
MIXTURES: dict[str, Callable[[int, int], bool]] = {
    "an upgrade after each process": lambda number, _all: number % 2 == 0,
    "an older version after each process": lambda number, _all: number % 2 == 1,
    "two of each": lambda number, _all: number // 2 % 2 == 0,
    "an older one that ends late": lambda number, _all: number in (0, 2),
    "an older one to the end": lambda number, all_: number == all_ - 1,
}


def mixed(entries: Sequence[Entry], is_old: Callable[[int, int], bool]) -> list[Entry]:
    """Return entries as two versions record them that take turns on a ledger."""
    tokens = sorted({token for entry in entries if (token := _token(entry)) is not None})
    found, number = [], 0
    for entry in entries:
        token = _token(entry)
        number = number if token is None else tokens.index(token)
        found.append(_as_older(entry) if is_old(number, len(tokens)) else entry)
    return found


def _token(entry: Entry) -> int | None:
    return number_in(json.loads(entry.detail), "fencing_token")


def _as_older(entry: Entry) -> Entry:
    detail = json.loads(entry.detail)
    left_out = (*LATER, "grace_seconds") if entry.event == "intent" else LATER
    kept = {name: value for name, value in detail.items() if name not in left_out}
    return entry._replace(detail=canonical_json(kept))


def broken(fixture: RotationFixture, name: str = NAME) -> list[str]:
    """Return what breaks a rule in an account's entries, with nothing excused."""
    rules = RuleCheck()
    faults = LedgerReader(fixture.database).verify(name, watch=rules.read).faults
    return [*faults, *map(str, rules.violations)]


@pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)
@pytest.mark.parametrize("name", HISTORIES)
def test_two_versions_may_share_a_ledger_for_a_while(
    tmp_path: Path, name: str, mixture: Callable[[int, int], bool]
) -> None:
    """An upgrade that rolls on leaves processes of both, in the middle of rotations too."""
    with recorded(tmp_path, name) as fixture:
        HISTORIES[name][1](fixture)
        entries = mixed(fixture.entries(), mixture)

    assert checked(entries) == []


@pytest.mark.parametrize("name", HISTORIES)
def test_an_upgrade_may_come_before_any_process(tmp_path: Path, name: str) -> None:
    """In the middle of a rotation, in its grace, before a request of a person."""
    with recorded(tmp_path, name) as fixture:
        HISTORIES[name][1](fixture)
        entries = fixture.entries()
    tokens = len({_token(entry) for entry in entries} - {None})

    assert tokens > 1
    for first in range(tokens + 1):
        assert checked(mixed(entries, partial(_is_before, first))) == [], first


def _is_before(first: int, number: int, _all: int) -> bool:
    return number < first


def test_a_rotation_goes_on_in_a_copy(tmp_path: Path) -> None:
    """`db copy` in its grace: the copy has who made it, and its next claim goes on."""
    with RotationFixture(tmp_path, grace=DAY, hooks=(GATE,)) as fixture:
        fixture.attempt(reason="due")
        fixture.clock.advance(seconds=2 * LEASE)
        path = tmp_path / "copy.db"
        target = open_database(f"sqlite:///{path}")
        schema.upgrade(target)
        copy(fixture.database, target, actor=ANN, now=fixture.clock.now())
        target.dispose()
        fixture.restore_ledger(path)
        fixture.clock.advance(hours=25)

        assert fixture.resume().outcome is Outcome.COMPLETED
        assert broken(fixture) == []


@pytest.mark.parametrize("kept_at", ["before", "in its grace"])
def test_a_restored_backup_goes_on_from_what_vault_has(tmp_path: Path, kept_at: str) -> None:
    """What was lost is a gap, and no broken rule; tokens begin again where the backup ends."""
    with RotationFixture(tmp_path, grace=DAY) as fixture:
        fixture.attempt(reason="due")
        fixture.clock.advance(hours=25)
        fixture.resume()
        kept = fixture.keep_ledger()
        fixture.clock.advance(days=31)
        fixture.attempt(reason="due")
        if kept_at == "in its grace":
            kept = fixture.keep_ledger()
        fixture.clock.advance(hours=25)
        fixture.resume()
        fixture.restore_ledger(kept)
        fixture.clock.advance(days=31)
        fixture.carry_on(reason="due")
        fixture.clock.advance(hours=25)
        fixture.carry_on(reason=None)

        assert broken(fixture) == []


@pytest.mark.parametrize("first", [-3 * DAY, -2 * HOUR, NONE, 2 * HOUR, 3 * DAY])
@pytest.mark.parametrize("then", [-3 * DAY, -2 * HOUR, 2 * HOUR, 3 * DAY])
def test_a_clock_that_is_put_elsewhere_breaks_nothing(
    tmp_path: Path, first: timedelta, then: timedelta
) -> None:
    """Ahead or behind, in a grace and after it, by less than a day and by more."""
    with RotationFixture(tmp_path, grace=DAY, hooks=(GATE,), prove_deletion=True) as fixture:
        fixture.clock_offset = first
        fixture.attempt(reason="due")
        for offset in (then, NONE):
            fixture.clock_offset = offset
            fixture.clock.advance(hours=25)
            fixture.restart()
            fixture.attempt(reason=None if fixture.rotation() else "due")
        for _ in range(4):
            fixture.clock.advance(hours=25)
            fixture.resume()

        assert broken(fixture) == []
        last = fixture.rotation()
        assert last
        assert last.outcome == "completed"


def test_a_deletion_without_a_grace_is_never_early(tmp_path: Path) -> None:
    """Though the clock was put back since the push was verified: there is nothing to wait for."""
    with RotationFixture(tmp_path) as fixture:

        def put_back() -> None:
            fixture.clock_offset = -HOUR

        fixture.calls.plan("after", "store.clear_pending", 1, put_back)
        done = fixture.attempt(actor=ANN, grace=NONE)

        assert done.outcome is Outcome.COMPLETED
        assert broken(fixture) == []


def test_a_hold_in_a_rotation_breaks_nothing(tmp_path: Path) -> None:
    """Frozen in its grace, released, asked for again as a leak, with a gate that is skipped."""
    with RotationFixture(tmp_path, grace=DAY, hooks=(GATE,)) as fixture:
        holds = Holds(fixture.database)
        fixture.attempt(reason="due")
        hold = Hold(reason="audit", by="ann", at=fixture.clock.now(), freeze=True)
        holds.put(NAME, hold)
        fixture.clock.advance(hours=25)
        fixture.resume()
        holds.lift(NAME, actor=ANN, now=fixture.clock.now())
        fixture.attempt(reason="compromised", grace=NONE, actor=ANN)

        assert broken(fixture) == []


def test_subaccounts_keep_the_rules_by_their_parents_credential(tmp_path: Path) -> None:
    """Each in a chain of its own, the parent rotated after its children, and between them."""
    with RotationFixture(tmp_path, grace=DAY, subaccounts=2) as fixture:
        names = [*fixture.accounts]
        for name in (names[1], names[0], names[2]):
            fixture.attempt(name, reason="due")
        fixture.clock.advance(hours=25)
        for name in names:
            fixture.resume(name)

        assert [broken(fixture, name) for name in names] == [[], [], []]

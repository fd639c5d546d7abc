"""What is wrong with an account, as its entries record it: when it begins, changes and ends."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine

from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import State, Step, Trouble
from rotator.rotation.ports import AccountSummary, NewEntry
from tests.support.samples import NOW

HOUR = timedelta(hours=1)
BROKEN = Trouble(state=State.BROKEN, code="drift", why="x", hint="do y", since=NOW)
REFUSED = replace(BROKEN, state=State.REFUSED, code="clock-behind")
FAILURE = replace(BROKEN, state=State.FAILING, code="vonage", hint=None)


def entry(event: str, step: Step | None = None, trouble: Trouble | None = None) -> NewEntry:
    """Return an entry of the account's rotation."""
    return NewEntry(event=event, step=step, detail={}, rotation_id="r", trouble=trouble)


@pytest.fixture
def after(database: Engine, writer: LedgerWriter) -> Callable[..., AccountSummary]:
    """Return a function that records entries, and returns the account's summary."""

    def record(*entries: NewEntry) -> AccountSummary:
        lease = writer.claim("a", NOW)
        for each in entries:
            writer.commit(lease, rotation=None, entries=[each], snapshot=None, now=NOW)
        writer.release(lease)
        return LedgerReader(database).accounts(["a"])[0]

    return record


def test_it_is_kept_with_its_cause_and_its_cure(after: Callable[..., AccountSummary]) -> None:
    """What a look found, and what a pass failed for, side by side."""
    found = after(entry("trouble", trouble=BROKEN), entry("failed", trouble=FAILURE))

    assert (found.trouble, found.failure, found.failures) == (BROKEN, FAILURE, 1)


def test_the_beginning_stays_as_long_as_the_cause(after: Callable[..., AccountSummary]) -> None:
    """A second refusal for one code began with the first; that consumers break is a new one."""
    later = NOW + HOUR
    same = after(
        entry("refused", trouble=REFUSED),
        entry("refused", trouble=replace(REFUSED, why="3h behind", since=later)),
    )
    worse = after(entry("trouble", trouble=replace(BROKEN, since=later)))

    assert same.trouble == replace(REFUSED, why="3h behind")
    assert worse.trouble == replace(BROKEN, since=later)


@pytest.mark.parametrize("known", [BROKEN, REFUSED])
@pytest.mark.parametrize(
    ("event", "step", "ends"),
    [
        ("trouble-over", None, {State.BROKEN, State.REFUSED}),
        ("done", Step.VERIFY, {State.BROKEN, State.REFUSED}),
        ("closed", Step.COMPLETE, {State.BROKEN, State.REFUSED}),
        ("opened", Step.OPEN, {State.REFUSED}),
        ("done", Step.STAGE, {State.REFUSED}),
        ("intent", Step.STAGE, set()),
        ("delivered", Step.HOOKS, set()),
    ],
)
def test_it_is_over_with_what_shows_that(
    after: Callable[..., AccountSummary],
    known: Trouble,
    event: str,
    step: Step | None,
    ends: set[State],
) -> None:
    """Progress shows that an operator has decided, only a verified value that none is broken."""
    found = after(entry("refused", trouble=known), entry(event, step))

    assert (found.trouble is None) is (known.state in ends)


def test_a_refusal_replaces_what_failed_before(after: Callable[..., AccountSummary]) -> None:
    """The pass got further; a hold, which is nothing wrong, leaves what is known."""
    found = after(entry("failed", trouble=FAILURE), entry("refused", trouble=REFUSED))
    held = after(entry("refused"))

    assert (found.trouble, found.failure) == (REFUSED, None)
    assert (held.trouble, held.failures) == (REFUSED, 3)

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.rotation.ports import AccountSummary
from rotator.web.overview import PAGE, Filter, Overview, OverviewPage, State, stands
from tests.support.samples import account
from tests.unit.reporting.test_status import COMPLETED, FAILED, HOLD, NOW, ROTATING, WAITING

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def record(name: str, **known: Any) -> AccountSummary:  # noqa: ANN401  # of `AccountSummary`
    """Make the record of an account that is well, except for what is given."""
    usual: dict[str, Any] = {
        "listed_ids": (f"{name}-id",),
        "current_id": f"{name}-id",
        "current_since": NOW - 3 * DAY,
        "seen_at": NOW,
        "next_due_at": NOW + 20 * DAY,
        "last_rotation": COMPLETED,
    }
    return replace(AccountSummary.blank(name), **(usual | known))


#: One account for each state, by its name.
EACH: dict[State, dict[str, Any]] = {
    State.DRIFTED: {"drift": "x: y"},
    State.OVERDUE: {"current_since": NOW - 50 * DAY},
    State.FAILED: {"last_rotation": FAILED},
    State.HELD: {"hold": HOLD},
    State.ROTATING: {"last_rotation": ROTATING},
    State.DUE: {"next_due_at": NOW - timedelta(minutes=5)},
    State.WAITING: {"last_rotation": WAITING},
    State.NEW: {"last_rotation": None, "seen_at": None, "next_due_at": None},
    State.HEALTHY: {},
}
RECORDS = {state.value: record(state.value, **known) for state, known in EACH.items()}
#: Not in the order in which they are shown.
BOARD_OF = [account(name) for name in sorted(RECORDS)]


def look(
    records: Mapping[str, AccountSummary] = RECORDS,
    now: datetime = NOW,
    **question: Any,  # noqa: ANN401  # of `Filter`
) -> OverviewPage:
    """Look at a new overview."""
    return Overview([account(name) for name in sorted(records)]).look(
        records, Filter(**question), now
    )


def names(glance: OverviewPage) -> list[str]:
    """Return the names of the accounts that are shown."""
    return [shown.standing.account.name for shown in glance.shown]


def test_each_account_is_in_the_state_it_is_named_for() -> None:
    """The worst come first, and every state has one."""
    glance = look()

    assert [shown.state.value for shown in glance.shown] == names(glance) == [*State]
    assert set(glance.counts.values()) == {1}
    assert glance.attention == 4
    assert glance.total == glance.found == 9


def test_what_is_held_and_late_is_among_the_late() -> None:
    """A hold does not hide that a secret gets too old; the hold is what is told first."""
    held = record("a", hold=HOLD, current_since=NOW - 50 * DAY)
    glance = look({"a": held, **RECORDS}, state="overdue")

    assert names(glance) == ["a", "overdue"]
    assert glance.shown[0].state is State.HELD


def test_time_alone_changes_a_state() -> None:
    """Without anything new in the ledger, an account gets due, and overdue."""
    board, records = Overview([account("a")]), {"a": record("a", next_due_at=NOW)}
    states = [
        board.look(records, Filter(), NOW + past).shown[0].state
        for past in (-HOUR, timedelta(), timedelta(minutes=15), timedelta(minutes=16))
    ]

    assert states == [State.HEALTHY, State.DUE, State.DUE, State.OVERDUE]


def test_what_the_ledger_has_new_is_shown() -> None:
    """A record that is another than last time is looked at again."""
    board = Overview([account("a"), account("b")])
    board.look({"a": record("a"), "b": record("b")}, Filter(), NOW)
    glance = board.look({"a": record("a"), "b": record("b", drift="x: y")}, Filter(), NOW)

    assert names(glance) == ["b", "a"]
    assert glance.shown[0].standing.drift == "x: y"


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("hel", ["held"]),
        ("HELD-ID", ["held"]),
        ("", [*State]),
        ("nothing like it", []),
    ],
)
def test_a_search_finds_parts_of_names_and_ids(search: str, found: list[str]) -> None:
    """In whatever case they are written."""
    assert names(look(search=search)) == found


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("due", ["due"]),
        ("attention", ["drifted", "overdue", "failed", "held"]),
        ("", [*State]),
    ],
)
def test_a_state_filters(state: str, found: list[str]) -> None:
    """One state, or all that need attention; the counts stay those of all."""
    glance = look(state=state)

    assert names(glance) == found
    assert glance.total == 9


def test_thousands_come_in_pages() -> None:
    """Each account is on one page; beyond the last there is the last."""
    records = {f"a{number:04}": record(f"a{number:04}") for number in range(2 * PAGE + 1)}
    pages = [look(records, page=page) for page in (1, 2, 3, 4)]

    assert [len(glance.shown) for glance in pages] == [PAGE, PAGE, 1, 1]
    assert [name for glance in pages[:3] for name in names(glance)] == sorted(records)
    assert pages[3].page == pages[3].pages == 3


def test_the_next_to_be_rotated_is_named() -> None:
    """Of those that are well, the one that is due first."""
    records = {
        "a": record("a"),
        "b": record("b", next_due_at=NOW + DAY),
        "c": record("c", next_due_at=NOW + HOUR, hold=HOLD),
    }
    upcoming = look(records).upcoming

    assert upcoming
    assert upcoming.standing.account.name == "b"
    assert look({"c": records["c"]}).upcoming is None


def test_no_account_is_no_trouble() -> None:
    """An overview without accounts has one empty page."""
    glance = look({})

    assert (glance.page, glance.pages, glance.shown, glance.attention) == (1, 1, (), 0)


@pytest.mark.parametrize(
    ("given", "question"),
    [
        ({}, Filter()),
        (
            {"q": "  a b ", "state": "held", "page": "3"},
            Filter(search="a b", state="held", page=3),
        ),
        ({"state": "attention"}, Filter(state="attention")),
        ({"q": "x" * 200, "state": "nonsense", "page": "-1"}, Filter(search="x" * 100)),
        ({"page": "0"}, Filter()),
        ({"page": "9" * 30}, Filter()),
        ({"page": "²"}, Filter()),
    ],
)
def test_a_query_may_be_anything(given: dict[str, str], question: Filter) -> None:
    """What means nothing is left out."""
    assert Filter.of(given) == question


@pytest.mark.parametrize("state", State)
def test_one_account_stands_as_it_does_among_the_others(state: State) -> None:
    """Its own page and the first one tell the same of it."""
    shown = stands(account(state.value), RECORDS[state.value], NOW)

    assert shown.state is state
    assert shown in look().shown


def test_standings_come_in_the_order_of_the_configuration() -> None:
    """As `status` prints them, whatever is worse."""
    board = Overview([account("a"), account("b")])
    records = {"a": record("a"), "b": record("b", drift="x: y")}
    board.look(records, Filter(), NOW)

    found = [standing.account.name for standing in board.standings(records, NOW)]

    assert found == ["a", "b"]


def test_now_is_the_present() -> None:
    """A standing that is shown again says how old it is by now."""
    board, records = Overview([account("a")]), {"a": record("a")}
    board.look(records, Filter(), NOW)
    later = datetime(2027, 1, 1, tzinfo=UTC)

    assert board.look(records, Filter(), later).shown[0].standing.now == later

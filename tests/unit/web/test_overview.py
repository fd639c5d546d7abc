from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.model import GateWait, State, Trouble
from rotator.reporting.status import AccountStatus
from rotator.rotation.ports import AccountSummary
from rotator.web.overview import PAGE, Filter, Overview, OverviewPage
from tests.support.samples import account
from tests.unit.reporting.test_status import COMPLETED, FAILED, HOLD, NOW, ROTATING, WAITING

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
#: Deleted before `WAITING`, and at a time that is past.
EARLIER = replace(WAITING, verified_at=NOW - 2 * HOUR)
LATE = replace(WAITING, verified_at=NOW - 27 * HOUR)


def summary(name: str, **known: Any) -> AccountSummary:  # noqa: ANN401  # of `AccountSummary`
    """Return the summary of an account that is well, except for what is given."""
    usual: dict[str, Any] = {
        "listed_ids": (f"{name}-id",),
        "current_id": f"{name}-id",
        "current_since": NOW - 3 * DAY,
        "seen_at": NOW,
        "next_due_at": NOW + 20 * DAY,
        "last_rotation": COMPLETED,
    }
    return replace(AccountSummary(name=name), **(usual | known))


def trouble(state: State) -> Trouble:
    """Return something that is wrong."""
    return Trouble(state=state, code="x", why="y", hint=None, since=NOW - HOUR)


#: One account for each state, by its name.
EACH: dict[State, dict[str, Any]] = {
    State.BROKEN: {"trouble": trouble(State.BROKEN)},
    State.DRIFTED: {"trouble": trouble(State.DRIFTED)},
    State.REFUSED: {"trouble": trouble(State.REFUSED)},
    State.OVERDUE: {"current_since": NOW - 50 * DAY},
    State.FAILING: {"last_rotation": FAILED},
    State.HELD: {"hold": HOLD},
    State.UNMANAGED: {"last_rotation": None, "current_id": None, "next_due_at": None},
    State.ROTATING: {"last_rotation": ROTATING},
    State.DUE: {"next_due_at": NOW - timedelta(minutes=5)},
    State.WAITING: {"last_rotation": WAITING},
    State.HEALTHY: {},
}
ATTENTION = [state for state in State if state.needs_attention]
SUMMARIES = {state.value: summary(state.value, **known) for state, known in EACH.items()}


def page_of(
    summaries: Mapping[str, AccountSummary] = SUMMARIES,
    now: datetime = NOW,
    **wanted: Any,  # noqa: ANN401  # of `Filter`
) -> OverviewPage:
    """Return a page of a new overview."""
    return Overview([account(name) for name in sorted(summaries)]).page(
        summaries, Filter(**wanted), now
    )


def names(page: OverviewPage) -> list[str]:
    """Return the names of the accounts that are shown."""
    return [shown.account.name for shown in page.shown]


def test_each_account_is_in_the_state_it_is_named_for() -> None:
    """The worst come first, and every state has one."""
    page = page_of()

    assert [shown.state.value for shown in page.shown] == names(page) == [*State]
    assert set(page.counts.values()) == set(page.mix.values()) == {1}
    assert page.attention == 7
    assert page.total == page.found == 11


def test_every_trouble_of_an_account_is_found() -> None:
    """By its own state and by any other that needs attention; not by what it is besides."""
    both = summary("both", trouble=trouble(State.BROKEN), current_since=NOW - 50 * DAY)
    summaries = {"both": both, **SUMMARIES}

    assert names(page_of(summaries, state="broken")) == ["both", "broken"]
    assert names(page_of(summaries, state="overdue")) == ["both", "overdue"]
    assert names(page_of(summaries, state="healthy")) == ["healthy"]


@pytest.mark.parametrize("state", State)
def test_a_state_counts_what_its_filter_finds(state: State) -> None:
    """A number that leads to a list is the length of that list; the bar has each account once."""
    both = summary("both", trouble=trouble(State.BROKEN), current_since=NOW - 50 * DAY)
    page = page_of({"both": both, **SUMMARIES}, state=state.value)

    assert page.counts[state] == page.found
    assert sum(page.mix.values()) == page.total


def test_what_is_late_comes_before_what_is_well() -> None:
    """Also in a state that is otherwise no reason to look."""
    late = summary("late", next_due_at=NOW - DAY)
    page = page_of({"late": late, **SUMMARIES})

    assert names(page) == [*ATTENTION, "late", "rotating", "due", "waiting", "healthy"]
    assert page.attention == 8


def test_time_alone_changes_a_state() -> None:
    """Without anything new in the ledger, an account gets due, and late."""
    overview, summaries = Overview([account("a")]), {"a": summary("a", next_due_at=NOW)}
    times = (-HOUR, timedelta(), timedelta(minutes=15), timedelta(minutes=16))
    pages = [overview.page(summaries, Filter(), NOW + past) for past in times]

    assert [page.shown[0].state for page in pages] == [State.HEALTHY, *[State.DUE] * 3]
    assert [page.attention for page in pages] == [0, 0, 0, 1]


def test_what_the_ledger_has_new_is_shown() -> None:
    """A summary that is another than last time is looked at again."""
    overview = Overview([account("a"), account("b")])
    overview.page({"a": summary("a"), "b": summary("b")}, Filter(), NOW)
    broken = summary("b", trouble=trouble(State.BROKEN))
    page = overview.page({"a": summary("a"), "b": broken}, Filter(), NOW)

    assert names(page) == ["b", "a"]
    assert page.shown[0].state is State.BROKEN


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
    assert names(page_of(search=search)) == found


@pytest.mark.parametrize(
    ("state", "found"),
    [
        ("due", ["due"]),
        ("attention", ATTENTION),
        ("", [*State]),
    ],
)
def test_a_state_filters(state: str, found: list[str]) -> None:
    """One state, or all that need attention; the counts stay those of all."""
    page = page_of(state=state)

    assert names(page) == found
    assert page.total == 11


def test_thousands_come_in_pages() -> None:
    """Each account is on one page; beyond the last there is the last."""
    summaries = {f"a{number:04}": summary(f"a{number:04}") for number in range(2 * PAGE + 1)}
    pages = [page_of(summaries, page=number) for number in (1, 2, 3, 4)]

    assert [len(page.shown) for page in pages] == [PAGE, PAGE, 1, 1]
    assert [name for page in pages[:3] for name in names(page)] == sorted(summaries)
    assert pages[3].page == pages[3].pages == 3


def test_the_next_to_be_rotated_is_named() -> None:
    """Of those that are well, the one that is due first."""
    summaries = {
        "a": summary("a"),
        "b": summary("b", next_due_at=NOW + DAY),
        "c": summary("c", next_due_at=NOW + HOUR, hold=HOLD),
    }
    upcoming = page_of(summaries).upcoming

    assert upcoming
    assert upcoming.account.name == "b"
    assert page_of({"c": summaries["c"]}).upcoming is None


def test_the_next_is_the_one_that_may_begin_first() -> None:
    """An account whose time is past, and that waits for a window, comes when that opens."""
    sunday = replace(account("a").policy, window=("sun 02:00-05:00",))
    overview = Overview([replace(account("a"), policy=sunday), account("b")])
    summaries = {
        "a": summary("a", next_due_at=NOW - HOUR),
        "b": summary("b", next_due_at=NOW + DAY),
    }
    upcoming = overview.page(summaries, Filter(), NOW).upcoming

    assert upcoming
    assert upcoming.account.name == "b"


def test_a_deletion_may_be_what_comes_next() -> None:
    """Unless it waits for what nobody can know the time of: that something is mended or a gate."""
    shut = GateWait(gate="g", reason="exit 1", shut_since=NOW, retry_at=NOW + MINUTE)
    summaries = {
        "a": summary("a", next_due_at=NOW + 2 * DAY),
        "b": summary("b", last_rotation=WAITING),
        "c": summary("c", last_rotation=EARLIER, trouble=trouble(State.BROKEN)),
        "d": summary("d", last_rotation=EARLIER, hold=replace(HOLD, freeze=True)),
        "e": summary("e", last_rotation=replace(EARLIER, waiting=shut)),
        "f": summary("f", next_due_at=NOW + HOUR, trouble=trouble(State.REFUSED)),
        "g": summary("g", last_rotation=LATE),
    }

    def upcoming(*names: str, now: datetime = NOW) -> str | None:
        found = page_of({name: summaries[name] for name in names}, now).upcoming
        return found.account.name if found else None

    assert upcoming(*"abcdefg") == upcoming(*"ab") == "b"
    assert upcoming(*"abcdefg", now=NOW + DAY) == "a"
    assert upcoming(*"cdefg") is None


def test_no_account_is_no_trouble() -> None:
    """An overview without accounts has one empty page."""
    page = page_of({})

    assert (page.page, page.pages, page.shown, page.attention) == (1, 1, (), 0)


@pytest.mark.parametrize(
    ("given", "wanted"),
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
def test_a_query_may_be_anything(given: dict[str, str], wanted: Filter) -> None:
    """What means nothing is left out."""
    assert Filter.of(given) == wanted


@pytest.mark.parametrize("state", State)
def test_one_account_has_the_state_it_has_among_the_others(state: State) -> None:
    """Its own page and the first one tell the same of it."""
    shown = AccountStatus(account=account(state.value), summary=SUMMARIES[state.value], now=NOW)

    assert shown.state is state
    assert shown in page_of().shown


def test_statuses_come_in_the_order_of_the_configuration() -> None:
    """As `status` prints them, whatever is worse."""
    overview = Overview([account("a"), account("b")])
    summaries = {"a": summary("a"), "b": summary("b", trouble=trouble(State.BROKEN))}
    overview.page(summaries, Filter(), NOW)

    found = [status.account.name for status in overview.statuses(summaries, NOW)]

    assert found == ["a", "b"]


def test_now_is_the_present() -> None:
    """A status that is shown again says how old it is by now."""
    overview, summaries = Overview([account("a")]), {"a": summary("a")}
    overview.page(summaries, Filter(), NOW)
    later = datetime(2027, 1, 1, tzinfo=UTC)

    assert overview.page(summaries, Filter(), later).shown[0].now == later

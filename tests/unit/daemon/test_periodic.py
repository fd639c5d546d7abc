import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from rotator.daemon.health import Health
from rotator.daemon.periodic import FailureBook, PeriodicCheck
from rotator.errors import Busy, LedgerError, StoreForbidden, StoreSealed
from rotator.rotation import schedule

if TYPE_CHECKING:
    from rotator.application import Application

HOUR = timedelta(hours=1)


class Check(PeriodicCheck):
    """A check of three subjects; what becomes of each is set by the test."""

    failure = "not checked"

    def __init__(self) -> None:
        super().__init__(cast("Application", object()), health=Health(), stopping=threading.Event())
        self.checked: list[str] = []
        self.errors: dict[str, Exception] = {}
        #: When another daemon checked a subject.
        self.elsewhere: dict[str, datetime] = {}
        self.wanted = False

    def interval(self) -> timedelta:
        """A month, so that no turn comes by itself."""
        return timedelta(days=30)

    def subjects(self) -> Mapping[str, datetime | None]:
        """Three that were never checked."""
        return {"a": None, "b": None, "c": None}

    def checked_at(self, name: str) -> datetime | None:
        """As set."""
        return self.elsewhere.get(name)

    def is_wanted(self) -> bool:
        """As set."""
        return self.wanted

    def check(self, name: str) -> None:
        """Note the check."""
        self.checked.append(name)
        if name in self.errors:
            raise self.errors[name]

    def runs(self, times: int) -> list[str]:
        """Run; return the subjects that were checked."""
        self.checked.clear()
        for _ in range(times):
            self.run()
        return [*self.checked]


def test_each_subject_is_checked_in_its_turn() -> None:
    """All in their order at first, and none again before its interval is over."""
    check = Check()

    assert check.runs(1) == ["a", "b", "c"]
    assert check.runs(3) == []


def test_a_subject_that_fails_is_said_once_and_put_off() -> None:
    """For each reason; the others go on, also after an error that nobody foresaw."""
    check = Check()
    check.errors = {"a": StoreForbidden(), "b": ZeroDivisionError("s3cret")}
    with capture_logs() as logs:
        first, second = check.runs(1), check.runs(2)

    assert (first, second) == (["a", "b", "c"], [])
    assert [(log["event"], log["account"]) for log in logs] == [
        ("not checked", "a"),
        ("unexpected error", "b"),
    ]


def test_a_component_that_is_down_ends_the_run() -> None:
    """The others would fail as well; nothing is checked before a pause is over."""
    check = Check()
    check.errors = {"a": StoreSealed()}
    with capture_logs() as logs:
        found = check.runs(3)

    assert found == ["a"]
    assert [log["event"] for log in logs] == ["away"]


def test_a_subject_that_is_worked_on_is_checked_in_the_next_run() -> None:
    """Whoever works on it may not have checked it."""
    check = Check()
    check.errors = {"b": Busy("a pass runs")}

    assert check.runs(1) == ["a", "b", "c"]
    assert set(check.runs(20)) == {"b"}


def test_what_another_daemon_has_checked_is_left_out() -> None:
    """Until its next turn; a time from a clock that was ahead counts as the present."""
    check, now = Check(), datetime.now(UTC)
    check.elsewhere = {"a": now, "b": now + HOUR}

    assert check.runs(1) == ["c"]


def test_a_check_of_a_former_configuration_does_nothing() -> None:
    """Nor does one of a daemon that ends."""
    ended, stopped = Check(), Check()
    ended.end()
    stopped._stopping.set()

    assert ended.runs(1) == stopped.runs(1) == []


def test_failures_in_a_row_wait_ever_longer() -> None:
    """And a success ends the wait."""
    writer = FailureBook()
    waits = [writer.add("a") - datetime.now(UTC) for _ in range(3)]

    assert waits == sorted(waits)
    assert writer.must_wait("a")
    assert not writer.must_wait("b")
    writer.clear("a")
    assert not writer.must_wait("a")
    assert writer.add("a") - datetime.now(UTC) < waits[-1]


def test_a_failure_is_over_where_something_was_not_due_all_the_time_since() -> None:
    """What has come due since is not what failed; what has no time to come due keeps its wait."""
    book = FailureBook()
    began = datetime.now(UTC)
    for name in ("over", "same", "meanwhile", "asked"):
        book.add(name, began)
    book.keep({"same": began, "meanwhile": began + timedelta(microseconds=1), "asked": None})
    waits = [book.must_wait(name) for name in ("over", "same", "meanwhile", "asked")]

    assert waits == [False, True, False, True]


def test_subjects_that_cannot_be_read_are_read_in_the_next_run() -> None:
    """What the ledger fails with goes to the daemon, and no subject is forgotten."""
    check, failures = Check(), [LedgerError()]
    subjects = check.subjects

    def fail_once() -> Mapping[str, datetime | None]:
        if failures:
            raise failures.pop()
        return subjects()

    check.subjects = fail_once  # type: ignore[method-assign]
    with pytest.raises(LedgerError):
        check.run()

    assert check.runs(1) == ["a", "b", "c"]


def test_a_check_out_of_turn_is_made_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """One subject each time, whoever else has just checked it; none once it is not wanted."""
    check = Check()
    check.runs(1)
    check.wanted = True
    early = check.runs(3)
    monkeypatch.setattr(schedule, "LONGEST_PAUSE", timedelta())
    check.wanted = False
    check.runs(1)
    check.wanted = True
    wanted = check.runs(2)
    check.wanted = False

    assert early == []
    assert len(wanted) == 2
    assert check.runs(3) == []

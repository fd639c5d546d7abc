import errno
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from rotator import descriptors
from rotator.cli.output import problem_of
from rotator.daemon.health import Health
from rotator.errors import LedgerError, StoreUnavailable, TooManyFiles
from rotator.ledger.database import open_database, translated
from rotator.network import ExchangeFailed, TransportFailure
from rotator.vault.errors import interpret
from rotator.vonage.errors import failure
from tests.unit.vonage.test_call import calling

LACK = OSError(errno.EMFILE, "Too many open files")


@contextmanager
def nothing_left() -> Iterator[None]:
    """Let this process open nothing more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_what_an_error_came_from_counts() -> None:
    """A library wraps what the system said."""
    wrapped, unrelated = RuntimeError("wrapped"), RuntimeError("unrelated")
    wrapped.__cause__ = LACK

    assert descriptors.lacking(LACK)
    assert descriptors.lacking(wrapped)
    assert not descriptors.lacking(unrelated)
    assert not descriptors.lacking(OSError(errno.ENOENT, "No such file"))
    assert not descriptors.lacking(None)


def test_whether_descriptors_are_spent_can_be_asked() -> None:
    """Where an error does not tell."""
    assert not descriptors.are_spent()
    with nothing_left():
        assert descriptors.are_spent()


@pytest.mark.parametrize(
    ("limits", "after"),
    [
        ((1024, 4096), (4096, 4096)),
        ((1024, 1_000_000), (16_384, 1_000_000)),
        ((1024, -1), (16_384, -1)),
        ((20_000, 1_000_000), None),
        ((-1, -1), None),
    ],
)
def test_the_limit_is_raised_as_far_as_it_may_be(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], after: tuple[int, int] | None
) -> None:
    """Within reason, and never lowered."""
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _which: limits)
    monkeypatch.setattr("resource.setrlimit", lambda _which, limits: raised.append(limits))
    descriptors.raise_limit()

    assert raised == ([after] if after else [])


@pytest.mark.parametrize(
    ("soft", "passes"), [(1024, 8), (-1, 8), (36, 4), (32, 3), (16, 1), (3, 1)]
)
def test_no_more_passes_than_there_are_descriptors_for(
    monkeypatch: pytest.MonkeyPatch, soft: int, passes: int
) -> None:
    """At once; where there are few, one after the other."""
    monkeypatch.setattr("resource.getrlimit", lambda _which: (soft, soft))

    assert descriptors.passes_at_once(8) == passes


def test_each_adapter_says_what_is_lacking(tmp_path: Path) -> None:
    """Vonage's, Vault's and the ledger's errors name the limit and how to raise it."""
    refused = ExchangeFailed(TransportFailure.UNREACHABLE, "too many open files")
    path = tmp_path / "ledger.db"
    engine = open_database(f"sqlite:///{path}")
    with nothing_left():
        _, of_vonage = failure(calling(), refused)
        of_vault = interpret(TransportFailure.REFUSED, "read-current", with_token=True)
        with pytest.raises(LedgerError) as of_ledger, translated(engine):
            sqlite3.connect(path)

    assert isinstance(of_vault, StoreUnavailable)
    for error in (of_vonage, of_vault, of_ledger.value):
        assert "too many open files" in error.message.lower()
        assert "LimitNOFILE" in (error.hint or "")
    assert str(path) in of_ledger.value.message


def test_it_is_no_bug() -> None:
    """Wherever it comes up, it is named."""
    problem = problem_of(LACK)
    with capture_logs() as events:
        Health().log_unexpected("poll", LACK)

    assert (problem.code, problem.message) == ("too-many-files", "too many open files")
    assert problem.hint == TooManyFiles.default_hint
    assert [event["reason"] for event in events] == ["too many open files"]

import threading

import pytest

from rotator.cli import parallel
from rotator.model import Account
from tests.support.samples import account

FAMILY = [account("a"), account("b"), account("a1", "a"), account("c1", "c"), account("a2", "a")]


@pytest.mark.parametrize("concurrency", [1, 2, 8])
def test_children_are_done_before_their_parent_begins(concurrency: int) -> None:
    """A parent waits for those of its children that are there; results keep the order."""
    events: list[str] = []

    def work(account: Account) -> str:
        events.append(f"+{account.name}")
        events.append(f"-{account.name}")
        return account.name

    results = parallel.run(FAMILY, work, concurrency=concurrency, cancel=parallel.CancelToken())

    assert results == ["a", "b", "a1", "c1", "a2"]
    assert events.index("+a") > max(events.index("-a1"), events.index("-a2"))


def test_work_is_done_at_once() -> None:
    """Accounts do not wait for each other where they need not."""
    together = threading.Barrier(3, timeout=60)

    def work(account: Account) -> str:
        together.wait()
        return account.name

    accounts = [account(name) for name in "xyz"]

    assert parallel.run(accounts, work, concurrency=3, cancel=parallel.CancelToken()) == [
        "x",
        "y",
        "z",
    ]


def test_after_a_stop_nothing_begins(capsys: pytest.CaptureFixture[str]) -> None:
    """What runs is let to its next check, what waits never begins, and the stop is passed on."""
    begun: list[str] = []
    cancel, is_first = parallel.CancelToken(), threading.Event()

    def work(account: Account) -> str:
        if account.name == "x":
            is_first.wait(60)
        begun.append(account.name)
        is_first.set()
        if account.name == "x":
            raise KeyboardInterrupt
        cancel.sleep(60)
        return account.name

    with pytest.raises(KeyboardInterrupt):
        parallel.run(
            [account(name) for name in ("y", "x", "z")], work, concurrency=2, cancel=cancel
        )

    assert begun == ["y", "x"]
    assert "stopping after the current step" in capsys.readouterr().err
    with pytest.raises(parallel.Cancelled):
        cancel.check()


def test_an_uncancelled_token_lets_everything_run() -> None:
    """Sleeping is only sleeping, and checking nothing at all."""
    cancel = parallel.CancelToken()

    cancel.check()
    cancel.sleep(0)

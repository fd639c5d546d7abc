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


def test_what_sleeps_leaves_its_place_to_others() -> None:
    """All but one of the accounts wait for the last, which begins although one works at once."""
    cancel, is_last = parallel.CancelToken(), threading.Event()

    def work(account: Account) -> str:
        if account.name == "z":
            is_last.set()
        while not is_last.is_set():
            cancel.sleep(0.01)
        return account.name

    results = parallel.run([account(name) for name in "xyz"], work, concurrency=1, cancel=cancel)

    assert results == ["x", "y", "z"]


def test_what_sleeps_is_counted_beyond_a_limit() -> None:
    """Four passes are in progress for each that may work, however many accounts there are."""
    cancel, lock = parallel.CancelToken(), threading.Lock()
    running, most = set[str](), 0

    def work(account: Account) -> None:
        nonlocal most
        with lock:
            running.add(account.name)
            most = max(most, len(running))
        cancel.sleep(0.2)
        with lock:
            running.remove(account.name)

    parallel.run([account(f"a{n}") for n in range(12)], work, concurrency=1, cancel=cancel)

    assert most == 4


def test_after_a_stop_it_is_known_what_was_done() -> None:
    """What had ended, and what ended meanwhile; nothing of what was cut off."""
    cancel, are_stopped = parallel.CancelToken(), threading.Event()
    results: dict[str, str] = {}

    def work(account: Account) -> str:
        if account.name == "interrupts":
            raise KeyboardInterrupt
        if account.name == "ends":
            are_stopped.wait(60)
        if account.name == "sleeps":
            cancel.sleep(60)
        return account.name

    cancel = parallel.CancelToken(are_stopped.set)
    names = ["done", "ends", "sleeps", "interrupts"]
    with pytest.raises(KeyboardInterrupt):
        parallel.run(
            [account(name) for name in names], work, concurrency=3, cancel=cancel, results=results
        )

    assert results == {"done": "done", "ends": "ends"}


def test_after_a_stop_nothing_begins(capsys: pytest.CaptureFixture[str]) -> None:
    """What runs is let to its next check, what waits never begins, and the stop is passed on."""
    begun: list[str] = []
    is_first, is_stopped = threading.Event(), threading.Event()
    cancel = parallel.CancelToken(on_cancel=is_stopped.set)

    def work(account: Account) -> str:
        if account.name == "x":
            is_first.wait(60)
        begun.append(account.name)
        is_first.set()
        if account.name == "x":
            raise KeyboardInterrupt
        # Not by `cancel.sleep`, which leaves its place to another.
        is_stopped.wait(60)
        cancel.check()
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

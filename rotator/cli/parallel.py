"""Work on many accounts at once, children before their parent.

A parent's credential is the one that may manage its children, so it is rotated when they are
done with it. What becomes of one account never stops another.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from rotator.cli import output
from rotator.model import Account

Result = TypeVar("Result")


class Halted(BaseException):
    """This process was asked to end, so a pass ends where it is. No error: see `Stopped`."""


class Brake:
    """Ends passes at their next step: a step that has begun is not torn apart."""

    def __init__(self, when_pulled: Callable[[], object] = lambda: None) -> None:
        """Let everything run."""
        self._pulled = threading.Event()
        self._when_pulled = when_pulled

    def pull(self) -> None:
        """Let nothing begin any more."""
        self._pulled.set()
        self._when_pulled()

    def check(self) -> None:
        """Raise `Halted` if nothing may begin any more."""
        if self._pulled.is_set():
            raise Halted

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise `Halted` as soon as nothing may begin any more."""
        if self._pulled.wait(seconds):
            raise Halted


def run(
    accounts: Sequence[Account],
    work: Callable[[Account], Result],
    *,
    concurrency: int,
    brake: Brake,
) -> list[Result]:
    """Do `work` for each account, at most `concurrency` at once; give the results in order.

    `work` has to answer for its own errors. If this process is stopped, work that has begun
    is waited for, and nothing else begins.
    """
    queue, results = _Queue(accounts), dict[str, Result]()
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    running: dict[Future[Result], Account] = {}
    with ThreadPoolExecutor(max_workers=concurrency) as pool:

        def begin(ready: Sequence[Account]) -> None:
            for account in ready:
                future = pool.submit(work, account)
                running[future] = account
                future.add_done_callback(finished.put)

        try:
            begin(queue.ready())
            while running:
                if future := _next(finished):
                    account = running.pop(future)
                    results[account.name] = future.result()
                    begin(queue.after(account))
        except BaseException:
            brake.pull()
            pool.shutdown(wait=False, cancel_futures=True)
            output.say("stopping after the present step; a second signal stops at once")
            raise
    return [results[account.name] for account in accounts]


def _next(finished: SimpleQueue[Future[Result]]) -> Future[Result] | None:
    # The kernel may give a signal to another thread than this one, and Python runs its handler
    # only once this one wakes up.
    try:
        return finished.get(timeout=0.1)
    except Empty:
        return None


class _Queue:
    """Who may begin: an account of whose children none is left to do."""

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = {account.name: account for account in accounts}
        self._children: dict[str, set[str]] = {name: set() for name in self._accounts}
        for account in accounts:
            if account.managed_by in self._children:
                self._children[account.managed_by].add(account.name)

    def ready(self) -> list[Account]:
        """Give those without children, in their order."""
        return [account for account in self._accounts.values() if not self._children[account.name]]

    def after(self, done: Account) -> list[Account]:
        """Give who may begin now that `done` is finished."""
        parent = self._accounts.get(done.managed_by)
        if parent is None:
            return []
        self._children[parent.name].discard(done.name)
        return [] if self._children[parent.name] else [parent]

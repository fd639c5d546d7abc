"""Runs passes on many accounts concurrently, children before their parent.

A parent's credential may be needed to manage its children, so it is rotated after them. A failure
of one account never stops another.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from rotator.cli import output
from rotator.model import Account
from rotator.model.account import without_parents

Result = TypeVar("Result")


class Cancelled(BaseException):
    """This process is to end, so the pass ends after its step. Not an error: see `Interrupted`."""


class CancelToken:
    """Ends passes before their next step; a step that has begun is completed."""

    def __init__(self, on_cancel: Callable[[], object] = lambda: None) -> None:
        """Begin uncancelled; `on_cancel` is called once it is cancelled."""
        self._cancelled = threading.Event()
        self._on_cancel = on_cancel

    def cancel(self) -> None:
        """Cancel: nothing starts from now on."""
        self._cancelled.set()
        self._on_cancel()

    def check(self) -> None:
        """Raise `Cancelled` once it is cancelled."""
        if self._cancelled.is_set():
            raise Cancelled

    def sleep(self, seconds: float) -> None:
        """Sleep, and raise `Cancelled` as soon as it is cancelled."""
        if self._cancelled.wait(seconds):
            raise Cancelled


def run(
    accounts: Sequence[Account],
    work: Callable[[Account], Result],
    *,
    concurrency: int,
    cancel: CancelToken,
) -> list[Result]:
    """Run `work` for each account, at most `concurrency` at once; return the results in order.

    `work` must handle its own errors. If this process is stopped, running work is waited for, and
    nothing else starts.
    """
    waiting, results = {account.name: account for account in accounts}, dict[str, Result]()
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    running: dict[Future[Result], Account] = {}
    with ThreadPoolExecutor(max_workers=concurrency) as pool:

        def begin(candidates: Sequence[Account]) -> None:
            for account in without_parents(candidates, [*waiting.values(), *running.values()]):
                del waiting[account.name]
                future = pool.submit(work, account)
                running[future] = account
                future.add_done_callback(finished.put)

        try:
            begin(accounts)
            while running:
                if future := _next(finished):
                    account = running.pop(future)
                    results[account.name] = future.result()
                    if parent := waiting.get(account.managed_by):
                        begin([parent])
        except BaseException:
            cancel.cancel()
            pool.shutdown(wait=False, cancel_futures=True)
            output.say("stopping after the current step; a second signal stops at once")
            raise
    return [results[account.name] for account in accounts]


def _next(finished: SimpleQueue[Future[Result]]) -> Future[Result] | None:
    # The kernel may deliver a signal to another thread, and Python runs its handler only once this
    # one wakes up.
    try:
        return finished.get(timeout=0.1)
    except Empty:
        return None

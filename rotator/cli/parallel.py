"""Runs passes on many accounts concurrently, children before their parent.

A parent's credential may be needed to manage its children, so it is rotated after them. A failure
of one account never stops another. A pass that only waits, as for Vonage to accept a new secret
everywhere, leaves its place to another one.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import TypeVar

from rotator import descriptors
from rotator.cli import output
from rotator.model import Account

Result = TypeVar("Result")

#: Passes in progress for each that may work at once: the others wait for something.
_IN_PROGRESS = 4


class Cancelled(BaseException):
    """This process is to end, so the pass ends after its step. Not an error: see `Interrupted`."""


class CancelToken:
    """Ends passes before their next step; a step that has begun is completed."""

    def __init__(self, on_cancel: Callable[[], object] = lambda: None) -> None:
        """Begin uncancelled; `on_cancel` is called once it is cancelled."""
        self._cancelled = threading.Event()
        self._on_cancel = on_cancel
        self._lock = threading.Lock()
        self._sleeping = 0

    @property
    def sleeping(self) -> int:
        """How many passes sleep now."""
        return self._sleeping

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
        self._count(1)
        try:
            is_cancelled = self._cancelled.wait(seconds)
        finally:
            self._count(-1)
        if is_cancelled:
            raise Cancelled

    def _count(self, more: int) -> None:
        with self._lock:
            self._sleeping += more


def run(
    accounts: Sequence[Account],
    work: Callable[[Account], Result],
    *,
    concurrency: int,
    cancel: CancelToken,
    results: dict[str, Result] | None = None,
) -> list[Result]:
    """Run `work` for each account, at most `concurrency` at once; return the results in order.

    What sleeps by `cancel` is not counted, up to a limit. `work` must handle its own errors. If
    this process is stopped, running work is waited for, and nothing else starts; `results` has
    what was done until then, by account.
    """
    results = {} if results is None else results
    children = Counter(account.managed_by for account in accounts)
    ready = deque(account for account in accounts if not children[account.name])
    waiting = {account.name: account for account in accounts if children[account.name]}
    most = max(concurrency, descriptors.passes_at_once(_IN_PROGRESS * concurrency))
    finished: SimpleQueue[Future[Result]] = SimpleQueue()
    running: dict[Future[Result], Account] = {}

    def begin(pool: ThreadPoolExecutor) -> None:
        while ready and len(running) < min(most, concurrency + cancel.sleeping):
            account = ready.popleft()
            future = pool.submit(work, account)
            running[future] = account
            future.add_done_callback(finished.put)

    def end(future: Future[Result]) -> None:
        account = running.pop(future)
        results[account.name] = future.result()
        parent = account.managed_by
        children[parent] -= 1
        if parent in waiting and not children[parent]:
            ready.append(waiting.pop(parent))

    try:
        with ThreadPoolExecutor(max_workers=most) as pool:
            try:
                while running or ready:
                    begin(pool)
                    if future := _next(finished):
                        end(future)
            except BaseException:
                cancel.cancel()
                pool.shutdown(wait=False, cancel_futures=True)
                output.say("stopping after the current step; a second signal stops at once")
                raise
    finally:
        for future in [each for each in running if not each.cancelled() and not each.exception()]:
            end(future)
    return [results[account.name] for account in accounts]


def _next(finished: SimpleQueue[Future[Result]]) -> Future[Result] | None:
    # The kernel may deliver a signal to another thread, and Python runs its handler only once this
    # one wakes up.
    try:
        return finished.get(timeout=0.1)
    except Empty:
        return None

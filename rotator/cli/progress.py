"""Progress on standard error.

On a terminal, each account in progress has a line with its present step, as many as there is room
for; above them stands how far all of them are. Elsewhere each completed step is a line of its own;
of many accounts, how far they are is a line now and then.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

from rotator.cli import output
from rotator.model import PassResult, Step
from rotator.model.redaction import printable
from rotator.reporting.text import NOTHING, moment, span
from rotator.rotation.ports import NewEntry, Observer

if TYPE_CHECKING:
    from rich.progress import TaskID

_BEGUN = {
    Step.EVICT: "freeing a slot",
    Step.STAGE: "storing a new value in Vault",
    Step.CREATE: "sending it to Vonage",
    Step.PUSH: "writing it to the current entry",
    Step.CLEAR: "removing the pending entry",
    Step.WITHDRAW: "removing the old value from the current entry",
    Step.DELETE: "deleting the old secret",
}
_DONE = {
    Step.EVICT: "secret deleted to free its slot (id {secret_id})",
    Step.STAGE: "new value stored at the pending path",
    Step.CREATE: "new secret created (id {secret_id})",
    Step.PROBE: "new secret authenticates",
    Step.PUSH: "written to Vault as version {vault_version}",
    Step.VERIFY: "verified in Vault as version {vault_version}",
    Step.CLEAR: "pending entry removed",
    Step.HOOKS: "hooks notified",
    Step.WITHDRAW: "old value removed from Vault's field {field}, version {vault_version}",
    Step.DELETE: "secret deleted (id {secret_id})",
}
_LEARNED = {
    Step.CREATE: "found to be created (id {secret_id})",
    Step.PUSH: "found in Vault as version {vault_version}",
}
_OTHER = {
    "opened": "rotation opened ({reason})",
    "requested": "{operation} asked for by {by}",
    "not-begun": "{operation} not begun ({code})",
    "secret-appeared": "secret {secret_id}: {why}",
    "secret-vanished": "secret {secret_id}: {why}",
    "secret-explained": "secret {secret_id} was {why}",
    "asked": "the open rotation goes on as asked for",
    "rejected": "not done ({code}); looking again",
    "unknown": "not certain ({code}); checking what became of it",
    "gate-shut": "waiting for gate {gate}: {why}",
    "gates-open": "open: gate {gates}",
    "gates-skipped": "not asked, as the old secret leaked: gate {gates}",
    "still-accepted": "Vonage still accepts the old secret; trying it again",
    "dead-after": "Vonage refuses the old secret (id {secret_id})",
    "not-proven": "not proved that Vonage refuses the old secret: {why}",
    "aborting": "undoing the rotation ({code})",
    "closed": "rotation {outcome}",
}


#: With more accounts, a line for each step would hide how far all of them are.
_MANY = 20
#: Seconds between two lines about many accounts.
_NOW_AND_THEN = 10.0


class Tally:
    """How far the passes on several accounts are. Called from every thread."""

    def __init__(
        self, total: int, *, least: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Count from now on; `least` is how many seconds the rate limit allows for an account."""
        self._total, self._least, self._clock = total, least, clock
        self._began_at = clock()
        self._done = self._failed = 0

    @property
    def count(self) -> str:
        """The number of accounts whose passes have ended, and of all."""
        return f"{self._done}/{self._total}"

    @property
    def rest(self) -> str:
        """How many of these failed, and how long the others take."""
        failed = f"{self._failed} failed, " if self._failed else ""
        return f"{failed}{span(timedelta(seconds=self._left))} left"

    @property
    def _left(self) -> float:
        """The seconds left, as fast as it went so far, and no faster than the limit allows."""
        each = (self._clock() - self._began_at) / self._done if self._done else 0.0
        return (self._total - self._done) * max(each, self._least)

    def add(self, result: PassResult | None) -> None:
        """Count a pass that has ended."""
        self._done += 1
        self._failed += result is None or result.error is not None


class Progress(Observer):
    """Shows nothing of the running passes: the output is for a program."""

    def waiting(self, name: str, until: datetime) -> None:
        """Show that the pass waits until `until`."""


class Lines(Progress):
    """Writes a line for each completed step."""

    def __init__(self, width: int) -> None:
        """Reserve `width` characters for an account's name."""
        self._width = width

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Write what was done."""
        if entry.event != "intent":
            self._line(account, entry.step or "", in_words(entry))

    def waiting(self, name: str, until: datetime) -> None:
        """See `Progress.waiting`."""
        self._line(name, Step.WAIT, f"waiting until {moment(until)}")

    def _line(self, name: str, step: str, text: str) -> None:
        # A closed standard error must not end a rotation.
        with suppress(OSError):
            output.say(f"{name:{self._width}}  {step:8}  {text}".rstrip())


class Summary(Progress):
    """Writes how far all accounts are, now and then. Called from every thread."""

    def __init__(self, tally: Tally, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin; the first line comes after a while."""
        self._tally, self._clock = tally, clock
        self._lock = threading.Lock()
        self._written_at = clock()

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Count it, and write a line if the last one was long ago."""
        del account
        # A closed standard error must not end a rotation.
        with self._lock, suppress(OSError):
            self._tally.add(result)
            if self._clock() - self._written_at >= _NOW_AND_THEN:
                self._written_at = self._clock()
                output.say(f"{self._tally.count} accounts done, {self._tally.rest}")


class Live(Progress):
    """Shows a changing line for each account in progress. Called from every thread."""

    def __init__(self, width: int, tally: Tally | None = None) -> None:
        """Reserve `width` characters for an account's name; `tally` has a line above them."""
        from rich import progress  # noqa: PLC0415  # only a terminal needs it
        from rich.console import Console  # noqa: PLC0415  # likewise

        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn(f"{{task.fields[account]:{width}}}", markup=False),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
            console=(console := Console(stderr=True, markup=False, emoji=False, highlight=False)),
            transient=True,
            # The table of results is printed there afterwards.
            redirect_stdout=False,
        )
        self._tasks: dict[str, TaskID] = {}
        #: Accounts with a visible line; without the tally's and the cursor's.
        self._room = max(1, console.height - 2)
        self._tally = tally
        self._overall = self._progress.add_task("", total=None, account="") if tally else None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the drawing."""
        with suppress(OSError):
            self._progress.stop()

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Show what was done last."""
        self._show(account, in_words(entry))

    def waiting(self, name: str, until: datetime) -> None:
        """See `Progress.waiting`."""
        self._show(name, f"waiting until {moment(until)}")

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Remove the account's line, which makes room for another."""
        with self._lock:
            task = self._tasks.pop(account, None)
            if task is not None:
                self._progress.remove_task(task)
            for each in list(self._tasks.values())[: self._room]:
                self._progress.update(each, visible=True)
            if self._tally:
                self._tally.add(result)
                self._show_tally(self._tally)

    def _show(self, name: str, text: str) -> None:
        # A closed terminal must not end a rotation.
        with self._lock, suppress(OSError):
            if name not in self._tasks:
                has_room = len(self._tasks) < self._room
                self._tasks[name] = self._progress.add_task(
                    "", total=None, visible=has_room, account=name
                )
            self._progress.update(self._tasks[name], description=printable(text))
            if self._tally:
                self._show_tally(self._tally)

    def _show_tally(self, tally: Tally) -> None:
        if self._overall is not None:
            self._progress.update(self._overall, account=tally.count, description=tally.rest)


def in_words(entry: NewEntry) -> str:
    """Return an entry in words. A new kind of entry must not end a rotation."""
    return _text(entry).format_map(_Facts(entry.detail))


def _text(entry: NewEntry) -> str:
    step = entry.step or Step.OPEN
    match entry.event:
        case "intent":
            return _BEGUN.get(step, "")
        case "done":
            return _DONE.get(step, "done")
        case "learned":
            return _LEARNED.get(step, "found to be done")
        case event:
            return _OTHER.get(event, f"{event} ({{code}})" if "code" in entry.detail else event)


class _Facts(dict[str, object]):
    def __missing__(self, _key: str) -> str:
        return NOTHING


@contextmanager
def display(
    names: list[str], *, is_quiet: bool, live: bool, least: float = 0.0
) -> Iterator[Progress]:
    """Yield the progress display for the passes over these accounts, for a `with` block.

    `live` allows changing lines, which would garble other output; `least` as in `Tally`.
    """
    width = max(map(len, names), default=0)
    tally = Tally(len(names), least=least)
    if is_quiet:
        yield Progress()
    elif live and sys.stderr.isatty():
        with Live(width, tally if len(names) > 1 else None) as drawn:
            yield drawn
    elif len(names) > _MANY:
        yield Summary(tally)
    else:
        yield Lines(width)


@contextmanager
def line() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows a text until the next one, on a terminal alone."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console  # noqa: PLC0415  # only a terminal needs it
    from rich.markup import escape  # noqa: PLC0415  # likewise

    console = Console(stderr=True, emoji=False, highlight=False)
    # Beside the spinner; on a second line it would jump.
    room = max(console.width - 3, 0)
    with console.status("") as shown:
        yield lambda text: shown.update(escape(printable(text)[:room]))

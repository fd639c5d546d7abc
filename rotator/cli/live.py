"""Progress on a terminal: a changing line for each account in progress."""

import threading
from datetime import datetime
from typing import Self

from rich import progress
from rich.console import Console

from rotator.cli.progress import Progress, told
from rotator.model import PassResult
from rotator.model.redaction import printable
from rotator.reporting.text import moment
from rotator.rotation.ports import NewEntry


class Live(Progress):
    """Shows running passes. Called from every thread."""

    def __init__(self, width: int) -> None:
        """Reserve `width` characters for an account's name."""
        self._progress = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn(f"{{task.fields[account]:{width}}}", markup=False),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
            console=Console(stderr=True, markup=False, emoji=False, highlight=False),
            transient=True,
            # The table of results is printed there afterwards.
            redirect_stdout=False,
        )
        self._tasks: dict[str, progress.TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the drawing."""
        self._progress.stop()

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Show what was done last."""
        self._show(account, told(entry))

    def waiting(self, name: str, until: datetime) -> None:
        """See `Progress.waiting`."""
        self._show(name, f"waiting until {moment(until)}")

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Remove the account's line."""
        del result
        with self._lock:
            task = self._tasks.pop(account, None)
            if task is not None:
                self._progress.remove_task(task)

    def _show(self, name: str, text: str) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task("", total=None, account=name)
            self._progress.update(self._tasks[name], description=printable(text))

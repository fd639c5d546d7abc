"""Progress on a terminal: a changing line for each account in progress."""

import threading
from datetime import datetime
from typing import Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from rotator.cli.progress import told
from rotator.model.redaction import printable
from rotator.reporting.text import moment
from rotator.rotation.ports import NewEntry


class Live:
    """Shows running passes. Called from every thread."""

    def __init__(self, width: int) -> None:
        """Reserve `width` characters for an account's name."""
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn(f"{{task.fields[account]:{width}}}", markup=False),
            TextColumn("{task.description}", markup=False),
            TimeElapsedColumn(),
            console=Console(stderr=True, markup=False, emoji=False, highlight=False),
            transient=True,
            # The table of results is printed there afterwards.
            redirect_stdout=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start drawing."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the drawing."""
        self._progress.stop()

    def entry(self, name: str, draft: NewEntry) -> None:
        """See `rotator.cli.progress.Progress.entry`."""
        self._show(name, told(draft))

    def waiting(self, name: str, until: datetime) -> None:
        """See `rotator.cli.progress.Progress.waiting`."""
        self._show(name, f"waiting until {moment(until)}")

    def ended(self, name: str) -> None:
        """See `rotator.cli.progress.Progress.ended`."""
        with self._lock:
            task = self._tasks.pop(name, None)
            if task is not None:
                self._progress.remove_task(task)

    def _show(self, name: str, text: str) -> None:
        with self._lock:
            if name not in self._tasks:
                self._tasks[name] = self._progress.add_task("", total=None, account=name)
            self._progress.update(self._tasks[name], description=printable(text))

"""Progress on standard error.

On a terminal, each account in progress has a line with its present step. Elsewhere each completed
step is a line of its own.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from rotator.cli import output
from rotator.model import Step
from rotator.reporting.text import NOTHING, moment
from rotator.rotation.ports import NewEntry, Observer

_BEGUN = {
    Step.EVICT: "freeing a slot",
    Step.STAGE: "storing a new value in Vault",
    Step.CREATE: "sending it to Vonage",
    Step.PUSH: "writing it to the current entry",
    Step.CLEAR: "removing the pending entry",
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
    Step.DELETE: "secret deleted (id {secret_id})",
}
_LEARNED = {
    Step.CREATE: "found to be created (id {secret_id})",
    Step.PUSH: "found in Vault as version {vault_version}",
}
_OTHER = {
    "opened": "rotation opened ({reason})",
    "rejected": "not done ({code}); looking again",
    "unknown": "not certain ({code}); checking what became of it",
    "gate-shut": "waiting for gate {gate}: {why}",
    "gates-open": "open: gate {gates}",
    "gates-skipped": "not asked, as the old secret leaked: gate {gates}",
    "aborting": "undoing the rotation ({code})",
    "closed": "rotation {outcome}",
}


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
            self._line(account, entry.step or "", told(entry))

    def waiting(self, name: str, until: datetime) -> None:
        """See `Progress.waiting`."""
        self._line(name, Step.WAIT, f"waiting until {moment(until)}")

    def _line(self, name: str, step: str, text: str) -> None:
        # A closed standard error must not end a rotation.
        with suppress(OSError):
            output.say(f"{name:{self._width}}  {step:8}  {text}".rstrip())


def told(draft: NewEntry) -> str:
    """Return an entry in words. A new kind of entry must not end a rotation."""
    return _text(draft).format_map(_Facts(draft.detail))


def _text(draft: NewEntry) -> str:
    step = draft.step or Step.OPEN
    match draft.event:
        case "intent":
            return _BEGUN.get(step, "")
        case "done":
            return _DONE.get(step, "done")
        case "learned":
            return _LEARNED.get(step, "found to be done")
        case event:
            return _OTHER.get(event, f"{event} ({{code}})")


class _Facts(dict[str, object]):
    def __missing__(self, _key: str) -> str:
        return NOTHING


@contextmanager
def shown(names: list[str], *, quietly: bool, live: bool) -> Iterator[Progress]:
    """Yield the progress display for the passes over these accounts, for a `with` block.

    `live` allows changing lines, which would garble other output.
    """
    width = max(map(len, names), default=0)
    if quietly:
        yield Progress()
    elif live and sys.stderr.isatty():
        from rotator.cli.live import Live  # noqa: PLC0415  # only a terminal needs it

        with Live(width) as progress:
            yield progress
    else:
        yield Lines(width)

"""The steps of an open rotation, and when each was done."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rotator.ledger.chain import Entry
from rotator.model import Rotation, Step

#: Shown of every rotation, in this order.
_ALWAYS = (
    Step.OPEN,
    Step.STAGE,
    Step.CREATE,
    Step.PROBE,
    Step.PUSH,
    Step.VERIFY,
    Step.CLEAR,
    Step.WAIT,
    Step.DELETE,
    Step.COMPLETE,
)
_DONE = ("opened", "done", "learned", "closed")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step as it is shown."""

    name: str
    #: `done`, `now` or `todo`.
    state: str
    #: When it was done; of a wait, when it will be over.
    at: datetime | None
    #: What became of it so far, where that is worth telling.
    note: str = ""


def stages(
    rotation: Rotation, entries: Iterable[Entry], *, deletion_at: datetime | None
) -> list[Stage]:
    """Tell how far a rotation is; `deletion_at` is when its wait will be over."""
    done: dict[str, datetime] = {}
    trouble: dict[str, str] = {}
    for entry in entries:
        step = entry.step or ""
        if entry.event in _DONE:
            done[step] = datetime.fromisoformat(entry.at)
            trouble.pop(step, None)
        elif entry.event in ("unknown", "rejected", "aborting"):
            trouble[step] = _TROUBLE[entry.event]
    if Step.DELETE in done and deletion_at:
        # Nothing is recorded when the grace is over.
        done[Step.WAIT] = deletion_at
    shown = [step for step in Step if step in _ALWAYS or step in done or step in trouble]
    now = _now(rotation, shown, done)
    return [
        Stage(
            name=step.value,
            state="done" if step in done else "now" if step is now else "todo",
            at=deletion_at if step is Step.WAIT else done.get(step),
            note=trouble.get(step, ""),
        )
        for step in shown
    ]


_TROUBLE = {
    "unknown": "answer lost; looking",
    "rejected": "rejected; trying again",
    "aborting": "being undone",
}


def _now(rotation: Rotation, shown: list[Step], done: dict[str, datetime]) -> Step | None:
    """Give the step that comes next: the first one after all that are done."""
    if rotation.abort_code:
        return Step.ABORT
    last = max((shown.index(step) for step in shown if step in done), default=-1)
    return shown[last + 1] if last + 1 < len(shown) else None

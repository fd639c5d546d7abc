"""Views of accounts and of the timeline: texts and measures, without further decisions."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial

from rotator.ledger.chain import Entry
from rotator.model import Policy, Rotation, Step
from rotator.model.rotation import SecretRole
from rotator.reporting.status import AccountStatus
from rotator.reporting.text import age_text, moment, span

#: Number of days, today included.
DAYS = 90

#: Height of the picture, and from one bar to the next, in the picture's units.
HEIGHT, SPACING = 60, 10

#: Days between two labels.
_LABELLED = 15

#: Minimum height of a bar that is not empty.
_LOWEST = 3

#: Counts the rotations closed since then, by day and outcome.
Count = Callable[[datetime], Mapping[date, Mapping[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day."""

    x: int
    #: Start and height of each part, from the top down: failed above completed.
    failed: tuple[int, int]
    completed: tuple[int, int]
    title: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Ninety bars, and their description in words."""

    bars: tuple[Day, ...]
    #: Below the axis, each at the start of an equal part of it.
    labels: tuple[str, ...]
    completed: int
    failed: int


def timeline(counts: Mapping[date, Mapping[str, int]], today: date) -> Timeline:
    """Build the timeline from the counts by day and outcome."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    pairs = [_pair(counts.get(day, {})) for day in days]
    peak = max(map(sum, pairs))
    return Timeline(
        bars=tuple(
            _bar(place * SPACING, day, *pair, peak)
            for place, (day, pair) in enumerate(zip(days, pairs, strict=True))
        ),
        labels=tuple(f"{day:%b} {day.day}" for day in days[::_LABELLED]),
        completed=sum(completed for completed, _ in pairs),
        failed=sum(failed for _, failed in pairs),
    )


def _pair(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("completed", 0), counts.get("failed", 0)


def _bar(x: int, day: date, completed: int, failed: int, peak: int) -> Day:
    parts = [f"{completed} completed"] * bool(completed) + [f"{failed} failed"] * bool(failed)
    completed_height, failed_height = _height(completed, peak), _height(failed, peak)
    ground = HEIGHT - completed_height
    return Day(
        x=x,
        failed=(max(0, ground - failed_height), min(failed_height, ground)),
        completed=(ground, completed_height),
        title=f"{day}: {', '.join(parts) or 'none'}",
    )


def _height(count: int, peak: int) -> int:
    """Return a bar's height; the tallest leaves room for the shortest on top."""
    return max(_LOWEST, round(count / peak * (HEIGHT - _LOWEST))) if count else 0


def timeline_until(now: datetime, count: Count) -> Timeline:
    """Return the timeline that ends today."""
    today = now.astimezone(UTC).date()
    first = datetime.combine(today - timedelta(days=DAYS - 1), datetime.min.time(), UTC)
    return timeline(count(first), today)


#: Shown only for a rotation that has taken them; the others for each.
_OCCASIONAL = (Step.EVICT, Step.HOOKS, Step.ABORT)

_DONE = ("opened", "done", "learned", "closed")


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step of a rotation."""

    name: str
    #: `done`, `now` or `todo`.
    state: str
    #: When it was completed; for a wait, when it will be over.
    at: datetime | None
    #: Its result so far, if worth showing.
    note: str = ""


def steps(
    rotation: Rotation, entries: Iterable[Entry], *, deletion_at: datetime | None
) -> list[StepView]:
    """Return a rotation's progress; `deletion_at` is when its wait will be over."""
    done: dict[str, datetime | None] = {}
    notes: dict[str, str] = {}
    for entry in entries:
        step = entry.step or ""
        if entry.event in _DONE:
            done[step] = _time(entry)
            notes.pop(step, None)
        elif entry.event in _NOTES:
            notes[step] = _NOTES[entry.event]
    if Step.DELETE in done and deletion_at:
        # No entry is recorded when the grace is over.
        done[Step.WAIT] = deletion_at
    shown = [step for step in Step if step not in _OCCASIONAL or step in done or step in notes]
    now = _current_step(rotation, shown, done)
    return [
        StepView(
            name=step.value,
            state="done" if step in done else "now" if step is now else "todo",
            at=deletion_at if step is Step.WAIT else done.get(step),
            note=notes.get(step, ""),
        )
        for step in shown
    ]


_NOTES = {
    "unknown": "answer lost; checking",
    "rejected": "rejected; trying again",
    "aborting": "being undone",
}


def _current_step(rotation: Rotation, shown: list[Step], done: Collection[str]) -> Step | None:
    """Return the step that comes next: the first one after all that are done."""
    if rotation.abort_code:
        return Step.ABORT
    last = max((shown.index(step) for step in shown if step in done), default=-1)
    return shown[last + 1] if last + 1 < len(shown) else None


@dataclass(frozen=True, kw_only=True)
class Age:
    """Age of the current secret, compared with its policy."""

    text: str
    limit: str
    #: Percentage of the age limit, at most 100.
    percent: float
    #: Percentage of the limit at which the secret is rotated; None where a calendar decides.
    mark: float | None
    #: `young`, `due` or `late`.
    tone: str


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One of the two secret slots at Vonage."""

    #: "" for an empty slot.
    id: str
    #: The secret's role, `empty`, or `unseen` if not observed.
    kind: str


@dataclass(frozen=True, kw_only=True)
class AccountDetail:
    """One account, with its open rotation."""

    status: AccountStatus
    #: What is wrong or pending, each with its introductory word.
    notes: tuple[str, ...]
    age: Age | None
    slots: tuple[Slot, ...]
    #: When the next action is due, and how long that is from now or ago.
    due_at: datetime | None
    due: str
    #: Steps of the open rotation.
    steps: tuple[StepView, ...]


def account_detail(
    status: AccountStatus, entries: Iterable[Entry] = (), expendable_ids: Collection[str] = ()
) -> AccountDetail:
    """Build the view of an account; `entries` are those of its open rotation."""
    opened, deletion_at = status.opened, status.deletion_at
    due_at, due = _next(status)
    return AccountDetail(
        status=status,
        notes=tuple(_notes(status)),
        age=_age(status),
        slots=slots(status, expendable_ids),
        due_at=due_at,
        due=due,
        steps=tuple(steps(opened, entries, deletion_at=deletion_at)) if opened else (),
    )


def _notes(status: AccountStatus) -> Iterator[str]:
    yield from status.notes()
    rotation = status.rotation
    if rotation and rotation.outcome == "failed":
        ago = age_text(rotation.closed_at, status.now)
        yield f"last rotation failed {ago} ago: {rotation.error_code}"
    failures = status.summary.failures
    if failures:
        tries = "1 try" if failures == 1 else f"{failures} tries in a row"
        yield f"{tries} failed; the next one not before {moment(status.summary.retry_at)}"


def _age(status: AccountStatus) -> Age | None:
    since, policy = status.summary.current_since, status.account.policy
    if since is None:
        return None
    age, every = status.now - since, policy.every
    is_due = status.due_from is not None and status.now >= status.due_from
    return Age(
        text=age_text(since, status.now),
        limit=span(policy.max_age),
        percent=min(100.0, max(0.0, _percent(age, policy.max_age))),
        mark=_percent(every, policy.max_age) if every and every < policy.max_age else None,
        tone="late" if age > policy.max_age else "due" if is_due else "young",
    )


def _percent(part: timedelta, whole: timedelta) -> float:
    return round(100 * part / whole, 1)


def slots(status: AccountStatus, expendable_ids: Collection[str] = ()) -> tuple[Slot, ...]:
    """Return both slots, the current secret's first."""
    if not status.summary.listed_ids:
        # Never observed, or no credential was accepted: at least one secret always exists.
        return (Slot(id="", kind="unseen"),) * 2
    opened, current_id = status.opened, status.summary.current_id
    if opened and current_id is None:
        # Uncertain until the next observation; but rotator knows what it wrote.
        is_pushed = opened.vault_version is not None
        current_id = opened.new_id if is_pushed else opened.predecessor_id
    role_of = partial(
        SecretRole.of, current_id=current_id, opened=opened, expendable_ids=expendable_ids
    )
    found = [Slot(id=each, kind=role_of(each)) for each in status.summary.listed_ids]
    found.sort(key=lambda slot: (slot.kind != SecretRole.CURRENT, slot.kind, slot.id))
    return (*found, *[Slot(id="", kind="empty")] * (2 - len(found)))


def has_unexplained(status: AccountStatus) -> bool:
    """Return whether a secret is foreign, unless the ledger knows it as expendable."""
    return any(slot.kind == SecretRole.FOREIGN for slot in slots(status))


def _next(status: AccountStatus) -> tuple[datetime | None, str]:
    """Return when a rotation or a deletion is due, and a text for it."""
    due_at, deletion_at = status.due_from, status.deletion_at
    if deletion_at:
        return deletion_at, f"deletion {distance(deletion_at, status.now)}"
    return due_at, distance(due_at, status.now) if due_at else "not known yet"


def distance(at: datetime, now: datetime) -> str:
    """Return in words how far a time is from now."""
    return f"{_roughly(now - at)} ago" if at <= now else f"in {_roughly(at - now)}"


def _roughly(length: timedelta) -> str:
    """Return a duration as people say it: days alone, once there are more than two."""
    return f"{length.days}d" if length.days > 2 else span(length)  # noqa: PLR2004  # two days


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """An entry of the ledger."""

    seq: int
    at: datetime | None
    account: str
    rotation_id: str
    step: str
    event: str
    detail: str

    @property
    def what(self) -> str:
        """The event in a word or two: `create done`, `opened`."""
        return f"{self.step} {self.event}" if self.event in _OF_STEP else self.event


#: Events that are unclear without their step.
_OF_STEP = ("intent", "done", "rejected", "unknown", "learned")


def entry_view(entry: Entry) -> EntryView:
    """Build the view of an entry. It may have been tampered with, so any field may be invalid."""
    detail = entry.exported()["detail"]
    facts = detail.items() if isinstance(detail, dict) else ()
    return EntryView(
        seq=entry.seq,
        at=_time(entry),
        account=entry.account,
        rotation_id=entry.rotation_id or "",
        step=entry.step or "",
        event=entry.event,
        detail=" ".join(
            f"{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in facts
            if value is not None
        ),
    )


def _time(entry: Entry) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(entry.at)
    return None


def policy_facts(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the policy for an account's secrets, as labels and texts."""
    if policy.every:
        yield "rotate every", span(policy.every)
    else:
        yield "rotate at", f"{policy.cron} ({policy.timezone})"
    if policy.window:
        yield "only within", f"{', '.join(policy.window)} ({policy.timezone})"
    yield "grace", span(policy.grace)
    yield "overdue after", span(policy.max_age)
    yield "foreign secrets", policy.on_foreign.value

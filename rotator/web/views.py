"""Views of accounts and of entries: texts and measures, without further decisions."""

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from rotator.ledger.chain import Entry
from rotator.model import NEVER, Policy, Rotation, Step
from rotator.model.rotation import SecretRole
from rotator.reporting.status import AccountStatus
from rotator.reporting.text import PROOFS, age_text, moment, span
from rotator.web.upcoming import Next, next_of, shut_gate

#: Shown only for a rotation that has taken them; the others for each.
_OCCASIONAL = (Step.EVICT, Step.HOOKS, Step.WITHDRAW, Step.PROVE, Step.ABORT)

_DONE = ("opened", "done", "learned", "dead-after", "not-proven", "closed")


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step of a rotation."""

    name: str
    #: `done`, `now` or `todo`.
    state: str
    #: When it was completed; for a wait that is not over, when it will be.
    at: datetime | None
    #: Its result so far, if worth showing.
    note: str = ""


def steps(status: AccountStatus, entries: Iterable[Entry]) -> list[StepView]:
    """Return the progress of the account's open rotation, whose entries these are."""
    rotation = status.opened
    if rotation is None:
        return []
    done: dict[str, datetime | None] = {}
    notes: dict[str, str] = {}
    for entry in entries:
        step = entry.step or ""
        if step in (Step.WITHDRAW, Step.DELETE) and rotation.verified_at:
            # No entry is recorded when a wait is over.
            done.setdefault(Step.WAIT, _time(entry))
        if entry.event in _DONE:
            done[step] = _time(entry)
            notes.pop(step, None)
        elif entry.event in _NOTES:
            notes[step] = _NOTES[entry.event]
        elif entry.event == "gate-shut":
            done.pop(step, None)
    shown = [step for step in Step if step not in _OCCASIONAL or step in done or step in notes]
    current = _current_step(rotation, shown, done)
    ends_at, note = _wait(status, rotation)
    if current is Step.WAIT and note:
        notes[current] = note
    return [
        StepView(
            name=step.value,
            state="done" if step in done else "now" if step is current else "todo",
            at=ends_at if step is Step.WAIT and step not in done else done.get(step),
            note=notes.get(step, ""),
        )
        for step in shown
    ]


def _wait(status: AccountStatus, rotation: Rotation) -> tuple[datetime | None, str]:
    """Return when the wait for the deletion ends, or else what it waits for."""
    ends_at, hold = status.deletion_at, status.summary.hold
    if status.summary.trouble:
        return None, "until what is wrong is mended"
    if hold and hold.freeze:
        return None, "while held"
    if ends_at and ends_at > status.now:
        return ends_at, ""
    return None, shut_gate(rotation) or "the grace is over"


_NOTES = {
    "unknown": "answer lost; checking",
    "rejected": "rejected; trying again",
    "still-accepted": "the old secret still works; trying again",
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
    #: "" for none; `percent` is 0 then.
    limit: str
    #: Percentage of the age limit, at most 100.
    percent: float
    #: Percentage of the limit at which the secret is rotated; None where a calendar, or somebody,
    #: decides.
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
    age: Age | None
    slots: tuple[Slot, ...]
    #: What is not certain of them; "" for nothing.
    slots_note: str
    next: Next
    #: Steps of the open rotation.
    steps: tuple[StepView, ...]


def account_detail(
    status: AccountStatus, entries: Iterable[Entry] = (), expendable_ids: Collection[str] = ()
) -> AccountDetail:
    """Build the view of an account; `entries` are those of its open rotation."""
    return AccountDetail(
        status=status,
        age=_age(status),
        slots=slots(status, expendable_ids),
        slots_note=_slots_note(status),
        next=next_of(status),
        steps=tuple(steps(status, entries)),
    )


def _age(status: AccountStatus) -> Age | None:
    since, policy = status.summary.current_since, status.account.policy
    if since is None:
        return None
    age, every, max_age = status.now - since, policy.every, policy.max_age
    text, tone = age_text(since, status.now), "due" if status.is_due else "young"
    if max_age is None:
        return Age(text=text, limit="", percent=0.0, mark=None, tone=tone)
    return Age(
        text=text,
        limit=span(max_age),
        percent=min(100.0, max(0.0, _percent(age, max_age))),
        mark=_percent(every, max_age) if every and every < max_age else None,
        tone="late" if age > max_age else tone,
    )


def _percent(part: timedelta, whole: timedelta) -> float:
    return round(100 * part / whole, 1)


def slots(status: AccountStatus, expendable_ids: Collection[str] = ()) -> tuple[Slot, ...]:
    """Return both slots, the current secret's first."""
    opened, current_id = status.opened, status.known_id
    ids, other = status.summary.listed_ids, "empty"
    if not ids:
        # Vonage answers no list. Some are known from the record; there may be others.
        rotating = (opened.predecessor_id, opened.new_id) if opened else ()
        ids, other = tuple({each for each in (current_id, *rotating) if each}), "unseen"
    role_of = partial(
        SecretRole.of, current_id=current_id, opened=opened, expendable_ids=expendable_ids
    )
    found = [Slot(id=each, kind=role_of(each)) for each in ids]
    found.sort(key=lambda slot: (slot.kind != SecretRole.CURRENT, slot.kind, slot.id))
    return (*found, *[Slot(id="", kind=other)] * (2 - len(found)))


def _slots_note(status: AccountStatus) -> str:
    if not status.summary.trouble or not (known_id := status.known_id):
        return ""
    if not status.summary.listed_ids:
        return "by rotator's own record: Vonage accepts no credential that it could list them with"
    if known_id != status.summary.current_id:
        return "current is what rotator put into Vault last; it is not certain that it still is"
    return ""


def has_unexplained(status: AccountStatus) -> bool:
    """Return whether a secret is foreign, unless the ledger knows it as expendable."""
    return any(slot.kind == SecretRole.FOREIGN for slot in slots(status))


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
            if value is not None and key not in PROOFS
        ),
    )


def _time(entry: Entry) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(entry.at)
    return None


def policy_facts(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the policy for an account's secrets, as labels and texts."""
    if policy.is_on_request:
        yield "rotate", "on request only"
    elif policy.every:
        yield "rotate every", span(policy.every)
    else:
        yield "rotate at", f"{policy.cron} ({policy.timezone})"
    if policy.window:
        yield "only within", f"{', '.join(policy.window)} ({policy.timezone})"
    for freeze in policy.freezes:
        yield "change freeze", f"{moment(freeze.since)} to {moment(freeze.until)}: {freeze.reason}"
    yield "grace", span(policy.grace)
    yield "overdue after", NEVER if policy.max_age is None else span(policy.max_age)
    yield "foreign secrets", policy.on_foreign.value
    if policy.prove_deletion:
        yield "deleted secrets", "tried until Vonage refuses them"

"""Status of an account, from the ledger alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from rotator.model import ABANDONED, SUPERSEDED, Account, Hold, Rotation
from rotator.model.notification import PendingDelivery
from rotator.model.times import rfc3339
from rotator.reporting.text import NOTHING, age_text, moment, short, span
from rotator.rotation import window
from rotator.rotation.ports import AccountSummary

#: How late a deletion may be before the rotation counts as abandoned by every process.
_LATE = timedelta(days=1)
#: How long a due rotation may take to begin and to end: other accounts may be due as well.
_TOLERANCE = timedelta(minutes=15)


class Phase(StrEnum):
    """The state of an account in one word."""

    IDLE = "idle"
    #: A rotation is open and not verified yet.
    ROTATING = "rotating"
    #: A rotation waits in its grace.
    WAITING = "waiting"
    #: The last rotation failed.
    FAILED = "failed"
    HELD = "held"
    DRIFT = "drift"
    #: Never observed.
    NEW = "new"


class State(StrEnum):
    """The state of an account as a page shows it, by the clock; the worst first."""

    DRIFTED = "drifted"
    OVERDUE = "overdue"
    FAILED = "failed"
    HELD = "held"
    ROTATING = "rotating"
    DUE = "due"
    WAITING = "waiting"
    NEW = "new"
    HEALTHY = "healthy"

    @property
    def needs_attention(self) -> bool:
        """Whether an account in this state needs attention."""
        return self in _BAD


_BAD = (State.DRIFTED, State.OVERDUE, State.FAILED, State.HELD)
_OF_PHASE = {
    Phase.IDLE: State.HEALTHY,
    Phase.ROTATING: State.ROTATING,
    Phase.WAITING: State.WAITING,
    Phase.FAILED: State.FAILED,
    Phase.HELD: State.HELD,
    Phase.DRIFT: State.DRIFTED,
    Phase.NEW: State.NEW,
}


@dataclass(frozen=True, kw_only=True)
class AccountStatus:
    """Status of one account: what the ledger knows, and what that means now."""

    account: Account
    summary: AccountSummary
    now: datetime
    #: Pending deliveries to hooks.
    undelivered: tuple[PendingDelivery, ...] = ()

    @property
    def rotation(self) -> Rotation | None:
        """The newest rotation, open or closed."""
        return self.summary.last_rotation

    @property
    def opened(self) -> Rotation | None:
        """The open rotation."""
        is_open = self.rotation is not None and self.rotation.closed_at is None
        return self.rotation if is_open else None

    @cached_property
    def phase(self) -> Phase:
        """The phase most worth knowing: one that requires an operator comes first."""
        if self.summary.hold:
            return Phase.HELD
        if self.summary.drift:
            return Phase.DRIFT
        if self.opened:
            return Phase.WAITING if self.opened.verified_at else Phase.ROTATING
        if self.rotation is None:
            return Phase.IDLE if self.summary.seen_at else Phase.NEW
        return Phase.FAILED if self._has_failed else Phase.IDLE

    @property
    def _has_failed(self) -> bool:
        """Return whether the last rotation failed, other than by an operator's decision."""
        rotation = self.rotation
        if rotation is None or rotation.outcome != "failed":
            return False
        return rotation.error_code not in (ABANDONED, SUPERSEDED)

    @property
    def deletion_at(self) -> datetime | None:
        """When the open rotation's old secret may be deleted; None if no deletion is pending."""
        return window.deletion_at(self.account.policy, self.opened) if self.opened else None

    @cached_property
    def due_from(self) -> datetime | None:
        """When a due rotation may begin; None where none is due, or an open one is verified."""
        rotation = self.rotation
        if self.summary.next_due_at is None or (self.opened and self.opened.verified_at):
            return None
        due_at = self.summary.next_due_at
        if rotation and rotation.outcome == "completed" and rotation.closed_at:
            # The last grace may have lasted longer: before its end, no rotation could begin.
            due_at = max(due_at, min(rotation.closed_at, self.now))
        return window.opens_at(self.account.policy, due_at)

    @cached_property
    def late_from(self) -> datetime | None:
        """When the next action becomes overdue; None where no action is pending."""
        return min((since + time for _, since, time in self._deadlines()), default=None)

    @property
    def overdue_reason(self) -> str | None:
        """Reason why the account is overdue; None where nothing is late."""
        for text, since, time in self._deadlines():
            if self.now - since > time:
                return text.format(age=age_text(since, self.now))
        return None

    def _deadlines(self) -> Iterator[tuple[str, datetime, timedelta]]:
        """Yield each deadline: the text for when it is missed, its start, and the time allowed."""
        max_age = self.account.policy.max_age
        if self.due_from:
            yield "due for {age}", self.due_from, _TOLERANCE
        if self.summary.current_since:
            yield f"secret older than {span(max_age)}", self.summary.current_since, max_age
        if self.deletion_at:
            yield "old secret to be deleted for {age}", self.deletion_at, _LATE

    def is_late_at(self, now: datetime) -> bool:
        """Return whether anything is overdue at `now`."""
        return self.late_from is not None and now > self.late_from

    def state_at(self, now: datetime) -> State:
        """Return the state that the account will be in at `now` if nothing is recorded till then.

        That an account is late or due does not hide that it is held or has drifted.
        """
        state = _OF_PHASE[self.phase]
        if state in (State.HELD, State.DRIFTED):
            return state
        if self.is_late_at(now):
            return State.OVERDUE
        is_due = self.due_from is not None and now >= self.due_from
        return State.DUE if is_due and state is State.HEALTHY else state

    @property
    def state(self) -> State:
        """The state now."""
        return self.state_at(self.now)

    @property
    def needs_attention(self) -> bool:
        """Return whether `status --check` fails for this account."""
        return self.state.needs_attention

    def document(self) -> dict[str, Any]:
        """Return the status as `status --json` prints it."""
        return {
            "name": self.account.name,
            "api_key": self.account.api_key,
            "phase": self.phase.value,
            "secret_ids": list(self.summary.listed_ids),
            "current_secret_id": self.summary.current_id,
            "current_since": rfc3339(self.summary.current_since),
            "next_due_at": rfc3339(self.summary.next_due_at),
            "overdue": self.overdue_reason is not None,
            "hold": hold_document(self.summary.hold) if self.summary.hold else None,
            "gate": self._gate_document(),
            "undelivered": [_undelivered_document(each) for each in self.undelivered],
            "last_rotation": self._rotation_document(self.rotation) if self.rotation else None,
        }

    def row(self) -> tuple[str, ...]:
        """Return the status as a row of the table."""
        notes = [*self.warnings()]
        if self.deletion_at and not self.gate_note():
            notes.append(f"waiting until {moment(self.deletion_at)}")
        if hook := self.hook_note():
            notes.append(hook)
        return (
            self.account.name,
            self.phase.value,
            short(self.summary.current_id),
            age_text(self.summary.current_since, self.now),
            moment(self.summary.next_due_at).removesuffix(" UTC"),
            self._last_rotation(),
            "; ".join(notes) or NOTHING,
        )

    def _last_rotation(self) -> str:
        rotation = self.rotation
        if rotation is None:
            return NOTHING
        if rotation.closed_at is None:
            return f"open for {age_text(rotation.opened_at, self.now)}, at {rotation.step}"
        code = f" ({rotation.error_code})" if rotation.error_code else ""
        return f"{rotation.outcome} {age_text(rotation.closed_at, self.now)} ago{code}"

    def warnings(self) -> Iterator[str]:
        """Yield what is wrong, and what is waited for at a gate."""
        if self.summary.hold:
            yield f"held: {self.summary.hold}"
        if self.summary.drift:
            yield self.summary.drift
        if self.overdue_reason:
            yield f"overdue: {self.overdue_reason}"
        if gate := self.gate_note():
            yield f"waiting for gate {gate}"

    def gate_note(self) -> str | None:
        """Return which gate is waited for, since when, and why; None where none is."""
        waiting = self.opened.waiting if self.opened else None
        if waiting is None or waiting.gate is None:
            return None
        return f"{waiting.gate} since {moment(waiting.shut_since)}: {waiting.reason}"

    def hook_note(self) -> str | None:
        """Return which hook fails, and why; None where none does."""
        failing = [each for each in self.undelivered if each.reason is not None]
        if not failing:
            return None
        first, others = failing[0], len(failing) - 1
        more = f", and {others} more" if others else ""
        tried = f"tried {first.attempts} time{'' if first.attempts == 1 else 's'}"
        return f"hook {first.hook} fails ({first.event}, {tried}): {first.reason}{more}"

    def _gate_document(self) -> dict[str, Any] | None:
        waiting = self.opened.waiting if self.opened else None
        if waiting is None or waiting.gate is None:
            return None
        return {
            "name": waiting.gate,
            "reason": waiting.reason,
            "since": rfc3339(waiting.shut_since),
            "next_try_at": rfc3339(waiting.retry_at),
        }

    def _rotation_document(self, rotation: Rotation) -> dict[str, Any]:
        return {
            "id": rotation.id,
            "reason": rotation.reason,
            "step": rotation.step.value,
            "outcome": rotation.outcome,
            "opened_at": rfc3339(rotation.opened_at),
            "closed_at": rfc3339(rotation.closed_at),
            "old_secret_id": rotation.predecessor_id,
            "new_secret_id": rotation.new_id,
            "vault_version": rotation.vault_version,
            "delete_due_at": rfc3339(window.deletion_at(self.account.policy, rotation)),
            "error_code": rotation.error_code,
        }


def hold_document(hold: Hold) -> dict[str, Any]:
    """Return a hold as a JSON object, for programs."""
    return {
        "reason": hold.reason,
        "by": hold.by,
        "at": rfc3339(hold.at),
        "freeze": hold.freeze,
    }


def _undelivered_document(undelivered: PendingDelivery) -> dict[str, Any]:
    return {
        "hook": undelivered.hook,
        "event": undelivered.event.value,
        "since": rfc3339(undelivered.since),
        "attempts": undelivered.attempts,
        "reason": undelivered.reason,
        "next_try_at": rfc3339(undelivered.next_try_at),
    }

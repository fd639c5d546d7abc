"""What is the case with an account, from the ledger alone: conditions, their causes and cures."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from rotator.model import (
    ABANDONED,
    CLOCK,
    SUPERSEDED,
    Freeze,
    Hold,
    Rotation,
    State,
    Step,
    Trouble,
)
from rotator.model.times import rfc3339
from rotator.model.trigger import TriggerRequest
from rotator.reporting.text import moment, span
from rotator.reporting.times import LATE_AFTER, TOLERANCE, AccountTimes
from rotator.rotation import window

#: Code of what should have happened long ago.
LATE = "late"
#: Code of a change freeze.
FROZEN = "frozen"
#: What becomes of the old secret while anything is wrong; what, if someone else revoked it.
STAYS = "the old secret stays until what is wrong is mended"
GONE = "the old secret is gone already; the rotation has nothing left to delete"
#: What is left to do once it is deleted.
UNPROVEN = "the old secret is deleted, and Vonage has yet to refuse it"

_ORDER = {state: place for place, state in enumerate(State)}


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One thing that is the case with an account: its cause, and its cure."""

    state: State
    #: Stable name of the cause; None where nothing is wrong.
    code: str | None = None
    #: The cause in one sentence.
    why: str = ""
    since: datetime | None = None
    #: Tries in a row that failed, and the time of the next one.
    tries: int = 0
    next_try_at: datetime | None = None
    #: The cure; None where nothing has to be done, or there is none.
    hint: str | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether somebody should look at it; a change freeze is planned, and ends by itself."""
        return self.code != FROZEN and (self.state.needs_attention or self.code is not None)

    def document(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return vars(self) | {
            "state": self.state.value,
            "since": rfc3339(self.since),
            "next_try_at": rfc3339(self.next_try_at),
        }


@dataclass(frozen=True, kw_only=True)
class AccountConditions(AccountTimes):
    """Everything that is the case with one account."""

    @cached_property
    def conditions(self) -> tuple[Condition, ...]:
        """Everything that is the case, the most urgent first; never empty."""
        found = sorted(self._conditions(), key=lambda each: _ORDER[each.state])
        return tuple(found) or (Condition(state=State.HEALTHY),)

    @property
    def condition(self) -> Condition:
        """The most urgent condition: the state, its cause and its cure."""
        return self.conditions[0]

    @property
    def state(self) -> State:
        """The state, in one word."""
        return self.condition.state

    @property
    def needs_attention(self) -> bool:
        """Return whether `status --check` fails for this account."""
        return any(condition.needs_attention for condition in self.conditions)

    def _conditions(self) -> Iterator[Condition]:
        trouble = self.summary.trouble
        if asked_for := self.summary.asked_for:
            yield self._asked_for(asked_for)
        if trouble and (not self.is_paused or trouble.state in (State.BROKEN, State.DRIFTED)):
            yield self._of_trouble(trouble)
        if self.is_paused:
            # What that puts off is not late: the operator wants it so.
            yield from self._pauses()
            return
        if trouble is None and self.summary.failures:
            yield self._failing()
        elif trouble is None and self.opened is None and self._has_failed:
            yield self._undone()
        if trouble is None and not self._is_known:
            yield self._unmanaged()
        if since := self._too_old_since:
            yield self._overdue(since)
        if course := self._course():
            yield course

    def _asked_for(self, request: TriggerRequest) -> Condition:
        """Return that a request through the trigger is not carried out yet."""
        who = request.actor
        leaked = ", as the secret leaked" if request.is_compromised else ""
        because = f": {who.because}" if who.because else ""
        condition = Condition(
            state=State.DUE,
            why=f"a rotation was asked for through the trigger, from {who.host}{leaked}{because}",
            since=request.at,
            tries=request.tries,
        )
        if self.now - request.at <= TOLERANCE:
            return condition
        return replace(condition, code=LATE, hint=self._late_hint)

    def _pauses(self) -> Iterator[Condition]:
        hold, freeze = self.summary.hold, self.freeze
        if hold:
            yield self._held(hold)
        if freeze:
            yield self._frozen(freeze)
        if self.opened and self.opened.verified_at and not (hold and hold.freeze):
            # It is finished all the same; if a change freeze is on, after that.
            yield self._waiting(self.opened)

    def _of_trouble(self, trouble: Trouble) -> Condition:
        return Condition(
            state=trouble.state,
            code=trouble.code,
            why=trouble.why,
            since=trouble.since,
            tries=self.summary.failures,
            next_try_at=self.next_try_at,
            # A ledger that an older version wrote has none.
            hint=trouble.hint
            or f"`rotator status {self.account.name} --refresh` looks again and says what to do",
        )

    def _held(self, hold: Hold) -> Condition:
        return Condition(
            state=State.HELD,
            code="held",
            why=f"the account is held: {hold}",
            since=hold.at,
            hint=f"`rotator release {self.account.name}` ends the hold",
        )

    def _frozen(self, freeze: Freeze) -> Condition:
        until = window.thaws_at(self.account.policy, self.now)
        return Condition(
            state=State.HELD,
            code=FROZEN,
            why=f"a change freeze is on until {moment(until)}: {freeze.reason}",
            since=freeze.since,
            next_try_at=until,
            hint=f"it ends by itself; `rotator rotate-now {self.account.name} --compromised` goes "
            "through it, if the secret leaked",
        )

    def _failing(self) -> Condition:
        failure = self.summary.failure
        return Condition(
            state=State.FAILING,
            code=failure.code if failure else "failed",
            why=failure.why if failure else "the last tries failed",
            since=failure.since if failure else None,
            tries=self.summary.failures,
            next_try_at=self.next_try_at,
            hint=(failure.hint if failure else None)
            or f"see `rotator history {self.account.name}`",
        )

    def _undone(self) -> Condition:
        """Return that the last rotation was undone, and another one has not begun."""
        rotation = self.rotation
        code = rotation.error_code if rotation else None
        return Condition(
            state=State.FAILING,
            code=code or "failed",
            why=f"the last rotation was undone ({code})",
            since=rotation.closed_at if rotation else None,
            tries=1,
            next_try_at=self.due_from,
            hint=f"nothing is lost, and {self._next_attempt}; see `rotator history "
            f"{self.account.name}`",
        )

    @property
    def _next_attempt(self) -> str:
        if self.account.policy.is_on_request:
            return f"`rotator rotate-now {self.account.name}` tries again"
        return "the next run tries again"

    @property
    def _has_failed(self) -> bool:
        """Return whether the last rotation failed, other than by an operator's decision."""
        rotation = self.rotation
        if rotation is None or rotation.outcome != "failed":
            return False
        return rotation.error_code not in (ABANDONED, SUPERSEDED)

    @property
    def _is_known(self) -> bool:
        """Return whether rotator knows the account's secret, or is about to make the first one."""
        summary = self.summary
        is_used = summary.current_id or summary.is_managed or self.opened
        return bool(is_used or (self._makes_first and summary.seen_at))

    @property
    def _makes_first(self) -> bool:
        """Return whether the account's first secret is made without anybody asking for it."""
        return self.account.discovered and not self.account.policy.is_on_request

    def _unmanaged(self) -> Condition:
        name = self.account.name
        if self.summary.seen_at is None:
            return Condition(
                state=State.UNMANAGED,
                code="not-seen",
                why="nobody has looked at the account yet",
                hint=f"`rotator status {name} --refresh` looks, and so does the daemon, "
                "`rotator run`",
            )
        return Condition(
            state=State.UNMANAGED,
            code="not-adopted",
            why="which secret consumers use is not known",
            since=self.summary.seen_at,
            hint=f"`rotator rotate-now {name}` makes the first one"
            if self.account.discovered
            else f"`rotator adopt {name}` brings it under management",
        )

    @property
    def _too_old_since(self) -> datetime | None:
        """When the current secret became older than `max_age`; None if it is not."""
        limit = self.overdue_from
        return limit if limit and self.now > limit else None

    def _overdue(self, since: datetime) -> Condition:
        limit = span(self.account.policy.max_age)
        return Condition(
            state=State.OVERDUE,
            code=State.OVERDUE.value,
            why=f"the secret is older than max_age {limit}",
            since=since,
            next_try_at=self.due_from,
            hint=f"`rotator rotate-now {self.account.name}` replaces it now, or says why not",
        )

    def _course(self) -> Condition | None:
        """Return where a rotation of the account is; None where none is due or open."""
        if self.opened and self.opened.verified_at:
            return self._waiting(self.opened)
        if self.opened:
            return self._late_from(
                Condition(
                    state=State.ROTATING,
                    why=f"a rotation is open, at step {self.opened.step}",
                    since=self.opened.opened_at,
                ),
                f"a rotation is open, at step {self.opened.step}, and has not ended",
            )
        if self.is_due:
            return self._late_from(
                Condition(
                    state=State.DUE, why="a rotation is due and begins soon", since=self.due_from
                ),
                "a rotation is due and has not begun",
            )
        return None

    def _late_from(self, condition: Condition, late: str) -> Condition:
        """Return the condition, or that it lasts for too long, unless it is tried in vain."""
        expected_from = self.expected_from
        is_tried = self.summary.trouble or self.summary.failures
        if is_tried or expected_from is None or self.now - expected_from <= TOLERANCE:
            return condition
        # Without how long, which would make another cause of it each time: `since` says it.
        return replace(condition, code=LATE, why=late, hint=self._late_hint)

    @property
    def _late_hint(self) -> str:
        return (
            "see whether a daemon runs: `systemctl status rotator.service`; `rotator resume "
            f"{self.account.name}` and `rotator rotate-now {self.account.name}` work without one"
        )

    def _waiting(self, rotation: Rotation) -> Condition:
        """Return what a rotation waits for: its grace, a gate, the clock or a window."""
        waiting, until = rotation.waiting, self.deletion_at
        condition = Condition(
            state=State.WAITING,
            why=f"grace until {moment(until)}, then the old secret is deleted",
            since=rotation.verified_at,
        )
        if waiting and waiting.gate:
            what = "the clock" if waiting.gate == CLOCK else f"gate {waiting.gate}"
            why = f"waiting for {what} since {moment(waiting.shut_since)}: {waiting.reason}"
            counted = waiting.convergence
            # A gate's own words mostly have it, too.
            is_told = counted is None or counted.counted in str(waiting.reason)
            condition = replace(
                condition,
                why=why if is_told else f"{why} ({counted})",
                since=waiting.shut_since,
                next_try_at=waiting.retry_at,
            )
        elif rotation.step is Step.PROVE:
            condition = replace(condition, why=UNPROVEN, since=rotation.deleted_at)
        elif rotation.delete_due_at and until and until > rotation.delete_due_at <= self.now:
            condition = replace(
                condition,
                why=f"waiting for {self._opening} at {moment(until)}, then the old secret is "
                "deleted",
                since=rotation.delete_due_at,
            )
        elif until and until <= self.now:
            condition = replace(condition, why="the old secret is deleted soon", since=until)
        if self.summary.trouble:
            return replace(condition, why=self.old_secret, next_try_at=None)
        if until is None or self.now - until <= LATE_AFTER:
            return condition
        return replace(
            condition,
            code=LATE,
            why=UNPROVEN
            if rotation.step is Step.PROVE
            else f"the old secret was to be deleted at {moment(until)}"
            + (f"; {condition.why}" if waiting and waiting.gate else ""),
            hint="see what the gate says" if waiting and waiting.gate else self._late_hint,
        )

    @property
    def _opening(self) -> str:
        return "the end of the change freeze" if self.freeze else "the window that opens"

    @property
    def old_secret(self) -> str:
        """What becomes of the open rotation's old secret while anything is wrong."""
        old_id = self.opened.predecessor_id if self.opened else None
        listed_ids = self.summary.listed_ids
        return GONE if old_id and listed_ids and old_id not in listed_ids else STAYS

    @property
    def overdue_reason(self) -> str | None:
        """Reason why the account is late or overdue; None where it is not."""
        found = (each for each in self.conditions if each.code in (LATE, State.OVERDUE.value))
        return next((each.why for each in found), None)

"""Status of an account, from the ledger alone: its state, the cause and the cure.

Every surface shows these words: `status`, the page, the metrics, the report.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rotator.model import NEVER, Freeze, Hold, Rotation, State
from rotator.model.convergence import Convergence
from rotator.model.notification import PendingDelivery
from rotator.model.times import rfc3339
from rotator.model.trigger import TriggerRequest
from rotator.reporting.condition import AccountConditions, Condition
from rotator.reporting.text import NOTHING, age_text, moment, short
from rotator.rotation import window

#: How long a notification may take to reach its hook.
_UNDELIVERED = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class AccountStatus(AccountConditions):
    """Status of one account: what the ledger knows, and what that means now."""

    #: Pending deliveries to hooks.
    undelivered: tuple[PendingDelivery, ...] = ()

    @property
    def known_id(self) -> str | None:
        """The current secret; while none is certain, the one that was put into Vault last."""
        summary, rotation = self.summary, self.rotation
        if summary.current_id:
            return summary.current_id
        if rotation is None or (summary.adopted_id and not self.opened):
            return summary.adopted_id
        return rotation.predecessor_id if rotation.vault_version is None else rotation.new_id

    def document(self) -> dict[str, Any]:
        """Return the status as `status --json` prints it."""
        return {
            "name": self.account.name,
            "api_key": self.account.api_key,
            "phase": self.state.value,
            **self.condition.document(),
            "conditions": [condition.document() for condition in self.conditions],
            "secret_ids": list(self.summary.listed_ids),
            "current_secret_id": self.summary.current_id,
            "current_since": rfc3339(self.summary.current_since),
            "next_due_at": rfc3339(self.next_due_at),
            "overdue": self.overdue_reason is not None,
            "hold": hold_document(self.summary.hold) if self.summary.hold else None,
            "freeze": freeze_document(self.freeze) if self.freeze else None,
            "gate": self._gate_document(),
            "asked_for": _asked_for_document(self.summary.asked_for),
            "undelivered": [_undelivered_document(each) for each in self.undelivered],
            "last_rotation": self._rotation_document(self.rotation) if self.rotation else None,
        }

    def row(self) -> tuple[str, ...]:
        """Return the status as a row of the table."""
        return (
            self.account.name,
            self.state.value,
            short(self.known_id),
            age_text(self.summary.current_since, self.now),
            self._next_due(),
            self._last_rotation(),
            "; ".join(self.notes()) or NOTHING,
        )

    def _next_due(self) -> str:
        if self.account.policy.is_on_request:
            return NEVER
        return moment(self.next_due_at).removesuffix(" UTC")

    def _last_rotation(self) -> str:
        rotation = self.rotation
        if rotation is None:
            return NOTHING
        if rotation.closed_at is None:
            return f"open for {age_text(rotation.opened_at, self.now)}, at {rotation.step}"
        code = f" ({rotation.error_code})" if rotation.error_code else ""
        return f"{rotation.outcome} {age_text(rotation.closed_at, self.now)} ago{code}"

    def notes(self) -> Iterator[str]:
        """Yield the cause of each condition, and which hook fails."""
        for condition in self.conditions:
            if condition.code or (condition.why and condition.state is not State.ROTATING):
                yield self.told(condition)
        if hook := self.hook_note():
            yield hook

    def told(self, condition: Condition) -> str:
        """Return the cause of a condition for people: code, beginning, tries, the next one."""
        if condition.code is None or condition.state is State.HELD:
            return condition.why
        facts = [condition.code]
        if condition.since:
            facts.append(f"since {moment(condition.since)}")
        if condition.tries > 1:
            facts.append(f"{condition.tries} tries")
        if condition.next_try_at and condition.next_try_at > self.now:
            facts.append(f"next try {moment(condition.next_try_at)}")
        return condition.why + (f" ({', '.join(facts)})" if facts else "")

    def hook_note(self) -> str | None:
        """Return which hook fails, and why; None where none does."""
        failing = [each for each in self.undelivered if each.reason is not None]
        if not failing:
            return None
        first, others = failing[0], len(failing) - 1
        more = f", and {others} more" if others else ""
        tried = f"tried {first.attempts} time{'' if first.attempts == 1 else 's'}"
        return f"hook {first.hook} fails ({first.event}, {tried}): {first.reason}{more}"

    def late_deliveries(self) -> Iterator[tuple[str, str]]:
        """Yield which hook has not been notified for an hour, and what to do about it."""
        for each in self.undelivered:
            if self.now - each.since > _UNDELIVERED:
                what = (
                    f"{self.account.name}: hook {each.hook} has not been notified of {each.event}"
                )
                why = f": {each.reason}" if each.reason else ""
                hint = f"`rotator hooks test {each.hook}` shows what it answers"
                yield f"{what} for {age_text(each.since, self.now)}{why}", hint

    @property
    def convergence(self) -> Convergence | None:
        """How many consumers use the new secret, as the gate that is waited for counted them."""
        waiting = self.opened.waiting if self.opened else None
        return waiting.convergence if waiting else None

    def _gate_document(self) -> dict[str, Any] | None:
        waiting = self.opened.waiting if self.opened else None
        if waiting is None or waiting.gate is None:
            return None
        counted = self.convergence
        return {
            "name": waiting.gate,
            "reason": waiting.reason,
            "since": rfc3339(waiting.shut_since),
            "next_try_at": rfc3339(waiting.retry_at),
            "consumers": counted.consumers if counted else None,
            "converged": counted.converged if counted else None,
            "behind": list(counted.behind) if counted else None,
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
            "old_secret_dead_at": rfc3339(rotation.dead_at),
            "dead_after": rotation.dead_after,
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


def freeze_document(freeze: Freeze) -> dict[str, Any]:
    """Return a change freeze as a JSON object, as the configuration has it."""
    since, until = rfc3339(freeze.since), rfc3339(freeze.until)
    return {"from": since, "to": until, "reason": freeze.reason}


def _asked_for_document(request: TriggerRequest | None) -> dict[str, Any] | None:
    if request is None:
        return None
    facts = request.actor.facts()
    return {
        "id": request.id,
        "at": rfc3339(request.at),
        "compromised": request.is_compromised,
        "from": facts["from"],
        "because": facts.get("because"),
        "tries": request.tries,
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

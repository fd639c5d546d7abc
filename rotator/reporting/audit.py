"""Evidence for an auditor: the record of each account in a period. Pure.

Everything is taken from the entries that the chain of hashes covers, so that verifying the
ledger verifies the report.

The age of a secret is counted from the verification of its rotation: from then on consumers use it.
The first secret in the ledger is older: its age is counted from its creation at Vonage.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rotator.model import Account, believable
from rotator.reporting.verification import LedgerVerification

_NONE = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Period:
    """A period; its end is exclusive."""

    since: datetime
    until: datetime

    def shares(self, since: datetime | None, until: datetime | None) -> bool:
        """Return whether it overlaps with `since` to `until`; None is unbounded."""
        return (since is None or since < self.until) and (until is None or until > self.since)

    def part(self, since: datetime, until: datetime | None) -> timedelta:
        """Return how much of a span lies in the period."""
        end = self.until if until is None else min(until, self.until)
        return max(_NONE, end - max(since, self.since))


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """The fields of a ledger entry that a report needs."""

    at: datetime
    event: str
    step: str | None
    rotation_id: str | None
    detail: Mapping[str, Any]

    def text(self, key: str) -> str | None:
        """Return the text of a detail; None where there is none, or the entry was changed."""
        value = self.detail.get(key)
        return value if isinstance(value, str) else None

    def time(self, key: str) -> datetime | None:
        """Return the time of a detail, likewise."""
        with suppress(ValueError):
            at = datetime.fromisoformat(self.text(key) or "")
            return believable(at) if at.tzinfo else None
        return None


#: Events of a rotation that a report needs.
OF_ROTATION = frozenset({"opened", "learned", "done", "closed"})
#: Events of an account that a report needs.
OF_ACCOUNT = frozenset({"refused", "failed", "held", "released", "done", "rejected", "unknown"})


@dataclass(frozen=True, kw_only=True)
class RotationHistory:
    """A rotation according to its entries."""

    id: str
    reason: str
    opened_at: datetime
    old_id: str | None
    #: When Vonage created the old secret, by Vonage's list at the opening.
    old_since: datetime | None = None
    new_id: str | None = None
    #: When consumers started to use the new secret; None if they never did.
    verified_at: datetime | None = None
    closed_at: datetime | None = None
    #: `completed` or `failed`; None while it is open.
    outcome: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuditInput:
    """The input of the report on one account."""

    name: str
    #: None where it is no longer configured: then its policy is unknown.
    account: Account | None
    #: The entries of `OF_ROTATION` and `OF_ACCOUNT`, the oldest first.
    events: Sequence[AuditEvent]
    #: The secret in Vault at the last observation, and when Vonage created it.
    current_id: str | None
    current_since: datetime | None
    record: LedgerVerification


@dataclass(frozen=True, kw_only=True)
class SecretUse:
    """How long consumers used one secret."""

    secret_id: str | None
    #: None where it is older than the ledger.
    since: datetime | None
    #: When its successor replaced it; None for the current one.
    until: datetime | None
    #: Its final age, at most that at the end of the period; None where `since` is unknown.
    age: timedelta | None
    #: How much of the period it was older than the policy allows.
    overdue: timedelta = _NONE


@dataclass(frozen=True, kw_only=True)
class FailureGroup:
    """Refusals or failures for one reason, which a daemon repeats with each retry."""

    #: `refused` (an operator had to decide) or `failed`.
    event: str
    code: str
    why: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, kw_only=True)
class HoldPeriod:
    """A period in which an operator held the account."""

    reason: str
    by: str
    freeze: bool
    since: datetime
    #: None where the hold has not ended.
    until: datetime | None
    #: Login name of the operator who released it, or placed another hold.
    ended_by: str | None


@dataclass(frozen=True, kw_only=True)
class ManualAction:
    """A secret that was created or deleted by hand, with `rotator secrets`."""

    at: datetime
    operation: str
    secret_id: str | None
    #: `done`, `rejected` or `unknown`.
    outcome: str


@dataclass(frozen=True, kw_only=True)
class AccountReport:
    """The report on one account."""

    name: str
    account: Account | None
    #: Rotations that were open in the period, oldest first.
    rotations: tuple[RotationHistory, ...]
    #: Secrets in use in the period, oldest first.
    uses: tuple[SecretUse, ...]
    failures: tuple[FailureGroup, ...]
    holds: tuple[HoldPeriod, ...]
    manual_actions: tuple[ManualAction, ...]
    record: LedgerVerification

    @property
    def oldest(self) -> timedelta | None:
        """The highest age of a secret in use; None where no age is known."""
        return max((use.age for use in self.uses if use.age is not None), default=None)

    @property
    def overdue(self) -> timedelta:
        """How much of the period the secret in use was older than the policy allows."""
        return sum((use.overdue for use in self.uses), _NONE)

    @property
    def is_age_unknown(self) -> bool:
        """Return whether a secret's age is unknown and cannot be compared with the policy."""
        return not self.uses or any(use.age is None for use in self.uses)

    @property
    def verdict(self) -> str:
        """Verdict on the account: `within policy`, `overdue`, `not known` or `no policy`."""
        if self.account is None:
            return "no policy"
        if self.overdue:
            return "overdue"
        return "not known" if self.is_age_unknown else "within policy"

    def count(self, outcome: str | None) -> int:
        """Count the rotations with this outcome; None for open ones."""
        return len([rotation for rotation in self.rotations if rotation.outcome == outcome])


@dataclass(frozen=True, kw_only=True)
class Report:
    """The evidence for a period."""

    period: Period
    made_at: datetime
    #: Version of rotator that made the report.
    version: str
    accounts: tuple[AccountReport, ...]

    @property
    def is_proven(self) -> bool:
        """Return whether no account's record was found changed."""
        return not any(account.record.faults for account in self.accounts)


def audit(known: AuditInput, period: Period) -> AccountReport:
    """Return the report on one account."""
    # A time without an offset is none that rotator wrote.
    events = [event for event in known.events if event.at.tzinfo and event.at < period.until]
    rotations = _rotations(events)
    return AccountReport(
        name=known.name,
        account=known.account,
        rotations=tuple(
            rotation
            for rotation in rotations
            if period.shares(rotation.opened_at, rotation.closed_at)
        ),
        uses=tuple(_uses(known, rotations, period)),
        failures=tuple(_failures(events, period)),
        holds=tuple(_holds(events, period)),
        manual_actions=tuple(_manual_actions(events, period)),
        record=known.record,
    )


def _rotations(events: Sequence[AuditEvent]) -> list[RotationHistory]:
    """Return the rotations according to their entries, in the order of their opening."""
    found: dict[str, RotationHistory] = {}
    for event in events:
        if event.rotation_id and event.event in OF_ROTATION:
            known = found.get(event.rotation_id)
            if known is None:
                known = RotationHistory(
                    id=event.rotation_id,
                    reason=event.text("reason") or "",
                    opened_at=event.at,
                    old_id=event.text("predecessor_id"),
                    old_since=event.time("predecessor_since"),
                )
            found[event.rotation_id] = _after(known, event)
    return list(found.values())


def _after(rotation: RotationHistory, event: AuditEvent) -> RotationHistory:
    """Return the history of a rotation with one more of its entries."""
    match event.event, event.step:
        case "learned", "open":
            return replace(rotation, old_id=event.text("predecessor_id"))
        case (("done" | "learned"), ("create" | "push")):
            return replace(rotation, new_id=event.text("secret_id") or rotation.new_id)
        case "done", "verify":
            return replace(rotation, verified_at=event.at)
        case "closed", _:
            outcome, code = event.text("outcome"), event.text("code")
            return replace(rotation, closed_at=event.at, outcome=outcome, code=code)
    return rotation


def _uses(
    known: AuditInput, rotations: Sequence[RotationHistory], period: Period
) -> Iterable[SecretUse]:
    """Yield the use of each secret, from one verified rotation to the next."""
    verified = [rotation for rotation in rotations if rotation.verified_at]
    begins = [(known.current_id, known.current_since)]
    if verified:
        begins = [(verified[0].old_id, verified[0].old_since)]
    begins += [(rotation.new_id, rotation.verified_at) for rotation in verified]
    ends = [rotation.verified_at for rotation in verified] + [None]
    for (secret_id, since), until in zip(begins, ends, strict=True):
        if (secret_id or since) and period.shares(since, until):
            yield _use(known.account, secret_id, since, until, period)


def _use(
    account: Account | None,
    secret_id: str | None,
    since: datetime | None,
    until: datetime | None,
    period: Period,
) -> SecretUse:
    end = period.until if until is None else min(until, period.until)
    overdue = _NONE
    if since and account:
        overdue = period.part(since + account.policy.max_age, until)
    return SecretUse(
        secret_id=secret_id,
        since=since,
        until=until,
        age=end - since if since else None,
        overdue=overdue,
    )


def _failures(events: Sequence[AuditEvent], period: Period) -> list[FailureGroup]:
    """Group refusals and failures by reason, in the order of their first occurrence."""
    found: dict[tuple[str, str, str], FailureGroup] = {}
    for event in events:
        if event.event not in ("refused", "failed") or event.at < period.since:
            continue
        code, why = event.text("code") or "", event.text("why") or ""
        known = found.get((event.event, code, why))
        found[event.event, code, why] = FailureGroup(
            event=event.event,
            code=code,
            why=why,
            count=known.count + 1 if known else 1,
            first_at=known.first_at if known else event.at,
            last_at=event.at,
        )
    return list(found.values())


def _holds(events: Sequence[AuditEvent], period: Period) -> list[HoldPeriod]:
    """Pair each hold with its end."""
    changes = [event for event in events if event.event in ("held", "released")]
    nexts = [*changes, None][1:] if changes else []
    return [
        HoldPeriod(
            reason=held.text("reason") or "",
            by=held.text("by") or "",
            freeze=bool(held.detail.get("freeze")),
            since=held.at,
            until=ended.at if ended else None,
            ended_by=ended.text("by") or "" if ended else None,
        )
        for held, ended in zip(changes, nexts, strict=True)
        if held.event == "held" and period.shares(held.at, ended.at if ended else None)
    ]


def _manual_actions(events: Sequence[AuditEvent], period: Period) -> list[ManualAction]:
    return [
        ManualAction(
            at=event.at,
            operation=event.text("operation") or "",
            secret_id=event.text("secret_id"),
            outcome=event.event,
        )
        for event in events
        if "operation" in event.detail and event.event != "intent" and event.at >= period.since
    ]

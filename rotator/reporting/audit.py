"""Evidence for an auditor: the record of each account in a period, and its present state. Pure.

What happened is taken from the entries that the chain of hashes covers, so that verifying the
ledger verifies it. The present state, its cause and cure, and the secrets that are live now are
taken from the account's row, as of the newest observation, and marked as such.

The age of a secret is counted from the verification of its rotation: from then on consumers use it.
The first secret in the ledger, and one that was adopted, is older: its age is counted from its
creation at Vonage.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from rotator.model import Account, Rotation, State
from rotator.model.rotation import SecretRole
from rotator.reporting.audit_acts import acts_in, manual_actions_in
from rotator.reporting.audit_events import (
    Beginning,
    beginnings_in,
    failures_in,
    holds_in,
    revocations_in,
    rotations_in,
    sightings_in,
    troubles_in,
)
from rotator.reporting.audit_records import (
    Act,
    AuditEvent,
    FailureGroup,
    HoldPeriod,
    LiveSecret,
    ManualAction,
    Period,
    Revocation,
    RotationHistory,
    SecretUse,
    Sighting,
    TroublePeriod,
)
from rotator.reporting.condition import Condition
from rotator.reporting.status import AccountStatus
from rotator.reporting.verification import LedgerVerification
from rotator.rotation.audit_trail import EXPLAINED
from rotator.rotation.ports import AccountSummary

_NONE = timedelta(0)

#: Verdict on an account with nothing to complain of.
WITHIN = "within policy"


@dataclass(frozen=True, kw_only=True)
class AuditInput:
    """The input of the report on one account."""

    name: str
    #: None where it is no longer configured: then its policy is unknown.
    account: Account | None
    #: The account's entries as far as a report needs them, the oldest first.
    events: Sequence[AuditEvent]
    #: The account's row.
    summary: AccountSummary
    #: Superseded predecessors and orphans, which rotator deletes.
    expendable_ids: frozenset[str] = frozenset()
    record: LedgerVerification
    #: When the report is made.
    now: datetime


@dataclass(frozen=True, kw_only=True)
class AccountReport:
    """The report on one account."""

    name: str
    account: Account | None
    #: When it was last observed; None for never. The conditions and live secrets are as of then.
    observed_at: datetime | None = None
    #: What is the case now, the most urgent first; empty where it is no longer configured.
    conditions: tuple[Condition, ...] = ()
    #: The secrets that Vonage listed then; empty where it accepted no credential.
    live: tuple[LiveSecret, ...] = ()
    #: Rotations that were open in the period, oldest first.
    rotations: tuple[RotationHistory, ...]
    #: Secrets in use in the period, oldest first.
    uses: tuple[SecretUse, ...]
    #: Secrets that were revoked in the period, also some that were never in use; oldest first.
    revocations: tuple[Revocation, ...] = ()
    #: Secrets that others made or revoked, in the order in which looks showed that.
    sightings: tuple[Sighting, ...] = ()
    failures: tuple[FailureGroup, ...]
    troubles: tuple[TroublePeriod, ...] = ()
    #: How much of the period consumers had no working secret, from the look that showed it on.
    broken: timedelta = _NONE
    holds: tuple[HoldPeriod, ...]
    manual_actions: tuple[ManualAction, ...]
    #: What persons asked for, oldest first.
    acts: tuple[Act, ...] = ()
    record: LedgerVerification

    @property
    def condition(self) -> Condition | None:
        """The most urgent condition: present state, its cause and its cure."""
        return self.conditions[0] if self.conditions else None

    @property
    def state(self) -> State | None:
        """The present state; None where the account is no longer configured."""
        return self.condition.state if self.condition else None

    @property
    def unmanaged(self) -> tuple[LiveSecret, ...]:
        """Live credentials that rotator neither made nor replaces."""
        return tuple(secret for secret in self.live if not secret.is_managed)

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

    @cached_property
    def verdicts(self) -> tuple[str, ...]:
        """Everything to complain of, the worst first; else `within policy`."""
        return tuple(self._complaints()) or (WITHIN,)

    def _complaints(self) -> Iterator[str]:
        if self.state is State.BROKEN:
            yield "broken"
        elif self.broken:
            yield "was broken"
        if self.unmanaged:
            yield "unmanaged live credential"
        if self.account is None:
            yield "no policy"
            return
        if self.overdue:
            yield "overdue"
        if self.is_age_unknown or not self.live:
            yield "not known"

    @property
    def verdict(self) -> str:
        """The worst of the verdicts."""
        return self.verdicts[0]

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

    def count(self, verdict: str) -> int:
        """Count the accounts with this verdict, also beside a worse one."""
        return sum(verdict in account.verdicts for account in self.accounts)

    @property
    def unmanaged(self) -> int:
        """Number of live credentials that rotator neither made nor replaces."""
        return sum(len(account.unmanaged) for account in self.accounts)


def audit(known: AuditInput, period: Period) -> AccountReport:
    """Return the report on one account."""
    # A time without an offset is none that rotator wrote.
    ever = [event for event in known.events if event.at.tzinfo]
    events = [event for event in ever if event.at < period.until]
    rotations = rotations_in(events)
    revocations = revocations_in(ever, rotations_in(ever) if len(ever) > len(events) else rotations)
    uses = tuple(_uses(known, events, rotations, revocations, period))
    status = None
    if known.account:
        status = AccountStatus(account=known.account, summary=known.summary, now=known.now)
    troubles = tuple(troubles_in(events, period))
    breaks = (each for each in troubles if each.state == State.BROKEN)
    return AccountReport(
        name=known.name,
        account=known.account,
        observed_at=known.summary.seen_at,
        conditions=status.conditions if status else (),
        live=tuple(_live(known, ever)),
        rotations=tuple(
            rotation
            for rotation in rotations
            if period.shares(rotation.opened_at, rotation.closed_at)
        ),
        uses=uses,
        revocations=tuple(
            each for each in revocations.values() if period.since <= each.at < period.until
        ),
        failures=tuple(failures_in(events, period)),
        sightings=tuple(sightings_in(events, rotations, period)),
        troubles=troubles,
        broken=sum((period.part(each.since, each.until) for each in breaks), _NONE),
        holds=tuple(holds_in(events, period)),
        manual_actions=tuple(manual_actions_in(events, period)),
        acts=tuple(acts_in(events, period)),
        record=known.record,
    )


def _uses(
    known: AuditInput,
    events: Sequence[AuditEvent],
    rotations: Sequence[RotationHistory],
    revocations: Mapping[str, Revocation],
    period: Period,
) -> Iterable[SecretUse]:
    """Yield the use of each secret, from one beginning to the next."""
    summary = known.summary
    created = {each.old_id: each.old_since for each in rotations if each.old_id and each.old_since}
    if summary.current_id and summary.current_since:
        created[summary.current_id] = summary.current_since
    beginnings = beginnings_in(events, rotations, created)
    if not beginnings:
        since = summary.current_since
        beginnings = [Beginning(secret_id=summary.current_id, at=since, aged_from=since)]
    ends = [each.at for each in beginnings[1:]] + [None]
    for beginning, until in zip(beginnings, ends, strict=True):
        is_known = beginning.secret_id or beginning.at
        if is_known and period.shares(beginning.at, until):
            yield _use(known, beginning, until, revocations, period)


def _use(
    known: AuditInput,
    beginning: Beginning,
    until: datetime | None,
    revocations: Mapping[str, Revocation],
    period: Period,
) -> SecretUse:
    secret_id, since, aged_from = beginning.secret_id, beginning.at, beginning.aged_from
    end = period.until if until is None else min(until, period.until)
    overdue = _NONE
    max_age = known.account.policy.max_age if known.account else None
    if since and aged_from and max_age is not None:
        overdue = period.part(max(since, aged_from + max_age), until)
    revocation = revocations.get(secret_id or "")
    is_live: bool | None = None
    if revocation and revocation.at >= period.until:
        revocation, is_live = None, True
    elif revocation:
        is_live = False
    elif secret_id:
        is_live = _is_live(known.summary, secret_id, until or since)
    return SecretUse(
        secret_id=secret_id,
        since=since,
        until=until,
        age=end - aged_from if aged_from else None,
        aged_from=aged_from,
        overdue=overdue,
        revocation=revocation,
        is_live=is_live,
    )


def _is_live(summary: AccountSummary, secret_id: str, used_at: datetime | None) -> bool | None:
    """Return whether a secret is live that no entry has revoked; None where that is not known.

    One may be gone without an entry if an older version of rotator saw that first. An account
    always has a secret: an empty list means that none could be had.
    """
    if not summary.listed_ids:
        return None
    opened = _opened(summary)
    is_own = secret_id in (summary.current_id, opened.new_id if opened else None)
    if is_own or secret_id in summary.listed_ids:
        return True
    is_unseen = summary.seen_at is None or (used_at is not None and summary.seen_at < used_at)
    return None if is_unseen else False


def _live(known: AuditInput, events: Sequence[AuditEvent]) -> Iterator[LiveSecret]:
    """Yield the secrets that Vonage listed at the newest observation.

    While it is not certain which of them Vault holds, it is the one that was put there last.
    """
    summary, current_id = known.summary, known.summary.current_id
    if current_id is None:
        begun = beginnings_in(events, rotations_in(events), {})
        current_id = begun[-1].secret_id if begun else None
    appeared = {
        event.text("secret_id"): event.at for event in events if event.event == "secret-appeared"
    }
    origins = {
        event.text("secret_id"): event.text("why") for event in events if event.event == EXPLAINED
    }
    for secret_id in summary.listed_ids:
        role = SecretRole.of(
            secret_id,
            current_id=current_id,
            opened=_opened(summary),
            expendable_ids=known.expendable_ids,
        )
        yield LiveSecret(
            id=secret_id,
            role=role,
            first_seen_at=appeared.get(secret_id),
            origin=origins.get(secret_id),
        )


def _opened(summary: AccountSummary) -> Rotation | None:
    rotation = summary.last_rotation
    return rotation if rotation and rotation.closed_at is None else None

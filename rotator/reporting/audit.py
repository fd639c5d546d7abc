"""Evidence for an auditor: what the ledger tells of each account in a period. Pure.

All of it is taken from the entries that the chain of hashes covers, so that whoever verified
the ledger has verified what is said here.

The age of a secret is counted from when its rotation was verified: from then on consumers use
it. The first one that the ledger knows of is older: it is counted from when Vonage made it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rotator.model import Account

_NONE = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class Period:
    """From when until when, the end not included."""

    since: datetime
    until: datetime

    def shares(self, since: datetime | None, until: datetime | None) -> bool:
        """Whether something that lasted from `since` until `until`, None for always, is in it."""
        return (since is None or since < self.until) and (until is None or until > self.since)

    def part(self, since: datetime, until: datetime | None) -> timedelta:
        """Give how much of a span is in it."""
        end = self.until if until is None else min(until, self.until)
        return max(_NONE, end - max(since, self.since))


@dataclass(frozen=True, kw_only=True)
class Event:
    """A ledger entry, as far as a report needs it."""

    at: datetime
    event: str
    step: str | None
    rotation_id: str | None
    detail: Mapping[str, Any]


#: Events that say something of a rotation that a report needs.
OF_ROTATION = frozenset({"opened", "learned", "done", "closed"})
#: Events that say something of the account.
OF_ACCOUNT = frozenset({"refused", "failed", "held", "released", "done", "rejected", "unknown"})


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """A rotation as its entries tell it."""

    id: str
    reason: str
    opened_at: datetime
    old_id: str | None
    #: When Vonage made the old one, as it said when this was opened.
    old_since: datetime | None = None
    new_id: str | None = None
    #: When consumers began to use the new secret; None if they never did.
    verified_at: datetime | None = None
    closed_at: datetime | None = None
    #: `completed` or `failed`; None while it is open.
    outcome: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Record:
    """Whether an account's record is whole, in the words of `rotator ledger verify`."""

    entries: int
    #: Hash of the newest entry.
    head: str
    #: What is wrong with the chain, with the rows or against Vault's note, each with what to do
    #: about it.
    complaints: Sequence[tuple[str, str]] = ()
    #: The verdict on the chain in itself: `whole` or `FAILED`.
    chain: str = "whole"
    #: The verdict on the rows that rotator works by: `match`, `not compared` or `FAILED`.
    rows: str = "match"
    #: `matches`, `no note`, `not configured`, `not compared` or `FAILED`.
    vault: str
    #: Why it could not be compared with Vault's note; None where that was not tried.
    unread: str | None = None

    @property
    def fault(self) -> str | None:
        """All that is wrong; None for nothing."""
        return "; ".join(fault for fault, _ in self.complaints) or None


@dataclass(frozen=True, kw_only=True)
class Known:
    """All that a report on one account is made from."""

    name: str
    #: None where it is not configured any more: its policy is not known then.
    account: Account | None
    #: The entries of `OF_ROTATION` and `OF_ACCOUNT`, the oldest first.
    events: Sequence[Event]
    #: The secret that Vault held when it was last looked at, and when Vonage made it.
    current_id: str | None
    current_since: datetime | None
    record: Record


@dataclass(frozen=True, kw_only=True)
class Tenure:
    """How long one secret was the one that consumers use."""

    secret_id: str | None
    #: None where it is older than the ledger.
    since: datetime | None
    #: When its successor took its place; None for the present one.
    until: datetime | None
    #: How old it became, by the end of the period at most; None where `since` is not known.
    age: timedelta | None
    #: For how much of the period it was older than the policy allows.
    overdue: timedelta = _NONE


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Refusals or failures for one reason: a daemon tries again and again."""

    #: `refused` (an operator had to decide) or `failed`.
    event: str
    code: str
    why: str
    count: int
    first: datetime
    last: datetime


@dataclass(frozen=True, kw_only=True)
class Holding:
    """A time in which an operator held the account."""

    reason: str
    by: str
    freeze: bool
    since: datetime
    #: None where it is held still.
    until: datetime | None
    #: Who released it, or put another hold in its place.
    ended_by: str | None


@dataclass(frozen=True, kw_only=True)
class Deed:
    """A secret that was made or deleted by hand, with `rotator secrets`."""

    at: datetime
    operation: str
    secret_id: str | None
    #: `done`, `rejected` or `unknown`.
    outcome: str


@dataclass(frozen=True, kw_only=True)
class AccountReport:
    """What there is to say of one account."""

    name: str
    account: Account | None
    #: Those that were open in the period, the oldest first.
    rotations: tuple[Rotated, ...]
    #: Secrets in use in the period, the oldest first.
    tenures: tuple[Tenure, ...]
    troubles: tuple[Trouble, ...]
    holdings: tuple[Holding, ...]
    deeds: tuple[Deed, ...]
    record: Record

    @property
    def oldest(self) -> timedelta | None:
        """How old a secret in use became; None where no age is known."""
        return max((tenure.age for tenure in self.tenures if tenure.age is not None), default=None)

    @property
    def overdue(self) -> timedelta:
        """For how much of the period the secret in use was older than the policy allows."""
        return sum((tenure.overdue for tenure in self.tenures), _NONE)

    @property
    def is_age_unknown(self) -> bool:
        """Whether a secret's age is not known, so that it cannot be held against the policy."""
        return not self.tenures or any(tenure.age is None for tenure in self.tenures)

    @property
    def verdict(self) -> str:
        """Say how the account did: `within policy`, `overdue`, `not known` or `no policy`."""
        if self.account is None:
            return "no policy"
        if self.overdue:
            return "overdue"
        return "not known" if self.is_age_unknown else "within policy"

    def count(self, outcome: str | None) -> int:
        """Count the rotations that ended like this; None for those that are open."""
        return len([rotation for rotation in self.rotations if rotation.outcome == outcome])


@dataclass(frozen=True, kw_only=True)
class Report:
    """The evidence of a period."""

    period: Period
    made_at: datetime
    #: Which rotator made it.
    version: str
    accounts: tuple[AccountReport, ...]

    @property
    def is_proven(self) -> bool:
        """Whether no account's record was found to be changed."""
        return all(account.record.fault is None for account in self.accounts)


def on(known: Known, period: Period) -> AccountReport:
    """Report on one account."""
    events = [event for event in known.events if event.at < period.until]
    rotations = _rotations(events)
    return AccountReport(
        name=known.name,
        account=known.account,
        rotations=tuple(
            rotation
            for rotation in rotations
            if period.shares(rotation.opened_at, rotation.closed_at)
        ),
        tenures=tuple(_tenures(known, rotations, period)),
        troubles=tuple(_troubles(events, period)),
        holdings=tuple(_holdings(events, period)),
        deeds=tuple(_deeds(events, period)),
        record=known.record,
    )


def _rotations(events: Sequence[Event]) -> list[Rotated]:
    """Put rotations together from what was recorded of them, in the order of their opening."""
    found: dict[str, Rotated] = {}
    for event in events:
        if event.rotation_id and event.event in OF_ROTATION:
            known = found.get(event.rotation_id)
            if known is None:
                known = Rotated(
                    id=event.rotation_id,
                    reason=str(event.detail.get("reason", "")),
                    opened_at=event.at,
                    old_id=event.detail.get("predecessor_id"),
                    old_since=_time(event.detail.get("predecessor_since")),
                )
            found[event.rotation_id] = _after(known, event)
    return list(found.values())


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _after(rotation: Rotated, event: Event) -> Rotated:
    """Give what is known of a rotation after one more of its entries."""
    detail = event.detail
    match event.event, event.step:
        case "learned", "open":
            return replace(rotation, old_id=detail.get("predecessor_id"))
        case (("done" | "learned"), ("create" | "push")):
            return replace(rotation, new_id=detail.get("secret_id") or rotation.new_id)
        case "done", "verify":
            return replace(rotation, verified_at=event.at)
        case "closed", _:
            outcome, code = detail.get("outcome"), detail.get("code")
            return replace(rotation, closed_at=event.at, outcome=outcome, code=code)
    return rotation


def _tenures(known: Known, rotations: Sequence[Rotated], period: Period) -> Iterable[Tenure]:
    """Follow the secrets from one verified rotation to the next."""
    verified = [rotation for rotation in rotations if rotation.verified_at]
    begins = [(known.current_id, known.current_since)]
    if verified:
        begins = [(verified[0].old_id, verified[0].old_since)]
    begins += [(rotation.new_id, rotation.verified_at) for rotation in verified]
    ends = [rotation.verified_at for rotation in verified] + [None]
    for (secret_id, since), until in zip(begins, ends, strict=True):
        if (secret_id or since) and period.shares(since, until):
            yield _tenure(known.account, secret_id, since, until, period)


def _tenure(
    account: Account | None,
    secret_id: str | None,
    since: datetime | None,
    until: datetime | None,
    period: Period,
) -> Tenure:
    end = period.until if until is None else min(until, period.until)
    overdue = _NONE
    if since and account:
        overdue = period.part(since + account.policy.max_age, until)
    return Tenure(
        secret_id=secret_id,
        since=since,
        until=until,
        age=end - since if since else None,
        overdue=overdue,
    )


def _troubles(events: Sequence[Event], period: Period) -> list[Trouble]:
    """Gather refusals and failures by their reason, in the order in which they began."""
    found: dict[tuple[str, str, str], Trouble] = {}
    for event in events:
        if event.event not in ("refused", "failed") or event.at < period.since:
            continue
        code, why = str(event.detail.get("code", "")), str(event.detail.get("why", ""))
        known = found.get((event.event, code, why))
        found[event.event, code, why] = Trouble(
            event=event.event,
            code=code,
            why=why,
            count=known.count + 1 if known else 1,
            first=known.first if known else event.at,
            last=event.at,
        )
    return list(found.values())


def _holdings(events: Sequence[Event], period: Period) -> list[Holding]:
    """Pair each hold with what ended it."""
    changes = [event for event in events if event.event in ("held", "released")]
    nexts = [*changes, None][1:] if changes else []
    return [
        Holding(
            reason=str(held.detail.get("reason", "")),
            by=str(held.detail.get("by", "")),
            freeze=bool(held.detail.get("freeze")),
            since=held.at,
            until=ended.at if ended else None,
            ended_by=str(ended.detail.get("by", "")) if ended else None,
        )
        for held, ended in zip(changes, nexts, strict=True)
        if held.event == "held" and period.shares(held.at, ended.at if ended else None)
    ]


def _deeds(events: Sequence[Event], period: Period) -> list[Deed]:
    return [
        Deed(
            at=event.at,
            operation=str(event.detail["operation"]),
            secret_id=event.detail.get("secret_id"),
            outcome=event.event,
        )
        for event in events
        if "operation" in event.detail and event.event != "intent" and event.at >= period.since
    ]

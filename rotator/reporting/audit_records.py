"""The records of which a report consists: what happened to an account, and who did it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rotator.model import believable
from rotator.model.rotation import SecretRole

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
class Revocation:
    """The end of a secret at Vonage."""

    secret_id: str
    #: When it was deleted, or the first look showed that it was gone.
    at: datetime
    #: `rotator`, `operator` (with `rotator secrets delete`) or `someone else`.
    by: str
    #: `replaced`, `undone` (a rotation that failed had made it), `evicted` (it was in the way of a
    #: rotation), `by hand`, or `found gone`.
    how: str
    rotation_id: str | None = None
    #: Who asked for it; None where nobody did, or it is not recorded.
    person: str | None = None
    #: When Vonage was first seen to refuse it; None where that was not proved.
    dead_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SecretUse:
    """How long consumers used one secret, and what became of it."""

    secret_id: str | None
    #: None where it is older than the ledger.
    since: datetime | None
    #: When its successor replaced it; None for the current one.
    until: datetime | None
    #: Its final age, at most that at the end of the period; None where that is not known.
    age: timedelta | None
    #: From when its age counts; None where that is not known.
    aged_from: datetime | None = None
    #: How much of the period it was older than the policy allows.
    overdue: timedelta = _NONE
    #: None where it was not revoked before the end of the period, as far as known.
    revocation: Revocation | None = None
    #: Whether it was still live at the end of the period; None where that is not known.
    is_live: bool | None = None


@dataclass(frozen=True, kw_only=True)
class LiveSecret:
    """A secret that Vonage listed at the newest observation."""

    id: str
    role: SecretRole
    #: When a look first showed it, where rotator did not make it; None where that is not recorded.
    first_seen_at: datetime | None = None
    #: Who made it, in words, where rotator did not and Vonage's Audit API has told.
    origin: str | None = None

    @property
    def is_managed(self) -> bool:
        """Return whether rotator knows it as its own, and will replace or delete it."""
        return self.role is not SecretRole.FOREIGN


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """The first look that showed a secret which somebody else made, or revoked."""

    at: datetime
    secret_id: str
    #: `appeared` or `vanished`.
    what: str
    #: Who made or revoked it, in words; None where Vonage's Audit API has not told.
    origin: str | None = None


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
class TroublePeriod:
    """A period in which something was wrong with an account."""

    #: The account's state in it: `broken`, `drifted`, `refused` or `unmanaged`.
    state: str
    code: str
    why: str
    since: datetime
    #: None where it has not ended.
    until: datetime | None = None


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
    """A secret that was created, deleted or adopted by hand, or another change of the account."""

    at: datetime
    operation: str
    secret_id: str | None
    #: `done`, `rejected`, `withdrawn` or `unknown`.
    outcome: str


@dataclass(frozen=True, kw_only=True)
class Act:
    """What a person asked for, whatever became of it."""

    at: datetime
    operation: str
    #: Who, and from which host; None where the ledger does not record it.
    by: str | None = None
    host: str | None = None
    because: str | None = None
    #: What else is recorded of it: `grace_seconds`, `secret_id` and the like.
    facts: Mapping[str, object] = field(default_factory=dict)
    #: What became of it, as in `ManualAction`, or `refused` or `failed`; None where other records
    #: have it.
    outcome: str | None = None
    #: Error code of a refusal or a failure.
    code: str | None = None

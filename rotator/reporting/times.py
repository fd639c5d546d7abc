"""When what happens to an account is due, late, or tried again, from the ledger alone."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Self

from rotator.model import Account, Freeze, Rotation
from rotator.rotation import window
from rotator.rotation.ports import AccountSummary

#: How late a deletion may be before the rotation counts as abandoned by every process.
LATE_AFTER = timedelta(days=1)
#: How long a due rotation may take to begin and to end: other accounts may be due as well.
TOLERANCE = timedelta(minutes=15)


@dataclass(frozen=True, kw_only=True)
class AccountTimes:
    """One account at one time, and the times of what happens to it."""

    account: Account
    summary: AccountSummary
    now: datetime

    @property
    def rotation(self) -> Rotation | None:
        """The newest rotation, open or closed."""
        return self.summary.last_rotation

    @property
    def opened(self) -> Rotation | None:
        """The open rotation."""
        is_open = self.rotation is not None and self.rotation.closed_at is None
        return self.rotation if is_open else None

    def at(self, now: datetime) -> Self:
        """Return the same at `now` if nothing is recorded till then."""
        return replace(self, now=now)

    @property
    def freeze(self) -> Freeze | None:
        """The change freeze that the account is in."""
        return window.freeze_at(self.account.policy, self.now)

    @property
    def is_paused(self) -> bool:
        """Whether a hold or a change freeze keeps the account waiting: nothing of it is late."""
        return self.summary.hold is not None or self.freeze is not None

    @property
    def changes_at(self) -> datetime | None:
        """The next time at which the conditions may change by the clock alone; None for never."""
        rotation, asked_for = self.opened, self.summary.asked_for
        moments = (
            asked_for and asked_for.at + TOLERANCE,
            self.due_from,
            self.expected_from and self.expected_from + TOLERANCE,
            self.overdue_from,
            rotation and rotation.delete_due_at,
            self.deletion_at,
            self.deletion_at and self.deletion_at + LATE_AFTER,
            *(at for each in self.account.policy.freezes for at in (each.since, each.until)),
        )
        return min((at for at in moments if at and at >= self.now), default=None)

    def is_late_at(self, now: datetime) -> bool:
        """Return whether anything is late at `now`."""
        return self.late_from is not None and now > self.late_from

    @cached_property
    def deletion_at(self) -> datetime | None:
        """When the open rotation's old secret may be deleted; None if no deletion is pending."""
        policy, rotation = self.account.policy, self.opened
        due = window.deletion_at(policy, rotation) if rotation else None
        # One that was not carried out before a change freeze waits for the end of that.
        is_put_off = due and due < self.now and rotation and rotation.reason != window.LEAKED
        return window.opens_at(policy, self.now) if is_put_off and self.freeze else due

    @property
    def next_due_at(self) -> datetime | None:
        """When the next rotation is due; None where that is not known, or on request only."""
        # Until a daemon removes it, the ledger has the time of an earlier policy.
        return None if self.account.policy.is_on_request else self.summary.next_due_at

    @property
    def overdue_from(self) -> datetime | None:
        """When the current secret becomes older than `max_age`; None for never, or not known."""
        since, max_age = self.summary.current_since, self.account.policy.max_age
        return since + max_age if since and max_age is not None else None

    @cached_property
    def due_from(self) -> datetime | None:
        """When a due rotation may begin; None where none is due, or an open one is verified."""
        rotation = self.rotation
        due_at = self.next_due_at
        if due_at is None or (self.opened and self.opened.verified_at):
            return None
        if rotation and rotation.outcome == "completed" and rotation.closed_at:
            # The last grace may have lasted longer: before its end, no rotation could begin.
            due_at = max(due_at, min(rotation.closed_at, self.now))
        return window.opens_at(self.account.policy, due_at)

    @cached_property
    def expected_from(self) -> datetime | None:
        """When a due rotation should begin, or one that is open and not verified should go on."""
        rotation = self.opened
        if rotation is None or rotation.verified_at:
            return self.due_from
        # One that was asked for is not due yet.
        begun = min(self.due_from or rotation.opened_at, rotation.opened_at)
        opens_at = rotation.waiting.retry_at if rotation.waiting else None
        return max(begun, opens_at or begun)

    @property
    def is_due(self) -> bool:
        """Whether a rotation is due."""
        return self.due_from is not None and self.now >= self.due_from

    @property
    def next_try_at(self) -> datetime | None:
        """When what failed or was refused is tried again; None where nothing was, or not by itself.

        An account without an open rotation is left alone until it is due.
        """
        retry_at, due_at = self.summary.retry_at, self.next_due_at
        if retry_at is None or self.opened:
            return retry_at
        return due_at and window.opens_at(self.account.policy, max(retry_at, due_at))

    @cached_property
    def late_from(self) -> datetime | None:
        """When the next action becomes late, or the secret overdue; None where nothing can.

        An account with a hold, or in a change freeze, is never late: an operator wants it to wait.
        """
        return None if self.is_paused else min(self._deadlines(), default=None)

    def _deadlines(self) -> Iterator[datetime]:
        if self.summary.asked_for:
            yield self.summary.asked_for.at + TOLERANCE
        if self.expected_from:
            yield self.expected_from + TOLERANCE
        if self.overdue_from:
            yield self.overdue_from
        if self.deletion_at:
            yield self.deletion_at + LATE_AFTER

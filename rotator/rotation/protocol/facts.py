"""Facts: the input of the rules, and what several of them derive from it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.model import MOST_OFFSET, Account, CurrentEntry, Note, PendingEntry, Request, Rotation
from rotator.rotation.observation import Observation
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.publish import Clear

#: Maximum age of an observation of Vonage for a decision that cannot be undone.
FRESH = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a decision depends on."""

    account: Account
    observation: Observation
    request: Request
    propagation_timeout: timedelta
    now: datetime

    @property
    def rotation(self) -> Rotation:
        """The open rotation, for rules about one."""
        if self.observation.rotation is None:
            message = "no rotation is open"
            raise AssertionError(message)
        return self.observation.rotation

    @property
    def current(self) -> CurrentEntry | None:
        return self.observation.current.entry

    @property
    def pending(self) -> PendingEntry | None:
        return self.observation.pending.entry

    @property
    def note(self) -> Note | None:
        return self.current.note if self.current else None

    @property
    def has_one_secret(self) -> bool:
        """Whether Vonage lists one secret alone, which it does not let anybody delete."""
        return len(self.observation.listing.ids) == 1

    @property
    def is_first(self) -> bool:
        """Whether the account has no secret in Vault yet, and its first one may be created."""
        return self.account.discovered and self.observation.current.version == 0

    @property
    def is_note_known(self) -> bool:
        """Whether the note's id is certain: Vonage lists it, or the ledger has it."""
        is_listed = self.note is not None and self.note.secret_id in self.observation.listing.ids
        return is_listed or self.observation.current.note_is_recorded

    @property
    def is_pushed(self) -> bool:
        """Whether the open rotation's value is, or was, the current one."""
        rotation = self.observation.rotation
        if rotation is None:
            return False
        is_noted = self.note is not None and self.note.rotation_id == rotation.id
        return rotation.vault_version is not None or is_noted

    @property
    def is_staged(self) -> bool:
        """Whether the pending entry is this rotation's."""
        pending = self.pending
        if pending is None or pending.rotation_id != self.rotation.id:
            return False
        return pending.difference(self.account.identity) is None

    @property
    def new_ids(self) -> list[str]:
        """The ids listed since staging that may be the secret that was sent.

        Excluded are ids in the ledger, as an orphan may appear late and a deleted one may be listed
        again; and the id in Vault's note, which an operator adopted since.
        """
        ledger = self.observation.ledger
        staged = self.pending.listed_ids if self.pending else frozenset()
        adopted = (
            {self.note.secret_id} if self.note and self.current and self.current.intact else set()
        )
        deleted = ledger.deleted_ids | ledger.perhaps_deleted_ids
        known = ledger.expendable_ids | deleted | adopted
        return sorted(self.observation.listing.ids - staged - known)

    @property
    def may_be_sent(self) -> bool:
        """Whether Vonage may have received the pending value.

        A pass that staged it knows what became of it. For an entry it finds, only the ledger knows,
        which may have been restored, or have lost its latest entries.
        """
        return self.rotation.sent_at is not None or not self.observation.pending.is_unsent

    @property
    def is_fresh(self) -> bool:
        """Whether Vonage's list and Vault's value were seen just now."""
        current = self.observation.current.authenticated_at
        return self.is_recent(self.observation.listing.seen_at) and self.is_recent(current)

    @property
    def is_pending_live(self) -> bool:
        """Whether the pending value has authenticated just now."""
        return self.is_recent(self.observation.pending.authenticated_at)

    def is_recent(self, at: datetime | None) -> bool:
        """Return whether `at` is recent enough for a decision that cannot be undone.

        A time later than now is not: the clock has been set back since.
        """
        return at is not None and abs(self.now - at) <= FRESH

    @property
    def is_refused(self) -> bool:
        """Whether the pending value was still refused after the propagation timeout.

        The passing of time alone proves nothing: what counts is how long after the value was sent,
        and first refused, the last answer came.
        """
        since, at = self.observation.pending.refused_since, self.observation.pending.refused_at
        if since is None or at is None:
            return False
        # A time of sending later than the refusal came from a clock that was ahead.
        sent_at = self.rotation.sent_at
        sent_at = sent_at if sent_at and sent_at <= at else since
        return at - max(since, sent_at) >= self.propagation_timeout

    @property
    def is_clock_unusable(self) -> bool:
        """Whether this clock is so far behind Vonage's that no grace can be counted by it."""
        return self.observation.listing.clock_offset < -MOST_OFFSET

    def clear(self) -> Clear:
        """Return the step that clears the visible and the pushed versions of the pending entry.

        A lagging standby may not show the latter.
        """
        version = self.observation.pending.version
        return Clear(upto=max(version, self.rotation.pending_version))


Rule = Callable[[Facts], Action | None]


def first(rules: Iterable[Rule], facts: Facts) -> Action | None:
    """Return the first answer, with its rule's name; None where no rule applies."""
    for rule in rules:
        if action := rule(facts):
            return action if action.rule else replace(action, rule=rule.__name__)
    return None


def when(applies: Callable[[Facts], object], rules: Iterable[Rule]) -> Rule:
    """Return `rules` as one rule, for where `applies` is true."""
    return lambda facts: first(rules, facts) if applies(facts) else None

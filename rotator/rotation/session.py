"""A lease on one account, the entries of its next commit, and the record around each effect."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TypeVar

from rotator.errors import (
    HoldChanged,
    LeaseLost,
    LedgerError,
    LedgerUnusable,
    Refused,
    RotatorError,
    Withdrawn,
)
from rotator.model import Hold, Identity, Outcome, Rotation
from rotator.rotation.ports import (
    AccountSnapshot,
    AccountState,
    Claimant,
    CommitResult,
    LastLook,
    Lease,
    Ledger,
    NewEntry,
    Observer,
)

Result = TypeVar("Result")

#: Longest time from the start of the last look to the effect, in seconds.
LONGEST_LOOK = 1.0
#: How many last looks may take longer before the effect is withdrawn.
_MOST_LOOKS = 3


@dataclass(kw_only=True)
class LedgerSession:
    """Collects entries, and commits them together before anything is done that relies on them."""

    ledger: Ledger
    lease: Lease
    now: Callable[[], datetime]
    #: Must keep counting while the process is stopped or the machine suspended.
    monotonic: Callable[[], float]
    observer: Observer
    #: Entries not committed yet.
    entries: list[NewEntry] = field(default_factory=list)
    #: A commit is needed without an entry: the rotation changed in a way that is no event.
    is_stale: bool = False
    #: Hash of the newest committed entry.
    head: str = ""
    #: Monotonic time until which the lease is certainly ours.
    lease_until: float = 0.0
    #: Some effect was tried, and has entries of its own.
    has_tried: bool = False

    def begin(self) -> AccountState:
        """Load the ledger's state of the account, at the start of a pass."""
        state = self.ledger.load(self.lease.account)
        self.head = state.head
        self.lease_until = self.monotonic() + self.lease.seconds
        return state

    def commit(
        self, rotation: Rotation | None, snapshot: AccountSnapshot | None, *, last: bool
    ) -> CommitResult | None:
        """Commit the collected entries, `rotation` and `snapshot`, if there is anything to commit.

        The `last` commit of a pass releases the lease. Returns None where there was nothing.

        Raises:
            LedgerError: it is not certain to be recorded.
            LeaseLost: another process works on the account; nothing was recorded.
        """
        if not self.entries and not self.is_stale:
            return None
        began, entries = self.monotonic(), self.entries
        committed = self.ledger.commit(
            self.lease,
            rotation=rotation,
            entries=entries,
            snapshot=snapshot,
            now=self.now(),
            last=last,
        )
        self.head = committed.head
        self.lease_until, self.entries, self.is_stale = began + self.lease.seconds, [], False
        for entry in (*committed.found, *entries):
            self.observer.entry_recorded(self.lease.account, entry)
        return committed

    def register(self, identity: Identity) -> Claimant | None:
        """Record the account's identity; see `Ledger.register`."""
        return self.ledger.register(self.lease, identity, self.now())

    def renew(self) -> None:
        """Prolong the lease.

        Raises:
            LeaseLost: it is no longer ours.
        """
        began = self.monotonic()
        self.ledger.renew(self.lease, self.now())
        self.lease_until = began + self.lease.seconds

    @contextmanager
    def asked_for(self, request: NewEntry) -> Iterator[None]:
        """Record what a person asks for before a `with` block that does it.

        If an error ends the block before its first effect, that is recorded as well.

        Raises:
            LedgerError: nothing is certain to be recorded.
        """
        self.entries.append(request)
        self.commit(None, None, last=False)
        try:
            yield
        except (LeaseLost, LedgerError, LedgerUnusable):
            raise
        except RotatorError as error:
            if not self.has_tried:
                self.entries.append(not_begun(str(request.detail["operation"]), error))
                self.commit(None, None, last=False)
            raise

    def perform(
        self,
        send: Callable[[LastLook], Result],
        *,
        hold: Hold | None,
        intend: Callable[[], object],
        done: Callable[[Result], object],
        missed: Callable[[str, RotatorError], object],
    ) -> Result:
        """Change something at Vonage or Vault, with its intent committed before.

        Every effect goes through here: a rotation's, an adoption's, a manual operation's. `intend`
        commits that it is about to be tried, so that whoever finds the account later observes what
        happened. `send` tries it, once; it makes the last look right before the first byte: the
        lease must be ours, and `hold` the one known at the decision. Then one of these records the
        outcome:

        done     the answer was that it took place
        missed   as "rejected": the server refused, and it certainly had no effect; as "unknown":
                 the answer was lost, and it may have taken place; as "withdrawn": it was not sent

        If the lease or the ledger is lost, the intent stands alone, which is unknown as well.

        Raises:
            RotatorError: it did not take place, or may not have.
        """
        intend()
        self.has_tried = True
        try:
            result = send(partial(self.last_look, hold))
        except (LeaseLost, LedgerError, LedgerUnusable):
            raise
        except RotatorError as error:
            missed(_event_of(error), error)
            raise
        done(result)
        return result

    def last_look(self, hold: Hold | None, also: Callable[[], object] = lambda: None) -> None:
        """Check at the last moment that an effect is still right.

        Called right before the first byte of the effect, which may have waited for a rate limit or
        a connection since its intent. `hold` is the one known when the effect was decided; `also`
        raises if anything else has changed. A check that took too long is repeated, as something
        may have changed since it began.

        Raises:
            LeaseLost: another process works on the account, or may soon.
            HoldChanged: an operator has held or released the account meanwhile.
            Withdrawn: no check was quick enough.
        """
        for _ in range(_MOST_LOOKS):
            began = self.monotonic()
            also()
            now = self.ledger.check(self.lease)
            self.check_lease()
            if now != hold:
                raise HoldChanged
            if self.monotonic() - began <= LONGEST_LOOK:
                return
        raise Withdrawn

    def check_lease(self) -> None:
        """Refuse to go on if this process was paused for long: another may have taken over.

        Raises:
            LeaseLost: less than half of the lease is left.
        """
        if self.monotonic() > self.lease_until - self.lease.seconds / 2:
            raise LeaseLost


def not_begun(operation: str, error: RotatorError) -> NewEntry:
    """Record that what a person asked for was refused, or failed before its first effect."""
    is_refused = error.exit_code == Refused.exit_code
    outcome = Outcome.REFUSED if is_refused else Outcome.FAILED
    detail = {"operation": operation, "outcome": outcome.value, "code": error.code}
    return NewEntry(event="not-begun", step=None, detail=detail)


def _event_of(error: RotatorError) -> str:
    if isinstance(error, Withdrawn):
        return "withdrawn"
    return "rejected" if error.definite else "unknown"

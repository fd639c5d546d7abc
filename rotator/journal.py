"""What a pass writes into the ledger, and the lease by which it may."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from rotator.errors import LeaseLost
from rotator.model import Identity, Rotation
from rotator.ports import Claimant, Committed, Draft, Lease, Ledger, Memory, Sighting


@dataclass(kw_only=True)
class Journal:
    """Collects entries, and commits them together before anything is done on their word."""

    ledger: Ledger
    lease: Lease
    now: Callable[[], datetime]
    #: Must go on counting while the process is stopped, or the machine suspended.
    monotonic: Callable[[], float]
    #: Told every entry right after it was committed: account name and entry.
    listener: Callable[[str, Draft], None]
    #: Entries not committed yet.
    drafts: list[Draft] = field(default_factory=list)
    #: Something else is to be committed: the rotation changed in what is no event.
    is_stale: bool = False
    #: Hash of the newest committed entry.
    head: str = ""
    #: Monotonic time until which the lease is certainly ours.
    lease_until: float = 0.0

    def begin(self) -> Memory:
        """Give what the ledger knows of the account, at the start of a pass."""
        memory = self.ledger.recall(self.lease.account)
        self.head = memory.head
        self.lease_until = self.monotonic() + self.lease.seconds
        return memory

    def commit(
        self, rotation: Rotation | None, sighting: Sighting | None, *, last: bool
    ) -> Committed | None:
        """Record what was collected, `rotation` as it is now and `sighting`, if there is anything.

        The `last` commit of a pass gives the lease up. Gives None where there was nothing.

        Raises:
            LedgerError: it is not sure to be recorded.
            LeaseLost: another process works on the account; nothing was recorded.
        """
        if not self.drafts and not self.is_stale:
            return None
        began, drafts = self.monotonic(), self.drafts
        committed = self.ledger.commit(
            self.lease,
            rotation=rotation,
            entries=drafts,
            sighting=sighting,
            now=self.now(),
            last=last,
        )
        self.head = committed.head
        self.lease_until, self.drafts, self.is_stale = began + self.lease.seconds, [], False
        for draft in drafts:
            self.listener(self.lease.account, draft)
        return committed

    def register(self, identity: Identity) -> Claimant | None:
        """Record what the account is; see `Ledger.register`."""
        return self.ledger.register(self.lease, identity)

    def renew(self) -> None:
        """Prolong the lease.

        Raises:
            LeaseLost: it is no longer ours.
        """
        began = self.monotonic()
        self.ledger.renew(self.lease, self.now())
        self.lease_until = began + self.lease.seconds

    def check_lease(self) -> None:
        """Stop if this process was paused for so long that another may have taken over.

        Raises:
            LeaseLost: less than half of the lease is left.
        """
        if self.monotonic() > self.lease_until - self.lease.seconds / 2:
            raise LeaseLost

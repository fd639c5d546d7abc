"""Dependencies of the reconciler: ports, clock, randomness."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rotator.model import Account, Rotation, ShutGate, generation
from rotator.rotation.ports import Hooks, Issuer, Lease, Ledger, NoObserver, Observer, Store
from rotator.rotation.session import LedgerSession


def utc_now() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def steady() -> float:
    """Return monotonic seconds that keep counting during suspend (CLOCK_BOOTTIME).

    Python's monotonic clock stops during suspend; another machine may have taken over a lease then.
    """
    return time.clock_gettime(_STEADY)


_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class NoHooks(Hooks):
    """Hooks of an installation without hooks: none to notify, no gate to ask."""

    def has_subscribers(self, account: Account) -> bool:
        """See `Hooks.has_subscribers`."""
        del account
        return False

    def gates(self, account: Account) -> tuple[str, ...]:
        """See `Hooks.gates`."""
        del account
        return ()

    def ask(self, account: Account, rotation: Rotation, gate: str) -> ShutGate | None:
        """See `Hooks.ask`."""
        del account, rotation
        message = f"there is no gate {gate}"
        raise AssertionError(message)

    def is_notifying(self, account: Account) -> bool:
        """See `Hooks.is_notifying`."""
        del account
        return False

    def notify(self, account: Account) -> Iterator[object]:
        """See `Hooks.notify`."""
        del account
        return iter(())


@dataclass(frozen=True, kw_only=True)
class Dependencies:
    """Dependencies of a pass; shared by all accounts and threads."""

    issuer: Issuer
    store: Store
    ledger: Ledger
    #: Every configured account by name.
    accounts: Mapping[str, Account]
    #: How long Vonage may refuse a new secret before the refusal counts.
    propagation_timeout: timedelta
    #: How long writes are retried while the store is unreachable.
    store_patience: timedelta = timedelta()
    hooks: Hooks = field(default_factory=NoHooks)
    observer: Observer = field(default_factory=NoObserver)
    generate: Callable[[int], str] = generation.generate
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    now: Callable[[], datetime] = utc_now
    #: Must keep counting while the process is stopped or the machine suspended.
    monotonic: Callable[[], float] = steady
    sleep: Callable[[float], None] = time.sleep
    #: Asked before each step: whether this process is to end, and its passes with it.
    should_stop: Callable[[], bool] = lambda: False

    def session(self, lease: Lease) -> LedgerSession:
        """Return the ledger session of a pass under `lease`."""
        return LedgerSession(
            ledger=self.ledger,
            lease=lease,
            now=self.now,
            monotonic=self.monotonic,
            observer=self.observer,
        )

"""What the engine works with: its ports, its clock and its chance."""

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from rotator.model import Account, Rotation, generation
from rotator.rotation.observation import Observer
from rotator.rotation.ports import Draft, Hooks, Issuer, Lease, Ledger, Store
from rotator.rotation.session import Journal


def utc_now() -> datetime:
    """Give the present time."""
    return datetime.now(UTC)


def steady() -> float:
    """Give seconds that nobody sets, and that also pass while the machine is suspended.

    Python's monotonic clock stands still then, and another machine may have taken a lease over.
    """
    return time.clock_gettime(_STEADY)


_STEADY: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class NoHooks(Hooks):
    """Nobody is told, and nobody is asked."""

    def has_listeners(self, account: Account) -> bool:
        """See `Hooks.has_listeners`."""
        del account
        return False

    def gates(self, account: Account) -> tuple[str, ...]:
        """See `Hooks.gates`."""
        del account
        return ()

    def ask(self, account: Account, rotation: Rotation, gate: str) -> str | None:
        """See `Hooks.ask`."""
        del account, rotation
        message = f"there is no gate {gate}"
        raise AssertionError(message)

    def is_telling(self, account: Account) -> bool:
        """See `Hooks.is_telling`."""
        del account
        return False

    def tell(self, account: Account) -> Iterator[object]:
        """See `Hooks.tell`."""
        del account
        return iter(())


@dataclass(frozen=True, kw_only=True)
class Means:
    """What a pass works with. One for all accounts and threads."""

    issuer: Issuer
    store: Store
    ledger: Ledger
    #: Every configured account by name.
    accounts: Mapping[str, Account]
    #: How long a new secret may be refused by Vonage before that means anything.
    propagation_timeout: timedelta
    #: For how long writes are tried again that found the store away.
    store_patience: timedelta = timedelta()
    hooks: Hooks = field(default_factory=NoHooks)
    #: Told every ledger entry right after it was committed: account name and entry.
    listener: Callable[[str, Draft], None] = lambda _name, _draft: None
    draw: Callable[[int], str] = generation.draw
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    now: Callable[[], datetime] = utc_now
    #: Must go on counting while the process is stopped, or the machine suspended.
    monotonic: Callable[[], float] = steady
    sleep: Callable[[float], None] = time.sleep
    #: Asked before each step: whether this process is to end, and passes with it.
    should_stop: Callable[[], bool] = lambda: False

    def journal(self, lease: Lease) -> Journal:
        """Give what a pass under `lease` writes to."""
        return Journal(
            ledger=self.ledger,
            lease=lease,
            now=self.now,
            monotonic=self.monotonic,
            listener=self.listener,
        )

    def observer(self) -> Observer:
        """Give what a pass looks with."""
        return Observer(
            issuer=self.issuer,
            store=self.store,
            ledger=self.ledger,
            accounts=self.accounts,
            hooks=self.hooks,
            now=self.now,
        )

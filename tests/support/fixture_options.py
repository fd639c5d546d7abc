"""How a rotation fixture begins."""

from dataclasses import dataclass
from datetime import timedelta

from rotator.model import Account, Freeze, OnForeign
from rotator.model.notification import Hook
from rotator.sim import Environment, VaultSimulator, VonageSimulator
from tests.support import samples
from tests.support.clock import START, FakeClock

#: Each simulated account's first secret is older than the fixture by this.
AGE = timedelta(days=40)
NAME = "account-1"
SUB = "account-1-sub-1"


@dataclass(frozen=True, kw_only=True)
class FixtureOptions:
    """How a rotation fixture begins."""

    grace: timedelta = timedelta()
    on_foreign: OnForeign = OnForeign.REFUSE
    window: tuple[str, ...] = ()
    #: Field for the replaced value; "" for none.
    previous_field: str = ""
    freezes: tuple[Freeze, ...] = ()
    prove_deletion: bool = False
    #: Seconds in which a new or revoked secret becomes known all over Vonage.
    propagation: float = 0.0
    propagation_timeout: timedelta = timedelta(minutes=2)
    #: Accounts of their own, and subaccounts of the first one.
    accounts: int = 1
    subaccounts: int = 0
    full_status: int = 403
    #: The account was rotated before, so that its Vault entry has a note.
    rotated_before: bool = False
    hooks: tuple[Hook, ...] = ()
    #: Vonage's Audit API is asked who made what rotator did not.
    audit: bool = False
    #: URL of an empty ledger; without one, a new SQLite file.
    ledger_url: str = ""
    #: URL by which the reconciler reaches that ledger; without one, the same.
    engine_ledger_url: str = ""

    def world(self, clock: FakeClock) -> Environment:
        """Build both simulators, not started, with their accounts."""
        world = Environment(
            vonage=VonageSimulator(
                propagation=self.propagation,
                full_status=self.full_status,
                clock=clock.nanoseconds,
            ),
            vault=VaultSimulator(clock=clock.nanoseconds),
        )
        for number in range(1, self.accounts + 1):
            world._add(f"account-{number}", None, START - AGE)
        for number in range(1, self.subaccounts + 1):
            world._add(f"{NAME}-sub-{number}", world.accounts[0], START - AGE)
        return world

    def managed(self, world: Environment) -> dict[str, Account]:
        """Return the world's accounts as they are configured."""
        policy = samples.policy(
            grace=self.grace,
            on_foreign=self.on_foreign,
            window=self.window,
            freezes=self.freezes,
            prove_deletion=self.prove_deletion,
        )
        return {
            made.name: samples.account(
                made.name,
                made.managed_by,
                api_key=made.api_key,
                vault_path=made.vault_path,
                previous_field=self.previous_field,
                policy=policy,
            )
            for made in world.accounts
        }

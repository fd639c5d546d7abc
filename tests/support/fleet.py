"""A fleet with an account in every state, driven by a clock."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, PassResult, State
from rotator.model.notification import Event, Hook
from rotator.rotation import schedule
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import ANN

#: For everything that is wrong.
HOOK = Hook(
    name="pager",
    on=frozenset({Event.BROKEN, Event.DRIFT, Event.REFUSED, Event.FAILED, Event.OVERDUE}),
    command=("/bin/true",),
)


class Fleet(RotationFixture):
    """One account for each state, named after it."""

    def __init__(self, folder: Path) -> None:
        """Build it: nothing has happened yet."""
        super().__init__(folder, accounts=len(State), hooks=(HOOK,))
        #: Name of the account in each state.
        self.name_of = dict(zip(State, list(self.accounts), strict=True))

    def __enter__(self) -> Self:
        """Bring each account into its state."""
        super().__enter__()
        for state, name in self.name_of.items():
            if state is not State.UNMANAGED:
                assert self.attempt(name).outcome is Outcome.COMPLETED
        self.clock.advance(days=10)
        for state in (State.ROTATING, *(each for each in State if each is not State.ROTATING)):
            getattr(self, f"_{state.value}")(self.name_of[state])
        return self

    def attempt(self, name: str = NAME, **request: Any) -> PassResult:  # noqa: ANN401  # as there
        """Make one pass, which somebody asked for."""
        return super().attempt(name, **{"actor": ANN, **request})

    def _policy(self, name: str, **changes: Any) -> None:  # noqa: ANN401  # of `Policy`
        account = self.accounts[name]
        self.accounts[name] = replace(account, policy=replace(account.policy, **changes))

    def _rotating(self, name: str) -> None:
        """Kill the process in the middle of a rotation."""
        self.calls.plan("after", "store.write_pending", 1, self.calls.kill)
        assert self.run_until_killed(name) is None

    def _waiting(self, name: str) -> None:
        assert self.attempt(name, grace=timedelta(days=1)).outcome is Outcome.AWAITING_DELETION

    def _failing(self, name: str) -> None:
        """Let Vonage fail for this account, three times."""
        fault = Fault("status", status=500, times=None, path=self.accounts[name].api_key)
        self.world.vonage.faults.add(fault)
        for _ in range(3):
            assert self.attempt(name).outcome is Outcome.FAILED
        self.world.vonage.faults.clear()

    def _refused(self, name: str) -> None:
        """Ask for a rotation with a grace while the machine's clock is days behind."""
        self.clock_offset = timedelta(days=-2)
        refused = self.attempt(name, grace=timedelta(days=1))
        self.clock_offset = timedelta()
        assert refused.outcome is Outcome.REFUSED

    def _drifted(self, name: str) -> None:
        self.make_foreign(name)
        self.reconciler.refresh(self.accounts[name])

    def _unmanaged(self, name: str) -> None:
        """Find two secrets, and no note about which one is used."""
        self.make_foreign(name)
        self.reconciler.refresh(self.accounts[name])

    def _broken(self, name: str) -> None:
        """Revoke what consumers read."""
        self.make_foreign(name)
        (current, _) = sorted(
            self.secrets(name), key=lambda secret: secret.value != self.look(name).value
        )
        self.revoke(current.id, name)
        self.reconciler.refresh(self.accounts[name])

    def _held(self, name: str) -> None:
        hold = Hold(reason="moving house", by="ann", at=self.clock.now())
        Holds(self.database).put(name, hold)

    def _overdue(self, name: str) -> None:
        self._policy(name, every=timedelta(days=8), max_age=timedelta(days=9))
        self._reschedule()

    def _due(self, name: str) -> None:
        [summary] = self.queries.accounts([name])
        assert summary.current_since
        age = self.clock.now() - summary.current_since
        self._policy(name, every=age - timedelta(minutes=5))
        self._reschedule()

    def _reschedule(self) -> None:
        """Update the recorded due times, as a daemon does at a reload."""
        self.writer.reschedule(lambda name, at: schedule.next_due(self.accounts[name], at))

    def _healthy(self, name: str) -> None:
        """Leave it alone."""

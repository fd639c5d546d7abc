"""Long random histories of passes, faults, kills and operators: none is taken for tampering.

Each seed is one history. What a single fault or actor does is shown elsewhere; here they meet.
"""

import random
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from rotator.cli.commands.forget import _forget
from rotator.errors import LedgerError, RotatorError
from rotator.ledger.holds import Holds
from rotator.model import Actor, Freeze, Hold, OnForeign
from tests.support import faults
from tests.support.invariant_monitor import Seen
from tests.support.port_interceptor import MOMENTS, Killed
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture
from tests.support.samples import ANN

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.application import Application

MISHAPS = sorted(faults.MISHAPS.keys() - faults.SLOW.keys() - {"huge"})
#: Fields that a replaced value may be kept in; "" for none.
FIELDS = ("", "api_secret_previous", "another")
#: Things that happen in one history.
LENGTH = 30
FEW, MANY = range(6), range(6, 36)


class History:
    """What happens to one account, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        """Draw what kind of account it is, and how bad its luck."""
        self.chance = random.Random(seed)
        self.setting = {
            "rotated_before": self.chance.random() < 0.4,
            "grace": timedelta(hours=self.chance.choice([0, 0, 1])),
            "propagation": self.chance.choice([0.0, 0.0, 0.5, 10.0]),
            "on_foreign": self.chance.choice(list(OnForeign)),
            "previous_field": self.chance.choice(FIELDS),
            "prove_deletion": self.chance.random() < 0.5,
        }
        self.mishaps = self.chance.choice([0.0, 0.0, 0.1, 0.25])
        self.kills = self.chance.choice([0.0, 0.1, 0.3])
        #: What happened, for the message of a failed test.
        self.told: list[str] = []
        self.kept: Path | None = None

    def meet(self, fixture: RotationFixture, seen: Seen) -> None:
        """Let a request meet a mishap, or not."""
        if self.chance.random() < self.mishaps:
            name = self.chance.choice(MISHAPS)
            if faults.applies(name, seen.system):
                faults.MISHAPS[name](fixture, seen)

    def threaten(self, fixture: RotationFixture) -> None:
        """Plan kills, failures of the ledger, and operators in the middle of a pass."""
        for moment in MOMENTS:
            number = self.chance.randrange(1, 14)
            if self.chance.random() < self.kills:
                prefix = self.chance.choice(["", "ledger.", "ledger.commit"])
                fixture.calls.plan(moment, prefix, number, fixture.calls.kill)
            if self.chance.random() < 0.05:
                fixture.calls.plan(moment, "ledger.", number, _fail)
        # Once: a hold that is lifted again before the effect withdraws nothing.
        if self.chance.random() < 0.4:
            moment, number = self.chance.choice(MOMENTS), self.chance.randrange(1, 14)
            fixture.calls.plan(moment, "", number, lambda: self._hold_or_lift(fixture))

    def go_on(self, fixture: RotationFixture) -> None:
        """Let one thing happen."""
        events: dict[Callable[[RotationFixture], object], int] = {
            self._attempt: 6,
            self._resume: 4,
            self._compromised: 1,
            self._adopt: 2,
            self._hold_or_lift: 5,
            self._forget: 1,
            self._move_clock: 2,
            self._let_pass: 3,
            self._drop_pending: 1,
            self._reconfigure: 3,
            self._edit_note: 1,
            self._wait_out: 4,
            self._lose_or_keep: 2,
        }
        (event,) = self.chance.choices([*events], weights=[*events.values()])
        self.told.append(event.__name__)
        try:
            event(fixture)
        except Killed:
            self.told.append("  killed")
        except RotatorError as error:
            self._note(type(error).__name__, error.code)

    def _note(self, outcome: str, code: str) -> None:
        self.told.append(f"  {outcome}: {code}")
        assert code != "ledger-tampered", self.text()

    def text(self) -> str:
        """Return the history as lines."""
        return "\n".join(self.told)

    def _pass(self, fixture: RotationFixture, reason: str | None, **request: object) -> None:
        report = fixture.attempt(reason=reason, **request)  # type: ignore[arg-type]
        self._note(report.outcome, report.error.code if report.error else "")

    def _attempt(self, fixture: RotationFixture) -> None:
        grace = self.chance.choice([None, None, timedelta(), timedelta(hours=2)])
        takes_over = self.chance.random() < 0.3
        self._pass(fixture, "asked", grace=grace, takes_over=takes_over, actor=ANN)

    def _resume(self, fixture: RotationFixture) -> None:
        self._pass(fixture, None)

    def _compromised(self, fixture: RotationFixture) -> None:
        self._pass(fixture, "compromised", grace=timedelta(), actor=ANN)

    def _adopt(self, fixture: RotationFixture) -> None:
        secret = self.chance.choice(fixture.secrets())
        secret_id = self.chance.choice([None, secret.id])
        fixture.adopt(self.chance.choice([None, secret.value]), secret_id=secret_id)

    def _hold_or_lift(self, fixture: RotationFixture) -> None:
        holds, now = Holds(fixture.database), fixture.clock.now() + fixture.clock_offset
        if self.chance.random() < 0.4:
            # No two alike: a pass may go on under the very hold that it was decided under.
            reason, freeze = f"{self.chance.random()}", self.chance.random() < 0.5
            holds.put(NAME, Hold(reason=reason, by="ann", at=now, freeze=freeze))
        else:
            holds.lift(NAME, actor=Actor(by="bob", host="there"), now=now)

    def _forget(self, fixture: RotationFixture) -> None:
        application = SimpleNamespace(ledger=SimpleNamespace(writer=fixture.writer))
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        try:
            is_abandoned = self.chance.random() < 0.5
            _forget(cast("Application", application), lease, ANN, abandon=is_abandoned)
        finally:
            fixture.writer.release(lease)

    def _move_clock(self, fixture: RotationFixture) -> None:
        seconds = self.chance.choice([0, 0, -30, 30, 400, -400, 90000])
        fixture.clock_offset = timedelta(seconds=seconds)

    def _let_pass(self, fixture: RotationFixture) -> None:
        fixture.clock.advance(seconds=self.chance.choice([60, 300, 3700, 86400, 31 * 86400]))

    def _wait_out(self, fixture: RotationFixture) -> None:
        fixture.clock.advance(hours=2)
        self._pass(fixture, None)

    def _reconfigure(self, fixture: RotationFixture) -> None:
        account, now = fixture.accounts[NAME], fixture.clock.now()
        until = now + timedelta(hours=self.chance.choice([1, 30]))
        freeze = Freeze(since=now, until=until, reason="year-end")
        policy = replace(
            account.policy,
            prove_deletion=self.chance.random() < 0.5,
            freezes=self.chance.choice([(), (), (freeze,)]),
        )
        field = self.chance.choice(FIELDS)
        fixture.accounts[NAME] = replace(account, previous_field=field, policy=policy)

    def _edit_note(self, fixture: RotationFixture) -> None:
        note = fixture.fields().get("rotator")
        if isinstance(note, dict):
            name = self.chance.choice(["api_secret", "note", "", None])
            fixture.patch(rotator={**note, "previous_field": name})

    def _drop_pending(self, fixture: RotationFixture) -> None:
        fixture.drop_pending()

    def _lose_or_keep(self, fixture: RotationFixture) -> None:
        if self.kept is None:
            self.kept = fixture.keep_ledger()
        elif self.chance.random() < 0.5:
            fixture.restore_ledger(self.kept)
            self.kept = None


def _fail() -> None:
    raise LedgerError


@pytest.mark.parametrize(
    "seed", [*FEW, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MANY)]
)
def test_an_honest_history_is_not_taken_for_tampering(tmp_path: Path, seed: int) -> None:
    """After each event the rows match the entries, and every rule holds at every request."""
    history = History(seed)
    with RotationFixture(tmp_path, **history.setting) as fixture:
        for _ in range(LENGTH):
            fixture.monitor.before[:] = [lambda seen: history.meet(fixture, seen)]
            history.threaten(fixture)
            history.go_on(fixture)
            fixture.monitor.before[:] = []
            faults.mend(fixture)
            if fixture.calls.is_dead:
                fixture.clock.advance(seconds=2 * LEASE)
            fixture.restart()
            check = fixture.queries.verify(NAME)

            assert not check.faults, history.text()

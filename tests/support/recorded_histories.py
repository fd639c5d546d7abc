"""Histories of an account, as the real engine records them: one of each kind."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from rotator.ledger.holds import Holds
from rotator.model import Hold
from rotator.model.notification import Event, Hook
from rotator.rotation.manual import manual_operation
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import ANN

GATE = Hook(name="gate", on=frozenset({Event.GATE}), command=("true",))
NONE, DAY = timedelta(), timedelta(days=1)
#: What makes a history, and how the fixture is set up for it.
History = tuple[dict[str, Any], Callable[[RotationFixture], object]]


def plain(fixture: RotationFixture) -> None:
    """Rotate twice without a grace, the second time because it is due."""
    fixture.attempt(actor=ANN)
    fixture.clock.advance(days=31)
    fixture.attempt(reason="due")


def waited(fixture: RotationFixture) -> None:
    """Wait out a grace beside the old value, then see it refused."""
    fixture.attempt(reason="due")
    fixture.clock.advance(hours=25)
    fixture.resume()


def ended(fixture: RotationFixture) -> None:
    """End a grace early, as a person asks for."""
    fixture.attempt(actor=ANN)
    fixture.clock.advance(hours=1)
    fixture.attempt(grace=NONE, actor=ANN)


def leaked(fixture: RotationFixture) -> None:
    """Replace a secret that leaked in the grace of another one."""
    fixture.attempt(reason="due")
    fixture.clock.advance(hours=1)
    fixture.attempt(reason="compromised", grace=NONE, actor=ANN)


def evicted(fixture: RotationFixture) -> None:
    """Free the slot of a predecessor that came back."""
    old = fixture.attempt(reason="due").old_secret_id
    assert old
    fixture.clock.advance(hours=25)
    fixture.resume()
    fixture.world.vonage.restore(fixture.accounts[NAME].api_key, old)
    fixture.clock.advance(days=31)
    fixture.attempt(reason="due")
    fixture.clock.advance(hours=25)
    fixture.resume()


def undone(fixture: RotationFixture) -> None:
    """Undo a rotation whose secret does not work in time, and rotate again."""
    fixture.propagate_in(3600)
    fixture.attempt(reason="due")
    fixture.propagate_in(0)
    fixture.clock.advance(hours=2)
    fixture.attempt(reason="due")
    fixture.clock.advance(hours=25)
    fixture.resume()


def lost(fixture: RotationFixture) -> None:
    """Look again after each answer that was lost."""
    for path in (r"/accounts/[^/]+/secrets", r"/v1/secret/data/.*"):
        for server in (fixture.world.vonage, fixture.world.vault):
            server.faults.add(Fault("drop-after", method="POST", path=path))
    fixture.world.vonage.faults.add(Fault("drop-after", method="DELETE", path=".*"))
    fixture.carry_on(reason="due")
    fixture.clock.advance(hours=25)
    fixture.carry_on(reason=None)
    fixture.resume()


def adopted(fixture: RotationFixture) -> None:
    """Adopt a secret in the middle of a grace, hold, release, and rotate on."""
    fixture.attempt(reason="due")
    new = fixture.fields()["api_secret"]
    fixture.adopt(str(new))
    holds = Holds(fixture.database)
    holds.put(NAME, Hold(reason="audit", by="ann", at=fixture.clock.now()))
    fixture.clock.advance(minutes=1)
    holds.lift(NAME, actor=ANN, now=fixture.clock.now())
    fixture.clock.advance(hours=25)
    fixture.resume()
    fixture.clock.advance(days=31)
    fixture.monitor.excused |= {"a value was pushed that is not the pending one"}
    fixture.patch(rotator=None)
    fixture.adopt(str(new))
    fixture.attempt(reason="due")


def by_hand(fixture: RotationFixture) -> None:
    """Delete a secret by hand."""
    fixture.attempt(reason="due")
    fixture.clock.advance(hours=25)
    fixture.resume()
    stranger = fixture.make_foreign()
    fixture.monitor.foreign.discard(stranger)
    account = fixture.accounts[NAME]
    doing = manual_operation(fixture.reconciler, account, "delete", actor=ANN, named=stranger)
    with doing as hand:
        seen = hand.observe()
        hand.perform(
            lambda look: fixture.reconciler.issuer.delete_secret(
                seen.credential, account.api_key, stranger, before_send=look
            ),
            stranger,
            seen=seen,
        )


_RICH: dict[str, Any] = {
    "grace": DAY,
    "hooks": (GATE,),
    "prove_deletion": True,
    "previous_field": "api_secret_previous",
}
#: By name.
HISTORIES: dict[str, History] = {
    "plain": ({}, plain),
    "waited": (_RICH, waited),
    "ended": (_RICH, ended),
    "leaked": (_RICH, leaked),
    "evicted": ({"grace": DAY}, evicted),
    "undone": ({"grace": DAY}, undone),
    "lost": ({"grace": DAY}, lost),
    "adopted": ({"grace": DAY}, adopted),
    "by hand": ({"grace": DAY}, by_hand),
}


def recorded(folder: Path, name: str) -> RotationFixture:
    """Return a fixture, to be entered, that stands as the history called `name` begins."""
    return RotationFixture(folder, **HISTORIES[name][0])

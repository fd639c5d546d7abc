"""The last look before an effect: what people and rivals do while it waits is seen in time.

From the decision to the first byte an effect may wait for its turn under a rate limit, for a
connection, or for the next try of one that came to nothing.
"""

import socket
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from rotator.errors import HoldChanged, LeaseLost
from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome
from rotator.network.connect import Address
from rotator.network.connect import connected as connect
from rotator.network.exchange import Exchange
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import IMPATIENT, LEASE, NAME, RotationFixture, code
from tests.support.samples import ANN

Act = Callable[[RotationFixture], object]
Wait = Callable[[RotationFixture, Act, pytest.MonkeyPatch], None]
FREEZE = Hold(reason="audit", by="ann", at=START, freeze=True)
#: Effects of a rotation, and the events in the ledger that speak of them.
EFFECTS = {
    "store.write_pending": "stage",
    "issuer.create_secret": "create",
    "store.write_current": "push",
    "store.clear_pending": "clear",
    "issuer.delete_secret": "delete",
}


def roll_back(fixture: RotationFixture) -> None:
    """Put the old value back into Vault: it is in use again."""
    fixture.roll_back()


def freeze(fixture: RotationFixture) -> None:
    """Freeze the account, so that rotator does nothing more."""
    Holds(fixture.database).put(NAME, FREEZE)


def take_over(fixture: RotationFixture) -> None:
    """Work on the account elsewhere."""
    fixture.rival()


def stand_still(fixture: RotationFixture) -> None:
    """Let most of the lease pass, so that another process may take it soon."""
    fixture.clock.advance(seconds=LEASE * 0.6)


#: What happens, and how the pass then ends.
ACTS: dict[Act, str] = {
    roll_back: "drift",
    freeze: "held",
    take_over: "lease-lost",
    stand_still: "lease-lost",
}


def for_its_turn(fixture: RotationFixture, act: Act, _patch: pytest.MonkeyPatch) -> None:
    """Make it happen while the deletion waits under the rate limit."""
    limit = fixture.transport._limit
    taken = limit.acquire

    def acquire() -> None:
        taken()
        if fixture.calls.names[-1] == "issuer.delete_secret":
            act(fixture)

    limit.acquire = acquire  # type: ignore[method-assign]


def for_a_connection(fixture: RotationFixture, act: Act, patch: pytest.MonkeyPatch) -> None:
    """Make it happen while the deletion is being connected, for longer than it takes."""
    fixture.wait_for_answers(LEASE)

    def connected(addresses: Sequence[Address], exchange: Exchange) -> socket.socket:
        if fixture.calls.names[-1] == "issuer.delete_secret":
            act(fixture)
        return connect(addresses, exchange)

    patch.setattr("rotator.network.client.connected", connected)


@pytest.mark.parametrize("wait", [for_its_turn, for_a_connection])
@pytest.mark.parametrize("act", ACTS)
def test_no_deletion_is_sent_that_is_not_right_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait: Wait, act: Act
) -> None:
    """Vonage never hears of it, and both secrets live on."""
    with RotationFixture(tmp_path) as fixture:
        wait(fixture, act, monkeypatch)
        report = fixture.attempt()

        assert code(report) == ACTS[act]
        assert "intent delete" in fixture.events()
        assert not any(request.startswith("DELETE") for request in fixture.requests())
        assert len(fixture.secrets()) == 2


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", method="DELETE", status=503),
        Fault("status", method="DELETE", status=429, headers={"Retry-After": "7"}),
        Fault("drop-before", method="DELETE"),
        Fault("timeout-before", method="DELETE", seconds=2 * IMPATIENT),
    ],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
@pytest.mark.parametrize("act", [roll_back, freeze, take_over])
def test_no_deletion_is_repeated_without_a_look(tmp_path: Path, fault: Fault, act: Act) -> None:
    """What happens while it waits for the next try is seen: there is none."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(fault)
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: hurry(fixture))
        fixture.after_request(11, lambda _seen: act(fixture))
        report = fixture.attempt()

        assert code(report) == ACTS[act]
        assert [request[:6] for request in fixture.requests("vonage")].count("DELETE") == 1
        assert len(fixture.secrets()) == 2


def hurry(fixture: RotationFixture) -> None:
    """Make a request be given up soon."""
    fixture.wait_for_answers(IMPATIENT)


@pytest.mark.parametrize("act", [freeze, take_over, stand_still])
@pytest.mark.parametrize("effect", EFFECTS)
def test_no_effect_at_all_is_sent_that_is_not_right_any_more(
    tmp_path: Path, effect: str, act: Act
) -> None:
    """Neither Vonage nor Vault hears of it; what is open is carried on later."""
    with RotationFixture(tmp_path) as fixture:
        sent: list[int] = []

        def step_in() -> None:
            sent.append(len(changes(fixture)))
            act(fixture)

        fixture.calls.plan("before", effect, 1, step_in)
        report = fixture.attempt()
        withdrawn = f"withdrawn {EFFECTS[effect]}" in fixture.events()
        sent.append(len(changes(fixture)))
        Holds(fixture.database).lift(NAME, actor=ANN, now=fixture.clock.now())
        fixture.clock.advance(seconds=3 * LEASE)
        fixture.restart()
        again = fixture.resume()

        assert code(report) == ACTS[act]
        assert withdrawn is (act is freeze)
        assert sent[0] == sent[1]
        assert again.outcome is Outcome.COMPLETED


def changes(fixture: RotationFixture) -> list[str]:
    """Return the requests that change something."""
    return [request for request in fixture.requests() if not request.startswith("GET")]


def test_a_look_that_took_long_is_made_again(tmp_path: Path) -> None:
    """The world may have changed since it began."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: slow_down(fixture, 2))
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        last = fixture.calls.names.index("issuer.delete_secret") + 1
        assert fixture.calls.names[last : last + 4] == ["store.read_current", "ledger.check"] * 2


def test_a_last_look_does_not_wait_for_vault(tmp_path: Path) -> None:
    """Vonage's connection is open meanwhile; that nothing was sent is known and recorded."""
    with RotationFixture(tmp_path) as fixture:
        asked_at: list[datetime] = []

        def fail() -> None:
            asked_at.append(fixture.clock.now())
            fixture.world.vault.faults.add(Fault("status", method="GET", status=502, times=1000))

        def recover() -> None:
            asked_at.append(fixture.clock.now())
            fixture.world.vault.faults.clear()

        fixture.calls.plan("before", "issuer.delete_secret", 1, fail)
        fixture.on_event["rejected"] = recover
        report = fixture.attempt()
        deletion = [event for event in fixture.events() if event.endswith(" delete")]

        assert report.outcome is Outcome.COMPLETED
        assert deletion == ["intent delete", "rejected delete", "intent delete", "done delete"]
        assert asked_at[1] - asked_at[0] <= timedelta(seconds=3)


def test_an_effect_is_withdrawn_where_no_look_is_quick_enough(tmp_path: Path) -> None:
    """It is sent by nobody, tried again a few times, and then left to the next pass."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: slow_down(fixture, 100))
        report = fixture.attempt()
        deletions = [request for request in fixture.requests() if request.startswith("DELETE")]
        events = fixture.events()
        fixture.restart()
        again = fixture.resume()

        assert (code(report), deletions) == ("withdrawn", [])
        assert events.count("intent delete") == events.count("withdrawn delete") == 6
        assert again.outcome is Outcome.COMPLETED


def slow_down(fixture: RotationFixture, looks: int) -> None:
    """Make so many of the coming looks take longer than allowed, by a slow ledger."""
    for number in range(1, looks):
        fixture.calls.plan(
            "after", "ledger.check", number, lambda: fixture.clock.advance(seconds=1.1)
        )


def test_a_hold_that_comes_and_goes_is_seen(tmp_path: Path) -> None:
    """What was decided on meanwhile is looked at anew, and goes on if it may."""
    with RotationFixture(tmp_path) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: hold(fixture))
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert "withdrawn delete" in fixture.events()


def hold(fixture: RotationFixture) -> None:
    """Hold the account, which does not keep a rotation that has pushed from its end."""
    Holds(fixture.database).put(NAME, Hold(reason="audit", by="ann", at=START))


@pytest.mark.parametrize("act", [freeze, take_over])
def test_an_adoption_makes_the_same_look(tmp_path: Path, act: Act) -> None:
    """Nothing is written to Vault that an operator has forbidden, or a rival may write."""
    with RotationFixture(tmp_path) as fixture:
        value = fixture.fields()["api_secret"]
        before = fixture.look()
        fixture.calls.plan("before", "store.write_current", 1, lambda: act(fixture))
        with pytest.raises((HoldChanged, LeaseLost)):
            fixture.adopt(value)

        assert fixture.look() == before
        if act is freeze:
            assert fixture.events()[-1] == "withdrawn push"
            assert fixture.writer.load(NAME).adopted_id is None
            assert fixture.adopt(value).is_written

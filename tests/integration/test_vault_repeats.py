from collections.abc import Iterator

import pytest

from rotator.errors import StoreSealed, StoreUnavailable
from rotator.sim import Fault, VaultSimulator
from rotator.vault import Connection, GivenToken
from rotator.vault.call import Call
from rotator.vault.transport import Answer
from tests.harness.vault_calls import READ, WRITE


class FakeTime:
    """A clock that only moves when someone sleeps, or as a test sets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses = 0

    def clock(self) -> float:
        """Give the seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on, without anybody sleeping."""
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.now += seconds
        self.pauses += 1


@pytest.fixture
def vault() -> Iterator[VaultSimulator]:
    """Give a Vault that holds one entry."""
    with VaultSimulator(root_token="hvs.SimulatedRoot") as simulator:
        simulator.write("x", {"value": "first"})
        yield simulator


@pytest.fixture
def time() -> FakeTime:
    """Give a clock for the test to look at."""
    return FakeTime()


@pytest.fixture
def connection(vault: VaultSimulator, time: FakeTime) -> Connection:
    """Give a connection with the root token and ten seconds for each call."""
    return Connection(
        vault.url,
        token_source=GivenToken(vault.token),
        timeout=10,
        sleep=time.sleep,
        clock=time.clock,
    )


def version(answer: Answer) -> int:
    """Give the version that an answer is about."""
    data = answer.part("data", dict) or {}
    return int((data.get("metadata") or data)["version"])


@pytest.mark.parametrize("kind", ["status", "drop-before", "drop-after", "garbage", "truncate"])
def test_a_read_is_repeated_while_vault_is_unavailable(
    vault: VaultSimulator, connection: Connection, time: FakeTime, kind: str
) -> None:
    """A read that failed or was lost is sent up to three times more."""
    vault.faults.add(Fault(kind, status=502, times=3))
    answer = connection.call(READ)

    assert version(answer) == 1
    assert len(vault.exchanges) == 4
    assert time.pauses == 3


def test_a_read_is_not_repeated_for_ever(vault: VaultSimulator, connection: Connection) -> None:
    """After its repeats a read fails as unavailable."""
    vault.faults.add(Fault("status", status=500, times=None))
    with pytest.raises(StoreUnavailable):
        connection.call(READ)

    assert len(vault.exchanges) == 4


def test_repeats_stay_within_the_timeout(vault: VaultSimulator, time: FakeTime) -> None:
    """No repeat starts when the call's time is up."""
    vault.faults.add(Fault("status", status=500, times=None))
    slow = Connection(
        vault.url,
        token_source=GivenToken(vault.token),
        timeout=20,
        sleep=time.sleep,
        clock=time.clock,
        on_call=lambda *_: time.advance(9.98),
    )
    with pytest.raises(StoreUnavailable):
        slow.call(READ)

    assert len(vault.exchanges) == 2
    assert time.pauses == 1


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_sealed_vault_is_not_asked_again(
    vault: VaultSimulator, connection: Connection, call: Call
) -> None:
    """A seal does not go away by itself, so the call ends at once."""
    vault.sealed = True
    with pytest.raises(StoreSealed):
        connection.call(call)

    assert len(vault.exchanges) == 1


@pytest.mark.parametrize(
    "kind", ["status", "status-after", "drop-before", "drop-after", "garbage", "truncate", "empty"]
)
def test_a_write_is_sent_once(vault: VaultSimulator, connection: Connection, kind: str) -> None:
    """A write whose outcome is unknown is not repeated."""
    vault.faults.add(Fault(kind, status=500))
    with pytest.raises(StoreUnavailable):
        connection.call(WRITE)

    assert len(vault.exchanges) == 1


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_mount_that_starts_is_waited_for(
    vault: VaultSimulator, connection: Connection, call: Call
) -> None:
    """The 400 of a mount that starts had no effect, so reads and writes are repeated."""
    vault.initialising = 6
    answer = connection.call(call)

    assert answer.status == 200
    assert len(vault.exchanges) == 7
    assert len(vault.versions("x")) == (2 if call is WRITE else 1)


def test_a_mount_that_never_starts_is_unavailable(
    vault: VaultSimulator, connection: Connection, time: FakeTime
) -> None:
    """A mount is waited for until the call's time is up."""
    vault.initialising = 1000
    with pytest.raises(StoreUnavailable, match="starting up"):
        connection.call(WRITE)

    assert 8 < time.now < 10


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_refused_connection_is_tried_again(
    vault: VaultSimulator, time: FakeTime, call: Call
) -> None:
    """Where no connection was made nothing was sent, so even a write is repeated."""
    calls: list[str] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if time.pauses == 2:
            vault.start()

    vault.close()
    connection = Connection(
        vault.url,
        token_source=GivenToken(vault.token),
        timeout=10,
        sleep=sleep,
        clock=time.clock,
        on_call=lambda _operation, code, _seconds: calls.append(code),
    )
    connection.call(call)

    assert calls == ["refused", "refused", "200"]


def test_a_host_without_an_address_is_unavailable(time: FakeTime) -> None:
    """A name that does not resolve is named as such."""
    connection = Connection(
        "http://vault.invalid",
        token_source=GivenToken("hvs.token"),
        timeout=10,
        sleep=time.sleep,
        clock=time.clock,
    )
    with pytest.raises(StoreUnavailable) as caught:
        connection.call(READ)

    assert "vault.address" in (caught.value.hint or "")

from collections.abc import Iterator

import pytest

from rotator.errors import StoreNotReady, StoreSealed, StoreUnavailable
from rotator.sim import Fault, VaultSimulator
from rotator.vault import EnvToken, VaultSession
from rotator.vault.response import VaultResponse
from rotator.vault.transport import VaultRequest
from tests.support.clock import FakeTimer
from tests.support.observers import CallObserver
from tests.support.vault_calls import READ, WRITE

UPGRADING = "Upgrading from non-versioned to versioned data. This backend will be unavailable"
WAITING = "Waiting for the primary to upgrade from non-versioned to versioned data."


@pytest.fixture
def vault() -> Iterator[VaultSimulator]:
    """Yield a Vault with one entry."""
    with VaultSimulator(root_token="hvs.SimulatedRoot") as simulator:
        simulator.write("x", {"value": "first"})
        yield simulator


@pytest.fixture
def time() -> FakeTimer:
    """Return a clock for the test to look at."""
    return FakeTimer()


@pytest.fixture
def connection(vault: VaultSimulator, time: FakeTimer) -> VaultSession:
    """Return a connection with the root token, ten seconds for each try and a minute for all."""
    return VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=10,
        patience=60,
        sleep=time.sleep,
        clock=time,
    )


def version(answer: VaultResponse) -> int:
    """Return the version that an answer is about."""
    data = answer.part("data") or {}
    return int((data.get("metadata") or data)["version"])


@pytest.mark.parametrize("kind", ["status", "drop-before", "drop-after", "garbage", "truncate"])
def test_a_read_is_repeated_while_vault_is_unavailable(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer, kind: str
) -> None:
    """A read that failed or was lost is sent again."""
    vault.faults.add(Fault(kind, status=502, times=3))
    answer = connection.call(READ)

    assert version(answer) == 1
    assert len(vault.exchanges) == 4
    assert len(time.slept) == 3


def test_a_read_is_repeated_for_as_long_as_patience_lasts(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer
) -> None:
    """What passes by itself, as an election does, is waited for, and then called unavailable."""
    vault.faults.add(Fault("status", status=500, times=None))
    with pytest.raises(StoreUnavailable):
        connection.call(READ)

    assert 58 < time.now < 60
    assert len(vault.exchanges) > 50


@pytest.mark.parametrize("kind", ["garbage", "huge"])
def test_what_is_not_vaults_is_not_repeated_for_long(
    vault: VaultSimulator, connection: VaultSession, kind: str
) -> None:
    """No waiting turns another server into Vault."""
    vault.faults.add(Fault(kind, times=None))
    with pytest.raises(StoreUnavailable):
        connection.call(READ)

    assert len(vault.exchanges) == 4


def test_each_try_is_bounded_by_the_timeout(vault: VaultSimulator, time: FakeTimer) -> None:
    """A try that begins when patience is nearly over has its whole time all the same."""
    vault.faults.add(Fault("status", status=500, times=None))
    slow = VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=10,
        patience=20,
        sleep=time.sleep,
        clock=time,
        observer=CallObserver(lambda *_: time.advance(9.9)),
    )
    with pytest.raises(StoreUnavailable):
        slow.call(READ)

    assert len(vault.exchanges) == 3
    assert len(time.slept) == 2


def test_no_try_begins_in_a_process_that_is_to_end(vault: VaultSimulator, time: FakeTimer) -> None:
    """Whoever is told to stop does not wait for Vault to come back."""
    vault.faults.add(Fault("status", status=500, times=None))
    connection = VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=10,
        patience=60,
        sleep=time.sleep,
        clock=time,
        should_stop=lambda: time.now > 3,
    )
    with pytest.raises(StoreUnavailable):
        connection.call(READ)

    assert 3 < time.now < 5


def test_without_patience_a_read_is_made_once_and_a_write_too(
    vault: VaultSimulator, time: FakeTimer
) -> None:
    """Who sets none is told at once that Vault is away, and nothing else changes."""
    connection = VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=10,
        patience=0,
        sleep=time.sleep,
        clock=time,
    )
    vault.faults.add(Fault("status", status=500))
    with pytest.raises(StoreUnavailable):
        connection.call(READ)

    assert version(connection.call(WRITE)) == 2
    assert len(time.slept) == 0


def test_the_server_says_how_long_to_wait(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer
) -> None:
    """`Retry-After` is honoured where there is time for it."""
    vault.faults.add(Fault("status", status=429, headers={"Retry-After": "7"}))
    answer = connection.call(READ)

    assert version(answer) == 1
    assert time.now == 7


def test_a_write_over_the_quota_had_no_effect(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer
) -> None:
    """It is sent again within a second, and else ends as what certainly did not happen."""
    vault.faults.add(Fault("status", status=429))
    first = version(connection.call(WRITE))
    vault.faults.add(Fault("status", status=429, headers={"Retry-After": "7"}))
    with pytest.raises(StoreNotReady, match="rate limit") as caught:
        connection.call(WRITE)

    assert first == 2
    assert caught.value.definite
    assert time.now < 1
    assert len(vault.versions("x")) == 2


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_sealed_node_is_asked_a_few_times(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer, call: VaultRequest
) -> None:
    """A seal does not go away by itself, but another node behind the address may have none."""
    vault.sealed = True
    with pytest.raises(StoreSealed):
        connection.call(call)

    assert len(vault.exchanges) == 4
    assert time.now < 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (307, ""),
        (500, "local node not active but active cluster node not found"),
        (503, "no active Vault instance found"),
        (472, ""),
        (473, ""),
        (474, ""),
        (400, UPGRADING),
        (400, WAITING),
    ],
)
def test_an_election_is_waited_for(
    vault: VaultSimulator, connection: VaultSession, time: FakeTimer, status: int, text: str
) -> None:
    """Whatever nodes say while none of them is active, a read is made again for a minute."""
    body = {"errors": [text] if text else []}
    vault.faults.add(Fault("status", status=status, body=body, times=40))
    answer = connection.call(READ)

    assert version(answer) == 1
    assert time.now > 30


@pytest.mark.parametrize(
    ("status", "text"), [(307, ""), (503, "no active Vault instance found"), (504, "")]
)
def test_a_write_that_a_standby_may_have_handed_on_is_unknown(
    vault: VaultSimulator, connection: VaultSession, status: int, text: str
) -> None:
    """Where the active node dies with a request, its standby redirects: it may have been done."""
    vault.faults.add(Fault("status-after", status=status, body={"errors": [text]}))
    with pytest.raises(StoreUnavailable) as caught:
        connection.call(WRITE)

    assert not caught.value.definite
    assert len(vault.exchanges) == 1
    assert len(vault.versions("x")) == 2


def test_a_write_that_nobody_was_there_to_take_is_made_again(
    vault: VaultSimulator, connection: VaultSession
) -> None:
    """A standby that knows of no active node has not handed it on."""
    body = {"errors": ["local node not active but active cluster node not found"]}
    vault.faults.add(Fault("status", status=500, body=body))

    assert version(connection.call(WRITE)) == 2


@pytest.mark.parametrize(
    "kind", ["status", "status-after", "drop-before", "drop-after", "garbage", "truncate", "empty"]
)
def test_a_write_is_sent_once(vault: VaultSimulator, connection: VaultSession, kind: str) -> None:
    """A write whose outcome is unknown is not repeated."""
    vault.faults.add(Fault(kind, status=500))
    with pytest.raises(StoreUnavailable):
        connection.call(WRITE)

    assert len(vault.exchanges) == 1


@pytest.mark.parametrize(("call", "times"), [(READ, 9), (WRITE, 4)])
def test_a_mount_that_starts_is_waited_for(
    vault: VaultSimulator, connection: VaultSession, call: VaultRequest, times: int
) -> None:
    """The 400 of a mount that starts had no effect, so reads and writes are repeated."""
    vault.initialising = times
    answer = connection.call(call)

    assert answer.status == 200
    assert len(vault.exchanges) == times + 1
    assert len(vault.versions("x")) == (2 if call is WRITE else 1)


@pytest.mark.parametrize(("call", "seconds"), [(READ, 60), (WRITE, 1)])
def test_a_mount_that_never_starts_is_not_ready(
    vault: VaultSimulator,
    connection: VaultSession,
    time: FakeTimer,
    call: VaultRequest,
    seconds: float,
) -> None:
    """A mount is waited for until patience is over; a write is not sent on an old look."""
    vault.initialising = 1000
    with pytest.raises(StoreNotReady, match="starting up"):
        connection.call(call)

    assert seconds / 2 < time.now < seconds


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_refused_connection_is_tried_again(
    vault: VaultSimulator, time: FakeTimer, call: VaultRequest
) -> None:
    """Where no connection was made nothing was sent, so even a write is repeated."""
    calls: list[str] = []

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        if len(time.slept) == 2:
            vault.start()

    vault.close()
    connection = VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=10,
        sleep=sleep,
        clock=time,
        observer=CallObserver(lambda _operation, code, _seconds: calls.append(code)),
    )
    connection.call(call)

    assert calls == ["refused", "refused", "200"]


def test_a_host_without_an_address_is_unavailable(time: FakeTimer) -> None:
    """A name that does not resolve is named as such."""
    connection = VaultSession(
        "http://vault.invalid",
        token_source=EnvToken("hvs.token"),
        timeout=10,
        sleep=time.sleep,
        clock=time,
    )
    with pytest.raises(StoreUnavailable) as caught:
        connection.call(READ)

    assert "vault.address" in (caught.value.hint or "")

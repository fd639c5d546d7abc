import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from rotator.errors import (
    ConfigError,
    StoreError,
    StoreForbidden,
    StoreNotReady,
    StoreUnavailable,
    TokenRefused,
)
from rotator.sim import Exchange, Fault, VaultSimulator
from rotator.vault import EnvToken, FileToken, LoginToken, Userpass, VaultSession
from rotator.vault.auth.methods import LoginRequest
from rotator.vault.auth.token import TokenLifetime
from rotator.vault.client import VaultClient
from rotator.vault.response import VaultOutcome, VaultResponse
from rotator.vault.transport import VaultRequest
from tests.support.clock import FakeTimer
from tests.support.observers import CallObserver
from tests.support.vault_calls import READ, WRITE


@pytest.fixture
def vault() -> Iterator[VaultSimulator]:
    """Yield a Vault with one entry."""
    with VaultSimulator(root_token="hvs.SimulatedRoot") as simulator:
        simulator.write("x", {"value": "first"})
        yield simulator


@pytest.fixture
def connection(vault: VaultSimulator) -> VaultSession:
    """Return a connection with the root token."""
    return VaultSession(vault.url, token_source=EnvToken(vault.token), timeout=60)


def version(answer: VaultResponse) -> int:
    """Return the version that an answer is about."""
    data = answer.part("data") or {}
    return int((data.get("metadata") or data)["version"])


def test_a_call_is_answered(connection: VaultSession) -> None:
    """A write and a read go through and come back as values."""
    written, read = connection.call(WRITE), connection.call(READ)

    assert (version(written), version(read)) == (2, 2)


def test_a_denied_token_is_read_again_once(vault: VaultSimulator, tmp_path: Path) -> None:
    """A 403 makes the token file be read again, and the call be made with what is new."""
    file = tmp_path / "token"
    file.write_text(vault.issue_token())
    source, stale = FileToken(str(file)), file.read_text()
    fresh = vault.issue_token()
    vault.revoke_token(stale)

    def replace(phase: str, _exchange: Exchange) -> None:
        if phase == "before" and len(vault.exchanges) == 1:
            file.write_text(fresh)

    vault.observers.append(replace)
    answer = VaultSession(vault.url, token_source=source, timeout=60).call(WRITE)

    assert version(answer) == 2
    assert [it.request_headers["x-vault-token"] for it in vault.exchanges] == [stale, fresh]


def test_a_token_that_is_not_accepted_is_called_so(vault: VaultSimulator) -> None:
    """A 403 in the words for a token that no node knows is about the token, whatever the call."""
    source = EnvToken("hvs.unknown")
    connection = VaultSession(vault.url, token_source=source, timeout=60, sleep=lambda _: None)
    errors: list[StoreError] = []
    for call in (READ, WRITE):
        with pytest.raises(TokenRefused) as caught:
            connection.call(call)
        errors.append(caught.value)

    assert {(error.message, error.hint) for error in errors} == {
        (TokenRefused().message, TokenRefused().hint)
    }
    assert len(vault.exchanges) == 10, "each call, and four look-ups, each maybe at another node"
    assert "hvs.unknown" not in f"{errors!r}"


def test_a_denial_by_policy_stands(vault: VaultSimulator) -> None:
    """A 403 in a policy's words is the policy's, names the call, and is believed at once."""
    token = vault.issue_token(policies={})
    connection = VaultSession(vault.url, token_source=EnvToken(token), timeout=60)
    with pytest.raises(StoreForbidden, match="reading secret/data/x") as caught:
        connection.call(READ)

    assert type(caught.value) is StoreForbidden
    assert len(vault.exchanges) == 1


def test_no_token_of_the_environment_is_picked_up(
    vault: VaultSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither VAULT_TOKEN nor ~/.vault-token is sent unless it was handed in."""
    (tmp_path / ".vault-token").write_text("hvs.home")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("VAULT_TOKEN", "hvs.environment")
    with pytest.raises(StoreForbidden, match="none is given"):
        VaultSession(vault.url, token_source=EnvToken(""), timeout=60).call(READ)

    assert "x-vault-token" not in vault.exchanges[0].request_headers


def test_the_namespace_is_sent(vault: VaultSimulator) -> None:
    """A namespace travels in its header."""
    source = EnvToken(vault.token)
    VaultSession(vault.url, token_source=source, timeout=60, namespace="team/a").call(READ)

    assert vault.exchanges[0].request_headers["x-vault-namespace"] == "team/a"


def test_a_request_outside_of_namespaces_leaves_the_next_in_its_own(vault: VaultSimulator) -> None:
    """The health of a server is asked for without one, on a connection that others use after it."""
    source = EnvToken(vault.token)
    connection = VaultSession(vault.url, token_source=source, timeout=60, namespace="team/a")
    for request in (READ, replace(READ, in_namespace=False), READ):
        connection.call(request)

    sent = [each.request_headers.get("x-vault-namespace") for each in vault.exchanges]
    assert sent == ["team/a", None, "team/a"]


def test_without_a_namespace_no_header_is_sent(
    vault: VaultSimulator, connection: VaultSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty namespace is none; the environment's is the configuration's business."""
    monkeypatch.setenv("VAULT_NAMESPACE", "elsewhere")
    connection.call(READ)

    assert "x-vault-namespace" not in vault.exchanges[0].request_headers
    assert vault.exchanges[0].request_headers["x-vault-request"] == "true"


def test_no_client_is_shared_and_none_is_lost(vault: VaultSimulator) -> None:
    """Threads that ask at once have a client each; those of threads that ended are used again."""
    clients: list[object] = []
    connection = VaultSession(vault.url, token_source=EnvToken(vault.token), timeout=60)

    def work(meet: threading.Barrier) -> None:
        def send(client: object) -> VaultOutcome:
            clients.append(client)
            meet.wait(60)
            return READ.send(client)

        connection.call(replace(READ, send=send))

    for count in (4, 3, 1):
        meet = threading.Barrier(count)
        threads = [threading.Thread(target=work, args=[meet]) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    first, second = clients[:4], clients[4:7]
    assert len(clients) == 8
    assert len({id(client) for client in first}) == 4
    assert len({id(client) for client in second}) == 3
    assert {id(client) for client in clients} == {id(client) for client in first}


def test_each_http_call_is_reported(vault: VaultSimulator) -> None:
    """Metrics hear of every request, with its status or why there is none."""
    calls: list[tuple[str, str, float]] = []
    connection = VaultSession(
        vault.url,
        token_source=EnvToken(vault.token),
        timeout=60,
        sleep=lambda _: None,
        observer=CallObserver(lambda *call: calls.append(call)),
    )
    vault.faults.add(Fault("drop-after"))
    vault.faults.add(Fault("status", status=503, body="down", nth=2))
    connection.call(READ)

    assert [call[:2] for call in calls] == [
        ("read-current", "dropped"),
        ("read-current", "503"),
        ("read-current", "200"),
    ]


def test_logs_name_calls_and_no_values(vault: VaultSimulator, connection: VaultSession) -> None:
    """A debug line per request says what, where, how and how long, and nothing of the data."""
    structlog.reset_defaults()
    with capture_logs() as logs:
        connection.call(WRITE)

    assert logs == [
        {
            "event": "vault call",
            "log_level": "debug",
            "operation": "write-current",
            "path": "secret/data/x",
            "code": "200",
            "milliseconds": logs[0]["milliseconds"],
        }
    ]
    assert vault.token not in repr(logs)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "vault.example.com:8200",
        "ftp://vault.example.com",
        "https://",
        "https://user:pass@vault.example.com",
        "https://vault.example.com?x=1",
        "https://vault.example.com:port",
        "https://[::1",
        "https://vault.example.com/ x",
        "https://b\u00fccher.example",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """An address that could not be used, or holds a credential, is refused unseen."""
    with pytest.raises(ConfigError) as caught:
        VaultSession(address, token_source=EnvToken(""), timeout=60)

    assert "pass@" not in str(caught.value)


@pytest.mark.parametrize("namespace", ["two words", "n\nx: y", "\u00fc"])
def test_a_namespace_that_is_none_is_refused(namespace: str) -> None:
    """A namespace that no header can carry is refused before anything is sent."""
    with pytest.raises(ConfigError):
        VaultSession("http://h", token_source=EnvToken(""), timeout=60, namespace=namespace)


def test_nothing_shows_the_token(vault: VaultSimulator, connection: VaultSession) -> None:
    """Neither the connection nor its token source shows the token."""
    connection.call(READ)
    shown = f"{connection!r}{connection.__dict__!r}"

    assert vault.token not in shown


UNKNOWN = {"errors": ["permission denied"]}


def logging_in(vault: VaultSimulator, sleep: Callable[[float], None]) -> VaultSession:
    """Return a connection that logs in, with as much patience as is usual."""
    vault.allow_login("userpass/login/rotator", {"password": "open-sesame"})
    return VaultSession(
        vault.url,
        token_source=LoginToken(_FixedLogin()),
        timeout=10,
        patience=60,
        sleep=sleep,
    )


class _FixedLogin(Userpass):
    """Logs in with a password that is in no file."""

    def __init__(self) -> None:
        super().__init__(username="rotator", password_file="/nowhere")

    def login_request(self, client: VaultClient) -> LoginRequest:
        """Return a fixed login."""
        del client
        return LoginRequest(path="login/rotator", body={"password": "open-sesame"})


@pytest.mark.parametrize("call", [READ, WRITE])
def test_a_fresh_token_that_a_node_does_not_know_is_used_again(
    vault: VaultSimulator, call: VaultRequest
) -> None:
    """Any request may meet a node that lags behind the login, not only the first one."""
    connection = logging_in(vault, lambda _: None)
    connection.call(READ)
    vault.faults.add(Fault("status", path="secret/", status=403, body=UNKNOWN, times=3))
    answer = connection.call(call)

    assert version(answer) == (2 if call is WRITE else 1)
    assert [it.path for it in vault.exchanges].count("/v1/auth/userpass/login/rotator") == 1


def test_a_fresh_token_that_no_node_learns_of_is_not_tried_for_ever(vault: VaultSimulator) -> None:
    """Once the time to settle is over, it is one that Vault does not accept."""
    time = FakeTimer()
    vault.allow_login("userpass/login/rotator", {"password": "open-sesame"})
    connection = VaultSession(
        vault.url,
        token_source=LoginToken(_FixedLogin()),
        timeout=10,
        patience=60,
        sleep=time.sleep,
        clock=time,
    )
    vault.faults.add(Fault("status", path="secret/", status=403, body=UNKNOWN, times=None))
    with pytest.raises(TokenRefused):
        connection.call(READ)

    assert 8 < time.now < 30
    assert [it.path for it in vault.exchanges].count("/v1/auth/userpass/login/rotator") == 2


def test_a_write_does_not_wait_for_a_node_to_learn_of_a_token(vault: VaultSimulator) -> None:
    """It was decided on by a look, which grows old: nothing was sent, and it is decided anew."""
    time = FakeTimer()
    vault.allow_login("userpass/login/rotator", {"password": "open-sesame"})
    connection = VaultSession(
        vault.url,
        token_source=LoginToken(_FixedLogin()),
        timeout=10,
        patience=60,
        sleep=time.sleep,
        clock=time,
    )
    vault.faults.add(Fault("status", path="secret/", status=403, body=UNKNOWN, times=None))
    with pytest.raises(StoreNotReady, match="does not know rotator's token yet"):
        connection.call(WRITE)

    assert time.now < 1


def test_a_token_that_was_handed_in_just_now_is_used_again(vault: VaultSimulator) -> None:
    """A node that knows it says so: another one lags behind whoever issued it."""
    connection = VaultSession(
        vault.url, token_source=EnvToken(vault.token), timeout=10, sleep=lambda _: None
    )
    vault.faults.add(Fault("status", path="secret/", status=403, body=UNKNOWN, times=3))

    assert version(connection.call(READ)) == 1


def test_nothing_is_given_back_to_a_vault_that_is_away(vault: VaultSimulator) -> None:
    """Nobody waits at the end of a command for a server that did not answer before."""
    connection = logging_in(vault, lambda _: None)
    connection.call(READ)
    vault.faults.add(Fault("drop-before", times=None))
    with pytest.raises(StoreUnavailable):
        connection.call(WRITE)
    vault.faults.clear()
    seen = len(vault.exchanges)
    connection.close()

    assert len(vault.exchanges) == seen


def test_a_token_that_was_replaced_just_now_is_given_back_too(vault: VaultSimulator) -> None:
    """At the end no request uses it, and it would outlive this process."""

    class ShortLogin(_FixedLogin):
        """Logs in for tokens that are to be replaced as soon as they are there."""

        def log_in(self, client: VaultClient, now: float) -> TokenLifetime:
            """Issue a token that is due for its replacement."""
            del client
            token = vault.issue_token()
            return TokenLifetime(token=token, expires_at=now + 9, span=60, renewable=False)

    connection = VaultSession(vault.url, token_source=LoginToken(ShortLogin()), timeout=60)
    connection.call(READ)
    connection.call(READ)
    used = {it.request_headers["x-vault-token"] for it in vault.exchanges}
    connection.close()
    given_back = {
        it.request_headers["x-vault-token"] for it in vault.exchanges if "revoke" in it.path
    }

    assert len(used) == 2
    assert given_back == used

import itertools
import json
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.errors import StoreError, StoreForbidden, StoreUnavailable
from rotator.model.retry import Budget
from rotator.sim.http import Port
from rotator.vault import EnvToken, Trust, VaultSession
from rotator.vault.response import VaultResponse
from rotator.vault.transport import LIMIT, VaultRequest, VaultTransport
from tests.support.endless_server import BODIES, HEADS, EndlessServer
from tests.support.scripted_server import ScriptedServer

ENDLESS = {**HEADS, **BODIES}
TOKEN = "hvs.SecretToken"
VALUE = "Abcdefgh1"
CALL = VaultRequest(
    operation="write-current",
    path="secret/data/x",
    purpose="writing secret/data/x",
    send=lambda client: client.secrets.kv.v2.create_or_update_secret(
        "x", {"value": VALUE}, cas=1, mount_point="secret"
    ),
    repeatable=False,
)


@pytest.fixture(scope="module")
def canned_server() -> Iterator[ScriptedServer]:
    """Start one server for all tests."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def canned(canned_server: ScriptedServer) -> ScriptedServer:
    """Return the server as new."""
    canned_server.replies = [b""]
    canned_server.requests.clear()
    return canned_server


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Build an answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def connect(url: str, timeout: float = 60) -> VaultSession:
    """Connect without ever sleeping."""
    source = EnvToken(TOKEN)
    return VaultSession(url, token_source=source, timeout=timeout, sleep=lambda _: None)


def failure(connection: VaultSession) -> StoreError:
    """Make the call, and give the error after seeing that nothing secret is in it."""
    with pytest.raises(StoreError) as caught:
        connection.call(CALL)
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + f"{error!r}{error.hint}"
    assert TOKEN not in shown
    assert VALUE not in shown
    # Those of urllib3 carry the path and the connection, those of json the whole body.
    assert error.__cause__ is None
    assert error.__context__ is None
    return error


@pytest.mark.parametrize("status", ["301 X", "302 X", "303 X", "307 X", "308 X"])
def test_no_redirect_is_followed(canned: ScriptedServer, status: str) -> None:
    """A standby's redirect is refused, and neither token nor value goes to another host."""
    other = ScriptedServer()
    canned.replies = [http(status, b"", f"Location: {other.url}/v1/secret/data/x")]
    error = failure(connect(canned.url))
    other.close()

    assert type(error) is StoreUnavailable
    assert "load balancer" in (error.hint or "")
    assert len(canned.requests) == 1
    assert other.requests == []


@pytest.mark.parametrize("location", [b"//\xff\xfe", b"http://[::1/", b"", b"http://h:port/"])
def test_a_redirect_to_nowhere_is_just_a_redirect(canned: ScriptedServer, location: bytes) -> None:
    """A location that cannot be parsed is not even looked at."""
    canned.replies = [b"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"]

    assert "redirects" in failure(connect(canned.url)).message


def test_netrc_adds_no_credential(
    canned: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A password for the host in .netrc is not sent to Vault."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password open-sesame\n")
    monkeypatch.setenv("NETRC", str(netrc))
    canned.replies = [http("200 OK", b"{}")]
    connect(canned.url).call(CALL)

    assert b"authorization" not in canned.requests[0].lower()
    assert TOKEN.encode() in canned.requests[0]


def test_a_client_certificate_of_the_environment_is_not_used(canned: ScriptedServer) -> None:
    """What hvac took from VAULT_CLIENT_CERT when it was imported stays out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hvac.v1.VAULT_CLIENT_CERT", "/nonexistent")
        canned.replies = [http("200 OK", b"{}")]
        answer = connect(canned.url).call(CALL)

    assert answer.status == 200


def test_the_request_is_as_documented(canned: ScriptedServer) -> None:
    """A write is a POST of options and data to the mount's data path."""
    canned.replies = [http("200 OK", b"{}")]
    connect(canned.url).call(CALL)
    head, _, body = canned.requests[0].partition(b"\r\n\r\n")

    assert head.startswith(b"POST /v1/secret/data/x HTTP/1.1\r\n")
    assert json.loads(body) == {"options": {"cas": 1}, "data": {"value": VALUE}}


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", b"<html>Welcome</html>", "Content-Type: text/html"),
        http("200 OK", b"<html>Welcome</html>", "Content-Type: application/json"),
        http("200 OK"),
        http("200 OK", b"[1]"),
        http("200 OK", b"null"),
        http("200 OK", b'{"a": NaN}'),
        http("200 OK", b'{"a": 1e999}'),
        http("200 OK", b'{"a": "\xff"}'),
        http("200 OK", b"[" * 100_000),
        http("200 OK", b'{"a":1}', "Content-Encoding: gzip"),
        http("202 Accepted", b"{}"),
        http("404 Not Found", b"<html>404</html>", "Content-Type: text/html"),
        http("502 Bad Gateway", b"<html>502</html>", "Content-Type: text/html"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
    ],
)
def test_what_is_not_vaults_answer_is_unavailable(canned: ScriptedServer, answer: bytes) -> None:
    """Pages of proxies, broken HTTP and broken JSON leave the outcome unknown."""
    canned.replies = [answer]

    assert type(failure(connect(canned.url))) is StoreUnavailable


def test_an_oversized_answer_is_not_read_to_its_end(canned: ScriptedServer) -> None:
    """A body beyond any of Vault's is given up on."""
    canned.replies = [http("200 OK", b'{"a": "' + b"x" * LIMIT + b'"}')]

    assert "larger" in failure(connect(canned.url)).message


def test_a_silent_server_is_given_up_on() -> None:
    """A server that accepts and says nothing costs no more than the timeout."""
    with EndlessServer(*HEADS["silence"]) as server:
        error = failure(connect(server.url, timeout=0.02))

    assert "in time" in error.message


@pytest.mark.parametrize("part", sorted(set(ENDLESS) - {"silence"}))
def test_an_answer_that_drips_is_given_up_on(part: str) -> None:
    """It is bounded as a whole, not drop by drop, in whatever part of it the drops come."""
    elapsed = itertools.count()
    with EndlessServer(*ENDLESS[part]) as server:
        error = failure(
            VaultSession(
                server.url,
                token_source=EnvToken(TOKEN),
                timeout=0.5,
                sleep=lambda _: None,
                clock=lambda: next(elapsed) / 100,
            )
        )

    assert "in time" in error.message


@pytest.mark.parametrize(
    "body",
    [
        b'{"errors": "text"}',
        b'{"errors": {"a": 1}}',
        b'{"errors": [1, null]}',
        b'{"errors": [["a"]]}',
        b'["errors"]',
        b'{"errors": ["' + VALUE.encode() + b'"]}',
        VALUE.encode(),
    ],
)
@pytest.mark.parametrize("status", [400, 403, 404, 500, 503])
def test_an_error_of_any_shape_is_an_error(
    canned: ScriptedServer, status: int, body: bytes
) -> None:
    """Errors of a shape that Vault never sends, which hvac trips over, are errors like others."""
    canned.replies = [http(f"{status} X", body, "Content-Type: application/json")]

    assert isinstance(failure(connect(canned.url)), StoreError)


def test_a_proxys_charset_does_not_hide_vaults_errors(canned: ScriptedServer) -> None:
    """Errors count whatever the media type says of the body."""
    body = b'{"errors": ["permission denied"]}'
    canned.replies = [http("403 X", body, "Content-Type: application/json; charset=utf-8")]
    error = failure(connect(canned.url))

    assert isinstance(error, StoreForbidden)
    assert "before Vault" not in error.message


def test_a_proxy_of_the_environment_is_used(
    canned: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The usual variables say which proxy to take."""
    monkeypatch.setenv("HTTP_PROXY", canned.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    canned.replies = [http("200 OK", b'{"through": "the proxy"}')]
    answer = connect("http://vault.invalid").call(CALL)

    assert answer.body == {"through": "the proxy"}
    assert canned.requests[0].startswith(b"POST http://vault.invalid/v1/secret/data/x ")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1"])
def test_a_vault_on_this_machine_is_asked_straight(
    canned: ScriptedServer, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """A proxy would be shown the token and each value in clear."""
    with EndlessServer(*HEADS["silence"]) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(name, "")
        canned.replies = [http("200 OK", b'{"by": "itself"}')]
        answer = connect(f"http://{host}:{canned.port}").call(CALL)

    assert answer.body == {"by": "itself"}


def test_what_the_moment_before_raises_comes_out(canned: ScriptedServer) -> None:
    """Unchanged, and nothing was sent."""

    def refuse() -> None:
        raise LookupError

    transport = VaultTransport(base_uri=canned.url, trust=Trust(), token=TOKEN)
    transport.budget = Budget(60, time.monotonic)
    transport.before_send = refuse
    with pytest.raises(LookupError):
        transport.post("/v1/secret/data/x", json={})
    transport.before_send = None
    transport.get("/v1/secret/data/x")

    [request] = canned.requests
    assert request.startswith(b"GET ")


def test_what_a_cluster_says_besides_is_kept(canned: ScriptedServer) -> None:
    """How long to wait, and which state the answer is of; more can be asked with a header."""
    canned.replies = [http("200 OK", b"{}", "Retry-After: 7", "X-Vault-Index: abc=")]
    transport = VaultTransport(base_uri=canned.url, trust=Trust(), token=TOKEN)
    transport.budget = Budget(60, time.monotonic)
    transport.extra_headers = {"X-Vault-Inconsistent": "forward-active-node"}
    answer = transport.get("/v1/secret/data/x")

    assert isinstance(answer, VaultResponse)
    assert (answer.retry_after, answer.index) == (7.0, "abc=")
    assert b"X-Vault-Inconsistent: forward-active-node" in canned.requests[0]


def test_a_broken_proxy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that cannot be reached is told from a Vault that cannot."""
    nobody = Port()
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{nobody.number}")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")

    assert "proxy" in failure(connect("http://vault.invalid")).message


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_bytes_get_past_the_adapter(data: st.DataObject, canned_server: ScriptedServer) -> None:
    """Whatever bytes come back, the call gives an answer or raises a store error."""
    good = http("200 OK", b'{"data": {"version": 1}}', "Content-Type: application/json", "A: b")
    raw = bytearray(data.draw(st.sampled_from([good, good.replace(b"200", b"307"), b""])))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    canned_server.replies = [bytes(raw)]
    try:
        outcome: VaultResponse | StoreError = connect(canned_server.url, timeout=1).call(CALL)
    except StoreError as error:
        outcome = error

    assert TOKEN not in repr(outcome)

import base64
import gzip
import logging
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rotator.errors import (
    ConfigError,
    CredentialRefused,
    IssuerError,
    IssuerUnavailable,
    NotSent,
    RateLimited,
    SecretNotFound,
    UnexpectedAnswer,
)
from rotator.model import Credential, SecretValue
from rotator.vonage import Accounts, RestAuth, Secrets, Subaccounts, Transport
from rotator.vonage.answer import LIMIT

KEY, SECRET, VALUE = "abcd1234", "Current+Secret/1", "BrandNewSecret2"
CREDENTIAL = Credential(api_key=KEY, secret=SecretValue(SECRET))
PAIR = base64.b64encode(f"{KEY}:{SECRET}".encode()).decode()
ONE = b'{"id": "one", "created_at": "2018-12-03T10:07:23Z"}'
LIST = b'{"_embedded": {"secrets": [' + ONE + b"]}}"
BALANCE = b'{"value": 10.28, "autoReload": false}'
GONE = b'{"type": "x#invalid-id", "title": "Invalid ID"}'


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Spell an answer; underscores in header names stand for hyphens."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Some Reason"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Canned:
    """Answers each request with the next of `replies` verbatim; the last one repeats.

    An empty reply closes the connection. `drip` sends a reply byte by byte, with a pause, and
    `endless` over and over.
    """

    def __init__(self) -> None:
        """Listen on loopback."""
        self.replies: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.keep_alive = False
        self.endless = False
        self.drip = 0.0
        self.over = threading.Event()
        self._tls: ssl.SSLContext | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS from now on."""
        self.url = self.url.replace("http:", "https:")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate)

    def close(self) -> None:
        """Stop listening and end every drip."""
        self.over.set()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client does not trust us
                return
        with connection, connection.makefile("rb") as stream:
            while request := self._request(stream):
                self.requests.append(request)
                answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                self._answer(connection, answer)
                if not answer or not self.keep_alive:
                    return

    def _answer(self, connection: socket.socket, answer: bytes) -> None:
        try:
            if not self.drip:
                connection.sendall(answer)
                while self.endless:
                    connection.sendall(answer)
                return
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self.over.wait(self.drip):
                    return
        except OSError:  # the client had enough
            return

    @staticmethod
    def _request(stream: Any) -> bytes:  # noqa: ANN401  # a file of bytes
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return b""
            head += line
        _, _, length = head.lower().partition(b"content-length:")
        return head + bytes(stream.read(int(length.split()[0]) if length else 0))


@dataclass
class Clock:
    """Time that passes by sleeping and by `advance` only."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def server() -> Iterator[Canned]:
    """Give a server that answers what it is told."""
    server = Canned()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    """Give a clock that stands still."""
    return Clock()


def transport(url: str, clock: Callable[[], float], **changes: Any) -> Transport:  # noqa: ANN401
    """Make a transport whose pauses are as long as they can be and take no real time."""
    settings: dict[str, Any] = {
        "api_url": url,
        "rest_url": url,
        "timeout": 5.0,
        "max_requests_per_second": 1000,
        "clock": clock,
        "sleep": getattr(clock, "sleep", None),
        "random": lambda: 1.0,
        "wall_clock": lambda: 1_700_000_000.0,
    }
    return Transport(**(settings | changes))


@pytest.fixture
def shared(server: Canned, clock: Clock) -> Iterator[Transport]:
    """Give a transport to the server."""
    with transport(server.url, clock) as shared:
        yield shared


@pytest.fixture
def secrets(shared: Transport) -> Secrets:
    """Give a client of the server."""
    return Secrets(shared)


def test_the_request_on_the_wire(server: Canned, secrets: Secrets) -> None:
    """Basic authentication, JSON both ways, our name, and no second credential anywhere."""
    server.replies = [reply(201, ONE)]
    secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")

    assert lines[0] == f"POST /accounts/{KEY}/secrets HTTP/1.1"
    assert body == b'{"secret": "BrandNewSecret2"}'
    assert {line.split(": ")[0]: line.split(": ")[1] for line in lines[1:]}.items() >= {
        "Authorization": f"Basic {PAIR}",
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }.items()
    assert any(line.startswith("User-Agent: rotator/") for line in lines)
    assert SECRET not in head.decode()


@pytest.mark.parametrize("secret_id", ["..", "../../account/get-balance", "a?b", "a b", ""])
def test_no_id_leaves_its_place_in_the_path(
    server: Canned, secrets: Secrets, secret_id: str
) -> None:
    """What is not an id is refused without a request."""
    with pytest.raises(ConfigError):
        secrets.delete_secret(CREDENTIAL, KEY, secret_id)

    assert server.requests == []


def test_query_authentication_is_for_the_rest_host_only(server: Canned, clock: Clock) -> None:
    """Where it is asked for, the rest host gets the pair in the query and no header; api, Basic."""
    server.replies = [reply(200, BALANCE), reply(200, LIST)]
    with transport(server.url, clock, rest_auth=RestAuth.QUERY) as shared:
        Accounts(shared).balance(CREDENTIAL)
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
    rest, api = (request.decode() for request in server.requests)

    assert rest.startswith(
        f"GET /account/get-balance?api_key={KEY}&api_secret=Current%2BSecret%2F1 HTTP/1.1"
    )
    assert "Authorization" not in rest
    assert "Authorization: Basic" in api
    assert "?" not in api.split("\r\n", maxsplit=1)[0]


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html>"),
        reply(400, b'{"error-code": "400", "error-code-label": "Current%2BSecret%2F1"}'),
        reply(302, Location=f"https://elsewhere/?api_secret={SECRET}"),
        b"HTTP/1.1 Current+Secret/1\r\n\r\n",
        b"",
    ],
)
def test_nothing_shows_a_url_with_a_credential(
    server: Canned, clock: Clock, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:
    """Neither log nor exception nor what hangs on it shows the query that holds the secret."""
    server.replies = [answer]
    caplog.set_level(logging.DEBUG)
    with (
        transport(server.url, clock, rest_auth=RestAuth.QUERY) as shared,
        capture_logs() as events,
        pytest.raises(IssuerError) as caught,
    ):
        Accounts(shared).balance(CREDENTIAL)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr(error) + str(events) + caplog.text

    assert SECRET not in told
    assert "Current%2BSecret" not in told
    assert "api_secret" not in told
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, b'{"title": "Bad Request"}'),
        reply(201, b'{"id": 7, "secret": "BrandNewSecret2"}'),
        reply(201, b"BrandNewSecret2"),
        b"BrandNewSecret2",
    ],
)
def test_no_frame_of_an_exception_holds_a_value(
    server: Canned, secrets: Secrets, answer: bytes
) -> None:
    """Even a debugger's traceback, with local variables, shows no value, header or body."""
    server.replies = [answer]
    with pytest.raises(IssuerError) as caught:
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    ours = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    rendered = "".join(
        traceback.TracebackException(
            type(caught.value), caught.value, ours, capture_locals=True
        ).format()
    )

    assert "call = Call(" in rendered
    assert not any(value in rendered for value in (VALUE, SECRET, PAIR))


def test_the_libraries_do_not_log_what_they_send(caplog: pytest.LogCaptureFixture) -> None:
    """Importing the transport silences httpx and httpcore, also where the root logs everything."""
    caplog.set_level(logging.DEBUG)
    loggers = [logging.getLogger(name) for name in ("httpx", "httpcore", "httpcore.http11")]

    assert [logger.getEffectiveLevel() for logger in loggers] == [logging.WARNING] * 3


def test_importing_the_package_imports_no_other_adapter() -> None:
    """The client costs httpx and structlog to import, nothing of hvac, pydantic or SQLAlchemy."""
    code = (
        "import sys, rotator.vonage;"
        "print({'hvac', 'pydantic', 'sqlalchemy', 'typer', 'requests'} & set(sys.modules),"
        " [name for name in sys.modules if name.startswith('rotator.')])"
    )
    root = Path(__file__).parents[2]
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ).stdout

    assert printed.startswith("set()")
    assert "rotator.config" not in printed


@pytest.mark.parametrize("failure", [b"", reply(503), reply(200, LIST)[:-3]])
def test_a_read_is_repeated(server: Canned, secrets: Secrets, clock: Clock, failure: bytes) -> None:
    """A dropped, failed or cut off answer to a read is asked for again, with growing pauses."""
    server.replies = [failure, failure, failure, reply(200, LIST)]
    listed = secrets.list_secrets(CREDENTIAL, KEY)

    assert [secret.id for secret in listed] == ["one"]
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_read_gives_up_after_four_tries(server: Canned, secrets: Secrets) -> None:
    """What does not pass is reported."""
    server.replies = [reply(503)]
    with pytest.raises(IssuerUnavailable, match="HTTP 503"):
        secrets.list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 4


def test_a_strange_answer_is_asked_for_once_more(server: Canned, secrets: Secrets) -> None:
    """A read that gets a web page twice is reported as such."""
    server.replies = [reply(200, b"<html>")]
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        secrets.list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 2


def test_the_budget_ends_a_call(server: Canned, clock: Clock) -> None:
    """Tries that eat up three timeouts are the last."""

    def slow(*_: object) -> None:
        clock.now += 6

    server.replies = [reply(503)]
    with (
        transport(server.url, clock, on_call=slow, timeout=5.0) as shared,
        pytest.raises(IssuerUnavailable),
    ):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 3


def test_the_last_try_gets_what_is_left(
    server: Canned, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try may not take longer than the rest of the budget."""
    given: list[float] = []

    def slow(*_: object) -> None:
        clock.now += 12

    server.replies = [reply(503)]
    with transport(server.url, clock, on_call=slow, timeout=5.0) as shared:
        within = shared._deadline.within

        def noted(seconds: float) -> AbstractContextManager[None]:
            given.append(seconds)
            return within(seconds)

        monkeypatch.setattr(shared._deadline, "within", noted)
        with pytest.raises(IssuerUnavailable):
            Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert given == [5.0, 2.5]


def test_a_wait_for_the_pace_counts_into_the_budget(server: Canned, clock: Clock) -> None:
    """A retry whose turn comes after the budget is not made."""
    server.replies = [reply(503)]
    with (
        transport(server.url, clock, max_requests_per_second=0.01) as shared,
        pytest.raises(IssuerUnavailable),
    ):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 1
    assert clock.slept == [0.5, pytest.approx(99.5)]


def test_a_rate_limit_is_waited_out(server: Canned, secrets: Secrets, clock: Clock) -> None:
    """A read comes back when Vonage said."""
    server.replies = [reply(429, Retry_After="7"), reply(200, LIST)]
    secrets.list_secrets(CREDENTIAL, KEY)

    assert clock.slept == [7]


def test_a_long_rate_limit_is_the_callers(server: Canned, secrets: Secrets) -> None:
    """A wait beyond the budget is reported, with its length."""
    server.replies = [reply(429, Retry_After="900")]
    with pytest.raises(RateLimited) as caught:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert caught.value.retry_after == 900
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (b"", IssuerUnavailable),
        (reply(503), IssuerUnavailable),
        (reply(429, Retry_After="0"), RateLimited),
        (reply(201, b"<html>"), UnexpectedAnswer),
        (reply(201, ONE)[:-4], IssuerUnavailable),
        (reply(307, Location="/accounts/abcd1234/secrets"), UnexpectedAnswer),
        (reply(401), CredentialRefused),
    ],
)
def test_a_post_is_sent_once(
    server: Canned, shared: Transport, failure: bytes, kind: type[IssuerError]
) -> None:
    """Creating, topping up and changing settings are never repeated, whatever the answer."""
    server.replies = [failure]
    with pytest.raises(kind) as created:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    with pytest.raises(kind):
        Accounts(shared).top_up(CREDENTIAL, "8ef2447e")
    with pytest.raises(kind):
        Accounts(shared).update_callbacks(CREDENTIAL, inbound_sms_url="")
    with pytest.raises(kind):
        Accounts(shared).settings(CREDENTIAL)

    assert len(server.requests) == 4
    assert created.value.definite is (kind in (RateLimited, CredentialRefused))


def test_no_answer_is_taken_for_another_calls(server: Canned, secrets: Secrets) -> None:
    """What is left over on one call's connection does not answer the next call."""
    server.keep_alive = True
    kept = reply(200, LIST, Connection="keep-alive")
    server.replies = [kept + kept.replace(b"one", b"bad"), kept]
    answers = [secrets.list_secrets(CREDENTIAL, KEY) for _ in range(2)]

    assert [secret.id for answer in answers for secret in answer] == ["one", "one"]
    assert server.connections == 2


def test_gone_after_a_lost_deletion(server: Canned, secrets: Secrets) -> None:
    """A deletion whose answer was lost is repeated; then the id is unknown, which is told."""
    server.replies = [b"", reply(404, GONE)]
    with pytest.raises(SecretNotFound):
        secrets.delete_secret(CREDENTIAL, KEY, "one")

    assert len(server.requests) == 2


def test_a_refusal_after_a_lost_deletion_is_unknown(server: Canned, secrets: Secrets) -> None:
    """A deletion may have revoked the very credential; its 401 does not mean "no effect"."""
    server.replies = [b"", reply(401)]
    with pytest.raises(IssuerUnavailable) as caught:
        secrets.delete_secret(CREDENTIAL, KEY, "one")

    assert caught.value.definite is False


def test_no_connection_is_definite(clock: Clock) -> None:
    """Where nobody listens, nothing was sent, and a read tries again."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with transport(url, clock) as shared, pytest.raises(NotSent, match="refused") as caught:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    with transport(url, clock) as shared, pytest.raises(NotSent):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert caught.value.definite is True
    assert clock.slept == [0.5, 1.0, 2.0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a file with a certificate for 127.0.0.1 that nobody signed, and its key."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", f"{path}.key", "-out", str(path)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.key").read_text())
    return path


def test_a_certificate_that_does_not_verify_is_named(
    server: Canned, clock: Clock, certificate: Path
) -> None:
    """TLS is verified, and an operator reads why there is no connection."""
    server.encrypt(certificate)
    with (
        transport(server.url, clock) as shared,
        pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert server.requests == []


def test_a_certificate_named_by_the_environment_is_trusted(
    server: Canned, clock: Clock, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE adds a private authority, as everywhere."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.encrypt(certificate)
    server.replies = [reply(200, LIST)]
    with transport(server.url, clock) as shared:
        listed = Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert [secret.id for secret in listed] == ["one"]


@pytest.mark.parametrize(
    "answer", [reply(200, LIST), reply(200, LIST, **{f"X-{n}": "y" for n in range(9)})]
)
@pytest.mark.parametrize("timeout", [0.25])
def test_a_server_that_drips_does_not_hold_a_thread(
    server: Canned, answer: bytes, timeout: float
) -> None:
    """Each byte comes in time, the whole does not: the attempt ends at its deadline."""
    server.drip = 0.02
    server.replies = [answer]
    started = time.monotonic()
    with (
        transport(server.url, time.monotonic, timeout=timeout) as shared,
        pytest.raises(IssuerUnavailable, match="in time"),
    ):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    took = time.monotonic() - started

    assert timeout * 0.9 < took < len(answer) * server.drip / 2


def test_a_server_that_says_nothing(server: Canned, clock: Clock) -> None:
    """Silence ends with the timeout, and the outcome is unknown."""
    server.drip = 60
    server.replies = [b"H" * 2]
    codes: list[str] = []
    with (
        transport(
            server.url, clock, timeout=0.1, on_call=lambda _, code, __: codes.append(code)
        ) as shared,
        pytest.raises(IssuerUnavailable),
    ):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert codes == ["timeout"]


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, LIST + b" " * LIMIT),
        b"HTTP/1.1 200 OK\r\n\r\n" + LIST + b" " * LIMIT,
        reply(200, gzip.compress(LIST + b" " * LIMIT), Content_Encoding="gzip"),
    ],
)
def test_an_answer_too_long_to_be_one(server: Canned, secrets: Secrets, answer: bytes) -> None:
    """More than a megabyte, as sent or unpacked, is no list, even if one stands in it."""
    server.replies = [answer]

    with pytest.raises(UnexpectedAnswer, match="longer than 1 MB"):
        secrets.list_secrets(CREDENTIAL, KEY)


def test_an_answer_without_end(server: Canned, secrets: Secrets) -> None:
    """Of an answer that never ends no more than the limit is read."""
    server.endless = True
    server.replies = [b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 65536]

    with pytest.raises(UnexpectedAnswer, match="longer than 1 MB"):
        secrets.list_secrets(CREDENTIAL, KEY)


def test_a_redirect_is_not_followed(server: Canned, clock: Clock) -> None:
    """A credential goes to the configured host only."""
    elsewhere = Canned()
    server.replies = [reply(302, Location=elsewhere.url)]
    elsewhere.replies = [reply(200, LIST)]
    with transport(server.url, clock) as shared, pytest.raises(UnexpectedAnswer, match="HTTP 302"):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
    elsewhere.close()

    assert elsewhere.requests == []


def test_no_cookie_is_kept(server: Canned, secrets: Secrets) -> None:
    """One account's session cannot authenticate another's probe."""
    server.replies = [reply(200, LIST, Set_Cookie="session=1; Path=/")]
    secrets.list_secrets(CREDENTIAL, KEY)
    secrets.list_secrets(CREDENTIAL, KEY)

    assert b"ookie" not in server.requests[1]


def test_netrc_does_not_authenticate(
    server: Canned, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What .netrc has for the host is left alone."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.replies = [reply(200, LIST), reply(200, BALANCE)]
    with transport(server.url, clock, rest_auth=RestAuth.QUERY) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
        Accounts(shared).balance(CREDENTIAL)

    assert f"Authorization: Basic {PAIR}".encode() in server.requests[0]
    assert b"Authorization" not in server.requests[1]


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_environments_proxy_is_used(
    server: Canned, clock: Clock, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """HTTP_PROXY leads there, with or without a scheme; NO_PROXY and loopback do not."""
    monkeypatch.setenv("http_proxy", f"{scheme}127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "direct.test")
    server.replies = [reply(200, LIST)]
    with transport("http://api.test", clock) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
    with transport(server.url, clock) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
    with transport("http://direct.test", clock, timeout=0.2) as shared, pytest.raises(NotSent):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert [request.split(b" ")[1] for request in server.requests] == [
        b"http://api.test/accounts/abcd1234/secrets",
        b"/accounts/abcd1234/secrets",
    ]


def test_a_proxy_that_refuses_the_tunnel_got_no_request(
    server: Canned, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a tunnel stands nothing was sent through it, and the proxy saw no credential."""
    monkeypatch.setenv("https_proxy", f"http://user:hidden@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.replies = [reply(407)]
    with transport("https://api.test", clock) as shared, pytest.raises(NotSent) as caught:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert server.requests[0].startswith(b"CONNECT api.test:443")
    assert PAIR.encode() not in server.requests[0]
    assert "407" in caught.value.message
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    "proxy", ["ftp://user:hidden@host", "socks5://user:hidden@host:1", "http://a..b"]
)
def test_an_unusable_proxy_is_a_matter_of_configuration(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A proxy that cannot be used is refused at the start, and its password not repeated."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigError) as caught:
        transport("https://api.test", clock)

    assert "hidden" not in caught.value.message


def test_an_unreadable_ca_file_is_a_matter_of_configuration(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is honoured, so that a wrong one is an error."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")

    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        transport("https://api.test", clock)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.nexmo.com",
        "ftp://host",
        "https://",
        "https://user:hidden@host",
        "https://host/?api_secret=hidden",
        "https://host/#x",
        "https://host:port",
        "https://a..b",
        "https://host:99999",
        f"https://{'x' * 64}.com",
    ],
)
def test_a_base_url_is_a_plain_one(clock: Clock, url: str) -> None:
    """A URL that is none, or holds a credential, is refused and not repeated."""
    with pytest.raises(ConfigError) as caught:
        transport(url, clock)

    assert "hidden" not in caught.value.message


def test_a_base_url_may_have_a_path(server: Canned, clock: Clock) -> None:
    """A gateway below a path works, with a slash at the end or without."""
    server.replies = [reply(200, LIST)]
    with transport(f"{server.url}/vonage/", clock) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert server.requests[0].startswith(b"GET /vonage/accounts/abcd1234/secrets ")


def test_the_pace_is_kept_over_all_clients_and_tries(server: Canned, clock: Clock) -> None:
    """Clients of one transport, and repetitions, share one rate limit."""
    server.replies = [reply(200, LIST), reply(503), reply(200, BALANCE)]
    with transport(server.url, clock, max_requests_per_second=1, random=lambda: 0.0) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
        Accounts(shared).balance(CREDENTIAL)

    assert clock.slept == [1, 0, 1]


def test_each_attempt_is_counted(server: Canned, clock: Clock) -> None:
    """Metrics see every attempt with what came of it."""
    seen: list[tuple[str, str, float]] = []
    server.replies = [b"", reply(200, LIST), reply(401)]
    with transport(server.url, clock, on_call=lambda *call: seen.append(call)) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
        with pytest.raises(CredentialRefused):
            Subaccounts(shared).list_subaccounts(CREDENTIAL)

    assert seen == [
        ("secrets.list", "dropped", 0),
        ("secrets.list", "200", 0),
        ("subaccounts.list", "401", 0),
    ]


def test_each_attempt_is_logged_without_a_value(server: Canned, secrets: Secrets) -> None:
    """One debug event per attempt says which call, how it went and its request id."""
    server.replies = [reply(200, LIST, X_Request_Id=f"id-{SECRET}")]
    with capture_logs() as events:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert events == [
        {
            "event": "vonage call",
            "log_level": "debug",
            "operation": "secrets.list",
            "api_key": KEY,
            "status": "200",
            "milliseconds": 0,
            "request_id": "id-***",
        }
    ]


def test_the_request_id_of_a_strange_answer_is_kept(server: Canned, secrets: Secrets) -> None:
    """Vonage's support can be asked about an answer that made no sense."""
    server.replies = [reply(201, b"{}", X_Request_Id="b1946ac9")]
    with pytest.raises(UnexpectedAnswer) as caught:
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert caught.value.request_id == "b1946ac9"


def test_threads_share_a_transport(server: Canned, clock: Clock) -> None:
    """Many threads get their own answers."""
    server.keep_alive = True
    server.replies = [reply(200, LIST, Connection="keep-alive")]
    got: list[str] = []
    with transport(server.url, clock) as shared:

        def read() -> None:
            got.extend(secret.id for secret in Secrets(shared).list_secrets(CREDENTIAL, KEY))

        threads = [threading.Thread(target=read) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert got == ["one"] * 16

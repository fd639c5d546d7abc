import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

import pytest

from rotator.errors import StoreError, StoreUnavailable
from rotator.vault import EnvToken, Trust, VaultSession
from tests.support import certificates
from tests.support.vault_calls import READ


class Handler(BaseHTTPRequestHandler):
    """Answers every GET with the same object."""

    def do_GET(self) -> None:
        """Answer, and remember that something got through."""
        self.server.paths.append(self.path)  # type: ignore[attr-defined]
        body = b'{"over": "tls"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its base's word
        """Log nothing."""


class Server(ThreadingHTTPServer):
    """Listens on loopback, with TLS if it has a certificate."""

    def __init__(self, certificate: Path | None, clients: Path | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: list[str] = []
        if certificate:
            context = certificates.server_context(certificate, clients)
            if clients:
                context.verify_mode = ssl.CERT_REQUIRED
                # Later ones refuse after the handshake, which a reset may hide.
                context.maximum_version = ssl.TLSVersion.TLSv1_2
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self._thread = threading.Thread(target=self.serve_forever, args=[0.01])
        self._thread.start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing of clients that hang up."""

    @property
    def url(self) -> str:
        """Where it listens, in TLS."""
        return f"https://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Stop listening."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Return self, for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening, however the test ended: its thread would outlive it."""
        self.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the server's certificate."""
    return certificates.certificate(tmp_path_factory.mktemp("tls"), "vault")


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    """Yield a server that speaks TLS."""
    running = Server(certificate)
    yield running
    running.stop()


def connect(server: Server, ca_file: str = "", cert: str = "", key: str = "") -> VaultSession:
    """Connect without ever sleeping."""
    return VaultSession(
        server.url,
        token_source=EnvToken("hvs.SecretToken"),
        timeout=60,
        trust=Trust(ca_file=ca_file, client_cert_file=cert, client_key_file=key),
        sleep=lambda _: None,
    )


def failure(connection: VaultSession) -> StoreError:
    """Make the call and give its error."""
    with pytest.raises(StoreUnavailable) as caught:
        connection.call(READ)
    assert caught.value.__context__ is None
    return caught.value


def test_the_ca_file_is_trusted(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ca file signed is trusted, whatever the environment says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    answer = connect(server, str(certificate)).call(READ)

    assert answer.body == {"over": "tls"}


def test_without_the_ca_file_nothing_is_sent(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unknown certificate ends the call before the token is sent, with a hint.

    What hvac took from VAULT_CACERT when it was imported makes no difference.
    """
    monkeypatch.setattr("hvac.v1.VAULT_CACERT", str(certificate))
    error = failure(connect(server))

    assert "vault.ca_file" in (error.hint or "")
    assert server.paths == []


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_is_none_is_named(
    server: Server, tmp_path: Path, content: str | None
) -> None:
    """A ca file that is missing or holds no certificate is an error that names the setting."""
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    error = failure(connect(server, str(ca_file)))

    assert "vault.ca_file" in (error.hint or "")


def test_a_client_certificate_is_presented(certificate: Path, tmp_path: Path) -> None:
    """A server that wants one gets it, with its key from the same file or another's."""
    both = certificates.certificate(tmp_path, "client")
    alone = tmp_path / "alone.pem"
    alone.write_text(certificates.public_part(both))
    with Server(certificate, clients=both) as server:
        answers = [
            connect(server, str(certificate), *client).call(READ)
            for client in ([str(both)], [str(alone), str(tmp_path / "client.key")])
        ]
        errors = [
            failure(connect(server, str(certificate), client))
            for client in ("", str(tmp_path / "none.pem"))
        ]

    assert [answer.body for answer in answers] == [{"over": "tls"}] * 2
    assert len(server.paths) == 2
    for error in errors:
        assert "vault.client_cert_file" in (error.hint or "")


def test_an_encrypted_key_is_named(server: Server, certificate: Path, tmp_path: Path) -> None:
    """Neither the authority nor Vault is blamed, and nobody is asked for a passphrase."""
    both = certificates.certificate(tmp_path, "client")
    key = certificates.encrypted(both, tmp_path / "key.pem")
    error = failure(connect(server, str(certificate), str(both), str(key)))

    assert "encrypted" in error.message
    assert "openssl pkey" in (error.hint or "")
    assert server.paths == []


def test_the_systems_authorities_are_trusted(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a ca file, what the operating system trusts is trusted."""
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("rotator.network.tls._of_system", lambda: (str(certificate),))

    assert connect(server).call(READ).body == {"over": "tls"}


def test_a_renewed_authority_counts_from_the_next_connection_on(
    server: Server, certificate: Path, tmp_path: Path
) -> None:
    """Nothing has to be started anew."""
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text(certificates.public_part(certificates.certificate(tmp_path, "old")))
    connection = connect(server, str(ca_file))
    failure(connection)
    ca_file.write_text(certificates.public_part(certificate))

    assert connection.call(READ).body == {"over": "tls"}


def test_plain_http_where_tls_is_expected_is_named() -> None:
    """An https address of a server that speaks http fails as TLS."""
    server = Server(None)
    error = failure(connect(server))
    server.stop()

    assert "TLS" in error.message

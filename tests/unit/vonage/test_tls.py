"""TLS: whom the client trusts."""

import shutil
import subprocess
from pathlib import Path

import pytest

from rotator.errors import ConfigError, NotSent
from rotator.model import SecretValue
from rotator.vonage import Secrets
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, VALUE, transport


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with a self-signed certificate for 127.0.0.1, and its key."""
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
    server: ScriptedServer, clock: FakeTimer, certificate: Path
) -> None:
    """TLS is verified, and an operator reads why there is no connection."""
    server.encrypt(certificate)
    shared = transport(server.url, clock)
    with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert server.requests == []


def test_a_certificate_named_by_the_environment_is_trusted(
    server: ScriptedServer, clock: FakeTimer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE adds a private authority, as everywhere."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.encrypt(certificate)
    server.replies = [reply(200, LIST)]
    shared = transport(server.url, clock)
    listed = Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert [secret.id for secret in listed] == ["one"]


def test_an_unreadable_ca_file_is_a_matter_of_configuration(
    clock: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE is honoured, so that a wrong one is an error."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")

    with pytest.raises(ConfigError, match="SSL_CERT_FILE"):
        transport("https://api.test", clock)

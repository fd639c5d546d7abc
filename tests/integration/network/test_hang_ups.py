"""A server that goes away, at each moment of an exchange and in each manner, is one case.

What only reads, and a login, is asked again; what changes something is sent once.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import IssuerUnavailable, NotSent, StoreNotReady, StoreUnavailable
from rotator.hooks.webhook import post
from rotator.model import SecretValue
from rotator.network import Client, ExchangeFailed, HttpRequest, Route, TransportFailure, Trust
from rotator.vault import EnvToken, Userpass, VaultSession
from rotator.vault.auth.login_token import LoginToken
from rotator.vonage import Secrets
from tests.support import certificates
from tests.support.clock import FakeTimer
from tests.support.dropping_server import MANNERS, MOMENTS, SENT, UNSENT, DroppingServer
from tests.support.scripted_server import reply
from tests.support.vault_calls import READ, WRITE
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, ONE, VALUE, transport

#: More often than what will hardly pass by itself is asked again.
OFTEN = 6
WRITTEN = reply(200, b'{"data": {"version": 2, "created_time": "", "deletion_time": ""}}')
LOGGED_IN = reply(
    200,
    b'{"auth": {"client_token": "hvs.of-a-login", "lease_duration": 3600, "renewable": false}}',
)

each_moment = pytest.mark.parametrize("moment", MOMENTS)
each_manner = pytest.mark.parametrize("manner", MANNERS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1."""
    return certificates.certificate(tmp_path_factory.mktemp("tls"), "server")


@pytest.fixture(autouse=True)
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks trusts it."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


@each_manner
@each_moment
def test_who_goes_away_is_gone(certificate: Path, moment: str, manner: str) -> None:
    """It passes by itself; and whether anything was sent is known."""
    request = HttpRequest(method="POST", target="/", headers={}, body=b"{}")
    with (
        DroppingServer(certificate, moment, manner, answer=WRITTEN, times=1) as server,
        pytest.raises(ExchangeFailed) as caught,
    ):
        Client(Route(server.url)).send(request, left=lambda: 60, limit=1000)

    expected = TransportFailure.DROPPED if moment in SENT else TransportFailure.UNREACHABLE
    assert caught.value.reason is expected
    assert caught.value.reason.passes
    assert caught.value.sent is (moment in SENT) is (not caught.value.reason.unsent)
    assert len(server.requests) == caught.value.sent


def vault(server: DroppingServer, certificate: Path, source: EnvToken | LoginToken) -> VaultSession:
    """Connect without ever sleeping."""
    return VaultSession(
        server.url,
        token_source=source,
        timeout=60,
        trust=Trust(ca_file=str(certificate)),
        sleep=lambda _: None,
    )


@each_manner
@each_moment
def test_vault_is_asked_again_for_what_it_has(certificate: Path, moment: str, manner: str) -> None:
    """As often as it takes while there is time."""
    with DroppingServer(certificate, moment, manner, answer=WRITTEN, times=OFTEN) as server:
        answer = vault(server, certificate, EnvToken("hvs.given")).call(READ)

    assert answer.status == 200
    assert server.dropped == OFTEN


@each_manner
@each_moment
def test_a_login_is_tried_again(
    certificate: Path, tmp_path: Path, moment: str, manner: str
) -> None:
    """A token that a lost answer granted ends by itself."""
    (tmp_path / "password").write_text("pass")
    (tmp_path / "password").chmod(0o600)
    way = Userpass(username="rotator", password_file=str(tmp_path / "password"))
    with DroppingServer(certificate, moment, manner, answer=LOGGED_IN, times=OFTEN) as server:
        answer = vault(server, certificate, LoginToken(way)).call(READ)

    assert answer.status == 200
    assert server.dropped == OFTEN


@each_manner
@pytest.mark.parametrize("moment", SENT)
def test_a_write_to_vault_that_was_sent_is_not_sent_again(
    certificate: Path, moment: str, manner: str
) -> None:
    """It may have been done."""
    with (
        DroppingServer(certificate, moment, manner, answer=WRITTEN, times=1) as server,
        pytest.raises(StoreUnavailable) as caught,
    ):
        vault(server, certificate, EnvToken("hvs.given")).call(WRITE)

    assert not caught.value.definite
    assert len(server.requests) == 1


@each_manner
@pytest.mark.parametrize("moment", UNSENT)
def test_a_write_to_vault_that_was_not_sent_is_known_to_be_none(
    certificate: Path, moment: str, manner: str
) -> None:
    """It is sent once a connection stands, as long as what it was decided on is young."""
    with DroppingServer(certificate, moment, manner, answer=WRITTEN, times=1) as server:
        answer = vault(server, certificate, EnvToken("hvs.given")).call(WRITE)
    with (
        DroppingServer(certificate, moment, manner, answer=WRITTEN, times=10_000) as away,
        pytest.raises(StoreNotReady) as caught,
    ):
        vault(away, certificate, EnvToken("hvs.given")).call(WRITE)

    assert answer.status == 200
    assert len(server.requests) == 1
    assert caught.value.definite
    assert away.requests == []


@each_manner
@each_moment
def test_vonage_is_asked_again_for_what_it_has(certificate: Path, moment: str, manner: str) -> None:
    """A few times."""
    with DroppingServer(certificate, moment, manner, answer=reply(200, LIST), times=3) as server:
        listed = Secrets(transport(server.url, FakeTimer())).list_secrets(CREDENTIAL, KEY)

    assert [secret.id for secret in listed] == ["one"]
    assert server.dropped == 3


def create(secrets: Secrets) -> None:
    """Make a secret."""
    secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))


def delete(secrets: Secrets) -> None:
    """Delete one."""
    secrets.delete_secret(CREDENTIAL, KEY, "one")


@pytest.mark.parametrize("change", [create, delete])
@each_manner
@each_moment
def test_what_changes_something_at_vonage_is_sent_once(
    certificate: Path, moment: str, manner: str, change: Callable[[Secrets], None]
) -> None:
    """Not even a connection is made a second time: the loop looks first."""
    with (
        DroppingServer(certificate, moment, manner, answer=reply(201, ONE), times=1) as server,
        pytest.raises((IssuerUnavailable, NotSent)) as caught,
    ):
        change(Secrets(transport(server.url, FakeTimer())))

    assert caught.value.definite is (moment in UNSENT)
    assert (server.dropped, len(server.requests)) == (1, moment in SENT)


@each_manner
@pytest.mark.parametrize("moment", MOMENTS[:-1])  # a 204 has no body
def test_a_webhook_is_posted_once_and_not_taken_for_delivered(
    certificate: Path, moment: str, manner: str
) -> None:
    """Whoever posts it does so again later."""
    with DroppingServer(certificate, moment, manner, answer=reply(204), times=1) as server:
        answer = post(server.url, b"{}", {}, timeout=timedelta(seconds=60))

    if moment in SENT:
        assert answer.reason == "no usable answer came"
    else:
        assert (answer.reason or "").startswith("it cannot be reached: ")
    assert (server.dropped, len(server.requests)) == (1, moment in SENT)

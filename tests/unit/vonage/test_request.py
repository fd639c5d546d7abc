"""What is sent, and to whom alone."""

from pathlib import Path

import pytest

from rotator.errors import ConfigError, UnexpectedAnswer
from rotator.model import SecretValue
from rotator.vonage import Accounts, RestAuth, Secrets
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import (
    BALANCE,
    CREDENTIAL,
    KEY,
    LIST,
    ONE,
    PAIR,
    SECRET,
    VALUE,
    transport,
)


def test_the_request_on_the_wire(server: ScriptedServer, secrets: Secrets) -> None:
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
    server: ScriptedServer, secrets: Secrets, secret_id: str
) -> None:
    """What is not an id is refused without a request."""
    with pytest.raises(ConfigError):
        secrets.delete_secret(CREDENTIAL, KEY, secret_id)

    assert server.requests == []


def test_query_authentication_is_for_the_rest_host_only(
    server: ScriptedServer, clock: FakeTimer
) -> None:
    """Where it is asked for, the rest host gets the pair in the query and no header; api, Basic."""
    server.replies = [reply(200, BALANCE), reply(200, LIST)]
    shared = transport(server.url, clock, rest_auth=RestAuth.QUERY)
    Accounts(shared).balance(CREDENTIAL)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    rest, api = (request.decode() for request in server.requests)

    assert rest.startswith(
        f"GET /account/get-balance?api_key={KEY}&api_secret=Current%2BSecret%2F1 HTTP/1.1"
    )
    assert "Authorization" not in rest
    assert "Authorization: Basic" in api
    assert "?" not in api.split("\r\n", maxsplit=1)[0]


def test_a_redirect_is_not_followed(server: ScriptedServer, clock: FakeTimer) -> None:
    """A credential goes to the configured host only."""
    elsewhere = ScriptedServer()
    server.replies = [reply(302, Location=elsewhere.url)]
    elsewhere.replies = [reply(200, LIST)]
    shared = transport(server.url, clock)
    with pytest.raises(UnexpectedAnswer, match="HTTP 302"):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
    elsewhere.close()

    assert elsewhere.requests == []


def test_no_cookie_is_kept(server: ScriptedServer, secrets: Secrets) -> None:
    """One account's session cannot authenticate another's probe."""
    server.replies = [reply(200, LIST, Set_Cookie="session=1; Path=/")]
    secrets.list_secrets(CREDENTIAL, KEY)
    secrets.list_secrets(CREDENTIAL, KEY)

    assert b"ookie" not in server.requests[1]


def test_netrc_does_not_authenticate(
    server: ScriptedServer, clock: FakeTimer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What .netrc has for the host is left alone."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server.replies = [reply(200, LIST), reply(200, BALANCE)]
    shared = transport(server.url, clock, rest_auth=RestAuth.QUERY)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    Accounts(shared).balance(CREDENTIAL)

    assert f"Authorization: Basic {PAIR}".encode() in server.requests[0]
    assert b"Authorization" not in server.requests[1]


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
def test_a_base_url_is_a_plain_one(clock: FakeTimer, url: str) -> None:
    """A URL that is none, or holds a credential, is refused and not repeated."""
    with pytest.raises(ConfigError) as caught:
        transport(url, clock)

    assert "hidden" not in caught.value.message


def test_a_base_url_may_have_a_path(server: ScriptedServer, clock: FakeTimer) -> None:
    """A gateway below a path works, with a slash at the end or without."""
    server.replies = [reply(200, LIST)]
    shared = transport(f"{server.url}/vonage/", clock)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert server.requests[0].startswith(b"GET /vonage/accounts/abcd1234/secrets ")

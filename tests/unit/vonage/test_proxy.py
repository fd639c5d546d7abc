"""The environment's proxy: used, refused, and never shown."""

import pytest

from rotator.errors import ConfigError, NotSent
from rotator.model import SecretValue
from rotator.vonage import Secrets
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, PAIR, VALUE, transport


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_environments_proxy_is_used(
    server: ScriptedServer, clock: FakeTimer, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """HTTP_PROXY leads there, with or without a scheme; NO_PROXY and loopback do not."""
    monkeypatch.setenv("http_proxy", f"{scheme}127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", "direct.test")
    server.replies = [reply(200, LIST)]
    shared = transport("http://api.test", clock)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    shared = transport(server.url, clock)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    shared = transport("http://direct.test", clock, timeout=0.2)
    with pytest.raises(NotSent):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert [request.split(b" ")[1] for request in server.requests] == [
        b"http://api.test/accounts/abcd1234/secrets",
        b"/accounts/abcd1234/secrets",
    ]


def test_a_proxy_that_refuses_the_tunnel_got_no_request(
    server: ScriptedServer, clock: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a tunnel stands nothing was sent through it, and the proxy saw no credential."""
    monkeypatch.setenv("https_proxy", f"http://user:hidden@127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.replies = [reply(407)]
    shared = transport("https://api.test", clock)
    with pytest.raises(NotSent) as caught:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert server.requests[0].startswith(b"CONNECT api.test:443")
    assert PAIR.encode() not in server.requests[0]
    assert "407" in caught.value.message
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize(
    "proxy", ["ftp://user:hidden@host", "socks5://user:hidden@host:1", "http://a..b"]
)
def test_an_unusable_proxy_is_a_matter_of_configuration(
    clock: FakeTimer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """A proxy that cannot be used is refused at the start, and its password not repeated."""
    monkeypatch.setenv("https_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(ConfigError) as caught:
        transport("https://api.test", clock)

    assert "hidden" not in caught.value.message

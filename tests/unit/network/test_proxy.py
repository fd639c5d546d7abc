"""Which proxy is asked for what, and what no proxy is ever asked for."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rotator.config.errors import InvalidValue
from rotator.config.urls import web_url
from rotator.network import ExchangeFailed, TransportFailure, is_loopback
from rotator.network.connect import proxy_for

LOOPBACK = [
    "localhost",
    "localhost.",
    "LocalHost",
    "vault.localhost",
    "127.0.0.1",
    "127.1",
    "127.8.9.10",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "[::ffff:7f00:1]",
    "0.0.0.0",  # noqa: S104  # leads to loopback
    "::",
]
ELSEWHERE = ["example.com", "localhost.example.com", "128.0.0.1", "::2", "10.0.0.1", "127.0.0.1.x"]


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("host", LOOPBACK)
def test_this_machine_is_known_in_any_spelling(host: str) -> None:
    """However it is written, what is sent there stays here."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ELSEWHERE)
def test_other_machines_are_not_this_one(host: str) -> None:
    """Nor is a name that only begins like it."""
    assert not is_loopback(host)


HOSTS = st.ip_addresses().map(str) | st.sampled_from([*LOOPBACK, *ELSEWHERE])


@given(host=HOSTS)
@example(host="127.255.255.254")
def test_where_plain_http_is_allowed_no_proxy_is_asked(host: str) -> None:
    """What the configuration takes for this machine, the network does, too."""
    bare = host.strip("[]")
    try:
        web_url(f"http://[{bare}]" if ":" in bare else f"http://{bare}")
    except InvalidValue:
        return

    assert is_loopback(host)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_is_never_asked_through_a_proxy(
    host: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the environment says: a token and values would go there in clear."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://proxy.example.com:3128")
    monkeypatch.setenv("no_proxy", "")

    assert proxy_for(scheme, host.strip("[]"), 8200) is None


@pytest.mark.parametrize(
    ("variables", "scheme", "expected"),
    [
        ({}, "https", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https", "proxy:3128"),
        ({"HTTPS_PROXY": "proxy:3128"}, "https", "proxy:3128"),
        ({"HTTPS_PROXY": "https://proxy:3128"}, "https", "proxy:3128 in TLS"),
        ({"HTTPS_PROXY": "http://proxy"}, "https", "proxy:80"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "http", None),
        ({"HTTP_PROXY": "http://proxy:3128"}, "http", "proxy:3128"),
        ({"ALL_PROXY": "http://proxy:3128"}, "https", "proxy:3128"),
        ({"ALL_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https", "b:2"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https", "b:2"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": ""}, "https", None),
    ],
)
def test_the_environment_names_the_proxy(
    variables: dict[str, str], scheme: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scheme, else for all; in lower case first, as curl and Python read it."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for(scheme, "vault.example.com", 443)

    shown = proxy and f"{proxy.host}:{proxy.port}{' in TLS' if proxy.tls else ''}"
    assert shown == expected


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_exempt"),
    [
        ("*", "vault.example.com", True),
        ("example.com", "vault.example.com", True),
        ("example.com", "example.com", True),
        (".example.com", "vault.example.com", True),
        ("*.example.com", "vault.example.com", True),
        ("EXAMPLE.com", "vault.example.COM.", True),
        ("other.org, example.com", "vault.example.com", True),
        ("other.org example.com", "vault.example.com", True),
        ("ample.com", "vault.example.com", False),
        ("vault.example.com:8200", "vault.example.com", True),
        ("vault.example.com:8201", "vault.example.com", False),
        ("vault.example.com.", "vault.example.com", True),
        ("*.example.com:8200", "vault.example.com", True),
        ("*:8200", "vault.example.com", True),
        ("*:8201", "vault.example.com", False),
        ("other.org,*", "10.1.2.3", True),
        ("10.0.0.0/8:8200", "10.1.2.3", True),
        ("10.0.0.0/8:8201", "10.1.2.3", False),
        ("10.0.0.0/33", "10.1.2.3", False),
        ("10.1.2.3/8", "10.9.9.9", True),
        ("10.0.0.0/8", "fd00::1", False),
        ("fe80::/10", "fe80::1%eth0", True),
        ("fe80::1%eth0", "fe80::1%eth0", True),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3:8200", "10.1.2.3", True),
        ("10.1.2.3:8201", "10.1.2.3", False),
        ("fd00::/8", "fd00::1", True),
        ("[fd00::1]:8200", "fd00::1", True),
        ("fd00::1", "fd00:0::1", True),
        ("10.0.0.0/8", "vault.example.com", False),
        ("example.com", "10.1.2.3", False),
        (",, .", "vault.example.com", False),
        ("", "vault.example.com", False),
    ],
)
def test_what_is_exempt_is_asked_straight(
    no_proxy: str, host: str, *, is_exempt: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY has names with all below them, addresses and networks, each with a port or not."""
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", no_proxy)

    assert (proxy_for("https", host, 8200) is None) is is_exempt


@pytest.mark.parametrize(
    "url",
    ["socks5://user:pa55@proxy:1", "http://user:pa55@", "http://user:pa55@a..b", "http://h:x"],
)
def test_a_proxy_that_cannot_be_used_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its password is not repeated, neither in the error nor in what led to it."""
    monkeypatch.setenv("https_proxy", url)
    with pytest.raises(ExchangeFailed) as caught:
        proxy_for("https", "vault.example.com", 443)

    assert caught.value.reason is TransportFailure.PROXY
    assert "pa55" not in repr(caught.value)
    assert caught.value.__context__ is None


def test_a_proxys_password_is_decoded_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands percent-encoded in a URL, and nowhere else."""
    monkeypatch.setenv("https_proxy", "http://us%40er:pa%3A55@proxy:3128")
    proxy = proxy_for("https", "vault.example.com", 443)

    assert proxy is not None
    assert proxy.headers == [("Proxy-Authorization", "Basic dXNAZXI6cGE6NTU=")]
    assert "dXNAZXI6cGE6NTU" not in repr(proxy)

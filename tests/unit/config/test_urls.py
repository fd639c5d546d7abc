"""The URLs of servers."""

import pytest

from tests.unit.config.file import SMS, Read, Refuse


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://vault.example.com", "https://vault.example.com"),
        ("https://vault.example.com:8200/", "https://vault.example.com:8200"),
        ("https://proxy/vault//", "https://proxy/vault"),
        ("https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"),
        ("http://localhost:8200", "http://localhost:8200"),
        ("http://127.9.9.9:8200", "http://127.9.9.9:8200"),
        ("http://[::1]:8200", "http://[::1]:8200"),
    ],
)
def test_urls_are_taken(read: Read, text: str, url: str) -> None:
    """A server is reached by https, on this machine also by http; no slash ends its URL."""
    assert read(f'[vault]\naddress = "{text}"\n{SMS}').vault.address == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://vault.example.com", "is plain http to another machine"),
        ("http://localhost.example.com", "is plain http to another machine"),
        ("http://127.0.0.1.example.com", "is plain http to another machine"),
        ("http://128.0.0.1", "is plain http to another machine"),
        ("http://[::ffff:127.0.0.1]", "is plain http to another machine"),
        ("http://2130706433", "is plain http to another machine"),
        ("ftp://vault", "is not an https URL"),
        ("vault.example.com", "names no host"),
        ("vault:8200", "names no host"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://:8200", "names no host"),
        ("https://a\\\\b", "names no host"),
        ("https://host:port", "is not a URL"),
        ("https://host:", "is not a URL"),
        ("https://host:70000", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://vault/?", "the value has a user name, query or fragment"),
        ("https://vault#", "the value has a user name, query or fragment"),
        ("https://vault/me@x", "the value has a user name, query or fragment"),
        ("https://me@vault", "the value has a user name, query or fragment"),
        ("https://va ult", "has spaces or control characters"),
        ("https://va\\tult", "has spaces or control characters"),
    ],
)
def test_other_urls_are_refused(refuse: Refuse, text: str, reason: str) -> None:
    """A URL that would leak a credential, or has more than a place, is refused."""
    error = refuse(f'[vault]\naddress = "{text}"\n{SMS}')

    assert f" {reason}" in error.message

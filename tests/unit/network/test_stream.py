"""TLS over a stream that ends."""

import ssl
from types import SimpleNamespace

import pytest

from rotator.network.stream import CurrentExchange, Encrypted, HungUp


class Gone:
    """A stream whose other side takes nothing more."""

    current = CurrentExchange()

    def read(self) -> bytes:
        """Return nothing."""
        return b""

    def write(self, data: bytes) -> None:
        """Take nothing."""
        raise HungUp(str(len(data)))

    def is_readable(self) -> bool:
        """Report that the connection was hung up."""
        return True

    def close(self) -> None:
        """Do nothing."""


def test_to_read_from_who_hung_up_is_to_read_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where TLS has something to say on the way, as to a new key."""
    steps = iter([ssl.SSLWantReadError, ssl.SSLEOFError])

    def read(_size: int) -> bytes:
        raise next(steps)

    monkeypatch.setattr(Encrypted, "_do", lambda _self, _step: None)
    context = ssl.create_default_context()
    stream = Encrypted(Gone(), context, "example.com")
    monkeypatch.undo()
    monkeypatch.setattr(stream, "_tls", SimpleNamespace(read=read))
    stream._to_send.write(b"a new key")

    assert stream.read() == b""

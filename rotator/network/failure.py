"""Reasons why no usable answer was received."""

from enum import StrEnum


class TransportFailure(StrEnum):
    """The reason. Its value is the code in metrics and logs."""

    REFUSED = "refused"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    CERTIFICATES = "certificates"
    ENCRYPTED_KEY = "encrypted-key"
    TLS = "tls"
    #: The proxy refuses, cannot be used, or does not speak HTTP.
    PROXY = "proxy"
    #: The proxy cannot be passed at the moment.
    PROXY_AWAY = "proxy-away"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    OVERSIZE = "oversize"

    @property
    def code(self) -> str:
        """The reason, for metrics and logs."""
        return self.value

    @property
    def passes(self) -> bool:
        """Whether it will pass on its own, as where a server or a proxy is being restarted.

        All ways of going away count alike: before the connection, in the handshake, before an
        answer or within one; by a reset, an orderly close, or silence.
        """
        return self in _PASSING

    @property
    def unsent(self) -> bool:
        """Whether the request certainly was not sent, for lack of a connection."""
        return self in _UNSENT


_UNSENT = frozenset(
    {
        TransportFailure.REFUSED,
        TransportFailure.UNRESOLVED,
        TransportFailure.UNREACHABLE,
        TransportFailure.CONNECT_TIMEOUT,
        TransportFailure.PROXY,
        TransportFailure.PROXY_AWAY,
    }
)

_PASSING = frozenset(
    {
        TransportFailure.REFUSED,
        TransportFailure.UNREACHABLE,
        TransportFailure.CONNECT_TIMEOUT,
        TransportFailure.TIMEOUT,
        TransportFailure.DROPPED,
        TransportFailure.PROXY_AWAY,
    }
)


class ExchangeFailed(Exception):
    """An exchange without a usable answer."""

    def __init__(self, reason: TransportFailure, detail: str = "", *, sent: bool = False) -> None:
        """Build the error. `detail` is shown to operators: nothing that was sent or received."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        #: Whether the first byte of the request may have been sent.
        self.sent = sent


def reason_of(error: OSError) -> str:
    """Return the text of an operating system or OpenSSL error, without its number."""
    return (error.strerror or str(error) or type(error).__name__).lower()

"""Why no usable answer came."""

from enum import StrEnum


class NoAnswer(StrEnum):
    """The reason. The value is the code in metrics and logs."""

    REFUSED = "refused"
    UNRESOLVED = "unresolved"
    UNREACHABLE = "unreachable"
    CONNECT_TIMEOUT = "connect-timeout"
    CERTIFICATES = "certificates"
    ENCRYPTED_KEY = "encrypted-key"
    TLS = "tls"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    OVERSIZE = "oversize"

    @property
    def code(self) -> str:
        """The reason, for metrics and logs."""
        return self.value

    @property
    def unsent(self) -> bool:
        """Whether the request certainly never left, for lack of a connection."""
        return self in _UNSENT


_UNSENT = frozenset(
    {
        NoAnswer.REFUSED,
        NoAnswer.UNRESOLVED,
        NoAnswer.UNREACHABLE,
        NoAnswer.CONNECT_TIMEOUT,
        NoAnswer.PROXY,
    }
)


class ExchangeFailed(Exception):
    """An exchange that gave no usable answer."""

    def __init__(self, reason: NoAnswer, detail: str = "", *, sent: bool = False) -> None:
        """`detail` is shown to an operator: never anything that was sent or received."""
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        #: Whether the first byte of the request may have left.
        self.sent = sent


def worded(error: OSError) -> str:
    """Return what the operating system or OpenSSL says of an error, without its number."""
    return (error.strerror or str(error) or type(error).__name__).lower()

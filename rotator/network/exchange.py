"""One exchange: its limits in time and bytes, how far it got, and why it failed."""

from collections.abc import Callable
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


#: Interval at which a wait checks whether to give up, in seconds.
_INTERRUPT_INTERVAL = 0.2

#: Bytes that may arrive before an answer's headers are complete, and as many for the framing of its
#: body; the body itself may take twice its size, if sent in small chunks.
_ROOM = 256 * 1024

#: Failures on rotator's own side, or known to be the proxy's already.
_NOT_AT_PROXY = (
    TransportFailure.CERTIFICATES,
    TransportFailure.ENCRYPTED_KEY,
    TransportFailure.PROXY,
    TransportFailure.PROXY_AWAY,
)

#: Returns the seconds left of a budget; negative once overdrawn.
Left = Callable[[], float]


class Exchange:
    """Limits of one request and its answer, from the look-up to the last byte."""

    def __init__(
        self,
        *,
        left: Left,
        limit: int,
        before_send: Callable[[], object] | None,
        interrupt: Callable[[], object] | None,
        through_proxy: bool,
    ) -> None:
        """See `Client.send`."""
        self._left = left
        self._room, self._room_for_body = _ROOM, _ROOM + 2 * limit
        self._before_send = before_send
        self._interrupt = interrupt
        self._at_proxy = through_proxy
        self._sent = False

    def longest_wait(self) -> float:
        """Return the maximum duration of the next wait, in seconds.

        Raises:
            ExchangeFailed: no time is left.
        """
        if self._interrupt:
            self._interrupt()
        left = self._left()
        if left <= 0:
            raise self._late()
        return min(left, _INTERRUPT_INTERVAL) if self._interrupt else left

    def waited(self, seconds: float) -> None:
        """Note that a wait of `seconds` brought nothing.

        Raises:
            ExchangeFailed: no time is left.
        """
        if not self._interrupt or seconds < _INTERRUPT_INTERVAL:
            raise self._late()

    def count(self, size: int) -> None:
        """Count `size` received bytes.

        Raises:
            ExchangeFailed: they exceed any valid answer.
        """
        self._room -= size
        if self._room < 0:
            raise self._failed(TransportFailure.OVERSIZE, "too much was answered")

    def passed_proxy(self) -> None:
        """Note that from here on the server itself answers, not a proxy."""
        self._at_proxy = False

    def begin(self) -> None:
        """Check a last time whether to send: the first byte is next.

        Raises:
            ExchangeFailed: no time is left, and nothing was sent.
        """
        if self._before_send:
            self._before_send()
            self.longest_wait()
        self._sent = True

    def answered(self) -> None:
        """Note that the headers of an answer are complete."""
        if self._sent:
            self._room = self._room_for_body

    def lost(self, detail: str) -> ExchangeFailed:
        """Return the error for a connection that broke."""
        return self._failed(
            TransportFailure.DROPPED if self._sent else TransportFailure.UNREACHABLE, detail
        )

    def at_stage(self, failed: ExchangeFailed) -> ExchangeFailed:
        """Return `failed` with the stage at which it happened."""
        return self._failed(failed.reason, failed.detail)

    def _late(self) -> ExchangeFailed:
        reason = TransportFailure.TIMEOUT if self._sent else TransportFailure.CONNECT_TIMEOUT
        return self._failed(reason, "timed out")

    def _failed(self, reason: TransportFailure, detail: str) -> ExchangeFailed:
        if self._at_proxy and reason not in _NOT_AT_PROXY:
            place = TransportFailure.PROXY_AWAY if reason.passes else TransportFailure.PROXY
            return ExchangeFailed(place, f"the proxy: {detail}")
        return ExchangeFailed(reason, detail, sent=self._sent)

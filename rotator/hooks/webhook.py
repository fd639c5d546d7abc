"""Calls a webhook: one POST, signed, bounded in time, and never redirected."""

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from rotator.errors import Stopping
from rotator.hooks.answer import ANSWER_LIMIT, Answer, convergence_in, failed
from rotator.network import Client, ExchangeFailed, HttpRequest, Route, TransportFailure
from rotator.network.signatures import SigningKey

_OK = range(200, 300)
_REDIRECTS = range(300, 400)


def post(  # noqa: PLR0913  # all but three by name
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: timedelta,
    should_stop: Callable[[], bool] = lambda: False,
    is_gate: bool = False,
) -> Answer:
    """POST `body`; an answer of 2xx is success. Reads the answer's body only if it is a gate's.

    `timeout` bounds the whole exchange, however slowly the other side sends. Redirects are not
    followed: the body would go to another host.

    Raises:
        Stopping: `should_stop` returned true; the body may still have arrived.
    """
    ends_at = time.monotonic() + timeout.total_seconds()

    def stop() -> None:
        if should_stop():
            raise Stopping

    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        reply = Client(Route(url)).send(
            HttpRequest(method="POST", target=target, headers=headers, body=body),
            left=lambda: ends_at - time.monotonic(),
            limit=ANSWER_LIMIT if is_gate else 0,
            interrupt=stop,
        )
    except ExchangeFailed as error:
        return failed(_reason(error, timeout))
    except ValueError:
        return failed("its URL is not valid")
    status = reply.status
    more = ", and no redirect is followed" if status in _REDIRECTS else ""
    return Answer(
        succeeded=status in _OK,
        text=f"answered {status}{more}",
        convergence=convergence_in(reply.body or b"") if is_gate else None,
    )


def signature(key: SigningKey, body: bytes, at: datetime) -> str:
    """Sign a body as before Standard Webhooks: `t=SECONDS,v1=HEX`, with the key's line as it is.

    HMAC-SHA256 over the seconds since 1970, `.` and the body. For receivers that know no other; it
    goes with the next release.
    """
    seconds = int(at.timestamp())
    signed = f"{seconds}.".encode() + body
    digest = hmac.new(key.line.reveal().encode(), signed, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


def _reason(failed: ExchangeFailed, timeout: timedelta) -> str:
    """Return why there was no answer, without the address, which may hold a token."""
    reason = _REASONS.get(failed.reason, "no usable answer came")
    return reason.format(seconds=timeout.total_seconds(), detail=failed.detail)


_REASONS = {
    TransportFailure.TIMEOUT: "timed out after {seconds:.0f} s",
    TransportFailure.CONNECT_TIMEOUT: "timed out after {seconds:.0f} s",
    TransportFailure.REFUSED: "the connection was refused",
    TransportFailure.UNRESOLVED: "its host name cannot be resolved",
    TransportFailure.TLS: "the TLS handshake failed: {detail}",
    TransportFailure.PROXY: "the proxy refused to connect to it",
    TransportFailure.PROXY_AWAY: "the proxy cannot reach it at the moment",
    TransportFailure.CERTIFICATES: "the CA certificates cannot be read: {detail}",
    TransportFailure.UNREACHABLE: "it cannot be reached: {detail}",
}

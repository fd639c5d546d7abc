"""Calling a web address: one POST, signed, bounded in time, and never redirected."""

import hashlib
import hmac
import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cache
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from rotator.errors import Stopping

#: How often it is looked whether a call is to be given up, in seconds.
_LOOK = 0.2
_OK = range(200, 300)
_REDIRECTS = range(300, 400)


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    timeout: timedelta,
    should_stop: Callable[[], bool] = lambda: False,
) -> str | None:
    """POST `body`: None where the answer is 2xx, else why not. The answer's body is not read.

    `timeout` bounds all of it, however slowly the other side drips. A redirect is not followed:
    it would carry the body to another host.

    Raises:
        Stopping: `should_stop` said so; it may have arrived all the same.
    """
    seconds = timeout.total_seconds()
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        connection = _connection(parts, seconds)
        with _bounded(connection, seconds, should_stop):
            connection.connect()
            connection.request("POST", target, body, dict(headers))
            status = connection.getresponse().status
    except TimeoutError:
        return f"timed out after {seconds:.0f} s"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _reason(error)
    if status in _OK:
        return None
    return f"answered {status}{', and no redirect is followed' if status in _REDIRECTS else ''}"


def signature(key: bytes, body: bytes, at: datetime) -> str:
    """Sign a body: `t=SECONDS,v1=HEX`, HMAC-SHA256 over the seconds since 1970, `.` and the body.

    The time is part of what is signed, so that a receiver can refuse what is old.
    """
    seconds = int(at.timestamp())
    digest = hmac.new(key, f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


@contextmanager
def _bounded(
    connection: http.client.HTTPConnection, seconds: float, should_stop: Callable[[], bool]
) -> Iterator[None]:
    """Cut the connection off after `seconds`, or when told to, and close it at the end.

    http.client bounds each single read, so that a server which sends a byte now and then would
    hold the thread for a day.
    """
    is_over, deadline = threading.Event(), time.monotonic() + seconds
    cut_for: list[Exception] = []

    def watch() -> None:
        while not is_over.wait(
            _LOOK if cut_for else min(_LOOK, max(0.0, deadline - time.monotonic()))
        ):
            if cut_for:
                # There was nothing to cut off yet.
                pass
            elif should_stop():
                cut_for.append(Stopping())
            elif time.monotonic() >= deadline:
                cut_for.append(TimeoutError())
            if cut_for and connection.sock:
                with suppress(OSError):
                    # Not the TLS socket's own, which another thread is using.
                    socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
                return

    watcher = threading.Thread(target=watch, name="webhook", daemon=True)
    watcher.start()
    try:
        yield
    except (OSError, http.client.HTTPException):
        if not cut_for:
            raise
    finally:
        is_over.set()
        connection.close()
    # Also where something came: an answer that was cut off looks like one that is complete.
    if cut_for:
        raise cut_for[0]


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    """Prepare the way to a host: straight, or through the environment's proxy."""
    host = parts.hostname or ""
    if parts.scheme == "http":
        # Only to this machine: the configuration takes no other.
        return http.client.HTTPConnection(host, parts.port, timeout=seconds)
    proxy = None if proxy_bypass(host) else getproxies().get("https")
    if not proxy:
        return http.client.HTTPSConnection(host, parts.port, timeout=seconds, context=_tls())
    via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(
        via.hostname or "", via.port, timeout=seconds, context=_tls()
    )
    connection.set_tunnel(host, parts.port, _proxy_headers(via))
    return connection


def _proxy_headers(via: SplitResult) -> dict[str, str]:
    if via.username is None:
        return {}
    user = f"{unquote(via.username)}:{unquote(via.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(user.encode()).decode()}"}


@cache
def _tls() -> ssl.SSLContext:
    """Trust whom Vonage's client trusts."""
    return httpx.create_ssl_context()


def _reason(error: Exception) -> str:
    """Say why there was no answer. The address, which may hold a token, is not repeated."""
    match error:
        case ConnectionRefusedError():
            return "the connection was refused"
        case socket.gaierror():
            return "its host is not found"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not valid: {error.verify_message}"
        case http.client.HTTPException() | ConnectionError() | ssl.SSLError():
            return f"no usable answer came ({type(error).__name__})"
        case OSError() if error.strerror:
            return f"it cannot be reached: {error.strerror.lower()}"
        case OSError():
            return "the proxy does not let it through"
        case _:
            return "its address cannot be used"

"""Sends requests: connections, authentication, limits on time, size and rate, retries.

Each request has a connection of its own. On one that the server closes at that moment, a POST would
be lost without any sign of whether it arrived; and surplus bytes that a proxy sent to one account's
request would answer another account's. One more handshake per request is negligible beside the rate
limit.
"""

import logging
import random as chance
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar
from urllib.parse import quote, urlencode, urlsplit

import structlog

from rotator import own_version
from rotator.errors import ConfigError, IssuerError, RotatorError, UnexpectedAnswer
from rotator.network import (
    Client,
    ExchangeFailed,
    HttpRequest,
    HttpResponse,
    Route,
    TransportFailure,
)
from rotator.rotation.ports import NoObserver, Observer
from rotator.vonage.errors import failure, refusal, request_id_of
from rotator.vonage.request import Host, RestAuth, VonageRequest
from rotator.vonage.response import LIMIT, A, lead, read
from rotator.vonage.retry import Retries


class RateLimit:
    """A token bucket that all threads share.

    A caller that finds it empty takes a future token and waits for it, so that tokens
    are assigned in the order of arrival.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Start full: one second's tokens, at least one."""
        if not per_second > 0:
            raise ValueError("a rate limit is above zero")
        self._per_second = per_second
        self._burst = max(1.0, per_second)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        #: Negative by the number of tokens that waiting threads have taken in advance.
        self._tokens = self._burst
        self._counted_at = clock()

    def acquire(self) -> None:
        """Return when the caller may send one request. Blocks for as long as necessary."""
        wait = self._reserve()
        if wait > 0:
            self._sleep(wait)

    def _reserve(self) -> float:
        with self._lock:
            now = self._clock()
            earned = max(0.0, now - self._counted_at) * self._per_second
            self._counted_at = now
            self._tokens = min(self._burst, self._tokens + earned) - 1
            return max(0.0, -self._tokens / self._per_second)


T = TypeVar("T")

Failure = TypeVar("Failure", bound=RotatorError)

_log = structlog.get_logger(__name__)


class VonageClient:
    """The shared state of all clients of one pair of hosts. May be shared by threads.

    Each call blocks for its turn under the rate limit, then for three timeouts at most.
    """

    def __init__(  # noqa: PLR0913  # settings, and what tests replace
        self,
        *,
        api_url: str,
        rest_url: str,
        timeout: float,
        max_requests_per_second: float,
        rest_auth: RestAuth = RestAuth.BASIC,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = chance.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is connected yet. `timeout` is for one attempt, in seconds.

        Raises:
            ConfigError: a URL, or the environment's proxy or CA file, is unusable.
        """
        self._servers = {Host.API: _Server(api_url), Host.REST: _Server(rest_url)}
        self._rest_auth = rest_auth
        self._timeout = timeout
        self._observer = observer or NoObserver()
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._wall_clock = wall_clock
        self._limit = RateLimit(max_requests_per_second, clock=clock, sleep=sleep)
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "User-Agent": f"rotator/{own_version()}",
        }
        #: The last two Date headers that were received, each with its time of arrival on the
        #: monotonic clock.
        self._dated: tuple[tuple[str, float], ...] = ()

    @property
    def last_date(self) -> str | None:
        """The last Date header that was received; None where no answer had one."""
        return self._dated[-1][0] if self._dated else None

    @property
    def clock_lead(self) -> timedelta:
        """How far this machine's clock is ahead, by the latest answers; see `Issuer`."""
        now, wall = self._clock(), self._wall_clock()
        leads = [lead(date, wall - (now - received_at)) for date, received_at in self._dated]
        return max(leads, default=timedelta())

    def send_for(self, model: type[A], request: VonageRequest) -> A:
        """Send `request` and parse its answer as `model`; see `send`."""
        return self.send(request, partial(read, model))

    def send(self, request: VonageRequest, parse: Callable[[HttpResponse], T]) -> T:
        """Send `request`, retrying it if it only reads, and return what `parse` makes of it.

        `parse` may raise `UnexpectedAnswer`, which is treated like any other failed try. First
        comes the turn under the rate limit, then the connection, then `request.before_send`.

        Raises:
            IssuerError: it failed. No cause, context or frame of the exception contains a URL, a
                header or a body.
            RotatorError: `request.before_send` raised it, and nothing was sent.
        """
        self._limit.acquire()
        retries = Retries(request, timeout=self._timeout, clock=self._clock, random=self._random)
        outcome = self._try(request, parse, self._timeout)
        while isinstance(outcome, RotatorError):
            pause = retries.pause_after(outcome) if isinstance(outcome, IssuerError) else None
            if pause is None:
                raise _bare(outcome)
            self._sleep(pause)
            self._limit.acquire()
            if retries.left <= 0:
                raise _bare(outcome)
            outcome = self._try(request, parse, min(self._timeout, retries.left))
        return outcome

    def _try(
        self, request: VonageRequest, parse: Callable[[HttpResponse], T], seconds: float
    ) -> T | RotatorError:
        started = self._clock()
        try:
            code, outcome = self._exchange(request, seconds)
        except RotatorError as error:
            return error
        self._report(request, code, outcome, self._clock() - started)
        if isinstance(outcome, IssuerError):
            return outcome
        if outcome.status not in request.success:
            return refusal(request, outcome, now=self._wall_clock())
        try:
            return parse(outcome)
        except UnexpectedAnswer as error:
            error.request_id = request_id_of(request, outcome)
            return error

    def _exchange(
        self, request: VonageRequest, seconds: float
    ) -> tuple[str, HttpResponse | IssuerError]:
        server, ends_at = self._servers[request.host], self._clock() + seconds
        try:
            response = Client(server.route).send(
                self._http_request(request, server),
                left=lambda: ends_at - self._clock(),
                limit=LIMIT,
                before_send=request.before_send,
            )
        except ExchangeFailed as error:
            return failure(request, error)
        if date := response.headers.get("date"):
            self._dated = (*self._dated[-1:], (date, self._clock()))
        return str(response.status), response

    def _http_request(self, request: VonageRequest, server: "_Server") -> HttpRequest:
        headers, target = dict(self._headers), f"{server.path}{request.path}"
        if request.query:
            target = f"{target}?{request.query}"
        if request.body:
            headers["Content-Type"] = request.content_type
        if request.host is Host.REST and self._rest_auth is RestAuth.QUERY:
            credential = request.credential
            pair = {"api_key": credential.api_key, "api_secret": credential.secret.reveal()}
            target = f"{target}?{urlencode(pair)}"
        else:
            headers["Authorization"] = request.basic()
        return HttpRequest(method=request.method, target=target, headers=headers, body=request.body)

    def _report(
        self,
        request: VonageRequest,
        code: str,
        outcome: HttpResponse | IssuerError,
        seconds: float,
    ) -> None:
        self._observer.call_finished("vonage", request.operation, code, seconds)
        if not _log.is_enabled_for(logging.DEBUG):
            # Searching the request id for the values that were sent would take longer than the log
            # line.
            return
        _log.debug(
            "vonage call",
            operation=request.operation,
            api_key=request.api_key,
            status=code,
            milliseconds=round(seconds * 1000),
            request_id=None
            if isinstance(outcome, IssuerError)
            else request_id_of(request, outcome),
        )


class _Server:
    """One of the two hosts: its route and the prefix of its paths."""

    def __init__(self, url: str) -> None:
        """Read the environment's proxy and certificates.

        Raises:
            ConfigError: the URL is not Vonage's, or proxy or certificates cannot be used.
        """
        try:
            self.path = _path(url)
            self.route = Route(url)
            self.route.check()
        except ValueError:
            message = "a URL of Vonage is https://HOST, without user, query or fragment"
            raise ConfigError(message) from None
        except ExchangeFailed as error:
            raise _unusable(error) from None


def _path(url: str) -> str:
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("more than a host and a path")
    return quote(parts.path.rstrip("/"), safe="/%")


def _unusable(failed: ExchangeFailed) -> ConfigError:
    if failed.reason is TransportFailure.PROXY:
        hint = "set HTTPS_PROXY to http://HOST:PORT, or NO_PROXY to Vonage's hosts"
        return ConfigError(failed.detail, hint=hint)
    return ConfigError(
        f"the certificates that SSL_CERT_FILE or its like names cannot be read: {failed.detail}",
        hint="correct SSL_CERT_FILE, SSL_CERT_DIR, REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE in"
        " rotator's environment, or set none of them",
    )


def _bare(error: Failure) -> Failure:
    """Remove an exception's cause and context: errors of parsers contain the data they read."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)

"""Sending calls: connections, authentication, limits of time, size and pace, repetition.

This works one level below `httpx.Client`, on `httpx.HTTPTransport`. A client would also keep
cookies, by which one account's session could authenticate another's probe; read .netrc; parse
the target of a redirect that nobody follows; and log each URL with its query. Nothing of that
is wanted here, and nothing else that a client does is missed.
"""

import logging
import random as chance
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx
import structlog

from rotator.errors import ConfigError, IssuerError, RotatorError, UnexpectedAnswer
from rotator.vonage.answer import LIMIT, Answer
from rotator.vonage.call import Call, Host, RestAuth
from rotator.vonage.connections import Connections, parsed
from rotator.vonage.dates import lead
from rotator.vonage.deadline import Deadline
from rotator.vonage.errors import failure, refusal, request_id_of
from rotator.vonage.ratelimit import RateLimit
from rotator.vonage.retry import Course

# httpx logs URLs with their query at INFO, httpcore an answer's headers at DEBUG.
logging.getLogger("httpx").setLevel(logging.WARNING)
logging.getLogger("httpcore").setLevel(logging.WARNING)

T = TypeVar("T")
Failure = TypeVar("Failure", bound=RotatorError)

#: Called after each HTTP attempt with operation, status or `timeout`, `dropped`, `unreachable`,
#: and the seconds it took.
OnCall = Callable[[str, str, float], object]

_log = structlog.get_logger(__name__)


class Transport:
    """What the clients of one pair of hosts share. Threads may share it; close it at the end.

    Each call blocks for its turn under the rate limit, then for at most three timeouts.
    """

    def __init__(  # noqa: PLR0913  # settings, and what tests replace
        self,
        *,
        api_url: str,
        rest_url: str,
        timeout: float,
        max_requests_per_second: float,
        rest_auth: RestAuth = RestAuth.BASIC,
        on_call: OnCall | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
        random: Callable[[], float] = chance.random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; nothing is connected yet. `timeout` is seconds for one attempt.

        Raises:
            ConfigError: a URL, the proxy or the CA file of the environment is unusable.
        """
        self._urls = {Host.API: _base(api_url), Host.REST: _base(rest_url)}
        self._rest_auth = rest_auth
        self._timeout = timeout
        self._on_call = on_call
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._wall_clock = wall_clock
        self._deadline = Deadline(clock)
        self._limit = RateLimit(max_requests_per_second, clock=clock, sleep=sleep)
        self._connections = Connections(self._urls.values(), self._deadline)
        self._limits = httpx.Timeout(timeout).as_dict()
        self._headers = httpx.Headers(
            {
                "Accept": "application/json",
                "Accept-Encoding": "identity",
                "Connection": "close",
                "User-Agent": f"rotator/{_own_version()}",
            }
        )
        #: The Date headers of the two answers that came last of those that had one, and when they
        #: came, by the clock that nobody sets.
        self._dated: tuple[tuple[str, float], ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. No call may be under way."""
        self._connections.close()

    @property
    def last_date(self) -> str | None:
        """The Date header that came last; None where no answer had one."""
        return self._dated[-1][0] if self._dated else None

    @property
    def clock_lead(self) -> timedelta:
        """How far this machine's clock is ahead, by the last answers that told; see `Issuer`."""
        now, wall = self._clock(), self._wall_clock()
        leads = [lead(date, wall - (now - came_at)) for date, came_at in self._dated]
        return max(leads, default=timedelta())

    def send(self, call: Call, read: Callable[[Answer], T]) -> T:
        """Send `call`, repeating it if it reads, and return what `read` makes of the answer.

        `read` may raise `UnexpectedAnswer`, which is treated as any other failed try. The turn
        under the rate limit is waited for first, then the connection; `call.before_send` comes
        last.

        Raises:
            IssuerError: it failed. No cause, context or frame of the exception holds a URL, a
                header or a body.
            RotatorError: `call.before_send` raised it, and nothing was sent.
        """
        self._limit.acquire()
        course = Course(call, timeout=self._timeout, clock=self._clock, random=self._random)
        outcome = self._attempt(call, read, self._timeout)
        while isinstance(outcome, RotatorError):
            pause = course.pause_after(outcome) if isinstance(outcome, IssuerError) else None
            if pause is None:
                raise _bare(outcome)
            self._sleep(pause)
            self._limit.acquire()
            if course.left() <= 0:
                raise _bare(outcome)
            outcome = self._attempt(call, read, min(self._timeout, course.left()))
        return outcome

    def _attempt(self, call: Call, read: Callable[[Answer], T], seconds: float) -> T | RotatorError:
        started = self._clock()
        try:
            code, came = self._exchange(call, seconds)
        except RotatorError as error:
            return error
        self._report(call, code, came, self._clock() - started)
        if isinstance(came, IssuerError):
            return came
        if came.status not in call.success:
            return refusal(call, came, now=self._wall_clock())
        try:
            return read(came)
        except UnexpectedAnswer as error:
            error.request_id = request_id_of(call, came)
            return error

    def _exchange(self, call: Call, seconds: float) -> tuple[str, Answer | IssuerError]:
        request = self._request(call)
        try:
            with self._deadline.within(seconds):
                answer = self._answer(request)
        except httpx.HTTPError as error:
            return failure(call, error)
        return str(answer.status), answer

    def _answer(self, request: httpx.Request) -> Answer:
        response = self._connections.of(request.url).handle_request(request)
        try:
            body = _received(response)
        finally:
            response.close()
        if date := response.headers.get("Date"):
            self._dated = (*self._dated[-1:], (date, self._clock()))
        return Answer(status=response.status_code, headers=response.headers, body=body)

    def _request(self, call: Call) -> httpx.Request:
        url = _address(f"{self._urls[call.host]}{call.path}")
        headers = httpx.Headers(self._headers)
        headers["Host"] = url.netloc.decode("ascii")
        if call.body:
            headers["Content-Length"] = str(len(call.body))
            headers["Content-Type"] = call.content_type
        if call.host is Host.REST and self._rest_auth is RestAuth.QUERY:
            credential = call.credential
            pair = {"api_key": credential.api_key, "api_secret": credential.secret.reveal()}
            url = httpx.URL(f"{url}?{urlencode(pair)}")
        else:
            headers["Authorization"] = call.basic()
        return httpx.Request(
            call.method,
            url,
            headers=headers,
            stream=httpx.ByteStream(call.body),
            extensions={"timeout": self._limits, **_traced(call)},
        )

    def _report(self, call: Call, code: str, came: Answer | IssuerError, seconds: float) -> None:
        if self._on_call:
            self._on_call(call.operation, code, seconds)
        if not _log.is_enabled_for(logging.DEBUG):
            # To search the request's id for the values that were sent takes longer than the line.
            return
        _log.debug(
            "vonage call",
            operation=call.operation,
            api_key=call.api_key,
            status=code,
            milliseconds=round(seconds * 1000),
            request_id=request_id_of(call, came) if isinstance(came, Answer) else None,
        )


def _traced(call: Call) -> dict[str, Any]:
    """Return the httpcore extension by which `call.before_send` is called on an open connection.

    The request by which a proxy opens a tunnel is not the call's.
    """
    before_send = call.before_send
    if before_send is None:
        return {}

    def trace(event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            before_send()

    return {"trace": trace}


@lru_cache(maxsize=1000)
def _address(url: str) -> httpx.URL:
    """Parse a URL, which is to hold no secret: most are asked for three times a rotation."""
    return httpx.URL(url)


def _received(response: httpx.Response) -> bytes | None:
    """Read the body as sent; None where it is longer than the limit."""
    received = bytearray()
    for chunk in response.iter_raw():
        received += chunk
        if len(received) > LIMIT:
            return None
    return bytes(received)


def _bare(error: Failure) -> Failure:
    """Strip what an exception drags along: errors of httpx and of parsers hold the wire."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


def _base(url: str) -> str:
    """Check a base URL and give it without a slash at its end."""
    try:
        address = parsed(url)
    except ValueError:
        address = httpx.URL("")
    plain = not address.userinfo and not address.query and not address.fragment
    if address.scheme not in ("https", "http") or not plain:
        raise ConfigError("a URL of Vonage is https://HOST, without user, query or fragment")
    return url.rstrip("/")


def _own_version() -> str:
    try:
        return version("rotator")
    except PackageNotFoundError:  # run from a checkout
        return "unreleased"

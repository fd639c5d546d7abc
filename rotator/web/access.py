"""Access to the page: which requests are answered, and how many at once."""

import asyncio
import base64
import binascii
import hmac
from collections.abc import Collection, MutableMapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rotator.model import SecretValue
from rotator.web.listener import ListenAddress

#: Sent with every answer. No external or inline content is allowed, and no framing.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_WRONG_HOST = (
    "the host name of this request is not one of this page's; add it to daemon.allowed_hosts, "
    "or send the token of daemon.listen_token_file\n"
)
#: Answers made at once, and requests admitted in total; beyond that, clients are told to retry.
_AT_ONCE, _MOST_REQUESTS = 6, 64
#: The same limit for probes, which are answered one at a time.
_MOST_PROBES = 16
#: Always answered at once: it only shows that the process is alive.
HEALTH_PATH = "/healthz"
#: Answered without the token and by any host name, as the kubelet asks by a pod's address. They
#: only contain what anybody who can reach the page may know.
PROBE_PATHS = (HEALTH_PATH, "/readyz")
_PROBE_METHODS = ("GET", "HEAD")


class AccessControl:
    """Admits requests for this host and, if a token is set, only with the token.

    A request with the token may use any host name: a web page whose own name resolves to this
    machine does not know the token. Probes need neither.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        address: ListenAddress,
        token: SecretValue | None,
        allowed_hosts: Collection[str] = (),
    ) -> None:
        """Protect `app`."""
        self._app = RequestLimit(app)
        # Probes take no turn of the pages, as anybody may send them.
        self._probes = RequestLimit(app, at_once=1, most=_MOST_PROBES)
        self._address = address
        #: May be replaced at any time.
        self.token = token
        #: Further host names in requests that are admitted; likewise.
        self.allowed_hosts = allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it to `app`."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message)
            await send(message)

        is_probe = scope["path"] in PROBE_PATHS and scope["method"] in _PROBE_METHODS
        app = self._probes if is_probe else self._refusal(Headers(scope=scope)) or self._app
        await app(scope, receive, send_with_headers)

    def _refusal(self, headers: Headers) -> Response | None:
        if self.token and self._has_token(headers.get("authorization", "")):
            return None
        if not self._address.is_meant_by(headers.get("host", ""), self.allowed_hosts):
            return PlainTextResponse(_WRONG_HOST, 421)
        if self.token:
            challenge = {"WWW-Authenticate": 'Bearer realm="rotator", Basic realm="rotator"'}
            return PlainTextResponse("a token is required\n", 401, headers=challenge)
        return None

    def _has_token(self, header: str) -> bool:
        """Return whether the header has the token: as bearer token, or as a browser's password."""
        scheme, _, credential = header.partition(" ")
        if scheme.lower() == "basic":
            credential = _password(credential)
        elif scheme.lower() != "bearer":
            return False
        expected = self.token.reveal() if self.token else ""
        return hmac.compare_digest(credential.strip().encode(), expected.encode())


def _password(credential: str) -> str:
    try:
        pair = base64.b64decode(credential, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return pair.partition(":")[2]


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in _HEADERS.items():
        headers[name] = value
    # Pages become outdated.
    headers.setdefault("Cache-Control", "no-store")


class RequestLimit:
    """Limits how many answers are made at once, however many requests arrive.

    An answer is passed on once it is complete, so that a slow reader occupies no turn.
    """

    def __init__(
        self, app: ASGIApp, *, at_once: int = _AT_ONCE, most: int = _MOST_REQUESTS
    ) -> None:
        """Pass requests to `app`, whose answers are short."""
        self._app = app
        self._at_once = asyncio.Semaphore(at_once)
        self._most = most
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it if there are too many."""
        if scope["path"] == HEALTH_PATH:
            await self._app(scope, receive, send)
            return
        if self._count >= self._most:
            later = {"Retry-After": "5"}
            refusal = PlainTextResponse("too many requests at once\n", 503, headers=later)
            await refusal(scope, receive, send)
            return
        self._count += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self._count -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        try:
            async with self._at_once:
                await self._app(scope, receive, keep)
        finally:
            # Also if it failed: then it has sent an error.
            for message in messages:
                await send(message)

"""The trigger: the one request that it answers, and the answers.

A request is believed by its signature alone, which is checked before anything of its body is
interpreted. It can ask for a rotation of one account, and for nothing else; an answer holds nothing
that its sender does not know.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import Any

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from rotator.application import Application
from rotator.errors import RotatorError
from rotator.hooks.answer import redact_output
from rotator.ledger.triggers import IdTaken, TooMany
from rotator.model import Account, Actor
from rotator.model.actor import LONGEST
from rotator.model.redaction import printable
from rotator.model.trigger import TriggerRequest
from rotator.network.signatures import BadSignature, SigningKey, verified_id

_log = structlog.get_logger(__name__)

PATH = "/v1/rotate"
#: Bytes of a body; an honest one has some hundred.
LONGEST_BODY = 16 * 1024
#: Requests that are answered at once, and that may wait for that.
_AT_ONCE, _MOST_REQUESTS = 4, 64
#: Name under which the record has what was asked for here.
ACTOR = "trigger"
#: Seconds after which to send a request again that could not be recorded.
_LATER = 15


class Refusal(Exception):
    """A request that is not accepted."""

    def __init__(self, status: int, why: str, *, wait: float = 0.0) -> None:
        """Answer with `status`, because of `why`; with `wait`, it may be sent again after that."""
        super().__init__(why)
        self.status, self.why, self.wait = status, why, wait

    def response(self) -> Response:
        """Return the answer."""
        later = {"Retry-After": str(ceil(self.wait))} if self.wait else None
        return JSONResponse({"error": self.why}, self.status, headers=later)


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the body of a request asks for."""

    account: str | None
    api_key: str | None
    is_compromised: bool
    because: str | None

    @classmethod
    def read(cls, body: bytes) -> "Order":
        """Read a body.

        Raises:
            Refusal: it asks for something else, or in another form. Nothing of it is repeated.
        """
        given = _object(body)
        if unknown := given.keys() - _KEYS.keys():
            count = len(unknown)
            raise Refusal(400, f"{count} unknown key{'' if count == 1 else 's'}; known: {_KNOWN}")
        for key, value in given.items():
            if not isinstance(value, _KEYS[key]):
                raise Refusal(400, f"{key} is not a {_NAMES[_KEYS[key]]}")
        if ("account" in given) is ("api_key" in given):
            raise Refusal(400, "name one account, by account or by api_key")
        because = given.get("reason")
        if because is not None and len(because) > LONGEST:
            raise Refusal(400, f"reason is longer than {LONGEST} characters")
        return cls(
            account=given.get("account"),
            api_key=given.get("api_key"),
            is_compromised=given.get("compromised", False),
            # A scanner may name what it has found. The record keeps it for good.
            because=redact_output(printable(because).strip()) if because else None,
        )

    def account_in(self, accounts: Mapping[str, Account]) -> Account:
        """Return the account that is meant.

        Raises:
            Refusal: there is none.
        """
        for account in accounts.values():
            if self.account == account.name or self.api_key == account.api_key:
                return account
        raise Refusal(404, "no account of this name or API key is configured")


_KEYS: Mapping[str, type] = {"account": str, "api_key": str, "compromised": bool, "reason": str}
_KNOWN = ", ".join(_KEYS)
_NAMES = {str: "text", bool: "true or false"}


def _object(body: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError
        return found

    try:
        found = json.loads(body.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(400, "the body is not a JSON object with each key once")
    return found


class Trigger:
    """The ASGI application behind the trigger's address. Its parts may be replaced at any time."""

    def __init__(
        self,
        application: Application,
        keys: Sequence[SigningKey],
        *,
        refused: Callable[[str, "Refusal"], object] = lambda _peer, _refusal: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Answer for the accounts of `application`, to who signs with one of `keys`.

        `refused` is called with the address of each request that is not accepted.
        """
        self.application = application
        self.keys = keys
        self._refused = refused
        self._now = now
        self._at_once = asyncio.Semaphore(_AT_ONCE)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        try:
            response = await self._response(scope, receive)
        except Refusal as refusal:
            self._refused(_peer(scope), refusal)
            response = refusal.response()
        response.headers["Cache-Control"] = "no-store"
        await response(scope, receive, send)

    async def _response(self, scope: Scope, receive: Receive) -> Response:
        if scope["path"] != PATH:
            raise Refusal(404, f"there is nothing but {PATH}")
        if scope["method"] != "POST":
            raise Refusal(405, "only POST is answered")
        # Before its turn, which a slow sender must not occupy.
        body = await _body(receive)
        if self._count >= _MOST_REQUESTS:
            raise Refusal(503, "too many requests at once", wait=_LATER)
        self._count += 1
        try:
            async with self._at_once:
                return await run_in_threadpool(self._answer, scope, body)
        finally:
            self._count -= 1

    def _answer(self, scope: Scope, body: bytes) -> Response:
        """Accept a request, or raise; all that may wait for the ledger."""
        application, now = self.application, self._now()
        headers = dict(Headers(scope=scope).items())
        try:
            message_id = verified_id(
                self.keys,
                headers,
                body,
                now=now,
                tolerance=application.settings.trigger.tolerance,
            )
        except BadSignature as error:
            raise Refusal(401, str(error)) from None
        order = Order.read(body)
        request = TriggerRequest(
            id=message_id,
            account=order.account_in(application.accounts).name,
            is_compromised=order.is_compromised,
            actor=Actor(by=ACTOR, host=_peer(scope), because=order.because),
            at=now,
            seq=0,
        )
        return self._accepted(application, request)

    def _accepted(self, application: Application, request: TriggerRequest) -> Response:
        """Record the request, and answer only then."""
        try:
            known = application.ledger.triggers.accept(
                request, at_most=application.settings.trigger.max_per_hour
            )
        except IdTaken:
            raise Refusal(409, "this webhook-id has asked for something else") from None
        except TooMany as error:
            wait = error.wait.total_seconds()
            raise Refusal(429, "too many requests in an hour", wait=wait) from None
        except RotatorError:
            raise Refusal(503, "the request cannot be recorded now", wait=_LATER) from None
        if known.at == request.at:
            # Whoever replays it writes no more lines.
            _log.warning(
                "rotation asked for",
                account=known.account,
                trigger=known.id,
                compromised=known.is_compromised,
                by=request.actor.host,
            )
        document = {
            "id": known.id,
            "account": known.account,
            "compromised": known.is_compromised,
        }
        return JSONResponse(document, 202)


async def _body(receive: Receive) -> bytes:
    """Read a body.

    Raises:
        Refusal: it is too long, or its sender has gone.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "the request ended early")
        body += message.get("body", b"")
        if len(body) > LONGEST_BODY:
            raise Refusal(413, f"the body is longer than {LONGEST_BODY} bytes")
        if not message.get("more_body", False):
            return bytes(body)


def _peer(scope: Scope) -> str:
    """Return the address that a request came from."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else "a socket of this machine"

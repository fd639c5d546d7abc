"""Limits how many answers are made at once, however many requests arrive."""

import asyncio

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Answers made at once, and requests admitted in total; beyond that, clients are told to retry.
_AT_ONCE, _MOST = 6, 64
#: Always answered at once: it only shows that the process is alive.
OPEN = "/healthz"


class Turns:
    """Limits the number of concurrent requests to an application.

    An answer is passed on once it is complete, so that a slow reader occupies no turn.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Pass requests to `app`, whose answers are short."""
        self._app = app
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it if there are too many."""
        if scope["path"] == OPEN:
            await self._app(scope, receive, send)
            return
        if self._count >= _MOST:
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
            async with self._turns:
                await self._app(scope, receive, keep)
        finally:
            # Also if it failed: then it has sent an error.
            for message in messages:
                await send(message)

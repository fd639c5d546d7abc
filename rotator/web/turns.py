"""Taking turns: only so many answers are made at once, however many are asked for."""

import asyncio

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Answers made at once, and requests that may be under way; more are told to come again.
_AT_ONCE, _MOST = 6, 64
#: Answered at once, whatever there is to do: that the process lives is all it says.
OPEN = "/healthz"


class Turns:
    """Lets only so many requests through to an application at once.

    An answer is passed on when it is complete, so that a slow reader keeps no turn.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Let through to `app`, whose answers are short."""
        self._app = app
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or say that there are too many."""
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
            # Also where it failed: it has said so.
            for message in messages:
                await send(message)

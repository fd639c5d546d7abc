import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from rotator.web import access
from rotator.web.access import HEALTH_PATH, AccessControl, RequestLimit
from rotator.web.listener import ListenAddress

BODY: tuple[Message, ...] = (
    {"type": "http.response.start", "status": 200, "headers": []},
    {"type": "http.response.body", "body": b"made"},
)


class SlowApp:
    """An application that answers when it is told to, and counts what it works on."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.may_end = asyncio.Event()
        self.at_work = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, in time."""
        del receive
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        if scope["path"] != HEALTH_PATH:
            await self.may_end.wait()
        self.at_work -= 1
        for message in BODY:
            await send(message)


async def nothing() -> Message:
    """Refuse to return what nobody asks for."""
    raise AssertionError


def asked(
    app: RequestLimit | AccessControl, path: str, send: Callable[[Message], Awaitable[None]]
) -> asyncio.Task[None]:
    """Ask, by this machine's name."""
    headers = [(b"host", b"localhost")]
    scope: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "headers": headers}
    return asyncio.ensure_future(app(scope, nothing, send))


async def answer_of(app: RequestLimit | AccessControl, path: str) -> list[Message]:
    """Ask, and return the whole answer."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)

    await asked(app, path, keep)
    return messages


def test_only_so_many_answers_are_made_at_once() -> None:
    """The others wait; whoever comes when too many do is sent away, but for a look at health."""

    async def act() -> None:
        slow_app = SlowApp()
        app = RequestLimit(slow_app)
        waiting = [asyncio.ensure_future(answer_of(app, "/")) for _ in range(access._MOST_REQUESTS)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refused, health = await answer_of(app, "/"), await answer_of(app, HEALTH_PATH)
        slow_app.may_end.set()
        answers = await asyncio.gather(*waiting)

        assert refused[0]["status"] == 503
        assert health == list(BODY)
        assert answers == [list(BODY)] * access._MOST_REQUESTS
        assert slow_app.most == access._AT_ONCE + 1
        assert (await answer_of(app, "/"))[0]["status"] == 200

    asyncio.run(act())


def test_probes_take_no_turn_of_a_page() -> None:
    """Anybody may send them: they are answered one at a time, and only so many wait."""

    async def act() -> None:
        slow_app = SlowApp()
        address = ListenAddress(text="127.0.0.1:0")
        app = AccessControl(slow_app, address=address, token=None)
        probes = [
            asyncio.ensure_future(answer_of(app, "/readyz")) for _ in range(access._MOST_REQUESTS)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        page = asyncio.ensure_future(answer_of(app, "/metrics"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        at_work = slow_app.at_work
        slow_app.may_end.set()
        statuses = [answer[0]["status"] for answer in await asyncio.gather(*probes)]

        assert at_work == 2
        assert statuses.count(200) == access._MOST_PROBES
        assert statuses.count(503) == access._MOST_REQUESTS - access._MOST_PROBES
        assert (await page)[0]["status"] == 200

    asyncio.run(act())


def test_who_reads_slowly_has_no_turn() -> None:
    """An answer that was made and is not taken keeps nobody else from one."""

    async def act() -> None:
        slow_app, may_take = SlowApp(), asyncio.Event()
        slow_app.may_end.set()
        app = RequestLimit(slow_app)

        async def take_slowly(_message: Message) -> None:
            await may_take.wait()

        slow = [asked(app, "/", take_slowly) for _ in range(access._AT_ONCE)]
        quick = await answer_of(app, "/")
        may_take.set()
        await asyncio.gather(*slow)

        assert quick == list(BODY)

    asyncio.run(act())


def test_an_answer_of_one_that_failed_is_passed_on() -> None:
    """What it said before it failed is all that there will be."""

    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        for message in BODY:
            await send(message)
        raise ZeroDivisionError

    async def act() -> list[Message]:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        task = asked(RequestLimit(fail), "/", keep)
        await asyncio.wait([task])
        assert isinstance(task.exception(), ZeroDivisionError)
        return messages

    assert asyncio.run(act()) == list(BODY)

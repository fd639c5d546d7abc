"""A witness over HTTP: C2SP's `add-checkpoint`, or a webhook that takes whatever comes.

The witness is asked for nothing but how far it has got; the signature with which it answers is its
own to show. Source: c2sp.org/tlog-witness.
"""

import re
import time
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from urllib.parse import urlsplit

from rotator import own_version
from rotator.errors import RotatorError, WitnessUnavailable
from rotator.model.checkpoint import History, SignedCheckpoint
from rotator.network import Client, ExchangeFailed, HttpRequest, HttpResponse, Route
from rotator.witness.conflicts import behind, refused_as_inconsistent

#: Bytes of an answer that are read: a number, or signatures.
_LIMIT = 64 * 1024
#: Tries with the number that the witness answers: another daemon may be publishing as well.
_TRIES = 3
_TO_BE_TAUGHT = (
    "let whoever runs the witness add this log's key there: `rotator ledger witness key` prints it"
)


class Service:
    """The address of a witness."""

    def __init__(
        self,
        url: str,
        *,
        timeout: timedelta,
        empty: Callable[[], SignedCheckpoint],
        interrupt: Callable[[], object],
    ) -> None:
        """Submit checkpoints to `url`; each exchange takes no longer than `timeout`.

        `empty` signs one of no entries: by that, the witness is asked how far it has got before
        there is any. `interrupt` is called now and then, and its exceptions propagate.
        """
        self._url = url
        self._timeout = timeout
        self._empty = empty
        self._interrupt = interrupt

    @property
    def name(self) -> str:
        """See `Target.name`. The path may hold a token."""
        return f"the witness at {urlsplit(self._url).hostname}"

    def compare(self, history: History) -> None:
        """Submit the newest checkpoint once more, if only that of nothing; see `Target.compare`.

        A witness that has it, or has less, is in agreement as far as can be known before something
        new is signed.
        """
        newest = history.newest or self._empty()
        self._submit(history, newest, newest.checkpoint.size)

    def publish(self, history: History) -> None:
        """Submit the newest checkpoint; see `Target.publish`."""
        newest = history.newest
        if newest is None:
            return
        before = history.submission(newest).old
        self._submit(history, newest, before)

    def _submit(self, history: History, each: SignedCheckpoint, old: int) -> None:
        for _ in range(_TRIES):
            reply = self._send(history.submission(each, old).text)
            if reply.status in range(200, 300):
                return
            if reply.status != HTTPStatus.CONFLICT:
                raise self._refusal(reply.status)
            old = self._size_in(reply)
            if old > each.checkpoint.size:
                raise behind(self.name, old, history)
        raise WitnessUnavailable(f"{self.name} contradicts what it said before")

    def _send(self, body: str) -> HttpResponse:
        parts = urlsplit(self._url)
        ends_at = time.monotonic() + self._timeout.total_seconds()
        request = HttpRequest(
            method="POST",
            target=f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}",
            headers={
                "Content-Type": "text/plain; charset=utf-8",
                "User-Agent": f"rotator/{own_version()}",
            },
            body=body.encode(),
        )
        try:
            return Client(Route(self._url)).send(
                request,
                left=lambda: ends_at - time.monotonic(),
                limit=_LIMIT,
                interrupt=self._interrupt,
            )
        except ExchangeFailed as error:
            raise WitnessUnavailable(
                f"{self.name} does not answer: {error.reason.code}",
                hint="check ledger.witness.url, and the way there",
            ) from None
        except ValueError:
            raise WitnessUnavailable("ledger.witness.url is not valid") from None

    def _size_in(self, reply: HttpResponse) -> int:
        try:
            text = reply.content(_LIMIT).decode("ascii")
        except ValueError:
            text = ""
        if not re.fullmatch(r"(0|[1-9][0-9]{0,18})\n?", text):
            raise WitnessUnavailable(f"{self.name} answered 409, and not how far it has got")
        return int(text)

    def _refusal(self, status: int) -> RotatorError:
        if status == HTTPStatus.UNPROCESSABLE_ENTITY:
            return refused_as_inconsistent(self.name)
        message, hint = f"{self.name} answered {status}", None
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
            hint = _TO_BE_TAUGHT
        return WitnessUnavailable(message, hint=hint)

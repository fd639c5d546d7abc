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
#: The type of an answer that is a witness's size.
_SIZE = "text/x.tlog.size"
#: How a witness refuses what does not fit to its size or its root.
_REFUSALS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
#: Tries: three for what is refused, and another daemon may be publishing as well.
_TRIES = 5
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
        """Submit a checkpoint with the proof from `old` entries, or from as many as are asked for.

        A witness refuses with 409 and its size where that is not `old`; a proof from there with
        422; and, at the checkpoint's own size, another root with 409 and no size. Whatever else
        answers at this address may have these numbers, too: one without a size is taken for a
        witness's only once the same address has stated its size as a witness does. It is asked for
        that by a proof from nothing.
        """
        #: Its size, as it last said.
        said: int | None = None
        for _ in range(_TRIES):
            reply = self._send(history.submission(each, old).text)
            if reply.status in range(200, 300):
                return
            if reply.status not in _REFUSALS:
                raise self._unavailable(reply.status)
            size = _size_in(reply)
            is_about_roots = (
                reply.status == HTTPStatus.UNPROCESSABLE_ENTITY or old == each.checkpoint.size
            )
            if said and old == said and size in (said, None) and is_about_roots:
                raise refused_as_inconsistent(self.name)
            if size is None:
                if old in (0, said):
                    raise self._no_witness(reply.status)
                old = 0
            elif size > each.checkpoint.size:
                # Nothing more is signed, however large it is: a witness keeps no proof of what it
                # says, and to sign on may be to show a second history.
                raise behind(self.name, size, history)
            else:
                old = said = size
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

    def _unavailable(self, status: int) -> RotatorError:
        message, hint = f"{self.name} answered {status}", None
        if status in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
            hint = _TO_BE_TAUGHT
        return WitnessUnavailable(message, hint=hint)

    def _no_witness(self, status: int) -> RotatorError:
        return WitnessUnavailable(
            f"{self.name} answered {status}, and not how far it has got, as a witness does",
            hint="check ledger.witness.url: something else may answer there",
        )


def _size_in(reply: HttpResponse) -> int | None:
    """Return the number of entries that a witness has seen; None where the answer has none."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if reply.status != HTTPStatus.CONFLICT or kind != _SIZE:
        return None
    try:
        text = reply.content(_LIMIT).decode("ascii")
    except ValueError:
        return None
    return int(text) if re.fullmatch(r"(0|[1-9][0-9]{0,18})\n?", text) else None

"""Faults: what a simulator does wrong on demand, and when."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from functools import cache
from types import NoneType
from typing import Any, Self

import h11

from rotator.sim.http import JSON, Reply

#: kind -> whether the request still takes effect
KINDS: Mapping[str, bool] = {
    "status": False,
    "status-after": True,
    "drop-before": False,
    "drop-after": True,
    "delay": True,
    "timeout-before": False,
    "timeout-after": True,
    "garbage": True,
    "truncate": True,
    "empty": True,
    "huge": True,
    "huge-headers": True,
}

#: types of a fault's fields in JSON; `body` may be anything
_JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "kind": (str,),
    "method": (str, NoneType),
    "path": (str, NoneType),
    "nth": (int,),
    "times": (int, NoneType),
    "status": (int,),
    "headers": (dict, NoneType),
    "body": (object,),
    "seconds": (int, float),
}

HUGE_BYTES = 10 * 1024 * 1024

HUGE_HEADER_BYTES = 1024 * 1024

_HTML = b"<html><head><title>Gateway</title></head><body><h1>Welcome</h1></body></html>\n"


@dataclass(frozen=True)
class Fault:
    """One failure, for the requests that match it.

    Kinds: `status` answers `status` without any effect; `status-after` applies the effect and
    then answers `status`. `drop-before` resets the connection without any effect; `drop-after`
    applies the effect and closes the connection unanswered. `delay` sleeps `seconds` and then
    serves the request as usual. `timeout-before` and `timeout-after` do the same as the drops,
    after holding the connection for `seconds`. `garbage`, `truncate`, `empty` and `huge` apply
    the effect and answer with an HTML page, half of the body, no body, or 10 MB of JSON;
    `huge-headers` with more headers than any server sends.

    Raises:
        ValueError: an unknown kind, a `path` that is not a regular expression, `headers` that
            HTTP does not allow, or `nth`, `times`, `status` or `seconds` out of range.
    """

    kind: str
    _: KW_ONLY
    #: None matches every method
    method: str | None = None
    #: a regular expression that is searched in the path; None matches every path
    path: str | None = None
    #: the first matching request that meets the fault, counted from when it was added
    nth: int = 1
    #: how many matching requests meet it from then on; None for all of them
    times: int | None = 1
    #: of the answer, for `status` and `status-after`
    status: int = 503
    #: added to the answer of `status` and `status-after`
    headers: Mapping[str, str] | None = None
    #: of that answer, text or a JSON document; None for the API's own body
    body: Any = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind {self.kind!r}: one of {', '.join(KINDS)}")
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if not 200 <= self.status <= 599:  # noqa: PLR2004 - what HTTP allows as a final answer
            raise ValueError(f"status is 200 to 599, not {self.status}")
        if self.seconds < 0:
            raise ValueError("seconds must not be negative")
        try:
            re.compile(self.path or "")
        except re.error as error:
            raise ValueError(f"path is not a regular expression: {error}") from error
        try:
            h11.Response(status_code=self.status, headers=list((self.headers or {}).items()))
        except (h11.LocalProtocolError, TypeError, UnicodeEncodeError) as error:
            raise ValueError(f"headers: {error}") from error

    @classmethod
    def from_json(cls, document: object) -> Self:
        """Build a fault from the JSON object that `POST /_sim/faults` takes.

        Raises:
            ValueError: it is not an object of this class's fields, or a field is not valid.
        """
        if not isinstance(document, dict):
            raise ValueError("a fault is a JSON object")  # noqa: TRY004 - the one error for a bad document
        if "kind" not in document:
            raise ValueError("a fault has a kind")
        for name, value in document.items():
            if name not in _JSON_TYPES:
                raise ValueError(f"unknown field {name!r}: one of {', '.join(_JSON_TYPES)}")
            if not isinstance(value, _JSON_TYPES[name]):
                raise ValueError(f"{name} cannot be {value!r}")  # noqa: TRY004 - likewise
        # A number is as good as its text.
        headers = {name: str(value) for name, value in (document.get("headers") or {}).items()}
        return cls(**{**document, "headers": headers})

    @property
    def takes_effect(self) -> bool:
        """Whether a request that meets this fault still has its effect."""
        return KINDS[self.kind]

    def matches(self, method: str, path: str) -> bool:
        """Return whether it applies to such a request."""
        if self.method is not None and self.method.upper() != method:
            return False
        return self.path is None or re.search(self.path, path) is not None


@dataclass
class _Entry:
    fault: Fault
    #: number of matching requests so far, and of those that met the fault
    seen: int = 0
    met: int = 0

    @property
    def is_spent(self) -> bool:
        return self.fault.times is not None and self.met >= self.fault.times


class FaultQueue:
    """The faults that are still to be met. Thread-safe."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Add a fault for the matching requests from now on."""
        with self._lock:
            self._entries.append(_Entry(fault))

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._entries.clear()

    def pending(self) -> list[Fault]:
        """Return the faults that can still be met, in the order they were added."""
        with self._lock:
            return [entry.fault for entry in self._entries]

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that this request meets, if any, and count the request.

        Every matching fault counts the request. Of those that are due, the one that was added
        first is met; the others wait for the next matching request.
        """
        if not self._entries:
            return None
        with self._lock:
            matching = [entry for entry in self._entries if entry.fault.matches(method, path)]
            for entry in matching:
                entry.seen += 1
            due = [entry for entry in matching if entry.seen >= entry.fault.nth]
            if not due:
                return None
            due[0].met += 1
            self._entries = [entry for entry in self._entries if not entry.is_spent]
            return due[0].fault


def distorted(fault: Fault, reply: Reply, refusal: Reply) -> Reply | None:
    """Return the reply that is sent under `fault`; None if there is none.

    `reply` is what the request would have got, `refusal` the API's own answer with the fault's
    status.
    """
    match fault.kind:
        case "status" | "status-after":
            return _refused(fault, refusal)
        case "drop-before" | "drop-after" | "timeout-before" | "timeout-after":
            return None
        case "garbage":
            return _with_body(reply, _HTML, "text/html; charset=utf-8")
        case "huge":
            return _with_body(reply, _huge(), JSON)
        case "huge-headers":
            return reply.with_headers({"X-Padding": "x" * HUGE_HEADER_BYTES})
        case "empty":
            return replace(reply, body=b"")
        case "truncate":
            # A reply without a body has nothing to cut; its client sees a clean answer.
            return replace(reply, withheld=(len(reply.body) + 1) // 2)
        case _:
            return reply


def _refused(fault: Fault, refusal: Reply) -> Reply:
    reply = refusal
    if isinstance(fault.body, str):
        reply = replace(reply, body=fault.body.encode())
    elif fault.body is not None:
        reply = replace(reply, body=json.dumps(fault.body).encode())
    return reply.with_headers(fault.headers or {})


def _with_body(reply: Reply, body: bytes, content_type: str) -> Reply:
    # 204 forbids a body, so a call that succeeded without one answers 200 here.
    status = 200 if reply.status == 204 else reply.status  # noqa: PLR2004
    return replace(reply, status=status, body=body).with_headers({"Content-Type": content_type})


@cache
def _huge() -> bytes:
    return json.dumps({"padding": "x" * HUGE_BYTES}).encode()

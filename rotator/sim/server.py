"""What both simulators share: an HTTP server with faults, latency, observers and a record.

Below /_sim/ it answers calls of its own, for programs that cannot reach the Python API, such as
users of `rotator sim`. They need no credentials, are not recorded, and meet neither faults nor
latency.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal, Self

import h11

from rotator.sim.clock import Clock, as_datetime, http_date
from rotator.sim.faults import Fault, FaultQueue, distorted
from rotator.sim.http import HOST, Connection, Listener, Port, Refused, Reply, Request


@dataclass(kw_only=True, slots=True)
class Exchange:
    """One request and its outcome.

    `status` and `fault` are set while the request is served: in the "before" call of an observer
    both are still None.
    """

    #: counts from 1 per simulator, in the order of arrival
    number: int
    at: datetime
    method: str
    #: percent-decoded, without the query
    path: str
    query: Mapping[str, str]
    #: by lower-case name
    request_headers: Mapping[str, str]
    #: the user of Basic auth; empty if there is none
    api_key: str
    #: as sent; None while there is no answer, and for good if a fault withholds it
    status: int | None = None
    #: kind of the fault that the request met
    fault: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return every field as a value for JSON; `at` in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


#: "before": the request was read and nothing is done yet.
#: "after": the effect, if any, was applied and the answer is not sent yet.
Phase = Literal["before", "after"]

#: Called once per phase, in the thread that serves the request, without any lock held.
Observer = Callable[[Phase, Exchange], None]


_ADMIN = "/_sim/"


class Simulator(ABC):
    """A server on loopback whose state lives in memory and outlasts `close`.

    `latency` (seconds, settable) is the time from a request's arrival to its effect, in which its
    thread sleeps. All state changes under one lock, which is never held while sleeping, sending
    or in an observer.
    """

    def __init__(self, *, latency: float, clock: Clock = time.time_ns) -> None:
        self.latency = latency
        self.faults = FaultQueue()
        #: every request except those below /_sim/, in the order of arrival
        self.exchanges: list[Exchange] = []
        self.observers: list[Observer] = []
        #: exceptions of observers; the answers were sent all the same
        self.observer_errors: list[Exception] = []
        self._clock = clock
        self._lock = threading.RLock()
        self._listener: Listener | None = None
        self._port: Port | None = None

    @property
    def url(self) -> str:
        """The base URL, without a trailing slash; the same after `close` and another `start`.

        Raises:
            RuntimeError: the simulator was never started.
        """
        if self._port is None:
            raise RuntimeError(f"{type(self).__name__} is not started")
        return f"http://{HOST}:{self._port.number}"

    def start(self) -> Self:
        """Listen; after a `close`, on the same port as before. Idempotent."""
        if self._listener is None:
            self._port = self._port or Port()
            self._listener = Listener(self._converse, self._port)
        return self

    def close(self) -> None:
        """Stop listening and break every connection; idempotent.

        A request that is asleep, in latency or a fault, has no effect any more.
        """
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the simulator's whole state as values for JSON, secret values included."""

    @abstractmethod
    def _answer(self, request: Request) -> Reply:
        """Apply the request's effect and return its answer; called under the lock.

        Raises:
            Refused: it has the answer, and there was no effect.
        """

    @abstractmethod
    def _refusal(self, request: Request, status: int) -> Reply:
        """Return the real server's reply to such a request with that `status`."""

    def _common_headers(self) -> dict[str, str]:
        return {}

    def _caller(self, _request: Request) -> str:
        return ""

    def _now(self) -> int:
        return self._clock()

    def _converse(self, connection: Connection) -> None:
        try:
            while (request := connection.receive()) is not None:
                if not self._serve(connection, request):
                    return
        except h11.RemoteProtocolError as error:
            connection.send(Reply(status=400, body=str(error).encode()))

    def _serve(self, connection: Connection, request: Request) -> bool:
        """Serve one request; return whether the connection goes on."""
        if request.path.startswith(_ADMIN):
            return connection.send(self._administer(request))
        exchange = self._recorded(request)
        self._notify("before", exchange)
        fault = self.faults.take(request.method, request.path)
        exchange.fault = fault.kind if fault else None
        connection.delay(self.latency)
        if fault is None:
            return self._finish(connection, exchange, self._effect(request))
        return self._fail(connection, request, exchange, fault)

    def _fail(
        self, connection: Connection, request: Request, exchange: Exchange, fault: Fault
    ) -> bool:
        if fault.kind == "delay":
            connection.pause(fault.seconds)
        refusal = self._refusal(request, fault.status)
        reply = self._effect(request) if fault.takes_effect else refusal
        answer = distorted(fault, reply, refusal)
        if answer is not None:
            return self._finish(connection, exchange, answer)
        self._notify("after", exchange)
        connection.pause(fault.seconds)
        if fault.kind == "drop-before":
            connection.reset()
        return False

    def _finish(self, connection: Connection, exchange: Exchange, reply: Reply) -> bool:
        exchange.status = reply.status
        self._notify("after", exchange)
        headers = {"Date": http_date(self._now()), **self._common_headers(), **reply.headers}
        return connection.send(replace(reply, headers=headers))

    def _effect(self, request: Request) -> Reply:
        try:
            with self._lock:
                return self._answer(request)
        except Refused as refused:
            return refused.reply

    def _recorded(self, request: Request) -> Exchange:
        with self._lock:
            exchange = Exchange(
                number=len(self.exchanges) + 1,
                at=as_datetime(self._now()),
                method=request.method,
                path=request.path,
                query=request.query,
                request_headers=request.headers,
                api_key=self._caller(request),
            )
            self.exchanges.append(exchange)
        return exchange

    def _notify(self, phase: Phase, exchange: Exchange) -> None:
        for observer in tuple(self.observers):
            try:
                observer(phase, exchange)
            except Exception as error:  # noqa: BLE001 - for the test whose observer it is
                self.observer_errors.append(error)

    def _administer(self, request: Request) -> Reply:
        """Carry out one call below `/_sim/`.

        `POST faults` adds a fault and `DELETE faults` removes all, both 204 (400 with `error` for
        a bad fault); `GET state` and `GET exchanges` answer JSON.
        """
        match request.method, request.path.removeprefix(_ADMIN):
            case "POST", "faults":
                try:
                    self.faults.add(Fault.from_json(request.document()))
                except ValueError as error:
                    return Reply.json(400, {"error": str(error)})
                return Reply(status=204)
            case "DELETE", "faults":
                self.faults.clear()
                return Reply(status=204)
            case "GET", "state":
                return Reply.json(200, self.state())
            case "GET", "exchanges":
                return Reply.json(200, [exchange.as_json() for exchange in tuple(self.exchanges)])
            case _:
                return Reply.json(404, {"error": f"no such call: {request.method} {request.path}"})

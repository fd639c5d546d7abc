"""A trace for each rotation: a span for each pass, in it one for each step and each call.

Built from information that exists anyway: committed ledger entries, and completed HTTP calls. So
nothing waits for a span, and none can contain what these do not: URL, header or body. A span's
attributes are the account's name, ids, steps, operations and statuses.

A rotation's id is its trace's, so that passes of different processes, a grace apart, are in one
trace. The pass that opened the rotation has the trace's root.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlsplit

import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceFlags
from requests import PreparedRequest, Response, Session

from rotator.model import Account, PassResult, Request, Step
from rotator.network import is_loopback
from rotator.rotation.ports import Lease, NewEntry
from rotator.rotation.reconciler import Reconciler

#: Timeout of one delivery to the collector, in seconds; an ending process waits for it.
_TIMEOUT = 5.0
#: The one call of a step that is recorded together with the step before it.
_VERIFYING = "read-version"

Attributes = dict[str, str | int]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One completed HTTP call. Times in nanoseconds since 1970."""

    api: str
    operation: str
    code: str
    began: int
    ended: int

    def attributes(self) -> Attributes:
        key = "http.response.status_code" if self.code.isdecimal() else "error.type"
        return {
            "rotator.api": self.api,
            "rotator.operation": self.operation,
            key: int(self.code) if self.code.isdecimal() else self.code,
        }

    def is_error(self) -> bool:
        """Return whether it failed. "Not found" is an ordinary answer."""
        return not self.code.isdecimal() or (int(self.code) >= 400 and self.code != "404")  # noqa: PLR2004  # HTTP's


class Tracing:
    """Records passes as spans. May be shared by threads; close it at the end."""

    def __init__(self, processor: SpanProcessor) -> None:
        """Pass each ended span to `processor`."""
        self._ids = _Ids()
        self._provider = TracerProvider(
            id_generator=self._ids,
            resource=Resource.create({"service.name": "rotator"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("rotator")
        self._of_thread = threading.local()

    def close(self) -> None:
        """Deliver the remaining spans; blocks some seconds if the collector does not answer."""
        self._provider.shutdown()

    def called(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Record a call that just ended, in the thread that made it."""
        trail: _Trail | None = getattr(self._of_thread, "trail", None)
        if trail is not None:
            trail.called(api, operation, code, seconds)

    def recorded(self, _name: str, draft: NewEntry) -> None:
        """Record a ledger entry that was just committed, in the thread of its pass."""
        trail: _Trail | None = getattr(self._of_thread, "trail", None)
        if trail is not None:
            trail.recorded(draft)

    @contextmanager
    def following(self, account: Account) -> "Iterator[_Trail]":
        """Trace this thread's work on `account` during a `with` block."""
        trail = self._of_thread.trail = _Trail(self._tracer, self._ids, account.name)
        try:
            yield trail
        finally:
            self._of_thread.trail = None
            trail.end()

    def traced(self, engine: Reconciler) -> "TracedReconciler":
        """Return a reconciler that does what `engine` does, and is traced."""
        given = {each.name: getattr(engine, each.name) for each in fields(engine)}

        def listen(name: str, draft: NewEntry) -> None:
            self.recorded(name, draft)
            engine.listener(name, draft)

        return TracedReconciler(**(given | {"listener": listen}), tracing=self)


@dataclass(frozen=True, kw_only=True)
class TracedReconciler(Reconciler):
    """A reconciler whose passes are traced."""

    tracing: Tracing

    def attempt(
        self,
        account: Account,
        request: Request,
        *,
        wait: bool = False,
        claimed: Lease | None = None,
    ) -> PassResult:
        """See `Reconciler.attempt`."""
        with self.tracing.following(account) as trail:
            report = super().attempt(account, request, wait=wait, claimed=claimed)
            trail.reported(report)
        return report


@dataclass(kw_only=True)
class _Rotation:
    """The span of a pass's work on one rotation."""

    id: str
    span: trace.Span
    context: Context


class _Trail:
    """The work of one pass, as far as known."""

    def __init__(self, tracer: trace.Tracer, ids: "_Ids", account: str) -> None:
        self._tracer, self._ids, self._account = tracer, ids, account
        self._began = time.time_ns()
        #: Calls that belong to no span yet, oldest first.
        self._calls: list[_Call] = []
        #: The step whose intent was committed, and when.
        self._intent: tuple[Step, int] | None = None
        self._rotation: _Rotation | None = None

    def called(self, api: str, operation: str, code: str, seconds: float) -> None:
        ended = time.time_ns()
        began = max(self._began, ended - int(seconds * 1e9))
        call = _Call(api=api, operation=operation, code=code, began=began, ended=ended)
        self._calls.append(call)

    def recorded(self, draft: NewEntry) -> None:
        if draft.rotation_id is None:
            return
        rotation = self._of(draft.rotation_id, is_new=draft.event == "opened")
        if draft.step and draft.event == "intent":
            self._observed(rotation)
            self._intent = draft.step, time.time_ns()
        elif draft.step and draft.event in _OUTCOMES:
            self._stepped(rotation, draft.step, draft)
        else:
            self._observed(rotation)
            rotation.span.add_event(draft.event, _facts(draft))

    def reported(self, report: PassResult) -> None:
        """Record the result of the pass."""
        if self._rotation is None:
            return
        span = self._rotation.span
        span.set_attribute("rotator.outcome", report.outcome.value)
        if report.error:
            span.set_attribute("error.type", report.error.code)
            span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """End the open spans."""
        if self._rotation is None:
            return
        if self._intent:
            # The pass lost its lease or its ledger: the outcome of the step was not recorded.
            self._stepped(self._rotation, self._intent[0], None)
        self._observed(self._rotation)
        self._rotation.span.end()
        self._rotation = None

    # -- Spans. ----------------------------------------------------------------------------

    def _of(self, rotation_id: str, *, is_new: bool) -> _Rotation:
        """Return the span of a rotation's pass; start it at the first entry of the rotation."""
        if self._rotation and self._rotation.id == rotation_id:
            return self._rotation
        if self._rotation:
            self.end()
            self._began = time.time_ns()
        trace_id, root_id = _ids_of(rotation_id)
        root = SpanContext(trace_id, root_id, is_remote=True, trace_flags=_SAMPLED)
        above = Context() if is_new else trace.set_span_in_context(NonRecordingSpan(root))
        with self._ids.chosen(trace_id, root_id) if is_new else nullcontext():
            span = self._tracer.start_span(
                "rotation" if is_new else "rotation goes on",
                context=above,
                start_time=self._began,
                attributes=self._attributes(rotation_id),
            )
        context = trace.set_span_in_context(span)
        self._rotation = _Rotation(id=rotation_id, span=span, context=context)
        return self._rotation

    def _attributes(self, rotation_id: str) -> Attributes:
        return {"rotator.account": self._account, "rotator.rotation_id": rotation_id}

    def _observed(self, rotation: _Rotation) -> None:
        """Create a span for calls that belong to no step, as they only observed."""
        if self._calls:
            self._span(rotation, "observe", self._calls, {})
            self._calls = []

    def _stepped(self, rotation: _Rotation, step: Step, draft: NewEntry | None) -> None:
        calls, self._calls = self._calls, []
        began = None
        if self._intent and self._intent[0] is step:
            began = self._intent[1]
            self._intent = None
            self._calls = [call for call in calls if call.operation == _VERIFYING]
            calls = [call for call in calls if call.operation != _VERIFYING]
        facts = _facts(draft) if draft else {}
        facts |= {"rotator.step": step.value}
        is_error = draft is None or draft.event != "done"
        self._span(rotation, step.value, calls, facts, began=began, is_error=is_error)

    def _span(  # noqa: PLR0913  # private, and told by name
        self,
        rotation: _Rotation,
        name: str,
        calls: Sequence[_Call],
        facts: Attributes,
        *,
        began: int | None = None,
        is_error: bool = False,
    ) -> None:
        """Create the span of a completed step and of its calls."""
        began = began or min((call.began for call in calls), default=time.time_ns())
        span = self._tracer.start_span(
            name,
            context=rotation.context,
            start_time=began,
            attributes=self._attributes(rotation.id) | facts,
        )
        inside = trace.set_span_in_context(span)
        for call in calls:
            self._call_span(call, inside, self._attributes(rotation.id))
        if is_error:
            span.set_status(StatusCode.ERROR)
        span.end(max((call.ended for call in calls), default=time.time_ns()))

    def _call_span(self, call: _Call, context: Context, facts: Attributes) -> None:
        span = self._tracer.start_span(
            f"{call.api} {call.operation}",
            context=context,
            kind=SpanKind.CLIENT,
            start_time=call.began,
            attributes=facts | call.attributes(),
        )
        if call.is_error():
            span.set_status(StatusCode.ERROR)
        span.end(call.ended)


_OUTCOMES = ("done", "rejected", "unknown")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def _facts(draft: NewEntry) -> Attributes:
    """Return the facts of an entry that say how it went. Its other facts are in the ledger."""
    facts: Attributes = {"rotator.event": draft.event}
    code = draft.detail.get("code")
    return facts | ({"error.type": code} if isinstance(code, str) else {})


# -- Ids. ----------------------------------------------------------------------------------


def _ids_of(rotation_id: str) -> tuple[int, int]:
    """Return a rotation's trace id and the id of the trace's root."""
    digest = hashlib.sha256(rotation_id.encode()).digest()
    try:
        trace_id = uuid.UUID(rotation_id).int
    except ValueError:
        # It came from a pending entry that another program wrote.
        trace_id = 0
    return trace_id or int.from_bytes(digest[8:24]), int.from_bytes(digest[:8])


class _Ids(RandomIdGenerator):
    """Random ids, except for the root of a rotation's trace."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    @contextmanager
    def chosen(self, trace_id: int, span_id: int) -> Iterator[None]:
        """Use these ids for the span that this thread starts in the `with` block."""
        self._of_thread.ids = trace_id, span_id
        try:
            yield
        finally:
            self._of_thread.ids = None

    def generate_trace_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._of_thread, "ids", None)
        return ids[0] if ids else super().generate_trace_id()

    def generate_span_id(self) -> int:
        ids: tuple[int, int] | None = getattr(self._of_thread, "ids", None)
        return ids[1] if ids else super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False


# -- Delivery. -----------------------------------------------------------------------------


def to_collector(endpoint: str) -> Tracing:
    """Return a tracing that sends to the collector at `endpoint`, by OTLP over HTTP.

    "" leaves it to OTEL_EXPORTER_OTLP_ENDPOINT, and the rest to the related variables.
    """
    # Failures of delivery are logged here, once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    url = f"{endpoint}/v1/traces" if endpoint else None
    exporter = OTLPSpanExporter(endpoint=url, timeout=_TIMEOUT, session=_Session())
    return Tracing(BatchSpanProcessor(_Delivery(exporter)))


class _Session(Session):
    """Uses no proxy for a collector on this machine, whatever the environment says."""

    def send(self, request: PreparedRequest, **options: Any) -> Response:  # noqa: ANN401
        """Send one request; also called for each redirect."""
        if is_loopback(urlsplit(request.url or "").hostname or ""):
            options["proxies"] = {}
        return super().send(request, **options)


class _Delivery(SpanExporter):
    """Exports spans, and logs once if they are not accepted. Nothing waits for it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        is_lost = result is not SpanExportResult.SUCCESS
        if is_lost and not self._is_lost:
            _log.warning("traces are not taken", spans=len(spans))
        self._is_lost = is_lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

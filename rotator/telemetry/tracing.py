"""A trace for each rotation: a span for each pass, in it one for each step and each call.

The observer hears of committed ledger entries and of HTTP attempts, so no span can contain what
these do not: a URL, a header, a body or a value. The attributes are the account's name, ids, steps,
operations and statuses. Nothing waits for a span to be delivered.

A rotation's id is its trace's, so that passes of different processes, a grace apart, are in one
trace. The pass that opened the rotation has the trace's root.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
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

from rotator.model import PassResult, Step
from rotator.network import is_loopback
from rotator.rotation.ports import NewEntry, Observer

#: Timeout of one delivery to the collector, in seconds; an ending process waits for it.
_TIMEOUT = 5.0
#: The call of `verify`, which is made before the outcome of the step before it is committed.
_VERIFYING = "read-version"
#: Entries that end a step.
_OUTCOMES = ("done", "rejected", "unknown", "withdrawn")

Attributes = dict[str, str | int]

_log = structlog.get_logger(__name__)


class Tracing(Observer):
    """Records passes as spans. May be shared by threads; close it at the end."""

    def __init__(self, processor: SpanProcessor) -> None:
        """Pass each ended span to `processor`."""
        self._provider = TracerProvider(
            id_generator=_Ids(),
            resource=Resource.create({"service.name": "rotator"}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("rotator")
        self._of_thread = threading.local()

    def close(self) -> None:
        """Deliver the remaining spans; blocks some seconds if the collector does not answer."""
        self._provider.shutdown()

    def pass_started(self, account: str) -> None:
        """Trace this thread's work until the pass ends."""
        self._of_thread.traced = _TracedPass(self._tracer, account)

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Add a call to the step in which it was made."""
        if traced := self._traced():
            traced.call_finished(api, operation, code, seconds)

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Start or end a step."""
        del account
        if traced := self._traced():
            traced.entry_recorded(entry)

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """End the open spans."""
        del account
        if traced := self._traced():
            self._of_thread.traced = None
            traced.end(result)

    def _traced(self) -> "_TracedPass | None":
        traced: _TracedPass | None = getattr(self._of_thread, "traced", None)
        return traced


@dataclass(frozen=True, kw_only=True)
class _Call:
    """One HTTP attempt. Times in nanoseconds since 1970."""

    name: str
    attributes: Attributes
    is_error: bool
    started_at: int
    ended_at: int


class _TracedPass:
    """The spans of one pass. None is started before the rotation is known, whose trace it is."""

    def __init__(self, tracer: trace.Tracer, account: str) -> None:
        self._tracer, self._account = tracer, account
        self._rotation_id = ""
        self._span: trace.Span | None = None
        #: The step whose intent is committed, its span, and when its latest call ended.
        self._step: Step | None = None
        self._step_span: trace.Span = trace.INVALID_SPAN
        self._step_ended_at: int | None = None
        #: Calls that belong to no span yet, oldest first.
        self._calls: list[_Call] = []
        #: Start of the innermost span, in nanoseconds since 1970: no call began before.
        self._since = time.time_ns()

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        now, is_status = time.time_ns(), code.isdecimal()
        call = _Call(
            name=f"{api} {operation}",
            attributes={
                "rotator.api": api,
                "rotator.operation": operation,
                "http.response.status_code" if is_status else "error.type": (
                    int(code) if is_status else code
                ),
            },
            # "Not found" is an ordinary answer.
            is_error=not is_status or (int(code) >= 400 and code != "404"),  # noqa: PLR2004  # HTTP's
            started_at=max(self._since, now - int(seconds * 1e9)),
            ended_at=now,
        )
        if self._step and operation != _VERIFYING:
            self._add_calls(self._step_span, [call])
            self._step_ended_at = now
        else:
            self._calls.append(call)

    def entry_recorded(self, entry: NewEntry) -> None:
        if entry.rotation_id is None:
            return
        span = self._pass_span(entry.rotation_id, is_new=entry.event == "opened")
        if entry.step and entry.event == "intent":
            self._observed(span)
            self._since = time.time_ns()
            self._step, self._step_ended_at = entry.step, None
            self._step_span = self._start(span, entry.step.value, self._since)
        elif entry.step and entry.event in _OUTCOMES:
            self._end_step(span, entry.step, entry)
        else:
            self._observed(span)
            span.add_event(entry.event, _facts(entry))

    def end(self, result: PassResult | None) -> None:
        """End the open spans."""
        if self._span is None:
            return
        if self._step:
            # The pass lost its lease or its ledger: the outcome of the step was not recorded.
            self._end_step(self._span, self._step, None)
        self._observed(self._span)
        if result:
            self._span.set_attribute("rotator.outcome", result.outcome.value)
        if result and result.error:
            self._span.set_attribute("error.type", result.error.code)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        self._span = None

    def _pass_span(self, rotation_id: str, *, is_new: bool) -> trace.Span:
        """Return the pass's span in the trace of a rotation; start it at the first entry."""
        if self._span and self._rotation_id == rotation_id:
            return self._span
        if self._span:
            self.end(None)
            self._since = time.time_ns()
        self._rotation_id, root = rotation_id, _root_of(rotation_id)
        if not is_new:
            above = NonRecordingSpan(root)
            self._span = self._start(above, "rotation goes on", self._since)
            return self._span
        restored = _NEW_ROOT.set(root)
        try:
            self._span = self._start(None, "rotation", self._since)
        finally:
            _NEW_ROOT.reset(restored)
        return self._span

    def _observed(self, span: trace.Span) -> None:
        """Add a span for calls that belong to no step, as they only observed."""
        if self._calls:
            self._add_span(span, "observe", {}, is_error=False)

    def _end_step(self, span: trace.Span, step: Step, entry: NewEntry | None) -> None:
        """End the span of a step; one without an intent is a span of the calls before it."""
        facts = (_facts(entry) if entry else {}) | {"rotator.step": step.value}
        is_error = entry is None or entry.event != "done"
        if self._step is not step:
            self._add_span(span, step.value, facts, is_error=is_error)
            return
        self._step_span.set_attributes(facts)
        if is_error:
            self._step_span.set_status(StatusCode.ERROR)
        self._step_span.end(self._step_ended_at)
        self._step = None

    def _add_span(self, above: trace.Span, name: str, facts: Attributes, *, is_error: bool) -> None:
        """Add an ended span of the calls that belong to none yet."""
        calls, self._calls = self._calls, []
        now = time.time_ns()
        span = self._start(above, name, min((call.started_at for call in calls), default=now))
        span.set_attributes(facts)
        self._add_calls(span, calls)
        if is_error:
            span.set_status(StatusCode.ERROR)
        span.end(max((call.ended_at for call in calls), default=now))

    def _add_calls(self, above: trace.Span, calls: Sequence[_Call]) -> None:
        for call in calls:
            span = self._start(above, call.name, call.started_at, SpanKind.CLIENT)
            span.set_attributes(call.attributes)
            if call.is_error:
                span.set_status(StatusCode.ERROR)
            span.end(call.ended_at)

    def _start(
        self, above: trace.Span | None, name: str, at: int, kind: SpanKind = SpanKind.INTERNAL
    ) -> trace.Span:
        return self._tracer.start_span(
            name,
            context=trace.set_span_in_context(above, Context()) if above else Context(),
            kind=kind,
            start_time=at,
            attributes={
                "rotator.account": self._account,
                "rotator.rotation_id": self._rotation_id,
            },
        )


def _facts(entry: NewEntry) -> Attributes:
    """Return the facts of an entry that say how it went. Its other facts are in the ledger."""
    facts: Attributes = {"rotator.event": entry.event}
    code = entry.detail.get("code")
    return facts | ({"error.type": code} if isinstance(code, str) else {})


#: The root that is being started, whose ids are its rotation's.
_NEW_ROOT: ContextVar[SpanContext | None] = ContextVar("new_root", default=None)


def _root_of(rotation_id: str) -> SpanContext:
    """Return the context of the root of a rotation's trace."""
    digest = hashlib.sha256(rotation_id.encode()).digest()
    try:
        trace_id = uuid.UUID(rotation_id).int
    except ValueError:
        # It came from a pending entry that another program wrote.
        trace_id = 0
    return SpanContext(
        trace_id or int.from_bytes(digest[8:24]),
        int.from_bytes(digest[:8]),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
    )


class _Ids(RandomIdGenerator):
    """Random ids, except for the root of a rotation's trace."""

    def generate_trace_id(self) -> int:
        root = _NEW_ROOT.get()
        return root.trace_id if root else super().generate_trace_id()

    def generate_span_id(self) -> int:
        root = _NEW_ROOT.get()
        return root.span_id if root else super().generate_span_id()

    def is_trace_id_random(self) -> bool:
        return False


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

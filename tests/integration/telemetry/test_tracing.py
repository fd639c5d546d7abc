import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rotator.application import Application
from rotator.config import load, parse_duration
from rotator.errors import ConfigError
from rotator.model import Outcome, PassResult, Request
from rotator.rotation.ports import NewEntry
from rotator.sim import Environment, Fault
from rotator.telemetry.tracing import Tracing, to_collector
from tests.support.webhook_receiver import receiving

#: What no fact of a span may be beyond.
KEYS = {
    "error.type",
    "http.response.status_code",
    "rotator.account",
    "rotator.api",
    "rotator.event",
    "rotator.operation",
    "rotator.outcome",
    "rotator.rotation_id",
    "rotator.step",
}


@pytest.fixture
def world() -> Iterator[Environment]:
    """One account."""
    with Environment.build(accounts=1, subaccounts=0) as world:
        yield world


@contextmanager
def wired(world: Environment, folder: Path) -> Iterator[tuple[Application, InMemorySpanExporter]]:
    """Yield rotator as wired in a process of its own, and the spans it makes."""
    (folder / "token").write_text(world.vault.token)
    config = folder / "config.toml"
    config.write_text(world.config(f"sqlite:///{folder / 'ledger.db'}", folder / "token"))
    exporter = InMemorySpanExporter()
    with Application(load(config, {}), {}) as application:
        application.tracing = Tracing(SimpleSpanProcessor(exporter))
        yield application, exporter


def rotate(application: Application, grace: str = "0s", reason: str | None = "asked") -> PassResult:
    """Make one pass over the account."""
    [account] = application.accounts.values()
    return application.reconciler().attempt(
        account, Request(reason=reason, grace=parse_duration(grace))
    )


def named(spans: tuple[ReadableSpan, ...], name: str) -> ReadableSpan:
    """Return the span of that name."""
    [found] = [span for span in spans if span.name == name]
    return found


def below(spans: tuple[ReadableSpan, ...], name: str) -> list[str]:
    """Return the spans right below the one of that name, in the order of their beginning."""
    above = named(spans, name).get_span_context()
    assert above
    children = [span for span in spans if span.parent and span.parent.span_id == above.span_id]
    return [span.name for span in sorted(children, key=lambda span: span.start_time or 0)]


def test_a_rotation_is_a_trace_of_steps_and_calls(world: Environment, tmp_path: Path) -> None:
    """One root, a span for each step that did something, and in it one for each call.

    Vault is read once more while the deletion waits for nothing but this.
    """
    with wired(world, tmp_path) as (application, exporter):
        report = rotate(application)
    spans = exporter.get_finished_spans()
    steps = ["stage", "create", "probe", "push", "verify", "clear", "delete"]

    assert report.outcome is Outcome.COMPLETED
    assert below(spans, "rotation") == ["observe", *steps]
    assert below(spans, "stage") == ["vault write-pending"]
    assert below(spans, "create") == ["vonage secrets.create"]
    assert below(spans, "probe") == ["vonage secrets.list"]
    assert below(spans, "push") == ["vault write-current"]
    assert below(spans, "verify") == ["vault read-version"]
    assert below(spans, "clear") == ["vault clear-pending"]
    assert below(spans, "delete") == ["vonage secrets.delete", "vault read-current"]
    assert named(spans, "rotation").parent is None


def test_spans_say_whose_and_what_and_no_more(world: Environment, tmp_path: Path) -> None:
    """Each names account and rotation; calls name operation and status; nothing else is told."""
    with wired(world, tmp_path) as (application, exporter):
        report = rotate(application)
    spans = exporter.get_finished_spans()
    facts = [dict(span.attributes or {}) for span in spans]

    assert {str(each["rotator.rotation_id"]) for each in facts} == {report.rotation_id}
    assert {str(each["rotator.account"]) for each in facts} == {"account-1"}
    assert set().union(*facts) <= KEYS
    created = dict(named(spans, "vonage secrets.create").attributes or {})
    assert created["http.response.status_code"] == 201
    assert dict(named(spans, "rotation").attributes or {})["rotator.outcome"] == "completed"


def test_times_are_nested(world: Environment, tmp_path: Path) -> None:
    """A call lies within its step, and a step within its pass."""
    with wired(world, tmp_path) as (application, exporter):
        rotate(application)
    spans = {
        span.get_span_context().span_id: span  # type: ignore[union-attr]  # they all have one
        for span in exporter.get_finished_spans()
    }
    inner = [(span, spans[span.parent.span_id]) for span in spans.values() if span.parent]

    assert len(inner) > 10
    for span, outer in inner:
        assert span.start_time is not None
        assert outer.start_time is not None
        assert outer.start_time <= span.start_time, span.name
        assert (span.end_time or 0) <= (outer.end_time or 0), span.name


def test_a_later_process_goes_on_in_the_same_trace(world: Environment, tmp_path: Path) -> None:
    """The rotation's id is the trace's, and what the first pass made is the root."""
    with wired(world, tmp_path) as (application, exporter):
        report = rotate(application, grace="1h")
    first = exporter.get_finished_spans()
    with wired(world, tmp_path) as (application, exporter):
        rotate(application, reason=None)
    second = exporter.get_finished_spans()
    root = named(first, "rotation").get_span_context()
    resumed = named(second, "rotation goes on")

    assert root
    assert root.trace_id == UUID(report.rotation_id).int
    assert resumed.parent
    assert (resumed.parent.trace_id, resumed.parent.span_id) == (root.trace_id, root.span_id)
    assert below(second, "rotation goes on") == ["observe", "delete"]


def test_what_failed_is_marked(world: Environment, tmp_path: Path) -> None:
    """A lost answer is an error of its call and its step, and the next try is another span."""
    world.vonage.faults.add(Fault("drop-after", method="POST"))
    with wired(world, tmp_path) as (application, exporter):
        report = rotate(application)
    spans = exporter.get_finished_spans()
    create = named(spans, "create")
    call = named(spans, "vonage secrets.create")

    assert report.outcome is Outcome.COMPLETED
    assert not create.status.is_ok
    assert not call.status.is_ok
    assert dict(create.attributes or {})["rotator.event"] == "unknown"
    assert dict(call.attributes or {})["error.type"] == "dropped"


def test_passes_without_a_rotation_leave_no_trace(world: Environment, tmp_path: Path) -> None:
    """Looking at an account is none, nor is what was called before a later pass of the thread."""
    with wired(world, tmp_path) as (application, exporter):
        [account] = application.accounts.values()
        application.reconciler().refresh(account)
        rotate(application, reason=None)
        before = exporter.get_finished_spans()
        rotate(application)
    observed = below(exporter.get_finished_spans(), "observe")

    assert before == ()
    assert observed == ["vault read-current", "vault read-pending", "vonage secrets.list"]


# -- Whether there are traces at all. ------------------------------------------------------


def wiring_of(folder: Path, endpoint: str = "", **environ: str) -> Application:
    """Return rotator wired with a collector as configured, or as in the environment."""
    config = folder / "config.toml"
    config.write_text(
        '[vault]\naddress = "http://127.0.0.1:1"\n'
        f'[telemetry]\notlp_endpoint = "{endpoint}"\n'
        '[[accounts]]\nname = "a"\napi_key = "abcd1234"\nvault_path = "a"\n'
    )
    return Application(load(config, {}), environ)


COLLECTOR = "http://collector.example.com:4318"


@pytest.mark.parametrize(
    ("endpoint", "environ", "is_traced"),
    [
        ("", {}, False),
        (COLLECTOR, {}, True),
        ("", {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR}, True),
        ("", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{COLLECTOR}/v1/traces"}, True),
        (COLLECTOR, {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_made_where_someone_collects_them(
    tmp_path: Path, endpoint: str, environ: dict[str, str], *, is_traced: bool
) -> None:
    """The configuration or a standard variable names the collector; another turns it all off."""
    with wiring_of(tmp_path, endpoint, **environ) as application:
        assert (application.tracing is not None) is is_traced


def test_a_configured_collector_needs_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks rotator for traces learns what to install; a variable meant for all does no harm."""
    monkeypatch.setitem(sys.modules, "rotator.telemetry.tracing", None)
    with wiring_of(tmp_path, COLLECTOR) as application, pytest.raises(ConfigError) as caught:
        _ = application.tracing
    with wiring_of(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=COLLECTOR) as application:
        tracing = application.tracing

    assert caught.value.hint == "install `vonage-rotator[otel]`"
    assert tracing is None


def test_a_collector_on_this_machine_is_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever the environment says; another machine's is asked through it."""
    monkeypatch.setenv("no_proxy", "")
    with receiving() as proxy, receiving() as collector:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for endpoint in (collector.url, "http://collector.test:4318"):
            tracing = to_collector(endpoint)
            opened = NewEntry(event="opened", step=None, detail={}, rotation_id="r")
            tracing.pass_started("a")
            tracing.entry_recorded("a", opened)
            tracing.pass_finished("a", None)
            tracing.close()

    assert [taken.path for taken in collector.taken] == ["/v1/traces"]
    assert [taken.path for taken in proxy.taken] == ["http://collector.test:4318/v1/traces"]

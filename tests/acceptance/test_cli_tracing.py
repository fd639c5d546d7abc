"""Traces, delivered to a collector on loopback by the real command."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.acceptance.test_cli_setup import imported
from tests.support import leaks
from tests.support.cli_fixture import CliFixture


@dataclass
class Collector:
    """Takes whatever is sent, and keeps it."""

    url: str = ""
    #: Request lines and headers, and bodies.
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def span_names(self) -> set[str]:
        """Return the names of the spans that arrived."""
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return {
            span.name
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on loopback."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # http.server's name for it
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.heads.append(f"{self.requestline}\n{self.headers}")
            found.bodies.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliFixture]:
    """One account."""
    with CliFixture(tmp_path) as cli:
        yield cli


def test_traces_arrive_and_hold_no_value(cli: CliFixture, collector: Collector) -> None:
    """Every step arrives at the configured collector; no value is in any byte that was sent."""
    cli.config.write_text(f'{cli.text}\n[telemetry]\notlp_endpoint = "{collector.url}"\n')
    before = cli.values()
    cli.rotate()
    values = [*before, *cli.values()]
    sent = [*collector.heads, *(body.decode("latin-1") for body in collector.bodies)]

    assert {"rotation", "create", "vonage secrets.create", "vault write-current"} <= (
        collector.span_names()
    )
    assert collector.heads[0].startswith("POST /v1/traces ")
    assert not leaks.found(values, cli.api_keys(), sent)


def test_a_collector_that_is_away_is_no_reason_to_fail(
    cli: CliFixture, collector: Collector
) -> None:
    """The rotation succeeds, and one line says that its trace was lost."""
    gone = collector.url.rpartition(":")[0] + ":1"
    cli.config.write_text(f'{cli.text}\n[telemetry]\notlp_endpoint = "{gone}"\n')
    done = cli.rotate()

    assert done.err.count("traces are not taken") == 1
    assert "opentelemetry" not in done.err


def test_without_a_collector_nothing_is_loaded(cli: CliFixture) -> None:
    """OpenTelemetry is an extra: who collects no traces need not have it, nor waits for it."""
    assert "opentelemetry" not in imported(cli, "rotate-now", "--all")

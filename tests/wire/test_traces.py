"""Traces, received by a collector of the test's own as OTLP has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bulk_sync.cli.traces import wanted
from bulk_sync.errors import install_with
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import KEY, after_sending_line, numbered, write_sheet


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """The address of a collector, and the spans that it got."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                import gzip

                body = gzip.decompress(body)
            request = ExportTraceServiceRequest.FromString(body)
            assert KEY.encode() not in body
            spans.extend(
                span
                for resource in request.resource_spans
                for scope in resource.scope_spans
                for span in scope.spans
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


@pytest.mark.parametrize(
    ("ratio", "least", "most"), [("1.0", 60, 60), ("0.3", 2, 45), ("0.0", 0, 0)]
)
def test_a_span_for_the_run_and_one_for_each_row_sampled(
    program: Program,
    sandboxes: Sandboxes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ratio: str,
    least: int,
    most: int,
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(60))
    with (
        collector() as (address, spans),
        sandboxes(faults=(parse_fault("20%:404"),), seed=2) as witness,
    ):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", ratio)
        ran = program("push", sheet, "--base-url", witness.base_url, "--json")
    rows = [span for span in spans if span.name == "row"]
    assert least <= len(rows) <= most
    assert len({span.trace_id for span in rows}) == len(rows)
    assert all(0 <= span.end_time_unix_nano - span.start_time_unix_nano < 60e9 for span in rows)
    if ratio == "1.0":
        (run,) = (span for span in spans if span.name == "push")
        assert {link.span_id for span in rows for link in span.links} == {run.span_id}
        states = [attributes(span)["bulk_sync.state"] for span in rows]
        assert states.count("rejected") == ran.summary["states"]["rejected"] > 0
        assert {attributes(span)["http.response.status_code"] for span in rows} == {200, 404}
        assert "ext_" not in str(rows)


def test_what_the_environment_must_say(
    program: Program, sandboxes: Sandboxes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert wanted(named)
    assert not wanted({})
    assert not wanted({**named, "OTEL_SDK_DISABLED": "true"})
    assert not wanted({**named, "OTEL_TRACES_EXPORTER": "none"})
    monkeypatch.setenv(*next(iter(named.items())))
    monkeypatch.setattr("bulk_sync.cli.traces.find_spec", lambda _: None)
    sheet = write_sheet(tmp_path / "s.csv", numbered(1))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--log-file", "run.log")
    assert ran.code == 0
    assert install_with("otel") in Path("run.log").read_text(encoding="utf-8")


def test_a_collector_that_is_not_there_is_for_the_log_alone(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    sheet = write_sheet(tmp_path / "s.csv", numbered(2))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--log-file", "run.log")
    assert (ran.code, after_sending_line(ran.err)) == (0, "")
    assert " traces: " in Path("run.log").read_text(encoding="utf-8")

"""OpenTelemetry traces, when the environment configures its SDK and the extra `otel` is installed.

There is one span for the run and one for each sampled row. A row's span is the root of its own
trace, linked to the run's, so that `OTEL_TRACES_SAMPLER=traceidratio` samples rows instead of whole
runs. Spans have numbers and codes only, because keys and messages of rows may name people.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

from bulk_sync.clock import SystemClock
from bulk_sync.errors import install_with
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, RowDecided, State
from bulk_sync.version import __version__

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

log = logging.getLogger("bulk_sync.traces")

OnRow = Callable[[RowDecided], None]

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def wanted(environ: Mapping[str, str]) -> bool:
    """Return True when the environment names a collector and does not disable traces."""
    off = (
        environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return not off and any(environ.get(name) for name in _ENDPOINTS)


@contextmanager
def tracing(environ: Mapping[str, str]) -> Iterator[OnRow | None]:
    """Open the span of a run; yield the callback for its rows, or None without traces."""
    if not wanted(environ):
        yield None
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        # A cluster may set the variable for every program, so a missing extra is no error.
        log.warning(
            "no traces: OTEL_EXPORTER_OTLP_ENDPOINT is set, but the extra is missing: "
            f"{install_with('otel')}",
            extra={"event": "traces"},
        )
        yield None
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # An explicit name would win over OTEL_SERVICE_NAME.
    named = {} if environ.get("OTEL_SERVICE_NAME") else {"service.name": "bulk-sync"}
    provider = TracerProvider(resource=Resource.create({**named, "service.version": __version__}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    with _errors_in_the_log():
        try:
            yield from _spans(provider.get_tracer("bulk_sync", __version__))
        finally:
            provider.shutdown()


class _Forwarding(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log.log(record.levelno, "traces: %s", record.getMessage(), extra={"event": "traces"})


@contextmanager
def _errors_in_the_log() -> Iterator[None]:
    """Log the exporter's errors instead of printing them on standard error."""
    theirs, forwarding = logging.getLogger("opentelemetry"), _Forwarding(logging.WARNING)
    theirs.addHandler(forwarding)
    before, theirs.propagate = theirs.propagate, False
    try:
        yield
    finally:
        theirs.propagate = before
        theirs.removeHandler(forwarding)


def _spans(tracer: Tracer) -> Iterator[OnRow]:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanKind, Status, StatusCode

    clock = SystemClock()
    # An exception's text may quote a cell.
    with tracer.start_as_current_span(
        "push", record_exception=False, set_status_on_exception=False
    ) as run:
        link = Link(run.get_span_context())

        def on_row(row: RowDecided) -> None:
            ended = round(clock.now().timestamp() * 1e9)
            span = tracer.start_span(
                "row",
                context=Context(),  # an empty context makes the span a root
                kind=SpanKind.CLIENT,
                links=[link],
                start_time=ended - round(row.seconds * 1e9),
                attributes={
                    "bulk_sync.row": row.row,
                    "bulk_sync.state": row.state.value,
                    "bulk_sync.attempts": row.attempts,
                    "http.request.method": "POST" if row.state is State.CREATED else "PATCH",
                    **(
                        {}
                        if row.http_status is None
                        else {"http.response.status_code": row.http_status}
                    ),
                },
            )
            if row.state not in ACKNOWLEDGED_STATES:
                span.set_status(Status(StatusCode.ERROR, row.error))
            span.end(ended)

        yield on_row

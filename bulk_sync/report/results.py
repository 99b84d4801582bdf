"""`*.results.csv`: one row for each input row, in input order."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from bulk_sync.model import Result, State
from bulk_sync.report.files import replacing

COLUMNS = (
    "row",
    "unique_showing_key",
    "state",
    "http_status",
    "attempts",
    "error",
    "message",
    "fields",
    "showing_id",
    "updated_at",
    "sent_at",
    "duration_ms",
)

IN_FLIGHT = "it was on its way when the run was cut off and may have been applied; run again"


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write the results; raises OutputError."""
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(_line(result) for result in results)


def _line(result: Result) -> tuple[object, ...]:
    message = IN_FLIGHT if result.in_flight and result.state is State.PENDING else result.message
    return (
        result.number,
        result.key,
        result.state.value,
        result.http_status,
        result.attempts,
        result.error,
        inert(message or ""),
        result.fields,
        inert(result.showing_id or ""),
        inert(result.updated_at or ""),
        result.sent_at,
        result.duration_ms,
    )


def inert(text: str) -> str:
    """A text that no spreadsheet program takes for a formula (OWASP, CSV injection); its words are not ours."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

"""`*.results.csv`: one row for each input row, in input order."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from bulk_sync.model import Result
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


def write_results(path: Path, results: Iterable[Result]) -> None:
    """Write the results; raises OutputError."""
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(_line(result) for result in results)


def _line(result: Result) -> tuple[object, ...]:
    return (
        result.number,
        result.key,
        result.state.value,
        result.http_status,
        result.attempts,
        result.error,
        inert(result.message or ""),
        result.fields,
        inert(result.showing_id or ""),
        inert(result.updated_at or ""),
        result.sent_at,
        result.duration_ms,
    )


def inert(text: str) -> str:
    """A text that no spreadsheet program takes for a formula (OWASP, CSV injection); its words are not ours."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text

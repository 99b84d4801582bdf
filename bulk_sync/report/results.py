"""`*.results.csv`: one row for each input row, in input order.

The rule about formulas, for every report that a spreadsheet program may open: text that came
from the server (`message`, `showing_id`, `updated_at`, and `error` of the failed rows) gets an
apostrophe before it when a spreadsheet program would take it for a formula. What the user's own
sheet holds (the key here, all cells of the failed rows) stays exact, so that it can be looked up
and pushed again; it was in their sheet before.
"""

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


_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""OWASP's list (CSV Injection); the wide ones count in East Asian settings."""


def inert(text: str) -> str:
    """A text that no spreadsheet program takes for a formula; see the rule above."""
    return "'" + text if text.startswith(_FORMULA_BEGINS) else text

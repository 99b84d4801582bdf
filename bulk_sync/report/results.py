"""The results: one line for each input row, in input order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bulk_sync.model import Result
from bulk_sync.report.lines import Facts, Layout, Line, write_lines

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

_LAYOUT = Layout(COLUMNS, foreign=frozenset({"message", "showing_id", "updated_at"}), coloured="state")


def write_results(path: Path, results: Iterable[Result], facts: Facts = ()) -> None:
    """Write the results in the format that the name's ending says; raises OutputError.

    `facts` are the lines of a workbook's summary, name and value.
    """
    write_lines(path, _LAYOUT, map(_line, results), facts)


def _line(result: Result) -> Line:
    return (
        result.number,
        result.key,
        result.state.value,
        result.http_status,
        result.attempts,
        result.error,
        result.message,
        result.fields,
        result.showing_id,
        result.updated_at,
        result.sent_at,
        result.duration_ms,
    )

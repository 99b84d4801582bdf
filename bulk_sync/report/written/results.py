"""The results: one line for each input row, in input order."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bulk_sync.report.written.lines import Facts, Layout, Line, write_lines

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

_LAYOUT = Layout(
    COLUMNS, foreign=frozenset({"message", "showing_id", "updated_at"}), coloured="state"
)


def write_results(path: Path, lines: Iterable[Line], facts: Facts = ()) -> None:
    """Write the results, lines of `COLUMNS`, in the format that the name's ending says; raises
    OutputError.

    `facts` are the lines of a workbook's summary, name and value.
    """
    write_lines(path, _LAYOUT, lines, facts)

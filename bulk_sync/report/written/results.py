"""`*.results.csv`: one line for each input row, in input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bulk_sync.report.words import full_message
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

_STATE, _MESSAGE = COLUMNS.index("state"), COLUMNS.index("message")

_LAYOUT = Layout(
    COLUMNS, foreign=frozenset({"message", "showing_id", "updated_at"}), coloured="state"
)


def write_results(path: Path, lines: Iterable[Line], facts: Facts = ()) -> None:
    """Write the results in the format that the suffix names; raises OutputError.

    `lines` have the values of `COLUMNS`, then one that is true if the row may have been applied.
    `facts` are the lines (name, value) of a workbook's summary.
    """
    write_lines(path, _LAYOUT, _with_full_messages(lines), facts)


def _with_full_messages(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        if line[-1]:
            message = line[_MESSAGE]
            full = full_message(
                str(line[_STATE]),
                None if message is None else str(message),
                may_have_been_applied=True,
            )
            yield (*line[:_MESSAGE], full, *line[_MESSAGE + 1 : -1])
        else:
            yield line[:-1]

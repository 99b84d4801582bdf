"""`*.results.csv`: one line for each input row, in input order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Echo, GivenUp
from bulk_sync.report.problems import full_message
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

_STATE, _ATTEMPTS, _MESSAGE = map(COLUMNS.index, ("state", "attempts", "message"))

_LAYOUT = Layout(COLUMNS, coloured="state")


Recorded = tuple[Line, tuple[Reason, ...], GivenUp | None, bool, tuple[Echo, ...]]
"""A line with the API's message, its reasons, why it was given up, whether it is in doubt, and the
fields that came back with another value.
"""


def write_results(path: Path, lines: Iterable[Recorded], facts: Facts = ()) -> None:
    """Write the results in the format that the suffix names; raises OutputError.

    `lines` have the values of `COLUMNS`.
    `facts` are the lines (name, value) of a workbook's summary.
    """
    write_lines(path, _LAYOUT, _with_full_messages(lines), facts)


def _with_full_messages(lines: Iterable[Recorded]) -> Iterator[Line]:
    for line, reasons, given_up, in_doubt, echoes in lines:
        if not reasons and given_up is None and not in_doubt and not echoes:
            yield line
            continue
        message, attempts = line[_MESSAGE], line[_ATTEMPTS]
        full = full_message(
            str(line[_STATE]),
            None if message is None else str(message),
            reasons,
            given_up,
            int(attempts or 0),
            may_have_been_applied=in_doubt,
            echoes=echoes,
        )
        yield (*line[:_MESSAGE], full, *line[_MESSAGE + 1 :])

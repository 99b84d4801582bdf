"""`*.results.csv`: one line for each input row, in input order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Echo, GivenUp
from bulk_sync.report.problems import full_message
from bulk_sync.report.written.lines import Facts, Layout, Line, write_lines

_STATE, _ATTEMPTS, _MESSAGE = map(RESULT_COLUMNS.index, ("state", "attempts", "message"))

_LAYOUT = Layout(RESULT_COLUMNS, coloured="state")


Recorded = tuple[Line, tuple[Reason, ...], GivenUp | None, bool, tuple[Echo, ...]]
"""A line with the API's message, its reasons, why it was given up, whether it is in doubt, and the
fields that came back with another value.
"""


def write_results(
    path: Path,
    lines: Iterable[Recorded],
    facts: Facts = (),
    before: Callable[[str], None] | None = None,
) -> None:
    """Write the results in the format that the suffix names; raises OutputError.

    `lines` have the values of `RESULT_COLUMNS`.
    `facts` are the lines (name, value) of a workbook's summary. `before` is called with the digest
    just before the file replaces the older one.
    """
    write_lines(path, _LAYOUT, map(full_line, lines), facts, before)


def full_line(recorded: Recorded) -> Line:
    """Return the values of a line, with everything that there is to say in its message."""
    line, reasons, given_up, in_doubt, echoes = recorded
    if not reasons and given_up is None and not in_doubt and not echoes:
        return line
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
    return (*line[:_MESSAGE], full, *line[_MESSAGE + 1 :])

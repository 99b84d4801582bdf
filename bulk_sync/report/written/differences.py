"""The files of a comparison: the differences, one line per value, and a sheet of changes to push.

The sheet of changes has the differing values of this sheet. All other cells are blank, so that a
push leaves those fields unchanged; a value that both sides changed is blank, too, for a person to
fill in. Four more columns are for the reader and ignored by a push: `reconcile_clears` (the fields
that are cleared), `reconcile_row` (the row here), `reconcile_there` (the values there) and
`reconcile_conflicts`. The last column has the marks by which a push reads the values as they are,
whatever its settings; see `model.own`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bulk_sync.errors import UsageError
from bulk_sync.model.comparison import Compared, Difference
from bulk_sync.model.inert import inert
from bulk_sync.model.own import Kind, Mark, mark_text, values_header
from bulk_sync.model.rows import CLEARED, Cell, text_of
from bulk_sync.recognise import Output
from bulk_sync.report.problems import compared_message
from bulk_sync.report.text_diff import text_of_value
from bulk_sync.report.written.atomic import remove, replacing
from bulk_sync.report.written.lines import Facts, Layout, Line, paths_to, write_lines
from bulk_sync.report.written.workbook import LONGEST_TEXT, write_workbook

COLUMNS = (
    "row",
    "row_there",
    "unique_showing_key",
    "showing_id",
    "class",
    "field",
    "there",
    "here",
    "base",
    "changed_by",
    "message",
)
_LAYOUT = Layout(COLUMNS, coloured="class")

_ADDRESS = ("showing_id", "unique_showing_key")
_FOR_THE_READER = ("reconcile_clears", "reconcile_row", "reconcile_there", "reconcile_conflicts")

Rows = Callable[[], Iterable[Compared]]
"""Returns the rows from the start at each call."""


def write_differences(path: Path, rows: Iterable[Compared], facts: Facts) -> None:
    """Write a line for each differing value, and for each row that has no counterpart.

    `facts` are the lines of a workbook's summary. Raises OutputError.
    """
    write_lines(path, _LAYOUT, (line for row in rows for line in _lines(row)), facts)


def _lines(row: Compared) -> Iterator[Line]:
    message = compared_message(row)
    head = (row.number, row.number_there, row.key, row.showing_id, row.row_class.value)
    if not row.differences:
        yield (*head, None, None, None, None, None, message)
    for one in row.differences:
        yield (
            *head,
            one.field,
            text_of_value(one.there),
            text_of_value(one.here),
            text_of_value(one.base),
            one.author,
            message,
        )


def write_changes(
    path: Path,
    rows: Rows,
    *,
    prefer_here: bool,
    with_conflicts: bool,
    checkpoint: Path,
    compared: str = "",
    option: str = "--export-template",
) -> int:
    """Write the changes as CSV or a workbook, or remove the file if there are none.

    Returns the number of rows.

    `with_conflicts` includes rows whose values are all in conflict; `checkpoint` is the one of the
    sheet here, `compared` a digest of the sheet there: without it, the same changes found in a
    newer export would look like those of the older one.

    Raises OutputError, and UsageError for a text that is too long for a workbook's cell.
    """

    def wanted() -> Iterator[tuple[Compared, list[Difference]]]:
        for row in rows():
            ours = [one for one in row.differences if one.sendable(prefer_here=prefer_here)]
            if ours or (with_conflicts and any(one.author is not None for one in row.differences)):
                yield row, ours

    # Two passes instead of a list of all rows: the header needs every field before the first line.
    output = Output.TEMPLATE if with_conflicts else Output.CHANGES
    fields, count = _survey(row.differences if with_conflicts else ours for row, ours in wanted())
    if not count:
        remove(path, output)
        return 0
    columns = (*_ADDRESS, *(name for name in fields if name not in _ADDRESS))
    kind = Kind.TEMPLATE if with_conflicts else Kind.CHANGES
    is_workbook = path.suffix.lower() == ".xlsx"
    own = values_header(
        kind, columns, paths_to(checkpoint, path), compared, escaped=not is_workbook
    )
    header = (*columns, *_FOR_THE_READER, own)
    lines = (_change(row, ours, columns) for row, ours in wanted())
    if is_workbook:
        write_workbook(path, output, header, _fitting(lines, path, option))
        return count
    with replacing(path, output) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(header)
        writer.writerows(
            [inert(cell) if isinstance(cell, str) else cell for cell in line] for line in lines
        )
    return count


def _survey(rows: Iterable[Iterable[Difference]]) -> tuple[list[str], int]:
    """Return the fields in order of appearance, and the number of rows."""
    fields: dict[str, None] = {}
    count = 0
    for differences in rows:
        count += 1
        fields |= dict.fromkeys(one.field for one in differences)
    return list(fields), count


def _change(
    row: Compared, ours: list[Difference], columns: Sequence[str]
) -> list[str | int | None]:
    values: dict[str, Cell] = {
        one.field: CLEARED if one.here is None else text_of_value(one.here) for one in ours
    }
    by_id = row.target != row.key and bool(row.showing_id)
    if by_id:
        values["showing_id"] = row.target
    else:
        values["unique_showing_key"] = row.target
    cells = tuple(values.get(name, "") for name in columns)
    conflicts = {
        one.field: {"here": one.here, "there": one.there, "base": one.base}
        for one in row.differences
        if one not in ours
    }
    return [
        *map(text_of, cells),
        " ".join(one.field for one in ours if one.here is None),
        row.number,
        json.dumps({one.field: one.there for one in ours}, ensure_ascii=False),
        json.dumps(conflicts, ensure_ascii=False) if conflicts else "",
        mark_text(Mark(cells)),
    ]


def _fitting(
    lines: Iterable[list[str | int | None]], path: Path, option: str
) -> Iterator[list[str | int | None]]:
    """Yield the lines; raises UsageError for a text that a workbook would cut short."""
    # The columns for the reader may be cut: a push ignores them.
    for line in lines:
        if any(
            isinstance(cell, str) and len(cell) > LONGEST_TEXT
            for cell in line[: -len(_FOR_THE_READER) - 1]
        ):
            raise UsageError(
                f"{option} {path}: a text of row {line[-4]} is too long for a workbook's cell "
                f"({LONGEST_TEXT:,} characters); name a .csv"
            )
        yield line

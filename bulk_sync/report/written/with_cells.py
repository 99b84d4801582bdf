"""Results with the cells of their sheet: the sheet's own columns follow those of the results.

As CSV and XLSX the last column has the marks by which a push reads such a file as the sheet was
read, so that it can be corrected and pushed as it is; see `model.own`. Cells beyond the sheet's
header row come after it. JSON Lines are for programs: a push doesn't read them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.errors import UsageError
from bulk_sync.model.headings import Headings
from bulk_sync.model.inert import inert, inert_cell
from bulk_sync.model.own import (
    RESULT_COLUMNS,
    Kind,
    Mark,
    header_text,
    mark_text,
    of_checkpoint,
    source_text,
)
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Cell, State, text_of
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import replacing
from bulk_sync.report.written.failed import without_blank_end
from bulk_sync.report.written.lines import Facts, Line, paths_to
from bulk_sync.report.written.results import Recorded, full_line
from bulk_sync.report.written.workbook import LONGEST_TEXT, MOST_COLUMNS

_STATE, _ERROR = map(RESULT_COLUMNS.index, ("state", "error"))

WithCells = tuple[Recorded, tuple[Cell, ...]]
"""A line of the results, and the cells of its row."""


class SheetOfJob(Struct, frozen=True):
    """The sheet of a job: its header row, and how its cells were read, as JSON.

    `checkpoint` is that of the job; `marked` adds a byte order mark to a CSV.
    """

    headers: tuple[str, ...]
    source: str
    checkpoint: Path
    marked: bool = False


class RowWithCells(Struct, frozen=True):
    """A row as it is written: results, own cells up to the header's width, the mark, further cells.

    `reasons` are those that it was refused for.
    """

    line: Line
    own: tuple[Cell, ...]
    mark: str
    beyond: tuple[Cell, ...]
    reasons: tuple[Reason, ...]


class Copied(Struct, frozen=True):
    """The header of the file, and the fields that the sheet's columns fill, by their places."""

    headings: Headings
    mark: str
    fields: dict[str, int]

    @property
    def width(self) -> int:
        """The number of the sheet's columns."""
        return len(self.headings.columns)


def write_results_with_cells(
    path: Path,
    lines: Iterable[WithCells],
    sheet: SheetOfJob,
    facts: Facts = (),
    before: Callable[[str], None] | None = None,
) -> None:
    """Write the results in the format that the suffix names; raises OutputError.

    `facts` are the lines (name, value) of a workbook's summary. `before` is called with the digest
    just before the file replaces the older one.
    """
    copied = _copied(path, sheet)
    rows = (_row(one, copied.width) for one in lines)
    match path.suffix.lower():
        case ".jsonl":
            _write_json_lines(path, copied, rows, before)
        case ".xlsx":
            # Imported late, because few runs write a workbook.
            from bulk_sync.report.written.sheet_copy import write_copy

            write_copy(path, copied, rows, facts, before)
        case _:
            _write_csv(path, copied, rows, before, marked=sheet.marked)


def refuse_what_no_workbook_holds(
    path: Path, lines: Iterable[WithCells], sheet: SheetOfJob
) -> None:
    """Raise UsageError for more columns, or a longer text, than a workbook has room for.

    `lines` are those with long cells.
    """
    if path.suffix.lower() != ".xlsx":
        return
    copied = _copied(path, sheet)
    say = f"--with-cells, --results {path}: "
    instead = "name a .csv, or leave out --with-cells"
    if len(RESULT_COLUMNS) + copied.width + 1 > MOST_COLUMNS:
        raise UsageError(
            f"{say}a workbook has room for {MOST_COLUMNS:,} columns, and the sheet has "
            f"{copied.width:,}; {instead}"
        )
    if any(len(text) > LONGEST_TEXT for text in (copied.mark, *copied.headings.columns)):
        raise UsageError(f"{say}the header row is too long for a workbook; {instead}")
    for one in lines:
        row = _row(one, copied.width)
        texts = (row.mark, *map(text_of, (*row.own, *row.beyond)))
        if any(len(text) > LONGEST_TEXT for text in texts):
            raise UsageError(
                f"{say}row {row.line[0]} has a text that is too long for a workbook's cell "
                f"({LONGEST_TEXT:,} characters); {instead}"
            )


def _copied(path: Path, sheet: SheetOfJob) -> Copied:
    names = [text_of(name) for name in without_blank_end(sheet.headers)]
    headings = Headings(names)
    is_workbook = path.suffix.lower() == ".xlsx"
    of_job = paths_to(sheet.checkpoint, path)
    source = of_checkpoint(sheet.source, names, of_job, escaped=not is_workbook)
    fields = [field for _, field in source.columns]
    renamed = {
        now: before for now, before in zip(headings.columns, names, strict=True) if now != before
    }
    columns = tuple(zip(headings.columns, fields, strict=False))
    mark = header_text(Kind.RESULTS, source_text(replace(source, columns=columns, renamed=renamed)))
    places = {field: place for place, field in enumerate(fields) if field}
    return Copied(headings, mark, places)


def _row(one: WithCells, width: int) -> RowWithCells:
    recorded, cells = one
    line, reasons = recorded[0], recorded[1]
    own = (*cells[:width], *("",) * (width - len(cells)))
    beyond = tuple(without_blank_end(cells[width:]))
    why = reasons if line[_STATE] == State.INVALID.value else ()
    code = str(line[_ERROR]) if why else None
    mark = mark_text(Mark((*own, *beyond), code, why))
    return RowWithCells(full_line(recorded), own, mark, beyond, why)


def _write_csv(
    path: Path,
    copied: Copied,
    rows: Iterator[RowWithCells],
    before: Callable[[str], None] | None,
    *,
    marked: bool,
) -> None:
    with replacing(path, Output.REPORT, before) as file:
        if marked:
            file.write("\ufeff")
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([*RESULT_COLUMNS, *map(inert, copied.headings.columns), copied.mark])
        for row in rows:
            line = (inert(cell) if isinstance(cell, str) else cell for cell in row.line)
            own, beyond = map(inert_cell, row.own), map(inert_cell, row.beyond)
            writer.writerow([*line, *own, row.mark, *beyond])


def _write_json_lines(
    path: Path,
    copied: Copied,
    rows: Iterator[RowWithCells],
    before: Callable[[str], None] | None,
) -> None:
    with replacing(path, Output.REPORT, before) as file:
        for row in rows:
            values = named_values(row.line, (*row.own, *row.beyond), copied.headings)
            file.write(json.dumps(values) + "\n")  # ASCII only, as in `lines`


def named_values(line: Line, cells: Sequence[Cell], headings: Headings) -> dict[str, object]:
    """Return results and cells by the names of their columns; dates and times are texts."""
    values: dict[str, object] = dict(zip(RESULT_COLUMNS, line, strict=True))
    plain = (cell if isinstance(cell, bool | int | float) else text_of(cell) for cell in cells)
    return values | dict(zip(headings.of(len(cells)), plain, strict=True))

"""`*.failed.csv`: the rows to correct, their own cells, and the error in the last column.

Cells that look like formulas have an apostrophe before them, which a push takes away again; see
`model.inert`.

The column before that one has the mark by which a push reads the rows as they were read here, and
refuses again those that nobody changed; see `model.own`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from bulk_sync.model.inert import inert, inert_cell
from bulk_sync.model.own import (
    Kind,
    Mark,
    header_text,
    mark_text,
    of_checkpoint,
    source_text,
)
from bulk_sync.model.rows import Cell, Result, State, text_of
from bulk_sync.recognise import Output
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.written.atomic import replacing
from bulk_sync.report.written.lines import paths_to

ERROR_COLUMN = "error"


def write_failed(
    path: Path,
    headers: Sequence[str],
    results: Iterable[Result],
    source: str = "",
    before: Callable[[str], None] | None = None,
    *,
    marked: bool = False,
    checkpoint: Path | None = None,
) -> bool:
    """Write the rows; return False, and write nothing, if there are none.

    If the input was such a file, its `error` column is replaced. A row that is wider than the
    header stays so. `source` is how the cells were read, "" if that is not known. `before` is
    called with the digest just before the file replaces the older one. `marked` adds a byte order
    mark. `checkpoint` is the one of the job. Raises OutputError.
    """
    rows = iter(results)
    first = next(rows, None)
    if first is None:
        return False
    names = [text_of(name) for name in without_blank_end(headers)]
    was_failed_file = names[-1:] == [ERROR_COLUMN]
    width = len(names) - was_failed_file
    with replacing(path, Output.FAILED, before) as file:
        if marked:
            file.write("\ufeff")
        writer = csv.writer(file, lineterminator="\r\n")
        of_job = paths_to(checkpoint, path) if checkpoint else ()
        of_rows = of_checkpoint(source, names[:width], of_job, escaped=True)
        ours = header_text(Kind.FAILED, source_text(of_rows))
        writer.writerow([*map(inert, names[:width]), ours, ERROR_COLUMN])
        for result in chain((first,), rows):
            own = [*result.cells[:width], *[""] * (width - len(result.cells))]
            beyond = without_blank_end(result.cells[width + was_failed_file :])
            error = inert(f"{result.error}: {full_message_of(result)}")
            cells = [*map(inert_cell, own), _mark(result, [*own, *beyond]), error]
            writer.writerow([*cells, *map(inert_cell, beyond)])
    return True


def _mark(result: Result, cells: Sequence[Cell]) -> str:
    if result.state is State.INVALID:
        return mark_text(Mark(tuple(cells), result.error, result.reasons))
    return mark_text(Mark(tuple(cells)))


def without_blank_end(cells: Sequence[Cell]) -> list[Cell]:
    """Return cells without the blank ones at their end."""
    kept = list(cells)
    while kept and not text_of(kept[-1]).strip():
        kept.pop()
    return kept

"""`*.failed.csv`: the rows to correct, their cells unchanged, and the error in the last column."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from pathlib import Path

from bulk_sync.model.rows import Result
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.written.atomic import remove, replacing
from bulk_sync.report.written.lines import inert

ERROR_COLUMN = "error"


def write_failed(
    path: Path,
    headers: Sequence[str],
    results: Iterable[Result],
    before: Callable[[str], None] | None = None,
    *,
    marked: bool = False,
) -> None:
    """Write the rows, or remove the file if there are none.

    If the input was such a file, its `error` column is replaced. A row that is wider than the
    header stays so, and is refused again when it is pushed unchanged. `before` is called with the
    digest just before the file replaces the older one. `marked` adds a byte order mark. Raises
    OutputError.
    """
    rows = iter(results)
    first = next(rows, None)
    if first is None:
        remove(path)
        return
    names = _without_blank_end(headers)
    was_failed_file = names[-1:] == [ERROR_COLUMN]
    width = len(names) - was_failed_file
    with replacing(path, before) as file:
        if marked:
            file.write("\ufeff")
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([*names[:width], ERROR_COLUMN])
        for result in chain((first,), rows):
            cells = [
                *result.cells[:width],
                *_without_blank_end(result.cells[width + was_failed_file :]),
            ]
            cells += [""] * (width - len(cells))
            message = full_message_of(result)
            # Cells stay exact, so that they can be pushed again; the message may quote a formula.
            writer.writerow([*cells, inert(f"{result.error}: {message}")])


def _without_blank_end(cells: Sequence[str]) -> list[str]:
    kept = list(cells)
    while kept and not kept[-1].strip():
        kept.pop()
    return kept

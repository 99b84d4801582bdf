"""Write the lines of a report as CSV, JSON Lines or a workbook, depending on the suffix.

Formulas in CSV: a text gets a leading apostrophe if a spreadsheet program would read it as a
formula, wherever it comes from. JSON and workbooks distinguish text from formulas, so everything in
them is exact.
"""

from __future__ import annotations

import csv
import json
import os.path
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import UsageError, install_with
from bulk_sync.model.inert import are_like_formulas, inert
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import replacing
from bulk_sync.report.written.workbook import MOST_ROWS, write_workbook

Line = Sequence[str | int | None]
Facts = Iterable[tuple[str, object]]
Before = Callable[[str], None] | None


class Layout(Struct, frozen=True):
    """The columns of a report; `coloured` is that of states or classes."""

    columns: tuple[str, ...]
    coloured: str


def refuse_unknown_kind(path: Path, option: str = "--results") -> None:
    """Raise UsageError unless the suffix names a format that can be written here."""
    if path.exists() and not path.is_file():
        return  # `check_writable` refuses it with a better message
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(
            f"{option} {path}: the suffix chooses the format, .csv, .jsonl or .xlsx; "
            f"name it {path.with_suffix('.csv').name}, for example"
        )
    if path.suffix.lower() == ".xlsx" and find_spec("xlsxwriter") is None:
        raise UsageError(
            f"{option} {path}: a workbook needs XlsxWriter, which is not installed: "
            f"{install_with('xlsx')}, or name a .csv"
        )


def refuse_too_many(path: Path, rows: int, option: str = "--results") -> None:
    """Raise UsageError if a workbook's sheet can't hold that many rows."""
    if path.suffix.lower() == ".xlsx" and rows > MOST_ROWS:
        raise UsageError(
            f"{option} {path}: a workbook's sheet has room for {MOST_ROWS:,} rows, "
            f"and there are {rows:,}; name a .csv"
        )


def write_lines(
    path: Path,
    layout: Layout,
    lines: Iterable[Line],
    facts: Facts = (),
    before: Before = None,
) -> None:
    """Write lines in the format that the suffix names; raises OutputError.

    `facts` are the lines (name, value) of a workbook's summary. `before` is called with the digest
    just before the file replaces the older one.
    """
    _WRITERS.get(path.suffix.lower(), _write_csv)(path, layout, iter(lines), facts, before)


def _write_csv(path: Path, layout: Layout, lines: Iterator[Line], _: Facts, before: Before) -> None:
    with replacing(path, Output.REPORT, before) as file:
        writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180
        writer.writerow(layout.columns)
        for line in lines:
            # The csv module inspects every character, so join lines that need no quotes: that is
            # five times as fast.
            cells = ["" if cell is None else str(cell) for cell in line]
            text = ",".join(cells)
            if (
                text.count(",") == len(cells) - 1
                and '"' not in text
                and "\n" not in text
                and "\r" not in text
                and not are_like_formulas(cells)
            ):
                file.write(text + "\r\n")
            else:
                writer.writerow([inert(cell) if isinstance(cell, str) else cell for cell in line])


def _write_json_lines(
    path: Path, layout: Layout, lines: Iterator[Line], _: Facts, before: Before
) -> None:
    with replacing(path, Output.REPORT, before) as file:
        for line in lines:
            # ASCII only, because some readers end a line at U+2028.
            file.write(json.dumps(dict(zip(layout.columns, line, strict=True))) + "\n")


def _write_workbook(
    path: Path, layout: Layout, lines: Iterator[Line], facts: Facts, before: Before
) -> None:
    coloured = layout.coloured
    write_workbook(path, Output.REPORT, layout.columns, lines, facts, before, coloured=coloured)


_WRITERS: dict[str, Callable[[Path, Layout, Iterator[Line], Facts, Before], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".xlsx": _write_workbook,
}


def paths_to(checkpoint: Path, file: Path) -> tuple[str, ...]:
    """Return the path of a checkpoint from a file's folder, and its absolute one, for a mark.

    The first stays true if both move, the second if the file moves alone.
    """
    absolute = checkpoint.absolute()
    try:
        relative = os.path.relpath(absolute, file.parent.absolute())
    except ValueError:  # on another drive of Windows
        return (str(absolute),)
    return Path(relative).as_posix(), str(absolute)

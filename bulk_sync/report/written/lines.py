"""Write the lines of a report as CSV, JSON Lines or a workbook, depending on the suffix.

Formulas in CSV: text from the server gets a leading apostrophe if a spreadsheet program would read
it as a formula. Text from the user's own sheet stays exact, so that it can be looked up and pushed
again. JSON and workbooks distinguish text from formulas, so everything in them is exact.
"""

from __future__ import annotations

import csv
import json
import os.path
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import UsageError
from bulk_sync.report.written.atomic import replacing
from bulk_sync.report.written.workbook import MOST_ROWS, write_workbook

Line = Sequence[str | int | None]
Facts = Iterable[tuple[str, object]]


class Layout(Struct, frozen=True):
    """The columns of a report.

    `foreign` has the columns with text from the server; `coloured` is the column of states or
    classes.
    """

    columns: tuple[str, ...]
    foreign: frozenset[str]
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
            "pip install 'bulk-sync[xlsx]', or name a .csv"
        )


def refuse_too_many(path: Path, rows: int, option: str = "--results") -> None:
    """Raise UsageError if a workbook's sheet can't hold that many rows."""
    if path.suffix.lower() == ".xlsx" and rows > MOST_ROWS:
        raise UsageError(
            f"{option} {path}: a workbook's sheet has room for {MOST_ROWS:,} rows, "
            f"and there are {rows:,}; name a .csv"
        )


def write_lines(path: Path, layout: Layout, lines: Iterable[Line], facts: Facts = ()) -> None:
    """Write lines in the format that the suffix names; raises OutputError.

    `facts` are the lines (name, value) of a workbook's summary.
    """
    _WRITERS.get(path.suffix.lower(), _write_csv)(path, layout, iter(lines), facts)


def _write_csv(path: Path, layout: Layout, lines: Iterator[Line], _: Facts) -> None:
    foreign = [place for place, name in enumerate(layout.columns) if name in layout.foreign]
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")  # RFC 4180
        writer.writerow(layout.columns)
        for line in lines:
            harmless = _inert(line, foreign)
            # The csv module inspects every character, so join lines that need no quotes: that is
            # five times as fast.
            text = ",".join(["" if cell is None else str(cell) for cell in harmless])
            if (
                text.count(",") == len(harmless) - 1
                and '"' not in text
                and "\n" not in text
                and "\r" not in text
            ):
                file.write(text + "\r\n")
            else:
                writer.writerow(harmless)


def _inert(line: Line, foreign: Sequence[int]) -> Line:
    """Escape formulas in the foreign columns; most lines have none and are returned as they are."""
    for place in foreign:
        cell = line[place]
        if cell and str(cell)[0] in _FORMULA_BEGINS:
            return [
                inert(str(cell or "")) if place in foreign else cell
                for place, cell in enumerate(line)
            ]
    return line


def _write_json_lines(path: Path, layout: Layout, lines: Iterator[Line], _: Facts) -> None:
    with replacing(path) as file:
        for line in lines:
            # ASCII only, because some readers end a line at U+2028.
            file.write(json.dumps(dict(zip(layout.columns, line, strict=True))) + "\n")


def _write_workbook(path: Path, layout: Layout, lines: Iterator[Line], facts: Facts) -> None:
    write_workbook(path, layout.columns, lines, facts, coloured=layout.coloured)


_WRITERS: dict[str, Callable[[Path, Layout, Iterator[Line], Facts], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".xlsx": _write_workbook,
}

# OWASP's list (CSV Injection); the full-width ones count in East Asian locales.
_FORMULA_BEGINS = frozenset("=+-@\t\r\n＝＋－＠")


def inert(text: str) -> str:
    """Return a text that spreadsheet programs don't read as a formula."""
    return "'" + text if text[:1] in _FORMULA_BEGINS else text


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

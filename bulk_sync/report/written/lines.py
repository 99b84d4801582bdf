"""Lines of a report that people or programs read: as CSV, JSON Lines or a workbook, by the ending
of its name.

The rule about formulas, for every CSV that a spreadsheet program may open: text that came
from the server gets an apostrophe before it when a spreadsheet program would take it for a formula.
What the user's own sheet holds stays exact, so that it can be looked up and pushed again; it was in
their sheet before. JSON and the workbook tell texts from formulas, so that there everything is
exact.
"""

from __future__ import annotations

import csv
import json
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
    """The columns of a report, which of them hold text that is not the user's own, and which one is
    coloured.
    """

    columns: tuple[str, ...]
    foreign: frozenset[str]
    coloured: str


def refuse_unknown_kind(path: Path, option: str = "--results") -> None:
    """Raise UsageError unless lines can be written under that name; of what is no file there,
    writing tells.
    """
    if path.exists() and not path.is_file():
        return
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(
            f"{option} {path}: the ending says what is written, and can be .csv, .jsonl or .xlsx; name it "
            f"{path.with_suffix('.csv').name}, for example"
        )
    if path.suffix.lower() == ".xlsx" and find_spec("xlsxwriter") is None:
        raise UsageError(
            f"{option} {path}: a workbook is written by XlsxWriter, which is not installed: "
            "pip install 'bulk-sync[xlsx]', or name a .csv"
        )


def refuse_too_many(path: Path, rows: int, option: str = "--results") -> None:
    """Raise UsageError when so many rows don't go into one sheet."""
    if path.suffix.lower() == ".xlsx" and rows > MOST_ROWS:
        raise UsageError(
            f"{option} {path}: a sheet holds {MOST_ROWS:,} rows beside its header, and there are {rows:,}; name a .csv"
        )


def write_lines(path: Path, layout: Layout, lines: Iterable[Line], facts: Facts = ()) -> None:
    """Write lines in the format that the name's ending says; raises OutputError.

    `facts` are the lines of a workbook's summary, name and value.
    """
    _WRITERS.get(path.suffix.lower(), _write_csv)(path, layout, iter(lines), facts)


def _write_csv(path: Path, layout: Layout, lines: Iterator[Line], _: Facts) -> None:
    foreign = [place for place, name in enumerate(layout.columns) if name in layout.foreign]
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(layout.columns)
        for line in lines:
            harmless = _inert(line, foreign)
            # The csv module looks at each character by itself, which takes five times as long.
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
    """A line whose texts are the user's own, or no formulas."""
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
            # What is not ASCII is escaped: some readers take U+2028 in it for the end of the line.
            file.write(json.dumps(dict(zip(layout.columns, line, strict=True))) + "\n")


def _write_workbook(path: Path, layout: Layout, lines: Iterator[Line], facts: Facts) -> None:
    write_workbook(path, layout.columns, lines, facts, coloured=layout.coloured)


_WRITERS: dict[str, Callable[[Path, Layout, Iterator[Line], Facts], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".xlsx": _write_workbook,
}

_FORMULA_BEGINS = frozenset("=+-@\t\r\n＝＋－＠")
"""OWASP's list (CSV Injection); the wide ones count in East Asian settings."""


def inert(text: str) -> str:
    """A text that no spreadsheet program takes for a formula; see the rule above."""
    return "'" + text if text[:1] in _FORMULA_BEGINS else text

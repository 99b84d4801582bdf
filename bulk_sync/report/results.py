"""The results: one line for each input row, in input order, as CSV, JSON Lines or a workbook.

The rule about formulas, for every CSV that a spreadsheet program may open: text that came
from the server (`message`, `showing_id`, `updated_at`, and `error` of the failed rows) gets an
apostrophe before it when a spreadsheet program would take it for a formula. What the user's own
sheet holds (the key here, all cells of the failed rows) stays exact, so that it can be looked up
and pushed again; it was in their sheet before. JSON and the workbook tell texts from formulas,
so that there everything is exact.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from bulk_sync.errors import UsageError
from bulk_sync.model import Result
from bulk_sync.report.files import replacing
from bulk_sync.report.workbook import MOST_ROWS, write_workbook

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

_FROM_THE_SERVER = frozenset({"message", "showing_id", "updated_at"})

Line = tuple[str | int | None, ...]
Facts = Iterable[tuple[str, object]]


def refuse_unknown_kind(path: Path) -> None:
    """Raise UsageError unless results can be written under that name."""
    if path.suffix.lower() not in _WRITERS:
        raise UsageError(
            f"--results {path}: the ending says what is written, and can be .csv, .jsonl or .xlsx; name it "
            f"{path.with_suffix('.csv').name}, for example"
        )
    if path.suffix.lower() == ".xlsx" and find_spec("xlsxwriter") is None:
        raise UsageError(
            f"--results {path}: a workbook is written by XlsxWriter, which is not installed: "
            "pip install 'bulk-sync[xlsx]', or name a .csv or .jsonl"
        )


def refuse_too_many(path: Path, rows: int) -> None:
    """Raise UsageError when so many rows don't go into one sheet."""
    if path.suffix.lower() == ".xlsx" and rows > MOST_ROWS:
        raise UsageError(
            f"--results {path}: a sheet holds {MOST_ROWS:,} rows beside its header, and there are {rows:,}; "
            "name a .csv or .jsonl"
        )


def write_results(path: Path, results: Iterable[Result], facts: Facts = ()) -> None:
    """Write the results in the format that the name's ending says; raises OutputError.

    `facts` are the lines of a workbook's summary, name and value.
    """
    _WRITERS[path.suffix.lower()](path, map(_line, results), facts)


def _write_csv(path: Path, lines: Iterator[Line], _: Facts) -> None:
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(map(_inert_line, lines))


def _write_json_lines(path: Path, lines: Iterator[Line], _: Facts) -> None:
    with replacing(path) as file:
        for line in lines:
            # What is not ASCII is escaped: some readers take U+2028 in it for the end of the line.
            file.write(json.dumps(dict(zip(COLUMNS, line, strict=True))) + "\n")


def _write_workbook(path: Path, lines: Iterator[Line], facts: Facts) -> None:
    write_workbook(path, COLUMNS, lines, facts)


_WRITERS: dict[str, Callable[[Path, Iterator[Line], Facts], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".xlsx": _write_workbook,
}


def _line(result: Result) -> Line:
    return (
        result.number,
        result.key,
        result.state.value,
        result.http_status,
        result.attempts,
        result.error,
        result.message,
        result.fields,
        result.showing_id,
        result.updated_at,
        result.sent_at,
        result.duration_ms,
    )


_SERVERS_AT = tuple(place for place, name in enumerate(COLUMNS) if name in _FROM_THE_SERVER)


def _inert_line(line: Line) -> list[str | int | None]:
    cells = list(line)
    for place in _SERVERS_AT:
        cells[place] = inert(str(cells[place] or ""))
    return cells


_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""OWASP's list (CSV Injection); the wide ones count in East Asian settings."""


def inert(text: str) -> str:
    """A text that no spreadsheet program takes for a formula; see the rule above."""
    return "'" + text if text.startswith(_FORMULA_BEGINS) else text

"""How many rows a second `bulk-sync check` takes of each format, and how much memory.

    python -m tests.benchmarks.workbooks [--rows 100000] [--repeat 3] [FORMAT ...]

Writes one table of ten columns in each format, checks it as a user would, on one core, and has
python-calamine alone read it as well. A rate is of the whole process, its start included, by the
CPU's time, because other programs make the clock's unfair; the fastest of the runs counts. The
ratios compare runs of one machine: to python-calamine, and to the same table as CSV.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import xlsxwriter
from msgspec import Struct

from tests.benchmarks import old_workbooks
from tests.benchmarks.check_rate import HEADER

Line = tuple[str | int | datetime, ...]

_LIBRARY = """
import sys
from python_calamine import CalamineWorkbook
sheet = CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0)
print(sum(1 for _ in sheet.iter_rows()))
"""
_KB = 1024


class Cost(Struct, frozen=True):
    """The cost of a process: seconds of the CPU, and peak memory (RSS) in MB."""

    seconds: float
    peak_mb: float


def lines(rows: int) -> Iterator[Line]:
    """Yield the table's rows: texts, a date and time, and a number, as people have them."""
    first = datetime(2026, 3, 2, 9, 5)  # noqa: DTZ001 - the cells of a sheet have no zone
    for number in range(rows):
        yield (
            f"ext_{number:07}",
            # None at midnight, which would be a date without a time, nor in a far year.
            first + timedelta(minutes=10 * (number % 50_000)),
            f"Visitor {number}",
            f"visitor.{number}@example.com",
            f"(312) 555-01{number % 100:02}",
            f"Agent {number % 40}",
            f"Liked the light in the kitchen, less so the stairs. Came as number {number}.",
            number % 5 + 1,
            "yes" if number % 2 else "no",
            "showing" if number % 11 else "Open House",
        )


def write_csv(path: Path, rows: int) -> None:
    """Write the table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(lines(rows))


def write_xlsx(path: Path, rows: int, *, in_line: bool = False) -> None:
    """Write the table as XLSX, its texts shared or in the cells."""
    with xlsxwriter.Workbook(path, {"constant_memory": in_line}) as book:
        sheet = book.add_worksheet()
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        sheet.write_row(0, 0, HEADER)
        for row, line in enumerate(lines(rows), start=1):
            for column, cell in enumerate(line):
                if isinstance(cell, datetime):
                    sheet.write_datetime(row, column, cell, moment)
                elif isinstance(cell, int):
                    sheet.write_number(row, column, cell)
                else:
                    sheet.write_string(row, column, cell)


def write_xlsx_in_line(path: Path, rows: int) -> None:
    """Write the table as XLSX without shared texts."""
    write_xlsx(path, rows, in_line=True)


def _with_header(rows: int) -> Iterator[Line]:
    yield HEADER
    yield from lines(rows)


def write_xls(path: Path, rows: int) -> None:
    """Write the table as XLS."""
    old_workbooks.write_xls(path, _with_header(rows))


def write_xlsb(path: Path, rows: int) -> None:
    """Write the table as XLSB."""
    old_workbooks.write_xlsb(path, _with_header(rows))


def write_ods(path: Path, rows: int) -> None:
    """Write the table as ODS."""
    old_workbooks.write_ods(path, _with_header(rows))


FORMATS: dict[str, tuple[str, Callable[[Path, int], None]]] = {
    "CSV": (".csv", write_csv),
    "XLSX": (".xlsx", write_xlsx),
    "XLSX in line": (".xlsx", write_xlsx_in_line),
    "XLS": (".xls", write_xls),
    "XLSB": (".xlsb", write_xlsb),
    "ODS": (".ods", write_ods),
}
"""Suffix and writer by name; CSV is the measure of the others."""
MOST_ROWS = {"XLS": old_workbooks.MOST_ROWS_OF_XLS}


def main() -> None:
    """Print a table of the formats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    wanted = ["CSV", *(each for each in options.formats or FORMATS if each != "CSV")]
    print(f"{options.rows:,} rows of ten columns, on one core")
    print(f"{'':14}{'rows/s':>10}{'of CSV':>9}{'calamine':>11}{'ratio':>8}{'peak':>9}")
    base = 0.0
    with TemporaryDirectory() as folder:
        for name in wanted:
            suffix, write = FORMATS[name]
            rows = min(options.rows, MOST_ROWS.get(name, options.rows))
            path = Path(folder, name.replace(" ", "-") + suffix)
            # In a process of its own, because a child's peak counts from its parent's size on.
            writing = get_context("spawn").Process(target=write, args=(path, rows))
            writing.start()
            writing.join()
            rate, cost = _rate(_check(path), rows, options.repeat)
            base = base or rate
            line = f"{name:14}{rate:>10,.0f}{rate / base:>9.2f}"
            if name == "CSV":
                line += " " * 19
            else:
                command = [sys.executable, "-c", _LIBRARY, str(path)]
                library, _ = _rate(command, rows, options.repeat)
                line += f"{library:>11,.0f}{rate / library:>8.2f}"
            print(f"{line}{cost.peak_mb:>6,.0f} MB", flush=True)
            path.unlink()


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


def _check(path: Path) -> list[str]:
    return [sys.executable, "-m", "bulk_sync", "check", str(path), "--timezone", "UTC", "--json"]


def _rate(command: Sequence[str], rows: int, repeat: int) -> tuple[float, Cost]:
    """Return rows a second of a command, the fastest of its runs, and that run's cost."""
    best = min((_cost(command) for _ in range(repeat)), key=lambda cost: cost.seconds)
    return rows / best.seconds, best


def _cost(command: Sequence[str]) -> Cost:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _KB)


if __name__ == "__main__":
    main()

"""How many rows a second `bulk-sync check` takes of each format, and how much memory.

    python -m tests.benchmarks.workbooks [--rows 100000] [--repeat 3] [FORMAT ...]
    python -m tests.benchmarks.workbooks --invalid [--rows 100000] [--repeat 3] [FORMAT ...]
    python -m tests.benchmarks.workbooks --full [FORMAT ...]
    python -m tests.benchmarks.workbooks --results [--rows 100000] [--repeat 3]

Writes one table of ten columns in each format, checks it as a user would, on one core, and has
python-calamine alone read it as well. With `--invalid` it checks sheets without a valid row, in CSV
and XLSX unless formats are named: a rate is compared with that of the valid sheet in its format.
With `--full` it checks the longest sheet of Excel, and stages it for a push. With `--results` it
writes the results of a job again, in each format, without and with the cells of its sheet.

A rate is of the whole process, its start included, by the CPU's time, because other programs make
the clock's unfair; the fastest of the runs counts, of sheets that are checked by turns. The ratios
compare runs of one machine: to python-calamine, and to the same table as CSV. Memory is that of the
process and all its children at once.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from threading import Event
from uuid import UUID

import xlsxwriter
from msgspec import Struct

from tests.benchmarks import old_workbooks
from tests.benchmarks.check_rate import HEADER
from tests.benchmarks.figures import Figure, exit_code
from tests.benchmarks.goals import add_strict
from tests.benchmarks.servers import small_server

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


def table(rows: int, reason: str = "") -> Iterator[Line]:
    """Yield the table with its header; with a reason, one of `INVALID`, no row is valid."""
    has_ids = reason == "each key with two ids"
    yield (*HEADER[:-1], "showing_id") if has_ids else HEADER
    if not reason:
        yield from lines(rows)
        return
    change = INVALID[reason]
    for at, line in enumerate(lines(rows)):
        yield change(line, at)


def write_csv(path: Path, rows: int, reason: str = "") -> None:
    """Write the table as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(table(rows, reason))


def write_xlsx(path: Path, rows: int, reason: str = "", *, in_line: bool = False) -> None:
    """Write the table as XLSX, its texts shared or in the cells."""
    with xlsxwriter.Workbook(path, {"constant_memory": in_line}) as book:
        sheet = book.add_worksheet()
        moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
        for row, line in enumerate(table(rows, reason)):
            for column, cell in enumerate(line):
                if isinstance(cell, datetime):
                    sheet.write_datetime(row, column, cell, moment)
                elif isinstance(cell, int):
                    sheet.write_number(row, column, cell)
                else:
                    sheet.write_string(row, column, cell)


def write_xlsx_in_line(path: Path, rows: int, reason: str = "") -> None:
    """Write the table as XLSX without shared texts."""
    write_xlsx(path, rows, reason, in_line=True)


def write_xls(path: Path, rows: int, reason: str = "") -> None:
    """Write the table as XLS."""
    old_workbooks.write_xls(path, table(rows, reason))


def write_xlsb(path: Path, rows: int, reason: str = "") -> None:
    """Write the table as XLSB."""
    old_workbooks.write_xlsb(path, table(rows, reason))


def write_ods(path: Path, rows: int, reason: str = "") -> None:
    """Write the table as ODS."""
    old_workbooks.write_ods(path, table(rows, reason))


FORMATS: dict[str, tuple[str, Callable[[Path, int, str], None]]] = {
    "CSV": (".csv", write_csv),
    "XLSX": (".xlsx", write_xlsx),
    "XLSX in line": (".xlsx", write_xlsx_in_line),
    "XLS": (".xls", write_xls),
    "XLSB": (".xlsb", write_xlsb),
    "ODS": (".ods", write_ods),
}
"""Suffix and writer by name; CSV is the measure of the others."""
MOST_ROWS = {"XLS": old_workbooks.MOST_ROWS_OF_XLS}


MOST_ROWS_OF_EXCEL = 1_048_576 - 1
"""Rows below the header of a full sheet (ECMA-376 part 1, 18.3.1.73: `row` has at most 1,048,576).
"""

INVALID: dict[str, Callable[[Line, int], Line]] = {
    "a rating in words": lambda line, _: (*line[:7], "seven", *line[8:]),
    "an unfinished address": lambda line, at: (*line[:3], f"visitor.{at}@example", *line[4:]),
    "a date that isn't one": lambda line, at: (line[0], f"soon {at}", *line[2:]),
    "a failed formula": lambda line, _: (*line[:6], "#REF!", *line[7:]),
    "six bad cells": lambda line, at: (
        *(line[0], f"soon {at}", line[2], f"visitor {at}", f"{at % 9 + 1}.5e10", *line[5:7]),
        *("seven", f"perhaps {at}", f"party {at}"),
    ),
    "no key": lambda line, _: ("", *line[1:]),
    "a key that isn't seen": lambda line, at: (f"ext_{at}\u200b", *line[1:]),
    "one key in all rows": lambda line, _: ("ext_1", *line[1:]),
    "each key twice": lambda line, at: (f"ext_{at // 2}", *line[1:]),
    "each key with two ids": lambda line, at: (f"ext_{at // 2}", *line[1:-1], str(UUID(int=at))),
}
"""Changes of the table's rows, by the reason why none of them can be sent."""


def main() -> int:
    """Print a table of the formats; with --strict, return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_AsWritten)
    parser.add_argument("formats", nargs="*", metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--invalid", action="store_true", help="sheets without a valid row")
    parser.add_argument("--full", action="store_true", help="the longest sheet of Excel")
    parser.add_argument("--results", action="store_true", help="write results")
    add_strict(parser)
    options = parser.parse_args()
    figures: list[Figure] = []
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with TemporaryDirectory() as name:
        folder = Path(name)
        _cost(_check(_written(folder, "XLSX", 1)))  # compiles the program
        if options.full:
            _full(folder, options.formats or ["XLSX"])
        elif options.results:
            _results(folder, options.rows, options.repeat)
        elif options.invalid:
            _invalid(folder, options.formats or ["CSV", "XLSX"], options.rows, options.repeat)
        else:
            wanted = ["CSV", *(each for each in options.formats or FORMATS if each != "CSV")]
            figures += _valid(folder, wanted, options.rows, options.repeat)
    return exit_code(figures, strict=options.strict)


def _valid(folder: Path, formats: Sequence[str], rows: int, repeat: int) -> list[Figure]:
    figures = []
    print(f"{rows:,} rows of ten columns, on one core")
    print(f"{'':14}{'rows/s':>10}{'of CSV':>9}{'calamine':>11}{'ratio':>8}{'peak':>9}")
    counts = {name: min(rows, MOST_ROWS.get(name, rows)) for name in formats}
    paths = {name: _written(folder, name, counts[name]) for name in formats}
    costs = _by_turns({name: _check(path) for name, path in paths.items()}, repeat)
    base = counts["CSV"] / costs["CSV"].seconds
    for name, cost in costs.items():
        rate = counts[name] / cost.seconds
        line = f"{name:14}{rate:>10,.0f}{rate / base:>9.2f}"
        if name == "CSV":
            line += " " * 19
        else:
            command = [sys.executable, "-c", _LIBRARY, str(paths[name])]
            library = counts[name] / _by_turns({name: command}, repeat)[name].seconds
            line += f"{library:>11,.0f}{rate / library:>8.2f}"
        print(f"{line}{cost.peak_mb:>6,.0f} MB", flush=True)
        figures.append(Figure(f"check of {name}", rate, "rows/s"))
    return figures


def _invalid(folder: Path, formats: Sequence[str], rows: int, repeat: int) -> None:
    print(f"{rows:,} rows of ten columns, on one core")
    print(f"{'':36}{'rows/s':>10}{'of valid':>10}{'peak':>9}")
    for name in formats:
        paths = {reason: _written(folder, name, rows, reason) for reason in ("", *INVALID)}
        costs = _by_turns({reason: _check(path) for reason, path in paths.items()}, repeat)
        for reason, cost in costs.items():
            line = f"{name + ': ' + (reason or 'valid'):36}{rows / cost.seconds:>10,.0f}"
            line += f"{costs[''].seconds / cost.seconds:>10.2f}{cost.peak_mb:>6,.0f} MB"
            print(line, flush=True)


def _full(folder: Path, formats: Sequence[str]) -> None:
    print(f"{MOST_ROWS_OF_EXCEL:,} rows of ten columns, on one core")
    print(f"{'':22}{'seconds':>10}{'rows/s':>10}{'peak':>10}")
    for name in formats:
        path = _written(folder, name, MOST_ROWS_OF_EXCEL)
        # A key that the API refuses ends a push with its first request: all rows are staged then.
        with small_server("401 Unauthorized") as (base_url, _):
            push = (*("--base-url", base_url, "--json", "--timezone", "UTC"), "--quiet")
            commands = {
                "check": _check(path),
                "push": [sys.executable, "-m", "bulk_sync", "push", str(path), *push],
            }
            for each, cost in _by_turns(commands, 1).items():
                line = f"{name + ': ' + each:22}{cost.seconds:>10,.1f}"
                line += f"{MOST_ROWS_OF_EXCEL / cost.seconds:>10,.0f}{cost.peak_mb:>7,.0f} MB"
                print(line, flush=True)


def _results(folder: Path, rows: int, repeat: int) -> None:
    sheet, checkpoint = _written(folder, "XLSX", rows), folder / "job.sqlite"
    # As in `_full`: the first request ends the push, and all rows are staged.
    with small_server("401 Unauthorized") as (base_url, _):
        push = ("--base-url", base_url, "--timezone", "UTC", "--quiet")
        first = [sys.executable, "-m", "bulk_sync", "push", str(sheet), *push]
        _cost([*first, "--checkpoint", str(checkpoint)])
    commands = {
        f"{suffix[1:].upper()}{' with cells' if with_cells else ''}": [
            *(sys.executable, "-m", "bulk_sync", "report", str(checkpoint), "--quiet"),
            *("--results", str(folder / f"results{suffix}"), *with_cells),
        ]
        for suffix in (".csv", ".jsonl", ".xlsx")
        for with_cells in ((), ("--with-cells",))
    }
    print(f"Results of {rows:,} rows, ten columns of their own, on one core")
    print(f"{'':18}{'seconds':>10}{'peak':>9}")
    for name, cost in _by_turns(commands, repeat).items():
        print(f"{name:18}{cost.seconds:>10.1f}{cost.peak_mb:>6,.0f} MB", flush=True)


class _AsWritten(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description."""


def _check(path: Path) -> list[str]:
    return [sys.executable, "-m", "bulk_sync", "check", str(path), "--timezone", "UTC", "--json"]


def _written(folder: Path, name: str, rows: int, reason: str = "") -> Path:
    suffix, write = FORMATS[name]
    path = folder / f"{name} {reason}{suffix}".replace(" ", "-")
    # In a process of its own, because a child's peak counts from its parent's size on.
    writing = get_context("spawn").Process(target=write, args=(path, rows, reason))
    writing.start()
    writing.join()
    if writing.exitcode != 0:
        raise SystemExit(f"{path} could not be written")
    return path


def _by_turns(commands: Mapping[str, Sequence[str]], repeat: int) -> dict[str, Cost]:
    """Return the cost of each command's fastest run; they take turns, as the machine's speed varies
    with time.
    """
    runs = [{name: _cost(command) for name, command in commands.items()} for _ in range(repeat)]
    return {
        name: min((run[name] for run in runs), key=lambda cost: cost.seconds) for name in commands
    }


def _cost(command: Sequence[str]) -> Cost:
    # Compiled once, as by an installation; otherwise each run would compile the program anew.
    own = Path(gettempdir(), "bulk-sync-benchmark")
    environment = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(own / "pyc"),
        "XDG_STATE_HOME": str(own / "state"),
        "NORTH_API_KEY": "north_sk_test_benchmark",
    }
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment) as process:
        ended = Event()
        with ThreadPoolExecutor(1) as thread:
            peak = thread.submit(_peak_of, process.pid, ended)
            _, status, usage = os.wait4(process.pid, 0)
            ended.set()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in _EXPECTED_CODES:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, max(peak.result(), usage.ru_maxrss / _KB))


# 3 and 4: rows can't be sent, all of them; 5: the API refuses the key.
_EXPECTED_CODES = {0, 3, 4, 5}
_LOOK_SECONDS = 0.1


def _peak_of(pid: int, ended: Event) -> float:
    """Return the most memory in MB that a process and its children have until it ends."""
    peak = 0.0
    while not ended.wait(_LOOK_SECONDS):
        peak = max(peak, _memory_of(pid))
    return peak


def _memory_of(pid: int) -> float:
    """Return the memory in MB (RSS) that a process and its children have now."""
    folder = Path("/proc", str(pid))
    try:
        children = (folder / "task" / str(pid) / "children").read_text().split()
        pages = int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):  # ended meanwhile, or a system without /proc
        return 0.0
    own = pages * os.sysconf("SC_PAGE_SIZE") / _KB**2
    return own + sum(_memory_of(int(child)) for child in children)


if __name__ == "__main__":
    sys.exit(main())

"""How many rows a second `bulk-sync check` takes, and how much memory.

    python -m tests.benchmarks.check_rate [ROWS]

Writes a CSV of ROWS rows (a million unless told) with ten columns, every cell different
where people's would be, runs the program as a user would, on one core, and prints rows a
second of the whole process and its peak of memory (RSS).
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from bulk_sync.clock import SystemClock
from tests.benchmarks.goals import add_strict

HEADER = (
    "unique_showing_key", "showing_date", "attendee_name", "attendee_email", "attendee_phone",
    "agent_name", "feedback", "rating", "interested", "event_type",
)  # fmt: skip


def write_sheet(path: Path, rows: int) -> None:
    first = datetime(2026, 3, 2, 9, tzinfo=UTC)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in range(rows):
            writer.writerow(
                (
                    f"ext_{number:07}",
                    (first + timedelta(minutes=number)).isoformat(),
                    f"Visitor {number}",
                    f"visitor.{number}@example.com",
                    f"(312) 555-01{number % 100:02}",
                    f"Agent {number % 40}",
                    f"Liked the light in the kitchen, less so the stairs. Came as number {number}.",
                    number % 5 + 1,
                    "yes" if number % 2 else "no",
                    "showing" if number % 11 else "Open House",
                )
            )


def main() -> int:
    # figures.py takes its sheets from here.
    from tests.benchmarks.figures import Figure, exit_code

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    add_strict(parser)
    given = parser.parse_args()
    rows = given.rows
    clock = SystemClock()
    with TemporaryDirectory() as folder:
        sheet = Path(folder, "showings.csv")
        write_sheet(sheet, rows)
        begun = clock.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "bulk_sync", "check", str(sheet), "--json"],
            stdout=subprocess.PIPE,
            check=True,
            preexec_fn=_on_one_core,
        )
        seconds = clock.monotonic() - begun
    if f'"rows": {rows},' not in done.stdout.decode():
        raise SystemExit("not every row was checked")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(
        f"{rows:,} rows in {seconds:.1f} s: {rows / seconds:,.0f} rows/s; "
        f"peak of memory {peak:.0f} MB"
    )
    return exit_code([Figure("check of a CSV", rows / seconds, "rows/s")], strict=given.strict)


def _on_one_core() -> None:
    if sys.platform == "linux":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


if __name__ == "__main__":
    sys.exit(main())

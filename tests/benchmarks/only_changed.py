"""Nightly exports with --only-changed: is exactly what changed sent, and how long does a night
take?

    python -m tests.benchmarks.only_changed [--rows 100000] [--changes 200] [--nights 30]
    [--first-night push|ledger]

Each night some rows change, some are new, and all are in another order; the sandbox's journal is
compared with what changed. `--first-night ledger` begins with a ledger as a first push would leave
it, which spares the minutes that a push of every row takes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from sqlite3 import connect
from tempfile import TemporaryDirectory
from typing import Any

from bulk_sync.check.patches import body_of
from tests.benchmarks.figures import Figure, exit_code
from tests.benchmarks.goals import add_strict
from tests.helpers import Witness, command, environment, sandbox_process, write_sheet

HEADER = ("unique_showing_key", "feedback", "rating", "attendee_name", "showing_date")
Sheet = dict[str, list[Any]]


def begin(count: int) -> Sheet:
    return {
        f"ext_{n}": [
            f"Liked the garden, number {n}",
            n % 5 + 1,
            f"Visitor {n}",
            f"2026-03-{n % 28 + 1:02}T15:00:00Z",
        ]
        for n in range(count)
    }


def change(
    sheet: Sheet, changes: int, night: int, dice: random.Random
) -> dict[str, dict[str, Any]]:
    """Change so many rows, a tenth of them new; returns what has to be sent."""
    expected: dict[str, dict[str, Any]] = {}
    for key in dice.sample(sorted(sheet), changes - changes // 10):
        field = dice.choice((0, 1))
        sheet[key][field] = f"Changed in night {night}" if field == 0 else sheet[key][1] % 5 + 1
        expected[key] = {HEADER[field + 1]: sheet[key][field]}
    for number in range(changes // 10):
        values = [f"New in night {night}", number % 5 + 1, "A new visitor", "2026-04-01T10:00:00Z"]
        sheet[f"new_{night}_{number}"] = values
        expected[f"new_{night}_{number}"] = dict(zip(HEADER[1:], values, strict=True))
    return expected


def push(path: Path, witness: Witness) -> float:
    begun = time.perf_counter()
    words = (
        "push",
        path,
        "--base-url",
        witness.base_url,
        "--only-changed",
        "--quiet",
        "--rate",
        "1000/s",
    )
    subprocess.run(command(*words), env=environment(XDG_STATE_HOME=str(path.parent)), check=True)
    return time.perf_counter() - begun


def pretend_first_night(path: Path, sheet: Sheet, witness: Witness) -> None:
    """Put into the ledger what a push of every row would; the first push makes the checkpoint, of
    one row.
    """
    first = next(iter(sheet))
    push(write_sheet(path, [(first, *sheet[first])], HEADER), witness)
    with closing(connect(path.with_suffix(".checkpoint.sqlite"))) as db, db:
        for key, values in sheet.items():
            body = body_of(dict(zip(HEADER[1:], values, strict=True)))
            db.execute(
                "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, NULL, ?)",
                (witness.base_url, key, key, body),
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--nights", type=int, default=30)
    parser.add_argument("--first-night", choices=("push", "ledger"), default="push")
    add_strict(parser)
    told = parser.parse_args()
    dice = random.Random(20261123)
    sheet = begin(told.rows)
    with TemporaryDirectory() as folder, sandbox_process("--accept-any") as witness:
        path = Path(folder, "export.csv")
        if told.first_night == "ledger":
            pretend_first_night(path, sheet, witness)
        else:
            rows = [(key, *values) for key, values in sheet.items()]
            print(
                f"first night, every row: {push(write_sheet(path, rows, HEADER), witness):.1f} s",
                flush=True,
            )
        seen = witness.get("/_sandbox/stats")["requests"]  # the journal numbers its lines from 1
        slowest = wrong = 0.0
        for night in range(1, told.nights + 1):
            expected = change(sheet, told.changes, night, dice)
            rows = [(key, *values) for key, values in sheet.items()]
            dice.shuffle(rows)
            took = push(write_sheet(path, rows, HEADER), witness)
            lines = witness.journal_after(seen)
            seen += len(lines)
            entries = [entry for entry in lines if entry["method"] == "PATCH"]
            came = {entry["key"]: json.loads(entry["body"]) for entry in entries}
            wrong += came != expected or len(entries) != len(expected)
            slowest = max(slowest, took)
            print(f"night {night}: {len(entries)} requests, {took:.1f} s", flush=True)
    print(
        f"{told.nights} nights of {told.rows:,} rows: slowest {slowest:.1f} s, "
        f"{wrong:.0f} sent anything else"
    )
    return exit_code([Figure("nights that sent anything else", wrong, "")], strict=told.strict)


if __name__ == "__main__":
    sys.exit(main())

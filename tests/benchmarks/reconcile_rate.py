"""How fast two sheets are compared, in how much memory, and is every planted difference found?

    python -m tests.benchmarks.reconcile_rate [--rows 1000000] [--differences 1000]

The second sheet holds the same rows in another order, and some of them with another value.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.figures import Figure, exit_code
from tests.benchmarks.goals import add_strict
from tests.helpers import command

HEADER = (
    "unique_showing_key",
    "showing_date",
    "attendee_name",
    "attendee_email",
    "feedback",
    "rating",
    "interested",
)
WORDS = [
    "bright",
    "kitchen",
    "small",
    "garden",
    "loved",
    "the",
    "view",
    "noisy",
    "street",
    "near",
    "school",
    "large",
    "rooms",
    "price",
    "would",
    "come",
    "back",
]


def rows(count: int, dice: random.Random) -> Iterator[list[str]]:
    for number in range(count):
        yield [
            f"ext_{number:07}",
            f"2026-{number % 9 + 1:02}-{number % 28 + 1:02}T1{number % 10}:30:00Z",
            f"Visitor {number}",
            f"visitor{number}@example.com",
            " ".join(dice.choices(WORDS, k=8)),
            str(number % 5 + 1),
            ("yes", "no")[number % 2],
        ]


def write(path: Path, sheet: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([HEADER, *sheet])


def plant(sheet: list[list[str]], count: int, dice: random.Random) -> set[tuple[str, str]]:
    planted = set()
    for row in dice.sample(sheet, count):
        place = dice.choice((4, 5))
        row[place] = "Other words" if place == 4 else str(int(row[5]) % 5 + 1)
        planted.add((row[0], HEADER[place]))
    return planted


def make(folder: Path, count: int, differences: int) -> None:
    """Write both sheets, and what differs."""
    dice = random.Random(1)
    sheet = list(rows(count, dice))
    write(folder / "here.csv", sheet)
    planted = plant(sheet, differences, dice)
    dice.shuffle(sheet)
    write(folder / "there.csv", sheet)
    (folder / "planted.json").write_text(json.dumps(sorted(planted)), encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--differences", type=int, default=1000)
    add_strict(parser)
    told = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        # In a process of its own: the system counts what this one has used among what it starts
        # has.
        maker = get_context("spawn").Process(
            target=make, args=(folder, told.rows, told.differences)
        )
        maker.start()
        maker.join()
        planted = {
            (key, field)
            for key, field in json.loads((folder / "planted.json").read_text(encoding="utf-8"))
        }
        results = folder / "differences.jsonl"
        words = (
            "reconcile",
            folder / "here.csv",
            "--with",
            folder / "there.csv",
            "--quiet",
            "--results",
            results,
        )
        begun = time.perf_counter()
        ended = subprocess.Popen(command(*words))
        _, status, used = os.wait4(ended.pid, 0)
        seconds = time.perf_counter() - begun
        lines = map(json.loads, results.read_text(encoding="ascii").splitlines())
        found = {(line["unique_showing_key"], line["field"]) for line in lines}
    print(
        f"{told.rows:,} rows against as many: {seconds:.1f} s, {told.rows / seconds:,.0f} pairs/s, "
        f"{2 * told.rows / seconds:,.0f} rows/s, "
        f"{used.ru_maxrss / 1024:,.0f} MB at most in a process"
    )
    print(
        f"exit code {os.waitstatus_to_exitcode(status)}, planted {len(planted):,}, "
        f"found {len(found & planted):,}, "
        f"invented {len(found - planted):,}"
    )
    wrong = Figure("differences missed or invented", len(found ^ planted), "")
    return exit_code([wrong], strict=told.strict)


if __name__ == "__main__":
    sys.exit(main())

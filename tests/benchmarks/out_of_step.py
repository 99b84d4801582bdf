"""Pushes to a server whose replies are out of step with the requests: late, doubled, exchanged, or
written before anything was read. Is a row acknowledged that the server never read, or does one have
the id of another showing?

    python -m tests.benchmarks.out_of_step [--rounds 40] [--seed 1] [--rows 200]

Each round draws workers, transport, latency, lateness and the share and kinds of odd replies. A
round that breaks a rule is printed with its plan; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.helpers import numbered, run, write_sheet
from tests.out_of_step import DEEDS, Found, Plan, odd_api


def push(plan: Plan, rows: int, workers: int, transport: str) -> tuple[Found | str, dict[str, int]]:
    """Push a sheet to such a server; return what was found, or the error of a push that failed."""
    with tempfile.TemporaryDirectory() as folder, odd_api(plan) as api:
        sheet = write_sheet(Path(folder) / "sheet.csv", numbered(rows))
        ran = run(
            *("push", sheet, "--base-url", api.base_url, "--json"),
            *("--transport", transport, "--workers", workers, "--rate", "2000/s"),
            *("--timeout", 3, "--retry-for", "30s"),
            within=300,
            cwd=Path(folder),
            XDG_STATE_HOME=folder,
        )
        if ran.code not in {0, 3}:
            return f"exit code {ran.code}: {ran.err[-400:]}", api.done
        return Found.of(Path(folder) / "sheet.results.csv", api), api.done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=200)
    options = parser.parse_args()
    totals: Counter[str] = Counter()
    odd: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.rounds):
        dice = random.Random(seed)
        plan = Plan(
            seed,
            deeds=DEEDS if dice.random() < 0.5 else (dice.choice(DEEDS),),
            share=dice.choice([0.02, 0.1, 0.3]),
            latency=dice.choice([0.0, 0.005, 0.02]),
            late=dice.choice([0.0, 0.001, 0.004, 0.02]),
        )
        workers, transport = dice.choice([1, 4, 16, 64]), dice.choice(["httptools", "httpx"])
        found, done = push(plan, options.rows, workers, transport)
        odd.update(done)
        totals["rounds"] += 1
        if isinstance(found, str):
            totals["ended early"] += 1
            print(f"{plan}, {workers} workers, {transport}: {found}")
            continue
        totals.update(rows=found.rows, acknowledged=found.acknowledged)
        totals.update(never_read=found.never_read, of_another=found.of_another)
        if found.never_read or found.of_another:
            print(f"{plan}, {workers} workers, {transport}: {found}")
        sys.stdout.flush()
    print(", ".join(f"{count} {name.replace('_', ' ')}" for name, count in totals.items()))
    print("odd replies: " + ", ".join(f"{count} {name}" for name, count in sorted(odd.items())))
    return 1 if totals["never_read"] or totals["of_another"] else 0


if __name__ == "__main__":
    sys.exit(main())

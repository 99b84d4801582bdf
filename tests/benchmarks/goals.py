"""The goals of the benchmarks, by the figure's name. With `--strict` a benchmark ends with 1 when
one of its goals is missed, or was not measured although its part was asked for.

Goals of the pace belong to scenarios: `pace_scenarios.py` and `pace_socket.py` have them, and
these two end with 1 in any case.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A lower bound of a figure; with `at_most` an upper one."""

    bound: float
    at_most: bool = False

    def is_reached(self, value: float | None) -> bool:
        """Tell whether a figure reaches it; one that wasn't measured doesn't."""
        return value is not None and (value <= self.bound if self.at_most else value >= self.bound)

    def __str__(self) -> str:
        """Return `at most 0.1`."""
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g}"


def _at_most(bound: float) -> Goal:
    return Goal(bound, at_most=True)


# `python -m tests.benchmarks.peers`, by its parts.
PEERS = {
    "start": {
        "bulk-sync --version": _at_most(0.1),
        "bulk-sync --help": _at_most(0.25),
    },
    "stage": {"staging a CSV": Goal(30_000)},
    "peers": {
        "push with fast over the plain httpx script": Goal(15),
        "push with fast over GNU parallel with curl": Goal(40),
        "push with fast over curl --parallel": Goal(0.6),
        "push with httpx over the plain httpx script": Goal(1.5),
    },
    "checkpoint": {"sending with checkpoint over sending without": Goal(0.95)},
    "latency": {"50 ms latency, 64 workers: rows/s over 64/0.05": Goal(0.97)},
    "resume": {
        "resume over staging, stopped": _at_most(0.05),
        "resume over staging, killed": _at_most(0.05),
    },
    "grow": {
        "10,000 rows: peak of memory": _at_most(120),
        "1,000,000 rows: peak of memory": _at_most(250),
        "cost of sending a row, most over least": _at_most(1.1),
        "cost of a further row, most over least": _at_most(1.1),
    },
}
OTHERS = {
    "check of a CSV": Goal(30_000),
    "check of XLSX": Goal(30_000),
    "differences missed or invented": _at_most(0),
    "nights that sent anything else": _at_most(0),
    "size of the page": _at_most(10),
    "slowest opening of the page": _at_most(2),
    "jobs: whole run over optimum": _at_most(1.1),
    "jobs: last job's first change, seconds": _at_most(10),
    "jobs: memory, MB": _at_most(1000),
    "jobs: CPU seconds over wall seconds": _at_most(0.9),
}
GOALS = {name: goal for part in (*PEERS.values(), OTHERS) for name, goal in part.items()}


def add_strict(parser: argparse.ArgumentParser) -> None:
    """Add the option `--strict`."""
    parser.add_argument(
        "--strict", action="store_true", help="end with 1 when a goal is missed (goals.py)"
    )

"""A night in compressed time, killed twice: 5,000 rows against 1,000 requests an hour.

    python -m tests.benchmarks.night [--rows 5000] [--quota 1000] [--speed 60]
    [--told users-me|headers|none|rate|...]

The sandbox runs `--speed` times as fast; the program runs in processes of its own, in real time. It
is killed (SIGKILL) in mid-run after 30 % and after 65 % of the requests, and then runs to the end.
The sandbox's journal is the witness: see `crash_findings.Findings` for what must not be. With
`--told rate` the API states nothing and the user gives the limit.

"Over optimum" compares the time from the first request to the last reply with the greedy schedule
of as many requests as the API passed: rows, `users/me`, and what was in flight at a kill.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks.crash_findings import Findings
from tests.benchmarks.crashes import WORKERS, Job
from tests.helpers import Witness, command, sandbox_process
from tests.models.optimum import optimum_seconds
from tests.models.rules import FixedWindow
from tests.simulation import steady

TOLD = ("users-me", "headers", "x-headers", "retry-after", "none", "rate")
KILLED_AFTER = (0.3, 0.65)
"""Shares of the rows; a request for each has reached the API."""


@dataclass(frozen=True)
class Night:
    """The outcome of a night, by the sandbox's journal."""

    findings: Findings
    journal: Sequence[dict[str, Any]]

    @property
    def refused(self) -> int:
        """Requests over the limit."""
        return sum(entry["status"] == 429 for entry in self.journal)

    @property
    def passed(self) -> int:
        """Requests that the limit counted."""
        return len(self.journal) - self.refused

    @property
    def for_account(self) -> int:
        """Requests for users/me that the limit counted."""
        return sum(e["method"] == "GET" and e["status"] != 429 for e in self.journal)

    @property
    def seconds(self) -> float:
        """Time from the first request to the last reply."""
        return self._ends - self._begins

    @property
    def _begins(self) -> float:
        return min(float(entry["at"]) for entry in self.journal)

    @property
    def _ends(self) -> float:
        return max(float(entry["ended_at"] or entry["at"]) for entry in self.journal)

    def optimum(self, quota: int, window_seconds: float) -> float:
        """Return the seconds of the greedy schedule, against windows aligned to the clock."""
        took = sorted(entry["ended_at"] - entry["at"] for entry in self.journal if entry["applied"])
        return optimum_seconds(
            FixedWindow(quota, window_seconds),
            self.passed,
            workers=WORKERS,
            latency=steady(max(0.001, took[len(took) // 2])),
            start=self._begins,
        )


def spend_night(
    folder: Path,
    witness: Witness,
    rows: int,
    *,
    rate: str = "auto",
    workers: int = WORKERS,
    program: Callable[..., list[str]] = command,
) -> Night:
    """Push so many rows by runs of which two are killed."""
    findings = Findings()
    more = ("--rate", rate, "--workers", workers)
    job = Job(folder, witness, findings, good=rows, more=more, program=program)
    for share in KILLED_AFTER:
        reached = share * rows
        killed = job.killed_when(lambda: requests_seen(witness) >= reached)  # noqa: B023 - at once
        assert killed, "the run ended before"
    job.finish()
    return Night(findings, witness.journal())


def requests_seen(witness: Witness) -> int:
    """Return how many requests the sandbox saw."""
    seen: int = witness.get("/_sandbox/stats")["requests"]
    return seen


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--quota", type=int, default=1000, help="requests an hour")
    parser.add_argument("--speed", type=float, default=60, help="of the sandbox")
    parser.add_argument("--told", choices=TOLD, action="append", help="repeatable; default: all")
    asked: Any = parser.parse_args()
    chosen = asked.told or TOLD
    if "rate" in chosen and asked.speed != 60:
        parser.error("--told rate needs --speed 60: the user's rate is by the minute")
    window = 3600 / asked.speed
    print(f"{asked.rows:,} rows against {asked.quota:,}/h; an hour takes {window:g} s")
    print(
        f"{'told by':<12}{'seconds':>8}{'over optimum':>14}{'requests':>10}{'users/me':>10}"
        f"{'refused':>9}{'sent twice':>12}  wrong"
    )
    wrong = 0
    for told in chosen:
        stated = "none" if told == "rate" else told
        rate = f"{asked.quota}/m" if told == "rate" else "auto"
        with (
            TemporaryDirectory() as folder,
            sandbox_process(
                "--accept-any",
                "--speed",
                asked.speed,
                "--allowance",
                f"{asked.quota}/h",
                "--allowance-told",
                stated,
            ) as witness,
        ):
            os.environ["XDG_STATE_HOME"] = folder
            night = spend_night(Path(folder, "night"), witness, asked.rows, rate=rate)
        over = night.seconds / night.optimum(asked.quota, window)
        found = night.findings
        bad = sum(found.must_not_be().values())
        print(
            f"{told:<12}{night.seconds:8.1f}{over:14.3f}{len(night.journal):10,}"
            f"{night.for_account:10,}{night.refused:9,}{found.rows_sent_twice:12,}  {bad}",
            *found.notes[:10],
            sep="\n  ",
            flush=True,
        )
        wrong += bad
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

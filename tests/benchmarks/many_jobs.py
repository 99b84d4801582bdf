"""Many teams in one process: `bulk-sync run` of a jobs file with a key, a limit and a sheet each.

    python -m tests.benchmarks.many_jobs [--jobs 300] [--rows 2000] [--rate 5] [--speed 1]
    [--at-once 300] [--told headers|none|rate] [--strict]

A server in a process of its own passes so many changes a second of each key, in any second. It
tells the limit in its headers, or not; with `--told rate` the user gives it. Against `--speed 10`
the program's clock and the server's run ten times as fast, so that waits are shorter, but each
request takes as long as ever: the machine has ten times as much to do in a second. Seconds in the
table are those of the fast clock; CPU and memory are the process's, children included.

"Over optimum" is the time from a job's first change to the last reply, over that of as many at the
rate. The optimum of the whole run begins with the program.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bulk_sync.clock import SystemClock
from tests.benchmarks.goals import GOALS, add_strict
from tests.benchmarks.keyed_server import OfKey, keyed_server, seen_by
from tests.fast_time import FastTime
from tests.helpers import command, environment, numbered, write_sheet

TOLD = ("headers", "none", "rate")


@dataclass(frozen=True)
class Measured:
    """A run: instants and seconds are of the machine's clock."""

    code: int
    began: float
    seconds: float
    cpu_seconds: float
    megabytes: float
    keys: Mapping[str, OfKey]
    said: str


def team_key(number: int) -> str:
    """Return the key of a team."""
    return f"north_sk_test_{number:032}"


def write_jobs(folder: Path, jobs: int, rows: int, options: Mapping[str, str]) -> Path:
    """Write the sheets, keys and the file of so many jobs; return the file."""
    lines = ["[defaults]", *(f'{name} = "{value}"' for name, value in options.items())]
    for number in range(jobs):
        place = folder / f"team{number}"
        place.mkdir()
        write_sheet(place / "showings.csv", numbered(rows))
        key = folder / f"team{number}.key"
        key.write_text(team_key(number), encoding="utf-8")
        key.chmod(0o600)
        lines += [
            f'[[job]]\nname = "team{number}"',
            f'files = "team{number}/showings.csv"\nkey-file = "team{number}.key"',
        ]
    path = folder / "teams.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def measure(path: Path, base_url: str, *, at_once: int, speed: float) -> Measured:
    """Run the jobs, and return what the process took and the server saw."""
    program = command if speed == 1 else FastTime.from_now(speed).command
    words = program("run", "--jobs", path, "--at-once", at_once, "--json")
    log = path.with_name("out.json")
    clock = SystemClock()
    with log.open("wb") as out:
        began = clock.monotonic()
        process = subprocess.Popen(
            words,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(XDG_STATE_HOME=str(path.parent / "state")),
        )
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = clock.monotonic() - began
    return Measured(
        os.waitstatus_to_exitcode(status),
        began,
        seconds,
        used.ru_utime + used.ru_stime,
        used.ru_maxrss / 1024,
        seen_by(base_url),
        log.read_text(encoding="utf-8"),
    )


def report(ran: Measured, jobs: int, rows: int, rate: int, speed: float) -> bool:
    """Print the figures; return True when all goals are reached."""
    seen = list(ran.keys.values())
    optimum = (rows - 1) // rate / speed
    firsts = sorted(one.first - ran.began for one in seen)
    spans = sorted((one.last - one.first) / optimum for one in seen)
    figures = {
        "jobs: whole run over optimum": ran.seconds / optimum,
        "jobs: last job's first change, seconds": firsts[-1],
        "jobs: memory, MB": ran.megabytes,
        "jobs: CPU seconds over wall seconds": ran.cpu_seconds / ran.seconds,
    }
    refused, passed = sum(one.refused for one in seen), sum(one.passed for one in seen)
    print(
        f"exit code {ran.code}; {len(seen)} of {jobs} keys; {ran.seconds * speed:.1f} s,", end=" "
    )
    print(
        f"optimum {optimum * speed:.1f} s; {passed:,} passed of {jobs * rows:,}; {refused} refused"
    )
    print(f"span of a job over optimum: median {statistics.median(spans):.3f}", end=", ")
    print(f"longest {spans[-1]:.3f}; CPU {ran.cpu_seconds:.1f} s")
    shares = [firsts[int(len(firsts) * share)] for share in (0, 0.25, 0.5, 0.75)]
    print("first change of the jobs after", ", ".join(f"{one:.1f}" for one in shares), end=" and ")
    print(f"{firsts[-1]:.1f} s")
    good = ran.code == 0 and passed == jobs * rows
    if ran.code:
        print(ran.said[:2000])
    for name, value in figures.items():
        goal = GOALS[name]
        reached = goal.is_reached(value)
        good = good and reached
        print(f"| {name} | {value:.3g} | {goal} | {'reached' if reached else 'short'} |")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rows", type=int, default=2000, help="of each job")
    parser.add_argument("--rate", type=int, default=5, help="changes a second of each key")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--at-once", type=int, default=300)
    parser.add_argument("--told", choices=TOLD, default="headers")
    add_strict(parser)
    asked: Any = parser.parse_args()
    # Both sides' connections.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    stated = "headers" if asked.told == "headers" else "none"
    with (
        TemporaryDirectory() as folder,
        keyed_server(asked.rate, 1.0, stated, asked.speed) as base_url,
    ):
        options = {"base-url": base_url}
        if asked.told == "rate":
            options["rate"] = f"{asked.rate}/s"
        path = write_jobs(Path(folder), asked.jobs, asked.rows, options)
        ran = measure(path, base_url, at_once=asked.at_once, speed=asked.speed)
    good = report(ran, asked.jobs, asked.rows, asked.rate, asked.speed)
    return 0 if good or not asked.strict else 1


if __name__ == "__main__":
    sys.exit(main())

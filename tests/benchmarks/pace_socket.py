"""Our pace over real sockets, in real time, compared with the greedy schedule.

    python -m tests.benchmarks.pace_socket [--seconds 40] [--windows 1.5] [--processes 1 4]
        [--apart] [--only NAME]

The servers are the sandbox with its limits, told and untold, and nginx and HAProxy in front of one,
where they are installed. A job lasts so many seconds at a rate, or needs so many windows of an
allowance. Its rows are shared by the processes, which have one key and one state folder (`--apart`:
a state folder each, as on two machines).

As in `pace_table`: time over the optimum (each request at the first instant at which the server's
rule passes it), from the first request to the last reply by the sandbox's journal, and refusals per
100 requests. A machine that is busy with other things makes both worse.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.benchmarks import limiters
from tests.helpers import command, environment, numbered, sandbox_process, write_sheet
from tests.models.optimum import optimum_seconds, with_repeats
from tests.models.rules import (
    FixedWindow,
    LeakyBucket,
    LockOut,
    Rule,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
    WindowFromFirst,
)
from tests.simulation import steady

RATE = 50
"""Requests per second, of the servers with short windows."""
QUOTA, WINDOW = 600, 60
"""Requests and seconds of an allowance: a minute, because `users/me` is asked no more often."""

LATENCY_SECONDS = 0.02
WORKERS = 32
"""Of all processes together."""

_OWN_REQUESTS = 40
"""Room in an allowance for `users/me`, as in `pace_scenarios`."""


@dataclass(frozen=True)
class Case:
    """A server, the options of a push to it, and the goal: `over` times the optimum and `plus`."""

    name: str
    options: str
    rule: Rule
    over: float
    refused: float
    rows_per_second: float = 0.0
    """0 if the rows are those of an allowance's windows."""
    plus: float = 0.0
    rate: str = "auto"
    faults: float = 0.0
    in_front: Callable[[str], AbstractContextManager[str]] = nullcontext

    def rows(self, seconds: float, windows: float) -> int:
        """Return the rows of the job."""
        if self.rows_per_second:
            return int(seconds * self.rows_per_second)
        return int(windows * QUOTA) - _OWN_REQUESTS


@dataclass(frozen=True)
class Point:
    """The result of a case; `least_share` is the function's."""

    seconds: float
    best: float
    refused: float
    least_share: float


def _short() -> Iterator[Case]:
    """Yield servers with short windows."""
    bucket, limit = TokenBucket(RATE, RATE), f"--limit {RATE}/s"
    told = Case("headers, token bucket", f"{limit} --limit-headers ratelimit", bucket, 1.03, 0)
    sliding, aligned = SlidingLog(RATE, 1), FixedWindow(RATE, 1)
    cases = [
        replace(told, plus=2),
        replace(
            told,
            name="X- headers, fixed window",
            options=f"{limit} --limit-headers x-ratelimit --limit-style fixed-window",
            rule=aligned,
            plus=2,
        ),
        Case(
            "--rate, sliding window",
            f"{limit} --limit-headers none --limit-style sliding-window",
            sliding,
            1.03,
            0,
            plus=2,
            rate=f"{RATE}/s",
        ),
        Case("Retry-After only", f"{limit} --limit-headers retry-after", bucket, 1.10, 0.5, plus=2),
        Case("nothing told, token bucket", f"{limit} --limit-headers none", bucket, 1.15, 1),
        Case(
            "nothing told, sliding window",
            f"{limit} --limit-headers none --limit-style sliding-window",
            sliding,
            1.15,
            1,
        ),
        Case(
            "nothing told, 1 % random 503s",
            f"{limit} --limit-headers none --fault 1%:503",
            bucket,
            1.10,
            1,
            faults=0.01,
        ),
    ]
    yield from (replace(case, rows_per_second=RATE) for case in cases)
    lock = f"--limit {RATE // 5}/s --limit-headers none --lock-out 30s"
    locked = LockOut(TokenBucket(RATE / 5, RATE / 5), 30)
    # A lock-out costs half a minute: only a longer job can make up for it.
    yield Case("lock-out of 30 s", lock, locked, 1.3, 1, rows_per_second=RATE)


def _long() -> Iterator[Case]:
    """Yield servers with an allowance."""
    allowance = f"--allowance {QUOTA}/m --allowance-told"
    aligned = FixedWindow(QUOTA, WINDOW)
    first, sliding = WindowFromFirst(QUOTA, WINDOW), SlidingLog(QUOTA, WINDOW)
    from_first = " --allowance-window fixed-from-first"
    yield Case("users/me", f"{allowance} users-me", aligned, 1.03, 0, plus=2)
    yield Case("users/me, from first", f"{allowance} users-me{from_first}", first, 1.03, 0, plus=2)
    yield Case("headers, long window", f"{allowance} headers", aligned, 1.03, 0, plus=2)
    yield Case(
        "--rate, long window",
        f"{allowance} none --allowance-window sliding",
        sliding,
        1.03,
        0,
        plus=2,
        rate=f"{QUOTA}/m",
    )
    several = f"{allowance} headers --limit {RATE}/s --limit-headers ratelimit"
    both = Several(TokenBucket(RATE, RATE), aligned)
    yield Case("several windows in headers", several, both, 1.05, 0, plus=2)
    yield Case(
        "Retry-After only, long window", f"{allowance} retry-after", aligned, 1.1, 0.5, plus=2
    )
    yield Case("nothing told, long window", f"{allowance} none{from_first}", first, 1.15, 1, plus=2)


def _foreign() -> Iterator[Case]:
    """Yield limiters of other makers, in front of a sandbox without a limit."""
    if limiters.is_installed("nginx"):
        for status in (429, 503):
            front = partial(limiters.nginx, rate=RATE, burst=5, status=status)
            name = f"nginx limit_req, bare {status}s"
            yield Case(name, "", LeakyBucket(RATE, 5), 1.15, 1, RATE, in_front=front)
    if limiters.is_installed("haproxy"):
        for window in (1, 10):
            requests = RATE * window
            front = partial(limiters.haproxy, requests=requests, window=window)
            rule = SlidingCounter(requests, window)
            name = f"HAProxy stick table, {window} s, bare 429s"
            yield Case(name, "", rule, 1.15, 1, RATE, in_front=front)


def least_share(journal: list[dict[str, Any]], rows: int, parts: int) -> float:
    """Return the rows of the slowest part when half of all are applied; 1 is as many as the others.

    Parts have consecutive numbers of rows, as from `numbered`.
    """
    keys = [str(entry["key"]) for entry in journal if entry["applied"]]
    half = Counter(int(key.removeprefix("ext_")) * parts // rows for key in keys[: rows // 2])
    return min(half[part] for part in range(parts)) * parts / (rows // 2)


def push(case: Case, rows: int, processes: int, *, apart: bool = False) -> Point:
    """Push the rows by so many processes at once, each with a state folder of its own if apart."""
    latency = ("--accept-any", "--latency", f"{LATENCY_SECONDS * 1000:g}ms")
    with (
        tempfile.TemporaryDirectory() as name,
        sandbox_process(*latency, *case.options.split()) as witness,
        case.in_front(witness.base_url) as base_url,
    ):
        to = ("--base-url", base_url, "--json", "--quiet", "--rate", case.rate)
        workers = WORKERS // processes
        runs = []
        for number in range(processes):
            first, end = (rows * part // processes for part in (number, number + 1))
            sheet = write_sheet(Path(name, f"{number}.csv"), numbered(end - first, first=first))
            runs.append(
                subprocess.Popen(
                    command("push", sheet, *to, "--workers", workers),
                    env=environment(XDG_STATE_HOME=str(Path(name, str(number * apart)))),
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
        summaries = [json.loads(run.communicate()[0]) for run in runs]
        journal = witness.journal()
    assert all(run.returncode == 0 for run in runs), summaries
    begins = min(float(entry["at"]) for entry in journal)
    ends = max(float(entry["ended_at"]) for entry in journal)
    # What a limiter in front of the sandbox refuses is not in the journal.
    requests = sum(summary["requests"] for summary in summaries)
    passed = sum(entry["status"] != 429 for entry in journal)
    best = optimum_seconds(
        case.rule,
        with_repeats(rows, case.faults),
        workers=WORKERS,
        latency=steady(LATENCY_SECONDS),
        start=begins,
    )
    refused = 100 * max(0, requests - passed) / requests
    return Point(ends - begins, best, refused, least_share(journal, rows, processes))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=40, help="of jobs with a rate")
    parser.add_argument("--windows", type=float, default=1.5, help="of jobs with an allowance")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--apart", action="store_true", help="a state folder for each process")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    asked: Any = parser.parse_args()
    print(f"{'':34}processes    time over optimum      refused per 100")
    missed = 0
    for case in (*_short(), *_long(), *_foreign()):
        for processes in asked.processes if asked.only in case.name else ():
            point = push(
                case, case.rows(asked.seconds, asked.windows), processes, apart=asked.apart
            )
            over = max(0.0, point.seconds - case.plus) / point.best
            misses = over > case.over or point.refused > case.refused + 0.005
            missed += misses
            plus = f" + {case.plus:g} s" if case.plus else ""
            times = f"{over:8.3f}  {f'{case.over:.2f}{plus}':<12}"
            refusals = f"{point.refused:8.2f}  {case.refused:<5g}"
            took = f"{point.seconds:7.1f} s of {point.best:.1f}"
            words = f"{times}{refusals}{took}{'  MISSED' * misses}"
            print(f"{case.name:<34}{processes:>5}   {words}", flush=True)
    print(f"{missed} cases miss their goal" if missed else "every goal is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

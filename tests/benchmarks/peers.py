"""bulk-sync beside other ways to send the same rows to the same server, on the machine it runs on.

    python -m tests.benchmarks.peers [--quick] [--only PART] [--json FILE]

nginx answers every request with the contract's reply at once, on one core; 20,000 rows with ten
columns are sent to it by bulk-sync (whole process, with reports and the durable checkpoint), by a
plain httpx script, by GNU parallel with curl, by curl alone (`--parallel`, from a config that is
prepared beforehand: it checks nothing and records nothing) and by wrk. Other servers here: nginx
that answers after 50 ms, and one that refuses the key and notes when it was asked.

Prints a table, as Markdown, with the goal beside each figure, and writes it as JSON. A figure that
falls short fails nothing. Needs nginx with its module echo, curl, GNU parallel and wrk (Debian:
nginx-light libnginx-mod-http-echo curl parallel wrk); what is missing is left out, and named.
`--quick` takes fewer rows, to see that all of it runs.
"""

from __future__ import annotations

import argparse
import compileall
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import bulk_sync
from tests.benchmarks.figures import Bench, Figure, exit_code, machine
from tests.benchmarks.goals import PEERS, add_strict
from tests.benchmarks.senders import (
    Pushed,
    curl_parallel,
    gnu_parallel,
    push,
    push_until,
    timed,
    whole_push,
    wrk,
)
from tests.benchmarks.servers import ECHO, OWN_IDS, free_port, small_server, static_server

TOOLS = ("nginx", "wrk", "parallel", "curl")


def _sending(pushed: Pushed) -> float:
    return float(pushed.summary["seconds"])


def compare_peers(bench: Bench) -> None:
    """Whole processes that send the same rows to nginx."""
    sheet = bench.sheet(bench.rows)
    fast, plain = "push with fast (httptools)", "plain httpx script, 32 tasks"
    httpx, curl, gnu = "push with httpx", "curl --parallel", "GNU parallel with curl"
    with static_server(bench.folder) as base_url:
        runs = [whole_push(bench, sheet, base_url, "--transport", "httptools") for _ in range(3)]
        bench.rate(fast, lambda: bench.rows / min(run.seconds for run in runs))
        sending = max(float(run.summary["rows_per_second"]) for run in runs)
        bench.add(Figure("push with fast, while it sends", sending, "rows/s"))
        script = [sys.executable, "-m", "tests.benchmarks.plain_httpx", str(sheet), base_url]
        bench.rate(plain, lambda: bench.rows / timed(script))
        bench.rate(
            httpx,
            lambda: bench.rows / whole_push(bench, sheet, base_url, "--transport", "httpx").seconds,
        )
        if shutil.which("curl"):
            bench.rate(curl, lambda: max(curl_parallel(bench, base_url) for _ in range(3)))
        if shutil.which("parallel") and shutil.which("curl"):
            bench.rate(gnu, lambda: gnu_parallel(bench, base_url))
        if shutil.which("wrk"):
            bench.rate("wrk (the server's limit)", lambda: wrk(bench, base_url))
    bench.ratio("push with fast over the plain httpx script", fast, plain)
    bench.ratio("push with fast over GNU parallel with curl", fast, gnu)
    bench.ratio("push with fast over curl --parallel", fast, curl)
    bench.ratio("push with httpx over the plain httpx script", httpx, plain)


def compare_checkpoint(bench: Bench) -> None:
    """Sending with the checkpoint, and with the rows in memory, by turns."""
    sheet = bench.sheet(bench.rows)
    with static_server(bench.folder) as base_url:
        command = [sys.executable, "-m", "tests.benchmarks.sending", str(sheet), base_url]
        seconds: dict[str, list[float]] = {"checkpoint": [], "memory": []}
        for where in ("checkpoint", "memory") * 3:
            ran = subprocess.run([*command, where], capture_output=True, text=True, check=True)
            seconds[where].append(float(ran.stdout))
    ratio = min(seconds["memory"]) / min(seconds["checkpoint"])
    bench.add(Figure("sending with checkpoint over sending without", ratio, ""))


def fill_latency(bench: Bench) -> None:
    """64 workers against a latency of 50 ms: 1,280 rows a second are possible."""
    sheet = bench.sheet(bench.rows)
    with static_server(bench.folder, latency_seconds=0.05) as base_url:
        rate = whole_push(bench, sheet, base_url, "--workers", "64").summary["rows_per_second"]
        bench.add(Figure("50 ms latency, 64 workers: rows/s over 64/0.05", rate / (64 / 0.05), ""))
        if shutil.which("wrk"):  # the timer of nginx adds to its 50 ms
            most = wrk(bench, base_url, 64)
            bench.add(
                Figure("50 ms latency, 64 connections: wrk over 64/0.05", most / (64 / 0.05), "")
            )


def resume(bench: Bench) -> None:
    """Time to the first request, of a new job and of the same job with 1% left.

    The earlier run was stopped by Ctrl-C, or killed.
    """
    sheet = bench.sheet(bench.many)
    port = free_port()
    with (
        TemporaryDirectory(dir=bench.folder) as folder,
        small_server("401 Unauthorized", port=port) as (url, asked),
    ):
        begun = push(Path(folder), sheet, url, "--workers", "1", code=5).began
        first = asked[0] - begun
    bench.add(Figure(f"{bench.many:,} rows: from start to first request", first, "s"))
    for ending, how in (("stopped", signal.SIGINT), ("killed", signal.SIGKILL)):
        with TemporaryDirectory(dir=bench.folder) as folder:
            with static_server(bench.folder, port=port) as base_url:
                push_until(Path(folder), sheet, base_url, bench.many * 99 // 100, how)
            with small_server("401 Unauthorized", port=port) as (base_url, asked):
                again = push(Path(folder), sheet, base_url, "--workers", "1", code=5)
                resumed = asked[0] - again.began
        bench.add(
            Figure(
                f"{bench.many:,} rows, {ending} with 1% left: from start to first request",
                resumed,
                "s",
            )
        )
        bench.add(Figure(f"resume over staging, {ending}", resumed / first, ""))


def grow(bench: Bench) -> None:
    """Time and memory of the same push with more and more rows; each showing has its own id."""
    costs: list[float] = []
    sent: list[tuple[int, float]] = []
    with static_server(bench.folder, OWN_IDS) as base_url:
        for rows in (bench.many // 100, bench.many // 10, bench.many):
            sheet = bench.sheet(rows)
            often = 5 if rows <= 100_000 else 1  # a long push is its own average
            pushed = sorted(
                (whole_push(bench, sheet, base_url) for _ in range(often)), key=_sending
            )[often // 2]
            costs.append(1e6 * _sending(pushed) / rows)
            sent.append((rows, _sending(pushed)))
            bench.add(Figure(f"{rows:,} rows: sending", costs[-1], "µs a row"))
            bench.add(Figure(f"{rows:,} rows: whole push", 1e6 * pushed.seconds / rows, "µs a row"))
            bench.add(Figure(f"{rows:,} rows: peak of memory", pushed.peak, "MB"))
    bench.add(Figure("cost of sending a row, most over least", max(costs) / min(costs), ""))
    further = [1e6 * (late - soon) / (many - few) for (few, soon), (many, late) in pairwise(sent)]
    names = (
        f"{bench.many // 100:,} to {bench.many // 10:,} rows",
        f"{bench.many // 10:,} to {bench.many:,} rows",
    )
    for name, cost in zip(names, further, strict=True):
        bench.add(Figure(f"{name}: sending each further row", cost, "µs"))
    bench.add(Figure("cost of a further row, most over least", max(further) / min(further), ""))


def start(bench: Bench) -> None:
    """The time that the program takes to start, the best of ten."""
    for word in ("--version", "--help"):
        seconds = min(timed([sys.executable, "-m", "bulk_sync", word]) for _ in range(10))
        bench.add(Figure(f"bulk-sync {word}", seconds, "s"))


def stage(bench: Bench) -> None:
    """Rows a second that are read, checked and stored, the start of the program included."""
    sheet = bench.sheet(bench.many // 10)
    with (
        TemporaryDirectory(dir=bench.folder) as folder,
        small_server("401 Unauthorized") as (base_url, asked),
    ):
        begun = push(Path(folder), sheet, base_url, "--workers", "1", code=5).began
        bench.add(Figure("staging a CSV", bench.many / 10 / (asked[0] - begun), "rows/s"))


NEEDED = {name: {"nginx"} for name in ("peers", "checkpoint", "resume", "grow")} | {
    "latency": {"nginx", ECHO.name}
}

PARTS = {
    "start": start,
    "stage": stage,
    "peers": compare_peers,
    "checkpoint": compare_checkpoint,
    "latency": fill_latency,
    "resume": resume,
    "grow": grow,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer rows: 2,000, and 20,000 instead of a million"
    )
    parser.add_argument("--only", default="", choices=["", *PARTS], help="one part")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", type=Path, default=None, help="write the figures there, too")
    add_strict(parser)
    given = parser.parse_args()
    # As pip does on installation: a program run from a checkout may compile itself at each start.
    compileall.compile_dir(str(Path(bulk_sync.__file__).parent), quiet=1)
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    missing += [] if ECHO.exists() else [ECHO.name]
    print(f"{machine()}{'; missing: ' + ', '.join(missing) if missing else ''}\n")
    print("| figure | measured | goal | |\n|---|---|---|---|")
    with TemporaryDirectory() as folder:
        bench = Bench(
            Path(folder), 2_000 if given.quick else given.rows, 20_000 if given.quick else 1_000_000
        )
        for name, part in PARTS.items():
            if given.only in {"", name} and not NEEDED.get(name, set()) & set(missing):
                part(bench)
    if given.json is not None:
        figures = [asdict(figure) for figure in bench.figures]
        given.json.write_text(
            json.dumps({"machine": machine(), "figures": figures}, indent=2) + "\n",
            encoding="utf-8",
        )
    # With fewer rows some figures have other names, and no goals.
    parts = [given.only] if given.only else [] if given.quick else list(PARTS)
    expected = [name for part in parts for name in PEERS[part]]
    return exit_code(bench.figures, strict=given.strict, expected=expected)


if __name__ == "__main__":
    sys.exit(main())

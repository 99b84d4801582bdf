"""Programs that send the same rows: bulk-sync, curl, GNU parallel and wrk."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

from bulk_sync.clock import SystemClock
from tests.benchmarks.figures import Bench
from tests.benchmarks.servers import find_tool

KEY = "north_sk_test_000000000000000000000000peers"

WORKERS = 32

WRK = f"""
wrk.method = "PATCH"
wrk.body = '{{"feedback":"Liked the light in the kitchen, less so the stairs.","rating":4}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
"""


def timed(command: list[str], **options: Any) -> float:
    """Return the seconds that a process takes from start to exit."""
    clock = SystemClock()
    begun = clock.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    return clock.monotonic() - begun


@dataclass(frozen=True)
class Pushed:
    """A push: seconds from start to exit, its summary, its peak RSS in MB, and when it began."""

    seconds: float
    summary: dict[str, Any]
    peak: float
    began: float


def _command(folder: Path, sheet: Path, base_url: str, *options: str) -> list[str]:
    words = [sys.executable, "-m", "bulk_sync", "push", str(sheet), "--base-url", base_url]
    return [*words, "--rate", "100000/s", "--out", str(folder), *options]


def _environment(folder: Path) -> dict[str, str]:
    """A fresh folder for what runs share: no run learns the limit from an earlier one."""
    return os.environ | {"NORTH_API_KEY": KEY, "XDG_STATE_HOME": str(folder / "state")}


def push(folder: Path, sheet: Path, base_url: str, *options: str, code: int = 0) -> Pushed:
    """Run one push as a user would; its exit code must be `code`."""
    command = _command(folder, sheet, base_url, "--json", *options)
    clock = SystemClock()
    began = clock.monotonic()
    process = subprocess.Popen(
        command, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = clock.monotonic() - began
    if os.waitstatus_to_exitcode(status) != code:
        raise SystemExit(f"push ended with {os.waitstatus_to_exitcode(status)}: {out.decode()}")
    summary = json.loads(out)
    return Pushed(seconds, summary, usage.ru_maxrss / 1024, began)


def whole_push(bench: Bench, sheet: Path, base_url: str, *options: str) -> Pushed:
    """Push a sheet whose rows must all arrive."""
    with TemporaryDirectory(dir=bench.folder) as folder:
        pushed = push(Path(folder), sheet, base_url, "--workers", str(WORKERS), *options)
    if pushed.summary["states"]["updated"] != pushed.summary["rows"]:
        raise SystemExit(f"not all rows arrived: {pushed.summary['states']}")
    return pushed


def curl_parallel(bench: Bench, base_url: str) -> float:
    """Rows a second of one curl that reads all requests from a config file."""
    config = bench.folder / "curl.conf"
    config.write_text(
        "next\n".join(
            f'url = "{base_url}/v1/showings/ext_{number:07}"\nrequest = PATCH\n'
            f'header = "Content-Type: application/json"\nheader = "Authorization: Bearer {KEY}"\n'
            f'data = "{{\\"feedback\\":\\"Came as number {number}.\\",\\"rating\\":4}}"\n'
            "output = /dev/null\n"
            for number in range(bench.rows)
        ),
        encoding="utf-8",
    )
    command = [find_tool("curl"), "--parallel", "--parallel-max", "32", "--config", str(config)]
    return bench.rows / timed(command, stderr=subprocess.DEVNULL)


def gnu_parallel(bench: Bench, base_url: str) -> float:
    """Rows a second of GNU parallel, which starts a curl for each row.

    Measured with fewer rows, because its rate is low and steady.
    """
    rows = min(bench.rows, 1_000)
    keys = "".join(f"ext_{number:07}\n" for number in range(rows))
    command = (
        f"curl -s -o /dev/null -X PATCH -H 'Content-Type: application/json' "
        f"-H 'Authorization: Bearer {KEY}' "
        f"""-d '{{"feedback":"Liked the light.","rating":4}}' {base_url}/v1/showings/{{}}"""
    )
    return rows / timed([find_tool("parallel"), "-j", "32", command], input=keys.encode())


def wrk(bench: Bench, base_url: str, connections: int = WORKERS) -> float:
    """The highest rate of requests that the server answers over this many connections."""
    script = bench.folder / "patch.lua"
    script.write_text(WRK, encoding="utf-8")
    ran = subprocess.run(
        [
            find_tool("wrk"),
            "-t1",
            f"-c{connections}",
            "-d5s",
            "-s",
            str(script),
            f"{base_url}/v1/showings/ext_1",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(
        next(
            line.split()[1] for line in ran.stdout.splitlines() if line.startswith("Requests/sec:")
        )
    )


def push_until(folder: Path, sheet: Path, base_url: str, row: int, how: signal.Signals) -> None:
    """Push, and send a signal once `row` rows were handed out."""
    command = _command(folder, sheet, base_url, "--workers", str(WORKERS))
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=_environment(folder), stdout=quiet, stderr=quiet)
    checkpoint = folder / f"{sheet.stem}.checkpoint.sqlite"
    while process.poll() is None and _taken(checkpoint) < row:
        Event().wait(0.02)
    process.send_signal(how)
    if process.wait(600) == 0:
        raise SystemExit("the push was over before it could be ended")


def _taken(checkpoint: Path) -> int:
    """The last row that was handed out, as the checkpoint has it."""
    if not checkpoint.exists():
        return 0
    with closing(sqlite3.connect(f"{checkpoint.as_uri()}?mode=ro", uri=True)) as seen:
        try:
            found = seen.execute("SELECT taken FROM job").fetchone()
        except sqlite3.Error:
            return 0
    return int(found[0]) if found else 0

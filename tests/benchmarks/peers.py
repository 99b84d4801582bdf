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
import asyncio
import compileall
import json
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import Any

import bulk_sync
from bulk_sync.clock import SystemClock
from tests.benchmarks.check_rate import write_sheet

KEY = "north_sk_test_000000000000000000000000peers"
WORKERS = 32
TOOLS = ("nginx", "wrk", "parallel", "curl")
ECHO = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")  # Debian: libnginx-mod-http-echo

REPLY = json.dumps(
    {
        "data": {
            "id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "north_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "showing_date": "2023-11-07T05:31:56Z",
            "feedback": "Loved the light",
            "updated_at": "2023-11-07T05:31:56Z",
        },
        "message": "Showing updated successfully",
    }
)
"""The example of the contract."""

OWN_IDS = REPLY.replace("3c90c3cc-0d44-4b50-8888-8dd25736052a", "$request_id")
"""The same, but each showing has an id of its own, as nginx makes one for each request."""

NGINX = """
{modules}
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ {answer} }} }}
}}
"""

WRK = f"""
wrk.method = "PATCH"
wrk.body = '{{"feedback":"Liked the light in the kitchen, less so the stairs.","rating":4}}'
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {KEY}"
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table; a goal is a bound from below, or from above where `at_most` says so."""

    name: str
    value: float | None
    unit: str
    goal: float | None = None
    at_most: bool = False

    def line(self) -> str:
        """As a row of a Markdown table."""
        if self.goal is None:
            goal, verdict = "", ""
        else:
            goal = f"{'at most' if self.at_most else 'at least'} {self.goal:g}"
            reached = self.value is not None and (
                self.value <= self.goal if self.at_most else self.value >= self.goal
            )
            verdict = "reached" if reached else "short"
        value = (
            "not measured" if self.value is None else f"{_rounded(self.value)} {self.unit}".rstrip()
        )
        return f"| {self.name} | {value} | {goal} | {verdict} |"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Bench:
    """What was measured so far; `rows` of the comparison, `many` for what is asked of a million."""

    folder: Path
    rows: int
    many: int
    figures: list[Figure] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    def rate(self, name: str, measure: Callable[[], float]) -> None:
        """Measure rows a second."""
        value = measure()
        self.rates[name] = value
        self.add(Figure(name, value, "rows/s"))

    def ratio(self, name: str, one: str, other: str, goal: float) -> None:
        """Compare two of the rates."""
        if one in self.rates and other in self.rates:
            self.add(Figure(name, self.rates[one] / self.rates[other], "", goal))

    def add(self, figure: Figure) -> None:
        """Take a figure, and print it."""
        self.figures.append(figure)
        print(figure.line(), flush=True)


def _tool(name: str) -> str:
    return shutil.which(name) or name


# Servers


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def static_server(
    folder: Path, reply: str = REPLY, port: int = 0, latency_seconds: float | None = None
) -> Iterator[str]:
    """nginx, which says yes to everything, at once or by the clock of its module `echo`."""
    port = port or _free_port()
    modules, answer = "", f"return 200 '{reply}';"
    if latency_seconds is not None:
        modules, answer = f"load_module {ECHO};", f"echo_sleep {latency_seconds}; echo '{reply}';"
    config = folder / "nginx.conf"
    config.write_text(
        NGINX.format(folder=folder, port=port, modules=modules, answer=answer), encoding="utf-8"
    )
    server = subprocess.Popen([_tool("nginx"), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        _until_it_listens(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def _until_it_listens(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        Event().wait(0.05)
    raise SystemExit(f"no server on port {port}")


class _Answering(asyncio.Protocol):
    """Reads requests, counts on their lengths, and answers each."""

    def __init__(self, status: str, asked: list[float]) -> None:
        self._reply = (
            f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(REPLY)}\r\n\r\n{REPLY}"
        ).encode()
        self._asked = asked
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, rest = self._data.split(b"\r\n\r\n", 1)
            length = next(
                (
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                ),
                0,
            )
            if len(rest) < length:
                return
            self._data = rest[length:]
            self._asked.append(SystemClock().monotonic())
            self._answer()

    def _answer(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._reply)


@contextmanager
def small_server(status: str, port: int = 0) -> Iterator[tuple[str, list[float]]]:
    """A server in a thread of this process, and when it was asked, by the machine's monotonic
    clock.
    """
    asked: list[float] = []
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Answering(status, asked), "127.0.0.1", port)
    )
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        server.close()
        loop.close()


# Those who send


def timed(command: list[str], **options: Any) -> float:
    """Seconds of a whole process."""
    clock = SystemClock()
    begun = clock.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **options)
    return clock.monotonic() - begun


@dataclass(frozen=True)
class Pushed:
    """A push: seconds from its start to its exit, its summary, and its peak of memory in MB."""

    seconds: float
    summary: dict[str, Any]
    peak: float
    began: float


def push(folder: Path, sheet: Path, base_url: str, *options: str, code: int = 0) -> Pushed:
    """One push as a user would run it, from a fresh folder for what runs share."""
    command = [sys.executable, "-m", "bulk_sync", "push", str(sheet), "--base-url", base_url]
    command += ["--rate", "100000/s", "--json", "--out", str(folder), *options]
    environment = os.environ | {"NORTH_API_KEY": KEY, "XDG_STATE_HOME": str(folder / "state")}
    clock = SystemClock()
    began = clock.monotonic()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = clock.monotonic() - began
    if os.waitstatus_to_exitcode(status) != code:
        raise SystemExit(f"push ended with {os.waitstatus_to_exitcode(status)}: {out.decode()}")
    summary = json.loads(out)
    return Pushed(seconds, summary, usage.ru_maxrss / 1024, began)


def _sending(pushed: Pushed) -> float:
    return float(pushed.summary["seconds"])


def whole_push(bench: Bench, sheet: Path, base_url: str, *options: str) -> Pushed:
    """A push of a whole sheet, whose rows must all have arrived."""
    with TemporaryDirectory(dir=bench.folder) as folder:
        pushed = push(Path(folder), sheet, base_url, "--workers", str(WORKERS), *options)
    if pushed.summary["states"]["updated"] != pushed.summary["rows"]:
        raise SystemExit(f"not all rows arrived: {pushed.summary['states']}")
    return pushed


def curl_parallel(bench: Bench, base_url: str) -> float:
    """Rows a second of one curl that is told everything in a file."""
    config = bench.folder / "curl.conf"
    config.write_text(
        "next\n".join(
            f'url = "{base_url}/v1/showings/ext_{number:07}"\nrequest = PATCH\n'
            f'header = "Content-Type: application/json"\nheader = "Authorization: Bearer {KEY}"\n'
            f'data = "{{\\"feedback\\":\\"Came as number {number}.\\",\\"rating\\":4}}"\noutput = /dev/null\n'
            for number in range(bench.rows)
        ),
        encoding="utf-8",
    )
    command = [_tool("curl"), "--parallel", "--parallel-max", "32", "--config", str(config)]
    return bench.rows / timed(command, stderr=subprocess.DEVNULL)


def gnu_parallel(bench: Bench, base_url: str) -> float:
    """Rows a second of GNU parallel, which starts a curl for each; of fewer rows, for it is slow
    and steady.
    """
    rows = min(bench.rows, 1_000)
    keys = "".join(f"ext_{number:07}\n" for number in range(rows))
    command = (
        f"curl -s -o /dev/null -X PATCH -H 'Content-Type: application/json' -H 'Authorization: Bearer {KEY}' "
        f"""-d '{{"feedback":"Liked the light.","rating":4}}' {base_url}/v1/showings/{{}}"""
    )
    return rows / timed([_tool("parallel"), "-j", "32", command], input=keys.encode())


def wrk(bench: Bench, base_url: str, connections: int = WORKERS) -> float:
    """Requests a second that the server answers at the most over so many connections."""
    script = bench.folder / "patch.lua"
    script.write_text(WRK, encoding="utf-8")
    ran = subprocess.run(
        [
            _tool("wrk"),
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


# What is compared


def compare_peers(bench: Bench) -> None:
    """Whole processes, each sending the same rows to nginx; ours first and last, for the machine
    may change.
    """
    sheet = sheet_of(bench, bench.rows)
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
    bench.ratio("push with fast over the plain httpx script", fast, plain, 15)
    bench.ratio("push with fast over GNU parallel with curl", fast, gnu, 40)
    bench.ratio("push with fast over curl --parallel", fast, curl, 0.6)
    bench.ratio("push with httpx over the plain httpx script", httpx, plain, 1.5)


def compare_checkpoint(bench: Bench) -> None:
    """Sending with the checkpoint, and the same sender with its rows in memory; by turns."""
    sheet = sheet_of(bench, bench.rows)
    with static_server(bench.folder) as base_url:
        told = [sys.executable, "-m", "tests.benchmarks.sending", str(sheet), base_url]
        seconds: dict[str, list[float]] = {"checkpoint": [], "memory": []}
        for where in ("checkpoint", "memory") * 3:
            ran = subprocess.run([*told, where], capture_output=True, text=True, check=True)
            seconds[where].append(float(ran.stdout))
    ratio = min(seconds["memory"]) / min(seconds["checkpoint"])
    bench.add(Figure("sending with checkpoint over sending without", ratio, "", 0.95))


def fill_latency(bench: Bench) -> None:
    """64 workers against 50 ms: what they could send at the most is 1,280 rows a second."""
    sheet = sheet_of(bench, bench.rows)
    with static_server(bench.folder, latency_seconds=0.05) as base_url:
        rate = whole_push(bench, sheet, base_url, "--workers", "64").summary["rows_per_second"]
        bench.add(
            Figure("50 ms latency, 64 workers: rows/s over 64/0.05", rate / (64 / 0.05), "", 0.97)
        )
        if shutil.which("wrk"):  # what this server makes of its 50 ms
            most = wrk(bench, base_url, 64)
            bench.add(
                Figure("50 ms latency, 64 connections: wrk over 64/0.05", most / (64 / 0.05), "")
            )


def resume(bench: Bench) -> None:
    """Time to the first request: of a new job, and of the same with 1% left: stopped by Ctrl-C, or
    killed.
    """
    sheet = sheet_of(bench, bench.many)
    port = _free_port()
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
        bench.add(Figure(f"resume over staging, {ending}", resumed / first, "", 0.05, at_most=True))


def push_until(folder: Path, sheet: Path, base_url: str, row: int, how: signal.Signals) -> None:
    """Push, and end it by a signal once so many rows were handed out."""
    command = [
        sys.executable,
        "-m",
        "bulk_sync",
        "push",
        str(sheet),
        "--base-url",
        base_url,
        "--rate",
        "100000/s",
    ]
    environment = os.environ | {"NORTH_API_KEY": KEY, "XDG_STATE_HOME": str(folder / "state")}
    command += ["--workers", str(WORKERS), "--out", str(folder)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)
    checkpoint = folder / f"{sheet.stem}.checkpoint.sqlite"
    while process.poll() is None and _taken(checkpoint) < row:
        Event().wait(0.02)
    process.send_signal(how)
    if process.wait(600) == 0:
        raise SystemExit("the push was over before it could be ended")


def _taken(checkpoint: Path) -> int:
    """The last row that was handed out, as far as it can be seen."""
    if not checkpoint.exists():
        return 0
    with closing(sqlite3.connect(f"{checkpoint.as_uri()}?mode=ro", uri=True)) as seen:
        try:
            found = seen.execute("SELECT taken FROM job").fetchone()
        except sqlite3.Error:
            return 0
    return int(found[0]) if found else 0


def grow(bench: Bench) -> None:
    """The same push with ever more rows, whose showings have ids of their own: time and memory."""
    costs: list[float] = []
    sent: list[tuple[int, float]] = []
    with static_server(bench.folder, OWN_IDS) as base_url:
        for rows in (bench.many // 100, bench.many // 10, bench.many):
            sheet, often = (
                sheet_of(bench, rows),
                5 if rows <= 100_000 else 1,
            )  # a long one is its own average
            pushed = sorted(
                (whole_push(bench, sheet, base_url) for _ in range(often)), key=_sending
            )[often // 2]
            costs.append(1e6 * _sending(pushed) / rows)
            sent.append((rows, _sending(pushed)))
            bench.add(Figure(f"{rows:,} rows: sending", costs[-1], "µs a row"))
            bench.add(Figure(f"{rows:,} rows: whole push", 1e6 * pushed.seconds / rows, "µs a row"))
            goal = {10_000: 120.0, 1_000_000: 250.0}.get(rows)
            bench.add(
                Figure(f"{rows:,} rows: peak of memory", pushed.peak, "MB", goal, at_most=True)
            )
    bench.add(
        Figure(
            "cost of sending a row, most over least", max(costs) / min(costs), "", 1.1, at_most=True
        )
    )
    further = [1e6 * (late - soon) / (many - few) for (few, soon), (many, late) in pairwise(sent)]
    names = (
        f"{bench.many // 100:,} to {bench.many // 10:,} rows",
        f"{bench.many // 10:,} to {bench.many:,} rows",
    )
    for name, cost in zip(names, further, strict=True):
        bench.add(Figure(f"{name}: sending each further row", cost, "µs"))
    bench.add(
        Figure(
            "cost of a further row, most over least",
            max(further) / min(further),
            "",
            1.1,
            at_most=True,
        )
    )


def start(bench: Bench) -> None:
    """How soon the program is there, the best of ten."""
    for words, goal in ((["--version"], 0.1), (["--help"], 0.25)):
        seconds = min(timed([sys.executable, "-m", "bulk_sync", *words]) for _ in range(10))
        bench.add(Figure(f"bulk-sync {words[0]}", seconds, "s", goal, at_most=True))


def stage(bench: Bench) -> None:
    """Rows a second that are read, checked, digested and stored, start of the program included."""
    sheet = sheet_of(bench, bench.many // 10)
    with (
        TemporaryDirectory(dir=bench.folder) as folder,
        small_server("401 Unauthorized") as (base_url, asked),
    ):
        begun = push(Path(folder), sheet, base_url, "--workers", "1", code=5).began
        bench.add(Figure("staging a CSV", bench.many / 10 / (asked[0] - begun), "rows/s", 30_000))


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


def sheet_of(bench: Bench, rows: int) -> Path:
    """A sheet with so many rows, written once."""
    path = bench.folder / f"s{rows}.csv"
    if not path.exists():
        write_sheet(path, rows)
    return path


def machine() -> str:
    """Processor, cores, system and Python, for a figure means little without."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def main() -> None:
    told = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    told.add_argument(
        "--quick", action="store_true", help="fewer rows: 2,000, and 20,000 instead of a million"
    )
    told.add_argument("--only", default="", choices=["", *PARTS], help="one part")
    told.add_argument("--rows", type=int, default=20_000)
    told.add_argument("--json", type=Path, default=None, help="write the figures there, too")
    given = told.parse_args()
    # As pip does when it installs: else a program run from a checkout may compile itself anew each
    # time.
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


if __name__ == "__main__":
    main()

"""How well a limit is filled on real sockets: time over the optimum, and refusals, for the main
cases of `pace_table`.

    python -m tests.benchmarks.pace_socket [--seconds 40] [--only NAME]

The server is the project's sandbox with a limit of 50/s; and nginx (`limit_req`) and HAProxy (a
stick table) in front of one without, where they are installed: limiters that nobody here wrote.
Each case pushes as many rows as the limit lets through in the seconds given. "Over optimum" is the
time that sending took, times the limit, by the number of rows; where a limiter lets a burst through
at once, it may be below 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.helpers import command, environment, numbered, sandbox_process, write_sheet

LIMIT = 50
"""Requests per second."""

NGINX = """
daemon off; pid {folder}/pid; error_log {folder}/errors;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    limit_req_zone $http_authorization zone=key:1m rate={limit}r/s;
    limit_req_status {status};
    upstream sandbox {{ server 127.0.0.1:{sandbox}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            limit_req zone=key burst={burst} nodelay;
            proxy_pass http://sandbox; proxy_http_version 1.1; proxy_set_header Connection "";
        }}
    }}
}}
"""
HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend limited
    bind 127.0.0.1:{port}
    stick-table type string len 80 size 1k expire 2m store http_req_rate({window}s)
    http-request track-sc0 req.hdr(authorization)
    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {requests} }}
    default_backend sandbox
backend sandbox
    server sandbox 127.0.0.1:{sandbox}
"""

Server = Callable[[], AbstractContextManager[str]]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    server: Server
    rate: str = "auto"
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Came:
    over: float
    refused: float
    requests_per_row: float


@contextmanager
def sandbox(headers: str, style: str = "token-bucket") -> Iterator[str]:
    limited = ("--limit", f"{LIMIT}/s", "--limit-headers", headers, "--limit-style", style)
    with sandbox_process("--accept-any", "--latency", "50ms", *limited) as witness:
        yield witness.base_url


@contextmanager
def in_front(program: Sequence[str], template: str, **words: object) -> Iterator[str]:
    """A limiter of that configuration in front of a sandbox without a limit."""
    with (
        sandbox_process("--accept-any", "--latency", "50ms") as witness,
        tempfile.TemporaryDirectory() as folder,
    ):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        file = Path(folder) / "limiter.conf"
        behind = witness.base_url.rpartition(":")[2]
        file.write_text(
            template.format(folder=folder, port=port, sandbox=behind, limit=LIMIT, **words)
        )
        limiter = subprocess.Popen(
            [*program, str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            _until_it_listens(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            limiter.terminate()
            limiter.wait(10)


def _until_it_listens(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)  # noqa: TID251 - a benchmark waits for a foreign program
    raise RuntimeError("the limiter does not listen")


def cases() -> Iterator[Case]:
    yield Case("limit given with --rate", partial(sandbox, "none", "sliding-window"), f"{LIMIT}/s")
    yield Case("limit in headers (RateLimit)", partial(sandbox, "ratelimit"))
    yield Case(
        "limit in headers (X-RateLimit), fixed window",
        partial(sandbox, "x-ratelimit", "fixed-window"),
    )
    yield Case("only 429 with Retry-After", partial(sandbox, "retry-after"))
    yield Case("only bare 429s", partial(sandbox, "none"))
    yield Case(
        "four processes, limit given",
        partial(sandbox, "none", "sliding-window"),
        f"{LIMIT}/s",
        processes=4,
    )
    yield Case("four processes, only bare 429s", partial(sandbox, "none"), processes=4)
    for status in (429, 503):
        if nginx := shutil.which("nginx"):
            limiter = partial(in_front, [nginx, "-c"], NGINX, status=status, burst=5)
            yield Case(f"nginx limit_req, burst 5, bare {status}s", limiter)
    if haproxy := shutil.which("haproxy"):
        for window in (1, 10):
            limiter = partial(
                in_front, [haproxy, "-f"], HAPROXY, window=window, requests=LIMIT * window
            )
            yield Case(f"HAProxy stick table, {window} s, bare 429s", limiter)


def push(case: Case, seconds: float) -> Came:
    """Push through that server, in so many processes at once with one key and one state folder."""
    rows = int(seconds * LIMIT) // case.processes * case.processes
    with tempfile.TemporaryDirectory() as name, case.server() as base_url:
        folder = Path(name)
        share = rows // case.processes
        runs = []
        for number in range(case.processes):
            sheet = write_sheet(
                folder / f"part-{number}.csv", numbered(share, first=number * share)
            )
            words = command(
                "push",
                sheet,
                "--base-url",
                base_url,
                "--json",
                "--workers",
                32,
                "--rate",
                case.rate,
            )
            runs.append(
                subprocess.Popen(
                    words, env=environment(XDG_STATE_HOME=name), stdout=subprocess.PIPE, text=True
                )
            )
        summaries = [json.loads(run.communicate()[0]) for run in runs]
    assert all(run.returncode == 0 for run in runs), summaries
    sending = max(summary["seconds"] for summary in summaries)
    requests = sum(summary["requests"] for summary in summaries)
    refused = sum(summary["throttled"] for summary in summaries)
    if (
        not refused
    ):  # a bare 503 is told apart from a fault only by what follows: it counts as a retry
        refused = sum(summary["retries"] for summary in summaries)
    return Came(sending * LIMIT / rows, 100 * refused / requests, requests / rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--only", default="")
    told = parser.parse_args()
    print(
        "| case, 50/s | time over optimum | refused per 100 requests | requests per row |\n"
        "|---|---|---|---|"
    )
    for case in cases():
        if told.only in case.name:
            came = push(case, told.seconds)
            print(
                f"| {case.name} | {came.over:.3f} | {came.refused:.2f} "
                f"| {came.requests_per_row:.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""What tests share: a sheet, a sandbox's witness, the program as a user starts it, clocks, and an
impolite server.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import anyio.lowlevel
from hypothesis import settings

TOKEN_HEADER = "X-Sandbox-Token"
KEY = "north_sk_test_c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry"
HEADER = ("unique_showing_key", "feedback", "rating")


def write_sheet(
    path: Path, rows: Sequence[Sequence[object]], header: Sequence[str] = HEADER
) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def numbered(count: int, *, first: int = 0) -> list[tuple[str, str, int]]:
    return [
        (f"ext_{number}", f"Liked it, number {number}", number % 5 + 1)
        for number in range(first, first + count)
    ]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@dataclass
class Witness:
    """What a sandbox saw; `token` is what its records want."""

    base_url: str
    token: str

    def get(self, path: str) -> Any:
        asked = urllib.request.Request(self.base_url + path, headers={TOKEN_HEADER: self.token})
        with urllib.request.urlopen(asked, timeout=30) as reply:
            return json.load(reply)

    def journal(self) -> list[dict[str, Any]]:
        return self.journal_after(0)

    def journal_after(self, seq: int) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = self.get(f"/_sandbox/journal?after={seq}")
        return entries

    def patches(self, after: int = 0) -> list[dict[str, Any]]:
        return [entry for entry in self.journal_after(after) if entry["method"] == "PATCH"]

    def showing(self, key: str) -> dict[str, Any]:
        found: dict[str, Any] = self.get("/_sandbox/showings/" + quote(key, safe=""))
        return found


@dataclass(frozen=True)
class Ran:
    """A program that ended."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads(self.out)
        return summary


def after_sending_line(err: str) -> str:
    """Standard error of a push without its first line, which names the address and the team."""
    first, _, rest = err.partition("\n")
    assert first.startswith("Sending "), err
    return rest


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "bulk_sync", *in_haste(arguments)]


def in_haste(arguments: Sequence[object]) -> list[str]:
    """The arguments, and a high rate for a push that names none: a search for the limit takes a
    second or more.
    """
    words = [*map(str, arguments)]
    return [*words, "--rate", "1000/s"] if "push" in words[:2] and "--rate" not in words else words


def environment(**changes: str) -> dict[str, str]:
    return {**os.environ, "NORTH_API_KEY": KEY, **changes}


def run(
    *arguments: object,
    cwd: Path | None = None,
    program: Callable[..., list[str]] = command,
    within: float = 120.0,
    **changes: str,
) -> Ran:
    """Run the program in a process of its own, for at most `within` seconds."""
    done = subprocess.run(
        program(*arguments),
        env=environment(**changes),
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@contextmanager
def started(
    *arguments: object, program: Callable[..., list[str]] = command, **options: Any
) -> Iterator[subprocess.Popen[str]]:
    """The program in a process of its own, on its way; killed in the end if it is there still.

    `options` are those of `subprocess.Popen`; its output is captured unless they say otherwise.
    """
    process = subprocess.Popen(
        program(*arguments),
        **{
            "env": environment(),
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            **options,
        },
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def when_sent(number: int, sent: Sequence[object], process: subprocess.Popen[Any]) -> None:
    """Wait until a server saw so many requests of a run, which must still be going on."""

    def enough() -> bool:
        assert process.poll() is None, "the run ended before"
        return len(sent) >= number

    poll(enough)


def signalled(process: subprocess.Popen[Any], number: signal.Signals) -> None:
    """Send a signal and wait until the kernel has handed it over."""
    process.send_signal(number)
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return  # macOS doesn't tell

    def handed_over() -> bool:
        lines = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
        return not any(int(lines[name], 16) for name in ("SigPnd", "ShdPnd"))

    poll(handed_over)


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let the kernel refuse to write files of this process beyond so many bytes, as on a full
    disk.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def sandbox_process(*options: object) -> Iterator[Witness]:
    """`bulk-sync sandbox` in a process of its own, on a free port."""
    process = subprocess.Popen(
        command("sandbox", "--port", 0, *options),
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "listening on" in line, line
        token = next(text for text in process.stdout if "?token=" in text).partition("?token=")[2]
        yield Witness(line.split("listening on ")[1].split()[0], token.strip())
    finally:
        process.terminate()
        process.communicate(timeout=30)


Seen = TypeVar("Seen")


def examples(share: float) -> int:
    """Return that share of the examples of Hypothesis's profile: few in the gate, many in a search.

    For tests whose examples are dear, or cheap.
    """
    return max(1, round(settings().max_examples * share))


def poll(until: Callable[[], Seen], within: float = 60.0) -> Seen:
    """Ask again and again until the answer is true, and return it.

    For what other processes and threads do, when they can't tell the test. `within` seconds are a
    safety net for a test that would hang, not a claim about speed.
    """
    last = time.monotonic() + within  # noqa: TID251 - other processes' time
    while not (seen := until()):
        assert time.monotonic() < last, f"not within {within} s"  # noqa: TID251 - same
        time.sleep(0.01)  # noqa: TID251 - same
    return seen


def let_pass(seconds: float) -> None:
    """Let time pass by the machine's clock, where nothing but that is to happen."""
    time.sleep(seconds)  # noqa: TID251 - other processes' time


async def turns(until: Callable[[], Seen], most: int = 10_000) -> Seen:
    """Let the other tasks of this event loop go on until the answer is true, and return it."""
    for _ in range(most):
        if seen := until():
            return seen
        await anyio.lowlevel.checkpoint()
    raise AssertionError(f"not within {most} turns of the event loop")


class SimulatedClock:
    """Time that passes only when somebody sleeps; for one sleeper at a time."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 3, 2, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        assert seconds >= 0, "anyio refuses to sleep for a negative time"
        await anyio.lowlevel.checkpoint()
        self.seconds += seconds
        self.slept.append(seconds)


Answering = Callable[[socket.socket, bytes], None]


@contextmanager
def raw_server(
    answer: Answering, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> Iterator[str]:
    """A server that hands each connection, once a request is read, to `answer`: for what uvicorn is
    too polite for.

    `host` is how the address that it yields names this machine.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            try:
                with (
                    connection
                    if tls is None
                    else tls.wrap_socket(connection, server_side=True) as stream
                ):
                    while request := _read_request(stream):
                        answer(stream, request)
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"{'http' if tls is None else 'https'}://{host}:{listener.getsockname()[1]}"
    finally:
        stopping.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ),
        0,
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X",
        f"Content-Length: {len(body) if length is None else length}",
        *headers,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + body


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

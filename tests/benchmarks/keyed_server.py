"""A stand-in for North that limits each key by itself, fast enough for hundreds of keys.

    python -m tests.benchmarks.keyed_server QUOTA WINDOW_SECONDS TOLD SPEED

It acknowledges every change, keeps no showings, and answers `GET /_keys` with what it saw of each
key. The sandbox records every request in a database, which takes a CPU at the rates of 300 keys.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from tests.models.rules import SlidingLog

TOLD = ("headers", "none")
LATENCY_SECONDS = 0.03


@dataclass
class OfKey:
    """What came with a key; `first` and `last` are instants of the machine's monotonic clock.

    `first` is the arrival of the first change, `last` the reply to the last one.
    """

    first: float = 0.0
    last: float = 0.0
    passed: int = 0
    refused: int = 0
    account: int = 0


@dataclass
class _Team:
    rule: SlidingLog
    seen: OfKey = field(default_factory=OfKey)


class KeyedServer:
    """The limits and counts of all keys. Its time passes `speed` times as fast."""

    def __init__(self, quota: int, window_seconds: float, told: str, speed: float) -> None:
        self._quota, self._window = quota, window_seconds
        self._told, self._speed = told, speed
        self._teams: dict[bytes, _Team] = {}
        self._loop = asyncio.get_running_loop()

    def serve(self, head: bytes) -> tuple[float, bytes]:
        """Return the reply to a request, and after how many real seconds it is due."""
        now = self._loop.time()
        first, *lines = head.split(b"\r\n")
        method, path, _ = first.split(b" ")
        if path == b"/_keys":
            keys = {key.decode(): asdict(team.seen) for key, team in self._teams.items()}
            return 0.0, _reply(200, json.dumps(keys).encode(), b"")
        key = next(line[22:] for line in lines if line[:15].lower() == b"authorization: ")
        team = self._teams.get(key)
        if team is None:
            team = self._teams[key] = _Team(SlidingLog(self._quota, self._window))
        fast = now * self._speed
        wait = team.rule.wait(fast, 0)
        if wait:
            team.seen.refused += 1
            team.rule.refused(fast)
        else:
            team.rule.passed(fast)
        headers = self._headers(team, fast)
        took = LATENCY_SECONDS / self._speed
        if wait:
            return took, _reply(429, b'{"detail": "Too many requests"}', headers)
        if method == b"GET":
            team.seen.account += 1
            return took, _reply(200, _account(key), headers)
        team.seen.passed += 1
        team.seen.first = team.seen.first or now
        team.seen.last = now + took
        return took, _reply(200, _updated(path), headers)

    def _headers(self, team: _Team, fast: float) -> bytes:
        if self._told == "none":
            return b""
        (count,) = team.rule.counts(fast)
        # draft-ietf-httpapi-ratelimit-headers-08
        reset = max(1, -int(-count.reset_seconds // 1))
        return (
            f'RateLimit-Policy: "default";q={count.quota};w={count.window_seconds:.0f}\r\n'
            f'RateLimit: "default";r={count.remaining};t={reset}\r\n'
        ).encode()


def _updated(path: bytes) -> bytes:
    # Each showing has an id of its own: one for all would be evidence of a broken API.
    showing = uuid.UUID(bytes=hashlib.blake2b(path, digest_size=16).digest())
    return b'{"data": {"id": "%s"}, "message": "Showing updated successfully"}' % (
        str(showing).encode()
    )


def _account(key: bytes) -> bytes:
    name = key.decode()[-32:]
    permissions = {"showings": ["create", "read", "update"]}
    content = {
        "data": {
            "team": {"id": name, "name": name},
            "subscription": {"plan": "professional", "status": "active"},
            "api_key": {"permissions": permissions, "rate_limit": {"tier": "standard"}},
        }
    }
    return json.dumps(content).encode()


def _reply(status: int, body: bytes, headers: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b\r\n%b" % (
        status,
        len(body),
        headers,
        body,
    )


class _Connection(asyncio.Protocol):
    def __init__(self, server: KeyedServer) -> None:
        self._server = server
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            at = head.lower().find(b"\r\ncontent-length:")
            length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            seconds, reply = self._server.serve(head)
            asyncio.get_running_loop().call_later(seconds, self._write, reply)

    def _write(self, reply: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(reply)


async def _serve(quota: int, window_seconds: float, told: str, speed: float) -> None:
    keyed = KeyedServer(quota, window_seconds, told, speed)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(keyed), "127.0.0.1", 0, backlog=4096)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


@contextmanager
def keyed_server(quota: int, window_seconds: float, told: str, speed: float = 1.0) -> Iterator[str]:
    """Run the server in a process of its own; yield its URL."""
    numbers = map(repr, (quota, window_seconds))
    words = [sys.executable, "-m", "tests.benchmarks.keyed_server", *numbers, told, repr(speed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def seen_by(base_url: str) -> dict[str, OfKey]:
    """Return what a server saw of each key."""
    with urllib.request.urlopen(f"{base_url}/_keys") as reply:
        return {key: OfKey(**seen) for key, seen in json.load(reply).items()}


if __name__ == "__main__":
    given = sys.argv[1:]
    asyncio.run(_serve(int(given[0]), float(given[1]), given[2], float(given[3])))

"""A North API whose replies are out of step with the requests; it knows which ones it has read.

A plan draws a deed for each request from seeded dice: what is written on the connection before,
with or after the reply. The witness of a push are the showings that were read and the id of each: a
row that was never read is not acknowledged, and no row has the id of another showing.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from bulk_sync.clock import SystemClock
from tests.helpers import read_csv, reply

DEEDS = (
    "late",  # the reply once more, after a while
    "twice",  # the reply once more, at once
    "tail",  # bytes beyond the length that the head states
    "short",  # a length that cuts the body
    "interim",  # many interim replies before the final one
    "blind",  # the reply of another showing as soon as a connection opens, without reading
    "unread",  # the reply of another showing for the next request, without reading that
    "swapped",  # the reply to another request that is in flight
    "before body",  # the reply to the request before, after the head alone was read
    "idle 408",  # 408 and the end of the connection, while it is idle
)

_clock = SystemClock()
_NAMES = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


def id_of(key: str) -> str:
    """The id that this API has for a key."""
    return str(uuid.uuid5(_NAMES, key))


@dataclass(frozen=True)
class Plan:
    """Which deeds are done, how often, and how late a reply comes and what is late, in seconds."""

    seed: int
    deeds: Sequence[str] = DEEDS
    share: float = 0.1
    latency: float = 0.0
    late: float = 0.004


@dataclass
class OddApi:
    """What the API has read; each list is in order of arrival."""

    plan: Plan
    base_url: str = ""
    read: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)
    _last: dict[str, bytes] = field(default_factory=dict)
    _held: list[tuple[bytes, asyncio.StreamWriter]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.plan.seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._serve(reader, writer)
        writer.close()

    def _draw(self, *among: str) -> str | None:
        fit = [deed for deed in self.plan.deeds if deed in among]
        if not fit or self._dice.random() >= self.plan.share:
            return None
        deed = self._dice.choice(fit)
        self.done[deed] = self.done.get(deed, 0) + 1
        return deed

    def _another(self) -> bytes:
        return self._dice.choice([*self._last.values()][-20:])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._last and self._draw("blind"):
            writer.write(self._another())
            await _clock.sleep(self.plan.late)
            return
        before = b""
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            method, path, _ = lines[0].split(" ")
            length = next(
                (int(one[15:]) for one in lines if one.lower().startswith("content-length:")), 0
            )
            if method == "GET":
                writer.write(reply(404, b'{"error": {"message": "Not found"}}'))
                continue
            if before and self._draw("before body"):
                writer.write(before)
                await _clock.sleep(self.plan.late)
                return
            body = json.loads(await reader.readexactly(length))
            key = unquote(path.rpartition("/")[2])
            self.read.append(key)
            said = self._acknowledgement(key, body)
            if self.plan.latency:
                await _clock.sleep(self.plan.latency)
            await self._answer(said, writer)
            if writer.is_closing():
                return
            self._last[key] = before = said

    def _acknowledgement(self, key: str, body: dict[str, object]) -> bytes:
        data: dict[str, object] = {"id": id_of(key), "updated_at": "2026-03-02T15:00:00Z"}
        data |= {name: body[name] for name in ("feedback", "showing_date") if name in body}
        said = json.dumps({"data": data, "message": "Showing updated successfully"}).encode()
        return reply(200, said, "Content-Type: application/json")

    async def _answer(self, said: bytes, writer: asyncio.StreamWriter) -> None:
        match self._draw(*(deed for deed in DEEDS if deed not in {"blind", "before body"})):
            case "late":
                writer.write(said)
                asyncio.get_running_loop().call_later(self.plan.late, writer.write, said)
            case "twice":
                writer.write(said * 2)
            case "tail":
                writer.write(said + b'"}}')
            case "short":
                head, _, body = said.partition(b"\r\n\r\n")
                told = head.replace(str(len(body)).encode(), str(len(body) - 9).encode())
                writer.write(told + b"\r\n\r\n" + body)
            case "interim":
                writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 50 + said)
            case "unread":
                writer.write(said)
                await _clock.sleep(self.plan.late)
                writer.write(said)
                await _clock.sleep(self.plan.late)
                writer.close()
            case "swapped":
                self._held.append((said, writer))
                if len(self._held) == 2:
                    (first, one), (second, other) = self._held
                    self._held.clear()
                    one.write(second)
                    other.write(first)
                else:
                    asyncio.get_running_loop().call_later(0.2, self._let_go)
            case "idle 408":
                writer.write(said)
                await _clock.sleep(self.plan.late)
                writer.write(reply(408, b"", "Connection: close"))
                writer.close()
            case _:
                writer.write(said)

    def _let_go(self) -> None:
        for said, writer in self._held:
            writer.write(said)
        self._held.clear()


@contextmanager
def odd_api(plan: Plan) -> Iterator[OddApi]:
    """Run such an API on loopback, in a thread."""
    api, ready, ended = OddApi(plan), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        server = await asyncio.start_server(api.serve, "127.0.0.1", 0, backlog=512)
        loops.append(asyncio.get_running_loop())
        api.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ready.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(60)
    try:
        yield api
    finally:
        loops[0].call_soon_threadsafe(ended.set)
        thread.join(60)


@dataclass(frozen=True)
class Found:
    """What the results of a push claim, against the witness: numbers of rows."""

    rows: int
    acknowledged: int
    never_read: int
    of_another: int

    @classmethod
    def of(cls, results: Path, api: OddApi) -> Found:
        rows = read_csv(results)
        good = [row for row in rows if row["state"] in {"updated", "created"}]
        read = set(api.read)
        return cls(
            len(rows),
            len(good),
            sum(row["unique_showing_key"] not in read for row in good),
            sum(row["showing_id"] not in {"", id_of(row["unique_showing_key"])} for row in rows),
        )

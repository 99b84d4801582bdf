"""A North API that breaks by script, one socket call at a time; its journal is the truth of a test.

A script says for a request, and how many came with that key so far, what is done to the
connection: a deed. Deeds write bytes as they are told, so they can be wrong in any way.
"""

from __future__ import annotations

import itertools
import json
import re
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from bulk_sync.clock import SystemClock
from tests.helpers import let_pass, raw_server, reply, reset

Deed = Callable[[socket.socket], None]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_of_thread = threading.local()
"""The latest request of each connection, which has a thread of its own."""


@dataclass(frozen=True)
class Request:
    """A request as it came in, `at` seconds of the machine's monotonic clock."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @classmethod
    def read(cls, data: bytes) -> Request:
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        return cls(method, path, headers, body, SystemClock().monotonic())

    @property
    def key(self) -> str:
        return unquote(self.path.rpartition("/")[2])

    @property
    def patch(self) -> Any:
        return json.loads(self.body)


Script = Callable[[Request, int], Deed]


@dataclass
class Journal:
    """What came, in order of arrival.

    `requests` are those that the script answered, `account` those for users/me that `me` answered.
    """

    base_url: str
    requests: list[Request] = field(default_factory=list)
    account: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, request: Request) -> int:
        """Note a request; returns how many of this key came."""
        with self.lock:
            self.requests.append(request)
            return len(self.of(request.key))

    def of(self, key: str) -> list[Request]:
        return [request for request in self.requests if request.key == key]

    @property
    def patched(self) -> list[str]:
        return [request.key for request in self.requests if request.method == "PATCH"]


@contextmanager
def fault_server(
    script: Script,
    *,
    me: Deed | None = None,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Journal]:
    """A server on loopback that does as `script` says; users/me does as `me` says, if given."""

    def answer(connection: socket.socket, data: bytes) -> None:
        request = _of_thread.request = Request.read(data)
        if me is not None and (request.method, request.key) == ("GET", "me"):
            journal.account.append(request)
            me(connection)
        else:
            script(request, journal.add(request))(connection)

    with raw_server(answer, tls=tls, host=host) as base_url:
        journal = Journal(base_url)
        yield journal


# Deeds


def says(data: bytes, *, then: str = "keep") -> Deed:
    """Send these bytes; then keep the connection, close it (once more was read), reset it, or say
    no more.
    """

    def deed(connection: socket.socket) -> None:
        connection.sendall(data)
        if then == "close":
            connection.close()
        elif then == "read and close":
            connection.recv(65536)  # what is left unread would make it a reset
            connection.close()
        elif then == "reset":
            reset(connection)
        elif then == "hang":
            connection.recv(1)

    return deed


def answers(status: int, body: object = None, *headers: str) -> Deed:
    """A well-formed reply with a body of JSON, or none."""
    return says(reply(status, b"" if body is None else json.dumps(body).encode(), *headers))


def refuses(status: int, message: str, *headers: str) -> Deed:
    """The contract's error."""
    return answers(status, {"error": {"message": message, "status": status}}, *headers)


ID = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
ACKNOWLEDGED = reply(
    200,
    f'{{"data": {{"id": "{ID}", "updated_at": "2026-03-02T15:00:00Z"}}, "message": "ok"}}'.encode(),
    "Content-Type: application/json",
)


def good(connection: socket.socket) -> None:
    """Acknowledge the request, with an id of its showing's own."""
    key = _of_thread.request.key
    own_id = key if _UUID.fullmatch(key) else str(uuid.uuid5(uuid.NAMESPACE_URL, key))
    connection.sendall(ACKNOWLEDGED.replace(ID.encode(), own_id.encode()))


hangs = says(b"", then="hang")
closes = says(b"", then="close")
resets = says(b"", then="reset")


no_account = refuses(404, "Not found")
"""The answer to users/me of an API that has no such endpoint."""


def account(**parts: object) -> Deed:
    """Answer users/me in the published shape, with these parts of `data`."""
    return answers(200, {"data": parts}, "Content-Type: application/json")


def team(name: str, id: str) -> Deed:  # noqa: A002 - the API's word
    """Answer users/me with a team and nothing else."""
    return account(team={"id": id, "name": name})


def held(release: threading.Event, then: Deed = good) -> Deed:
    """Do that once it is released, or after two minutes, so that no test hangs."""

    def deed(connection: socket.socket) -> None:
        release.wait(120)
        then(connection)

    return deed


def slowly(seconds: float, then: Deed) -> Deed:
    """Do that after this time, as an API does that is far away or has work to do."""

    def deed(connection: socket.socket) -> None:
        let_pass(seconds)
        then(connection)

    return deed


# Scripts


def always(deed: Deed) -> Script:
    return lambda _, __: deed


def in_turn(*deeds: Deed) -> Script:
    """For each key the deeds one after the other; the last one stays."""
    return lambda _, number: deeds[min(number, len(deeds)) - 1]


all_good = always(good)


def first(number: int, deed: Deed, *, then: Deed) -> Script:
    """One deed for so many requests, another for all that follow, whatever their keys."""
    counting = itertools.count(1)  # atomic, and so fit for many threads
    return lambda _, __: deed if next(counting) <= number else then


def for_keys(scripts: dict[str, Script], *, others: Script = all_good) -> Script:
    """A script of its own for some keys; what is no patch is answered like the other keys."""
    return lambda request, number: scripts.get(request.key, others)(request, number)

"""HTTP/1.1 through httptools, the parser of Node.js, on connections that are protocols of the event
loop itself.

Nothing lies between a worker and its socket: no thread to hand to, no pool to search, no stream to
read from. That makes it the fastest way, and a narrow one: straight to the API, through no proxy.
Comes with the extra `fast`. It is stricter than the others in two things that RFC 9112 lets a
client refuse: headers that are folded over several lines, and a length that is stated twice, be it
the same.

Invariants:

1. A connection carries one request at a time. Its next one leaves only after the whole reply, and
   only if nothing else
   came with it or after it: bytes too many that come before the next request leaves are never the
   answer to it.
2. What was written may have arrived. Before the write nothing can have. Requests to a server that
   answers fast are
   written together, once those of this turn of the loop are known: if it was idle it is woken once,
   not by each. One that is far is written to at once. A connection on which something comes until
   then is not written to.
3. A request ends by its deadline, and a connection whose reply is not whole ends with it.
4. A head whose bytes were parsed before, and that states the length of its body, means what it
   meant then. So the
   parser is asked only when a head is another one, or does not come in one piece with its whole
   body.
"""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
import ssl
import sys
from asyncio import AbstractEventLoop, BaseTransport, Future, Protocol, TimerHandle, Transport
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import certifi
import idna
from aiohappyeyeballs import start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from pydantic import SecretStr

from bulk_sync.send.transport.broken import broken, not_connected
from bulk_sync.send.transport.interface import (
    CONNECT_SECONDS,
    KEEPALIVE_SECONDS,
    LARGEST_REPLY,
    Failure,
    Reply,
)
from bulk_sync.send.transport.replies import TOO_LARGE, TWO_LENGTHS, Masking, unfit

_LARGEST_HEAD = 128 << 10
"""Bytes of a reply's head, interim replies apart; Apache and nginx stay under 64 KiB."""

_LARGEST_ON_THE_WIRE = 2 * LARGEST_REPLY
"""Bytes of a reply with all that chunks add to it."""

_OTHER_ADDRESS_SECONDS = 0.25
"""So long a host's first address has before the next is tried beside it (RFC 8305, section 5)."""

_NEAR_SECONDS = 0.01
"""A server that answers within that is near: what it costs to wake it counts for more than what
waiting costs.
"""

_SWITCHING_PROTOCOLS = 101


class HttptoolsTransport:
    """Connections of one request at a time, made when they are needed; made by `open_httptools`."""

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        *,
        timeout_seconds: float,
        user_agent: str,
        trusted: ssl.SSLContext | None,
    ) -> None:
        parts = urlsplit(base_url)
        self._host = _ascii_host(parts.hostname or "")
        self._port = parts.port or {"https": 443}.get(parts.scheme, 80)
        self._where = f"{parts.hostname}:{self._port}"
        self._path = parts.path.rstrip("/")
        self._trusted = trusted
        self._timeout = timeout_seconds
        self._connect_timeout = min(CONNECT_SECONDS, timeout_seconds)
        self._masking = Masking(key)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self._head = (
            f" HTTP/1.1\r\nHost: {host}{'' if parts.port is None else f':{parts.port}'}\r\n"
            f"Authorization: Bearer {key.get_secret_value()}\r\n"
            "Accept: application/json\r\nAccept-Encoding: identity\r\n"
            f"User-Agent: {user_agent}\r\n"
        )
        self._free: list[
            _Connection
        ] = []  # the one used last goes first, so that few stay open when few do
        self._open: set[_Connection] = set()
        self._asked: list[_Connection] = []  # whose requests are to be written
        self._is_near = False  # as the latest reply told
        self._heads: dict[bytes, _Head] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: TimerHandle | None = None
        self._timer_at = math.inf

    def patch(
        self, path: str, body: bytes, idempotency_key: str
    ) -> Coroutine[Any, Any, Reply | Failure]:
        """Send a patch."""
        head = (
            f"PATCH {self._path}{path}{self._head}Content-Type: application/json\r\n"
            f"Idempotency-Key: {idempotency_key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return self._exchange(head.encode("ascii") + body)

    def get(self, path: str) -> Coroutine[Any, Any, Reply | Failure]:
        """Ask for a resource."""
        return self._exchange(f"GET {self._path}{path}{self._head}\r\n".encode("ascii"))

    def close(self) -> None:
        """Close every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._open):
            connection.end()

    async def _exchange(self, request: bytes) -> Reply | Failure:
        begun = self._loop.time()
        deadline = begun + self._timeout
        seen: Reply | Failure | None = None
        while seen is None:  # a connection that had rested was of no use, and nothing was written
            rested = self._rested(begun)
            connection = rested or await self._connect()
            if isinstance(connection, Failure):
                return connection
            if deadline < self._timer_at:
                self._look_at(deadline)
            answer = connection.ask(request, deadline)
            if not self._is_near:
                connection.write()
            else:
                if not self._asked:
                    self._loop.call_soon(self._write)
                self._asked.append(connection)
            try:
                seen = await answer
            finally:
                connection.let_go()
                if connection.fit:
                    connection.rests_since = now = self._loop.time()
                    self._is_near = now - begun < _NEAR_SECONDS
                    self._free.append(connection)
                else:
                    connection.end()
            if seen is None and rested is None:
                what = f"{self._where} closed the connection at once"
                return Failure("connection", what, may_have_arrived=False)
        return seen

    def _write(self) -> None:
        asked, self._asked = self._asked, []
        for connection in asked:
            connection.write()

    def _rested(self, now: float) -> _Connection | None:
        """A connection that rested a little, and nothing came on it meanwhile."""
        while self._free:
            connection = self._free.pop()
            rested = now - connection.rests_since
            # Without rest, that is within one turn of the loop: all that had come then was read.
            if not rested or (rested < KEEPALIVE_SECONDS and not connection.has_unread()):
                return connection
            connection.end()
        return None

    def _look_at(self, deadline: float) -> None:
        """One timer for all requests: it is set for the first that may be late."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._end_what_is_late)
        self._timer_at = deadline

    def _end_what_is_late(self) -> None:
        now = self._loop.time()
        open_until = [
            until
            for connection in self._open
            if (until := connection.settle_if_late(now)) is not None
        ]
        self._timer, self._timer_at = None, math.inf
        if open_until:
            self._look_at(min(open_until))

    async def _connect(self) -> _Connection | Failure:
        try:
            async with asyncio.timeout(self._connect_timeout):
                addresses = await self._loop.getaddrinfo(
                    self._host, self._port, type=socket.SOCK_STREAM
                )
                opened = await start_connection(
                    addresses, happy_eyeballs_delay=_OTHER_ADDRESS_SECONDS
                )
                _, connection = await self._loop.create_connection(
                    self._new_connection,
                    sock=opened,
                    ssl=self._trusted,
                    server_hostname=None if self._trusted is None else self._host,
                )
                return connection
        except TimeoutError:
            what = f"{self._where} took no connection within {self._connect_timeout:g} s"
            return Failure("timeout", what, may_have_arrived=False)
        except (OSError, UnicodeError) as error:
            return not_connected(error, self._where)

    def _new_connection(self) -> _Connection:
        return _Connection(
            self._loop, self._where, self._masking, self._timeout, self._open, self._heads
        )


class _Head(NamedTuple):
    """What a head means that was parsed before: a final reply, which keeps the connection."""

    status: int
    headers: Mapping[str, str]
    body_bytes: int


_MOST_HEADS = 64
"""So many heads are known at once; those of one API differ in the second that `Date` tells, if in
nothing else.
"""

_LONGEST_KNOWN_HEAD = 4096
"""Bytes; longer ones are not kept."""


class _Connection(Protocol):
    """One connection. What comes on it goes to the parser, and the parser calls the `on_...`
    methods.
    """

    _transport: Transport
    _unread: Callable[[], object]

    def __init__(
        self,
        loop: AbstractEventLoop,
        where: str,
        masking: Masking,
        timeout_seconds: float,
        among: set[_Connection],
        heads: dict[bytes, _Head],
    ) -> None:
        self._heads = heads
        self._loop = loop
        self._where = where
        self._masking = masking
        self._timeout = timeout_seconds
        self._among = among
        self._parser = HttpResponseParser(self)
        self._waiter: Future[Reply | Failure | None] | None = None
        self._unwritten: bytes | None = None
        self._deadline = 0.0
        self._lost = False
        self._nothing_came = True  # since the request went out, for the parser
        self.fit = False
        """Another request may be sent over it."""
        self.rests_since = 0.0
        self._expect()

    def _expect(self) -> None:
        """Know nothing yet of the reply to come."""
        self._status = 0
        self._headers: list[tuple[str, str]] = []
        self._told: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._wire_bytes = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._head_read = False

    def ask(self, request: bytes, deadline: float) -> Future[Reply | Failure | None]:
        """Hold a request for `write`; what is returned is there with the whole reply, or once it is
        too late.

        It is None when the request was not written. To be followed by `let_go`, whatever becomes of
        it.
        """
        self._waiter = waiter = self._loop.create_future()
        self.fit = False
        if not self._nothing_came:
            self._expect()
            self._nothing_came = True
        self._deadline = deadline
        self._unwritten = request
        return waiter

    def write(self) -> None:
        """Write the request, if it is still wanted and the connection good for it."""
        request, self._unwritten = self._unwritten, None
        if request is None or not self._is_awaited():
            return
        if self._lost or self._transport.is_closing():
            self._settle(None)
        else:
            self._transport.write(request)

    def let_go(self) -> None:
        """Nobody waits any more."""
        self._waiter = self._unwritten = None

    def settle_if_late(self, now: float) -> float | None:
        """The deadline of what is still awaited; what is late has failed."""
        if not self._is_awaited():
            return None
        if self._deadline > now:
            return self._deadline
        self._settle(
            Failure("timeout", f"no whole reply within {self._timeout:g} s", may_have_arrived=True)
        )
        return None

    def has_unread(self) -> bool:
        """True when something came since, were it only the end: what is read next may not be the
        next reply.
        """
        return self._lost or self._transport.is_closing() or bool(self._unread())

    def end(self) -> None:
        """Close it at once."""
        self.fit = False
        self._transport.abort()

    def _is_awaited(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _settle(self, seen: Reply | Failure | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(seen)

    def _wrong(self, what: str) -> None:
        self._settle(Failure("bad_reply", f"{self._where} {what}", may_have_arrived=True))

    # What the event loop calls

    def connection_made(self, transport: BaseTransport) -> None:
        """There is a connection."""
        self._transport = cast("Transport", transport)
        self._among.add(self)
        number = transport.get_extra_info("socket").fileno()
        if sys.platform == "win32":
            self._unread = lambda: select.select([number], [], [], 0)[0]
        else:
            poll = select.poll()
            poll.register(number, select.POLLIN)
            self._unread = lambda: poll.poll(0)

    def data_received(self, data: bytes) -> None:
        """Read a piece of a reply."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.end()  # nothing was asked
            return
        if self._unwritten is not None:
            self._unwritten = None
            self._settle(None)
            return
        if self._nothing_came:
            end = data.find(b"\r\n\r\n") + 4
            known = self._heads.get(data[:end])
            if known is not None and len(data) == end + known.body_bytes:
                self.fit = True
                waiter.set_result(
                    Reply(known.status, known.headers, self._masking.body(data[end:]))
                )
                return
            self._nothing_came = False
        self._wire_bytes += len(data)  # an interim reply in it lets the count begin again
        try:
            with suppress(HttpParserUpgrade):  # the head said so already
                self._parser.feed_data(data)
        except HttpParserError as error:
            self.fit = False
            self._settle(TWO_LENGTHS) if "Transfer-Encoding" in str(error) else self._wrong(
                _NOT_WELL_FORMED
            )
        if not self._head_read and self._wire_bytes > _LARGEST_HEAD:
            self._wrong(_HEAD_TOO_LONG)
        elif self._wire_bytes > _LARGEST_ON_THE_WIRE:
            self._settle(TOO_LARGE)
        elif self.fit and self._wire_bytes == len(data):
            self._remember(data)

    def _remember(self, reply: bytes) -> None:
        """Know the head of a reply that came in one piece, when it says where the reply ends."""
        end = reply.find(b"\r\n\r\n") + 4
        if (
            "transfer-encoding" not in self._told
            and self._told.get("content-length") == str(self._body_bytes)
            and len(reply) == end + self._body_bytes
            and end <= _LONGEST_KNOWN_HEAD
        ):
            if len(self._heads) >= _MOST_HEADS:
                self._heads.clear()
            self._heads[reply[:end]] = _Head(self._status, self._told, self._body_bytes)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended; so does a reply that states no length."""
        self._lost = True
        self.fit = False
        self._among.discard(self)
        if self._unwritten is not None:
            self._settle(None)
        elif exc is not None:
            self._settle(Failure("connection", broken(exc, self._where), may_have_arrived=True))
        elif not self._head_read:
            what = f"{self._where} closed the connection without an answer"
            self._settle(Failure("connection", what, may_have_arrived=True))
        elif "content-length" in self._told or "transfer-encoding" in self._told:
            self._wrong("closed the connection in the middle of a reply")
        else:
            self._settle(self._reply())

    # What the parser calls

    def on_message_begin(self) -> None:
        """A reply begins; when the awaited one was there already, it is one too many."""
        if not self._is_awaited():
            self.fit = False
        elif self._status:  # what came was an interim one
            self._expect()

    def on_status(self, reason: bytes) -> None:
        """The words after the status, which say nothing to us."""
        if b"\0" in reason:
            self._wrong(_NOT_WELL_FORMED)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or after the body a trailer, which says nothing to us."""
        if not self._head_read:
            self._head_bytes += len(name) + len(value)
            self._headers.append((_lower(name), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        """The head is there, be it an interim one."""
        self._status = status = self._parser.get_status_code()
        if (status < 200 and status != _SWITCHING_PROTOCOLS) or not self._is_awaited():
            return
        self._head_read = True
        self._told = self._masking.headers(self._headers)
        wrong = unfit(status, f"HTTP/{self._parser.get_http_version()}", self._told)
        if wrong is not None:
            self._settle(wrong)
        elif self._head_bytes > _LARGEST_HEAD:
            self._wrong(_HEAD_TOO_LONG)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes <= LARGEST_REPLY:
            self._pieces.append(body)
        else:
            self._settle(TOO_LARGE)

    def on_message_complete(self) -> None:
        """The reply is whole, if it is more than an interim one."""
        if self._head_read and self._is_awaited():
            self.fit = self._parser.should_keep_alive()
            self._settle(self._reply())

    def _reply(self) -> Reply:
        return Reply(self._status, self._told, self._masking.body(b"".join(self._pieces)))


# In our words: a log reads the same with every transport.
_HEAD_TOO_LONG = "sent a reply whose head is too long"
_NOT_WELL_FORMED = "sent no well-formed reply"


@lru_cache(maxsize=256)
def _lower(name: bytes) -> str:
    return name.decode("latin-1").lower()


def _ascii_host(host: str) -> str:
    """A host as it travels; raises UnicodeError, which is a ValueError, for one that can't."""
    plain = host.isascii() and "xn--" not in host.lower()
    return host if plain else idna.encode(host, uts46=True).decode("ascii")


@asynccontextmanager
async def open_httptools(
    base_url: str, key: SecretStr, *, timeout_seconds: float, user_agent: str
) -> AsyncIterator[HttptoolsTransport]:
    """Open a transport straight to `base_url`.

    Raises ValueError for an address that can't be used, OSError when certificates can't be read.
    """
    trusted = _trusted() if base_url.startswith("https:") else None
    transport = HttptoolsTransport(
        base_url, key, timeout_seconds=timeout_seconds, user_agent=user_agent, trusted=trusted
    )
    try:
        yield transport
    finally:
        transport.close()


def _trusted() -> ssl.SSLContext:
    """Trust whom httpx trusts: the certificates that the environment names, else Mozilla's."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or not folder:
        context = ssl.create_default_context(cafile=file or certifi.where())
    else:
        context = ssl.create_default_context(capath=folder)
    context.set_alpn_protocols(["http/1.1"])
    return context

"""HTTP/1.1 through httptools, the parser of Node.js, without proxies.

Nothing lies between a worker and its socket: no thread, no pool to search, no stream. That makes it
the fastest transport. It comes with the extra `fast`. It accepts the replies that httpx accepts,
except trailers whose lines end with LF alone.

Invariants, with `connection` and `parsing`:

1. A connection carries one request at a time. The next one leaves only after the whole reply, and
   only if nothing else arrived with or after it: surplus bytes are never taken for the reply to a
   later request.
2. A request may have arrived from its write on, and never before. A connection on which something
   arrives before the write, a new one included, is not written to.
3. A request ends by its deadline, and a connection without a whole reply is closed with it.
4. After surplus bytes each connection carries one request only, because later ones might arrive
   between the look at an idle connection and the write.
5. Of several replies to one request none counts, unless its connection had carried no other: the
   first may be late, and about an earlier request. A 2xx that comes before the whole request was
   written is no reply to it.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from asyncio import TimerHandle
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
import idna
from aiohappyeyeballs import start_connection
from pydantic import SecretStr

from bulk_sync.send.transport.broken import not_connected
from bulk_sync.send.transport.connection import Connection
from bulk_sync.send.transport.interface import (
    CONNECT_SECONDS,
    KEEPALIVE_SECONDS,
    Failure,
    Reply,
)
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.parsing import Head, ReplyParser
from bulk_sync.send.transport.replies import unasked

# The delay before the next address of a host is tried as well (RFC 8305, section 5).
_OTHER_ADDRESS_SECONDS = 0.25

# A server that replies within this time is near: there, waking it for each request costs more than
# the short wait until several requests are written together.
_NEAR_SECONDS = 0.01


class HttptoolsTransport:
    """Keep-alive connections, opened as needed; made by `open_httptools`."""

    def __init__(
        self,
        base_url: str,
        key: SecretStr,
        *,
        timeout_seconds: float,
        user_agent: str,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        parts = urlsplit(base_url)
        self._host = _ascii_host(parts.hostname or "")
        self._port = parts.port or {"https": 443}.get(parts.scheme, 80)
        self._where = f"{parts.hostname}:{self._port}"
        self._path = parts.path.rstrip("/")
        self._ssl_context = ssl_context
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
        # A stack: the connection used last is reused first, so that few stay open if few suffice.
        self._free: list[Connection] = []
        self._keeps_alive = True
        self._open: set[Connection] = set()
        self._prepared: list[Connection] = []
        """Connections whose requests are written together, later in this turn of the event loop."""
        self._is_near = False  # by the latest reply
        self._heads: dict[bytes, Head] = {}
        self._loop = asyncio.get_running_loop()
        self._timer: TimerHandle | None = None
        self._timer_at = math.inf

    def patch(
        self, path: str, body: bytes, idempotency_key: str
    ) -> Coroutine[Any, Any, Reply | Failure]:
        """Send a patch."""
        return self._exchange(self._with_body("PATCH", path, body, idempotency_key))

    def post(
        self, path: str, body: bytes, idempotency_key: str
    ) -> Coroutine[Any, Any, Reply | Failure]:
        """Create a resource."""
        return self._exchange(self._with_body("POST", path, body, idempotency_key))

    def get(self, path: str) -> Coroutine[Any, Any, Reply | Failure]:
        """Request a resource."""
        return self._exchange(f"GET {self._path}{path}{self._head}\r\n".encode("ascii"))

    def _with_body(self, method: str, path: str, body: bytes, idempotency_key: str) -> bytes:
        head = (
            f"{method} {self._path}{path}{self._head}Content-Type: application/json\r\n"
            f"Idempotency-Key: {idempotency_key}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode("ascii") + body

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
        while seen is None:  # nothing was written, because an idle connection had been closed
            idle = self._take_idle(begun)
            connection = idle or await self._connect()
            if isinstance(connection, Failure):
                return connection
            if idle is None and self._ssl_context is None and connection.has_unread():
                connection.end_soon()
                return unasked(self._where)
            if deadline < self._timer_at:
                self._set_timer(deadline)
            answer = connection.prepare(request, deadline)
            if not self._is_near:
                connection.write()
            else:
                if not self._prepared:
                    self._loop.call_soon(self._write_prepared)
                self._prepared.append(connection)
            try:
                seen = await answer
            finally:
                connection.forget()
                if connection.reusable and self._keeps_alive:
                    connection.idle_since = now = self._loop.time()
                    self._is_near = now - begun < _NEAR_SECONDS
                    self._free.append(connection)
                else:
                    connection.end()
            if seen is None and idle is None:
                return unasked(self._where)
        return seen

    async def renew(self, *, for_good: bool) -> None:
        """Close the idle connections, and with `for_good` keep none from now on."""
        self._keeps_alive &= not for_good
        while self._free:
            self._free.pop().end()

    def _write_prepared(self) -> None:
        prepared, self._prepared = self._prepared, []
        for connection in prepared:
            connection.write()

    def _take_idle(self, now: float) -> Connection | None:
        """Take a connection that was not idle for long and received nothing meanwhile."""
        while self._free:
            connection = self._free.pop()
            idle_seconds = now - connection.idle_since
            # Within one turn of the event loop nothing can be unread: the loop has just read it.
            if not idle_seconds:
                return connection
            if idle_seconds >= KEEPALIVE_SECONDS:
                connection.end()
            elif connection.has_unread():
                connection.end_soon()
            else:
                return connection
        return None

    def _use_connections_once(self) -> None:
        self._keeps_alive = False
        while self._free:
            self._free.pop().end()

    def _set_timer(self, deadline: float) -> None:
        """Set the timer, one for all requests, to the earliest deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._fail_late_requests)
        self._timer_at = deadline

    def _fail_late_requests(self) -> None:
        now = self._loop.time()
        open_until = [
            until
            for connection in self._open
            if (until := connection.settle_if_late(now)) is not None
        ]
        self._timer, self._timer_at = None, math.inf
        if open_until:
            self._set_timer(min(open_until))

    async def _connect(self) -> Connection | Failure:
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
                    ssl=self._ssl_context,
                    server_hostname=None if self._ssl_context is None else self._host,
                )
                return connection
        except TimeoutError:
            what = f"{self._where} accepted no connection within {self._connect_timeout:g} s"
            return Failure("timeout", what, may_have_arrived=False)
        except (OSError, UnicodeError) as error:
            return not_connected(error, self._where)

    def _new_connection(self) -> Connection:
        parser = ReplyParser(self._where, self._masking, self._heads)
        return Connection(
            self._loop,
            self._where,
            self._timeout,
            self._open,
            parser,
            self._use_connections_once,
        )


def _ascii_host(host: str) -> str:
    """Return a host in ASCII; raise UnicodeError, a ValueError, when IDNA can't encode it."""
    plain = host.isascii() and "xn--" not in host.lower()
    return host if plain else idna.encode(host, uts46=True).decode("ascii")


@asynccontextmanager
async def open_httptools(
    base_url: str, key: SecretStr, *, timeout_seconds: float, user_agent: str
) -> AsyncIterator[HttptoolsTransport]:
    """Open a transport to `base_url`, without a proxy.

    Raises ValueError for an address that can't be used, OSError when certificates can't be read.
    """
    ssl_context = _ssl_context() if base_url.startswith("https:") else None
    transport = HttptoolsTransport(
        base_url,
        key,
        timeout_seconds=timeout_seconds,
        user_agent=user_agent,
        ssl_context=ssl_context,
    )
    try:
        yield transport
    finally:
        transport.close()


def _ssl_context() -> ssl.SSLContext:
    """Trust the same certificates as httpx: those that the environment names, else Mozilla's."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    place = file or folder or certifi.where()
    return _trusting(place, Path(place).stat().st_mtime_ns, is_file=bool(file or not folder))


# Hundreds of jobs may have an API in common, and reading certificates keeps their loop waiting.
@lru_cache(1)
def _trusting(place: str, changed: int, *, is_file: bool) -> ssl.SSLContext:  # noqa: ARG001 - a key
    if is_file:
        context = ssl.create_default_context(cafile=place)
    else:
        context = ssl.create_default_context(capath=place)
    context.set_alpn_protocols(["http/1.1"])
    return context

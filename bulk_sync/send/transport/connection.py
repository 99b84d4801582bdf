"""One connection to the API: an asyncio protocol that carries one request at a time."""

from __future__ import annotations

import select
from asyncio import AbstractEventLoop, BaseTransport, Future, Protocol, Transport
from collections.abc import Callable
from typing import Any, cast

from bulk_sync.send.transport.broken import broken
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.send.transport.parsing import ReplyParser
from bulk_sync.send.transport.replies import is_surplus, two_replies

# The event loop reads what has arrived within its next turn.
_LAST_READ_SECONDS = 0.1


def _unless_refusal(seen: Reply | Failure, where: str) -> Reply | Failure:
    """Return what was seen before the whole request had left: it may refuse, and no more."""
    if isinstance(seen, Reply) and 200 <= seen.status < 300:
        message = f"{where} replied before it had the whole request"
        return Failure("bad_reply", message, may_have_arrived=True)
    return seen


class Connection(Protocol):
    """One connection; it is in `open_connections` while it is open."""

    _transport: Transport
    _unread: Callable[[], object]

    def __init__(
        self,
        loop: AbstractEventLoop,
        where: str,
        timeout_seconds: float,
        open_connections: set[Connection],
        parser: ReplyParser,
        on_surplus: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._open_connections = open_connections
        self._parser = parser
        self._on_surplus = on_surplus
        self._waiter: Future[Reply | Failure | None] | None = None
        self._unwritten: bytes | None = None
        self._deadline = 0.0
        self._lost = False
        self._writes = 0
        self.reusable = False
        """True when another request may be sent on it."""
        self.idle_since = 0.0

    def prepare(self, request: bytes, deadline: float) -> Future[Reply | Failure | None]:
        """Set the request that `write` sends; return a future for its reply.

        The future resolves to the whole reply, to a failure at the deadline, or to None if the
        request was not written. The caller must call `forget` afterwards in any case.
        """
        self._waiter = waiter = self._loop.create_future()
        self.reusable = False
        self._parser.reset()
        self._deadline = deadline
        self._unwritten = request
        return waiter

    def write(self) -> None:
        """Write the request, if it is still awaited and the connection is usable."""
        request, self._unwritten = self._unwritten, None
        if request is None or not self._is_awaited():
            return
        if self._lost or self._transport.is_closing():
            self._settle(None)
        else:
            self._writes += 1
            self._transport.write(request)

    def forget(self) -> None:
        """Drop the request; nobody waits for its reply any more."""
        self._waiter = self._unwritten = None

    def settle_if_late(self, now: float) -> float | None:
        """Fail the request if its deadline has passed; return the deadline if it has not."""
        if not self._is_awaited():
            return None
        if self._deadline > now:
            return self._deadline
        message = f"no whole reply within {self._timeout_seconds:g} s"
        self._settle(Failure("timeout", message, may_have_arrived=True))
        return None

    def has_unread(self) -> bool:
        """True when anything arrived while nothing was asked, even the end of the connection.

        The next bytes read would then not belong to the next reply. With TLS that may also be its
        own messages: a new connection has some (session tickets; RFC 8446, section 4.6.1).
        """
        return self._lost or self._transport.is_closing() or bool(self._unread())

    def end_soon(self) -> None:
        """Abort the connection after what arrived on it was read, and so taken for surplus."""
        self._loop.call_later(_LAST_READ_SECONDS, self.end)

    def end(self) -> None:
        """Abort the connection."""
        self.reusable = False
        self._transport.abort()

    def _is_awaited(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _settle(self, seen: Reply | Failure | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(seen)

    # Callbacks of the event loop

    def connection_made(self, transport: BaseTransport) -> None:
        """Register the open connection."""
        self._transport = cast("Transport", transport)
        self._open_connections.add(self)
        # asyncio's own selector reports events only to the loop, so poll the socket directly.
        self._unread = _unread(transport.get_extra_info("socket").fileno())

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a reply."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            # After a time-out it is what was asked for.
            if (self.reusable or not self._writes) and is_surplus(data):
                self._on_surplus()
            self.end()
        elif self._unwritten is not None:
            # It arrived before the request was written, so it can't be the reply.
            self._unwritten = None
            self._on_surplus()
            waiter.set_result(None)
        else:
            seen = self._parser.feed(data)
            if seen is not None:
                self.reusable = self._parser.reusable
                if self._parser.has_surplus:
                    self._on_surplus()
                    if self._writes > 1:
                        seen = two_replies(self._where)
                if self._transport.get_write_buffer_size():
                    self.reusable, seen = False, _unless_refusal(seen, self._where)
                waiter.set_result(seen)

    def connection_lost(self, exc: Exception | None) -> None:
        """Resolve the awaited reply; one without a length ends with its connection."""
        self._lost = True
        self.reusable = False
        self._open_connections.discard(self)
        if not self._is_awaited():
            return
        if self._unwritten is not None:
            self._settle(None)
        elif exc is not None:
            self._settle(Failure("connection", broken(exc, self._where), may_have_arrived=True))
        else:
            self._settle(self._parser.end())


def _unread(socket: int) -> Callable[[], object]:
    """Return a function that says without waiting whether a socket has something to read."""
    make_poll: Any = getattr(select, "poll", None)
    if make_poll is None:  # on Windows
        return lambda: select.select([socket], [], [], 0)[0]
    poll = make_poll()
    poll.register(socket, getattr(select, "POLLIN"))  # noqa: B009 - as above
    return lambda: poll.poll(0)

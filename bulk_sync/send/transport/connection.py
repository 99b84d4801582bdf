"""One connection to the API: a protocol of the event loop that carries a request at a time."""

from __future__ import annotations

import select
import sys
from asyncio import AbstractEventLoop, BaseTransport, Future, Protocol, Transport
from collections.abc import Callable
from typing import cast

from bulk_sync.send.transport.broken import broken
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.send.transport.parsing import ReplyParser


class Connection(Protocol):
    """One connection; it is in `among` while it is open."""

    _transport: Transport
    _unread: Callable[[], object]

    def __init__(
        self,
        loop: AbstractEventLoop,
        where: str,
        timeout_seconds: float,
        among: set[Connection],
        parser: ReplyParser,
    ) -> None:
        self._loop = loop
        self._where = where
        self._timeout_seconds = timeout_seconds
        self._among = among
        self._parser = parser
        self._waiter: Future[Reply | Failure | None] | None = None
        self._unwritten: bytes | None = None
        self._deadline = 0.0
        self._lost = False
        self.reusable = False
        """Another request may be sent over it."""
        self.idle_since = 0.0

    def ask(self, request: bytes, deadline: float) -> Future[Reply | Failure | None]:
        """Hold a request for `write`; return a future of its reply.

        The future is done with the whole reply, at the deadline, or with None when the request was
        not written. `let_go` must follow, whatever becomes of it.
        """
        self._waiter = waiter = self._loop.create_future()
        self.reusable = False
        self._parser.reset()
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
        """Forget the request: nobody waits for its reply any more."""
        self._waiter = self._unwritten = None

    def settle_if_late(self, now: float) -> float | None:
        """Fail a request whose deadline has passed; return the deadline of one that is awaited."""
        if not self._is_awaited():
            return None
        if self._deadline > now:
            return self._deadline
        message = f"no whole reply within {self._timeout_seconds:g} s"
        self._settle(Failure("timeout", message, may_have_arrived=True))
        return None

    def has_unread(self) -> bool:
        """True when anything came while it was idle, be it only the end of the connection.

        What is read next may not be the next reply then.
        """
        return self._lost or self._transport.is_closing() or bool(self._unread())

    def end(self) -> None:
        """Close it at once."""
        self.reusable = False
        self._transport.abort()

    def _is_awaited(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _settle(self, seen: Reply | Failure | None) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(seen)

    # Callbacks of the event loop

    def connection_made(self, transport: BaseTransport) -> None:
        """The connection is open."""
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
        """A piece of a reply came."""
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.end()  # nothing was asked
        elif self._unwritten is not None:
            # It came before the request was written, so it is no answer to it.
            self._unwritten = None
            waiter.set_result(None)
        else:
            seen = self._parser.feed(data)
            if seen is not None:
                self.reusable = self._parser.reusable
                waiter.set_result(seen)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection ended, and with it a reply that states no length."""
        self._lost = True
        self.reusable = False
        self._among.discard(self)
        if not self._is_awaited():
            return
        if self._unwritten is not None:
            self._settle(None)
        elif exc is not None:
            self._settle(Failure("connection", broken(exc, self._where), may_have_arrived=True))
        else:
            self._settle(self._parser.end())

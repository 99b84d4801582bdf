"""One connection without a server: what comes when, and for which request it counts."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bulk_sync.send.transport.connection import Connection
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.parsing import ReplyParser
from tests.helpers import KEY, reply


class Wire(asyncio.Transport):
    """Takes what is written; `left` bytes of it have not left yet."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__({"socket": end})
        self.written: list[bytes] = []
        self.left = 0
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def get_write_buffer_size(self) -> int:
        return self.left

    def is_closing(self) -> bool:
        return self.closed

    def abort(self) -> None:
        self.closed = True


class Line:
    """A connection, its wire, and how often surplus was noticed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, end: socket.socket) -> None:
        self.surplus = 0
        self.wire = Wire(end)
        parser = ReplyParser("api:80", Masking(SecretStr(KEY)), {})
        self.connection = Connection(loop, "api:80", 9.0, set(), parser, self._noticed)
        self.connection.connection_made(self.wire)

    def _noticed(self) -> None:
        self.surplus += 1

    def ask(self, before: bytes, *answer: bytes, left: int = 0) -> Reply | Failure | None:
        """Send a request; `before` comes while it is prepared, each of `answer` after its write."""
        waiter = self.connection.prepare(b"request", 1e9)
        if before:
            self.connection.data_received(before)
        self.connection.write()
        self.wire.left = left
        for piece in answer:
            self.connection.data_received(piece)
        seen = waiter.result() if waiter.done() else None
        self.connection.forget()
        return seen

    def rests(self, data: bytes) -> None:
        """Receive something while nothing is asked."""
        self.connection.data_received(data)


def on_a_line(play: Callable[[Line], None]) -> None:
    async def run() -> None:
        one, other = socket.socketpair()
        with one, other:
            play(Line(asyncio.get_running_loop(), one))

    asyncio.run(run())


def ok(number: int) -> bytes:
    return reply(200, b'{"data": {"id": "%d"}}' % number)


REFUSED = reply(413, b"{}")
IDLE_END = reply(408, b"", "Connection: close")
EXTRA = st.sampled_from([b"", b"\r\n", b"}", ok(99), ok(99)[:30], reply(500), IDLE_END])
UNASKED = st.sampled_from([b"", ok(99), b"HTTP/1.1 103 Early Hints\r\n\r\n", reply(500)])


@given(schedule=st.lists(st.tuples(UNASKED, EXTRA, EXTRA), min_size=1, max_size=6))
def test_only_what_comes_alone_after_the_write_is_the_reply(
    schedule: list[tuple[bytes, bytes, bytes]],
) -> None:
    """Each request: what comes before its write, with its reply, and while the connection rests."""

    def play(line: Line) -> None:
        for number, (before, extra, later) in enumerate(schedule):
            written = len(line.wire.written)
            seen = line.ask(before, ok(number) + extra)
            if before:
                assert seen is None
                assert len(line.wire.written) == written, "nothing leaves after a strange word"
                assert line.surplus
                return
            if isinstance(seen, Reply):
                assert seen.body == b'{"data": {"id": "%d"}}' % number
            assert isinstance(seen, Failure) == (number > 0 and bool(extra.strip()))
            assert line.connection.reusable == (not extra.strip())
            assert bool(line.surplus) == bool(extra.strip())
            if not line.connection.reusable:
                return
            if later:
                line.rests(later)
                assert bool(line.surplus) == (later not in {b"\r\n", IDLE_END})
                assert line.wire.closed
                return

    on_a_line(play)


def test_a_new_connection_on_which_something_comes_first_is_not_written_to() -> None:
    def play(line: Line) -> None:
        line.rests(ok(1))
        assert line.surplus == 1
        assert line.ask(b"") is None
        assert line.wire.written == []

    on_a_line(play)


@pytest.mark.parametrize(("said", "kind"), [(ok(1), Failure), (REFUSED, Reply)])
def test_before_the_whole_request_has_left_a_reply_may_only_refuse(said: bytes, kind: type) -> None:
    def play(line: Line) -> None:
        seen = line.ask(b"", said, left=1)
        assert isinstance(seen, kind)
        assert not line.connection.reusable

    on_a_line(play)


def test_a_reply_that_comes_late_is_no_surplus() -> None:
    """After a time-out it is what was asked for."""

    def play(line: Line) -> None:
        assert line.ask(b"") is None
        line.rests(ok(1))
        assert line.surplus == 0
        assert line.wire.closed

    on_a_line(play)

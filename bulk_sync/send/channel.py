"""Between a run and the processes that send for it: what they say to each other, over two pipes.

Messages are pickled, as multiprocessing does it: whoever holds the other end of such a pipe is this
program itself.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from asyncio import ReadTransport, StreamReader, StreamReaderProtocol, WriteTransport
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

from pydantic import SecretStr

from bulk_sync.errors import BulkSyncError
from bulk_sync.model import Change, Outcome, RowDecided, Tally
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.transport.choose import Name

_LENGTH_BYTES = 4


class Order(NamedTuple):
    """The first message to a process: all that it needs to send. `deadline` is of the clock that
    they share.
    """

    transport: Name
    base_url: str
    key: SecretStr
    timeout_seconds: float
    user_agent: str
    workers: int
    pace: Path
    ceiling: float | None
    policy: RetryPolicy
    deadline: float
    key_accepted: bool
    tells_rows: bool
    log_level: int


class Rows(NamedTuple):
    """Changes to send; none when there are no more."""

    changes: list[Change]


class KeyAccepted(NamedTuple):
    """Another process had a row acknowledged."""


class Stop(NamedTuple):
    """Take no more changes; `at_once` cuts off the requests on their way, too."""

    at_once: bool = False


class Wanted(NamedTuple):
    """A process has hardly any changes left."""

    number: int


class News(NamedTuple):
    """What happened in a process since it last told; `tally` is of all that happened in it."""

    outcomes: list[Outcome]
    rows: list[RowDecided]
    records: list[logging.LogRecord]
    tally: Tally


class Ended(NamedTuple):
    """The last message of a process: why it stopped early, if it did; `bug` says what went wrong in
    it.
    """

    stopped: BulkSyncError | None
    bug: str | None = None


class _End(asyncio.BaseProtocol):
    """Knows when nothing more goes out."""

    def __init__(self) -> None:
        self.came = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's
        self.came.set()


class Channel:
    """One end of two pipes; made by `over`."""

    def __init__(
        self, incoming: StreamReader, reading: ReadTransport, outgoing: WriteTransport, end: _End
    ) -> None:
        self._incoming = incoming
        self._reading = reading
        self._outgoing = outgoing
        self._end = end

    @classmethod
    async def over(cls, incoming: IO[bytes], outgoing: IO[bytes]) -> Self:
        """Take over two pipes' ends."""
        loop, reader = asyncio.get_running_loop(), StreamReader(limit=1 << 20)
        reading, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), incoming)
        writing, end = await loop.connect_write_pipe(_End, outgoing)
        return cls(reader, reading, writing, end)

    def say(self, message: object) -> None:
        """Send a message; never waits. To one who is gone it says nothing."""
        data = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if not self._outgoing.is_closing():
            self._outgoing.write(len(data).to_bytes(_LENGTH_BYTES, "little") + data)

    async def hear(self) -> Any:  # noqa: ANN401 - one of the messages above
        """The next message; raises EOFError when the other end is gone."""
        try:
            length = int.from_bytes(await self._incoming.readexactly(_LENGTH_BYTES), "little")
            return pickle.loads(await self._incoming.readexactly(length))  # noqa: S301 - see above
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EOFError from None

    def close(self) -> None:
        """Say no more, and hear no more; what was said still goes out."""
        self._outgoing.close()
        self._reading.close()

    async def finish(self) -> None:
        """Close, and wait until what was said is out, or the other end is gone."""
        self.close()
        await self._end.came.wait()

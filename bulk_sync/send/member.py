"""A process that sends for a run: `python -m bulk_sync.send.member`, started by `crew.py`.

It holds no checkpoint and decides on no bound but the deadline: changes come from the run, and
outcomes go there. When the run is gone it ends at once: nobody could take down what became of its
requests, and the checkpoint has them in flight.
"""

from __future__ import annotations

import logging
import os
import random
import sys
from collections import deque
from dataclasses import replace
from importlib.util import find_spec
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import IO

import anyio

from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError, Outage
from bulk_sync.model import Change, Outcome, RowDecided, Tally
from bulk_sync.quantities import Share
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget, InFile
from bulk_sync.send.channel import Channel, Ended, KeyAccepted, News, Order, Rows, Stop, Wanted
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.choose import open_transport

_TELL_SECONDS = 0.01
"""News wait so long for company."""

_LEAST_AHEAD = 64
"""Changes that are fetched ahead, and four for each worker: the run may be writing when they are
wanted.
"""


class _Fetched:
    """The run's work as the sender here sees it; see `sender.Work`."""

    def __init__(self, channel: Channel, tally: Tally, ahead: int) -> None:
        self._channel = channel
        self._tally = tally
        self._ahead = ahead
        self._changes: deque[Change] = deque()
        self._asked = False
        self._all_here = False
        self._arrived = anyio.Event()
        self._outcomes: list[Outcome] = []
        self._rows: list[RowDecided] = []
        self.records: SimpleQueue[logging.LogRecord] = SimpleQueue()

    def arrived(self, changes: list[Change]) -> None:
        """Changes came; none when there are no more."""
        self._changes.extend(changes)
        self._asked = False
        self._all_here = not changes
        self._arrived.set()

    def take(self) -> Change | None:
        """The next change, if one is here."""
        if len(self._changes) <= self._ahead // 2:
            self._ask()
        return self._changes.popleft() if self._changes else None

    async def claim(self, limit: int) -> list[Change]:
        """Changes as soon as some are here."""
        while not self._changes and not self._all_here:
            self._arrived = anyio.Event()
            self._ask()
            await self._arrived.wait()
        return [self._changes.popleft() for _ in range(min(limit, len(self._changes)))]

    def put(self, outcome: Outcome) -> None:
        """Tell it with the next news."""
        self._outcomes.append(outcome)

    def decided(self, row: RowDecided) -> None:
        """Tell with the next news what the program that follows the run is to know."""
        self._rows.append(row)

    def _ask(self) -> None:
        if not self._asked and not self._all_here:
            self._asked = True
            self._channel.say(Wanted(self._ahead))

    def tell(self) -> None:
        """Tell the run what happened."""
        outcomes, self._outcomes = self._outcomes, []
        rows, self._rows = self._rows, []
        records = [self.records.get() for _ in range(self.records.qsize())]
        self._channel.say(News(outcomes, rows, records, replace(self._tally)))

    async def tell_now_and_then(self, clock: SystemClock) -> None:
        """Keep the run informed."""
        told = -1
        while True:
            await clock.sleep(_TELL_SECONDS)
            if self._outcomes or self._rows or self.records.qsize() or self._tally.requests != told:
                told = self._tally.requests
                self.tell()


async def _serve(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    channel = await Channel.over(incoming, outgoing)
    try:
        order: Order = await channel.hear()
    except EOFError:  # the run needed none
        return
    tally = Tally()
    work = _Fetched(channel, tally, max(_LEAST_AHEAD, 4 * order.workers))
    logger = logging.getLogger("bulk_sync")
    logger.setLevel(order.log_level)
    logger.addHandler(QueueHandler(work.records))
    try:
        ended = Ended(await _send(channel, order, work, tally))
    except BulkSyncError as error:
        ended = Ended(error)
    except Exception as error:  # noqa: BLE001 - the run tells of it
        ended = Ended(None, bug=f"{type(error).__name__}: {error}")
    work.tell()
    channel.say(ended)
    await channel.finish()


async def _send(
    channel: Channel, order: Order, work: _Fetched, tally: Tally
) -> BulkSyncError | None:
    clock, dice = SystemClock(), random.Random()  # noqa: S311 - jitter, no secret
    async with open_transport(
        order.transport,
        order.base_url,
        order.key,
        timeout_seconds=order.timeout_seconds,
        connections=order.workers,
        user_agent=order.user_agent,
    ) as transport:
        sender = Sender(
            transport,
            work,
            budget=Budget(InFile(order.pace), clock, dice, order.ceiling),
            policy=order.policy,
            bounds=Bounds(
                Share(percent=100), order.deadline
            ),  # the run counts failures, all processes' together
            clock=clock,
            dice=dice,
            tally=tally,
            workers=order.workers,
            key_accepted=order.key_accepted,
            on_row=work.decided if order.tells_rows else None,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_heed, channel, sender, work)
            tasks.start_soon(work.tell_now_and_then, clock)
            await sender.run()
            tasks.cancel_scope.cancel()
    return sender.stopped


async def _heed(channel: Channel, sender: Sender, work: _Fetched) -> None:
    while True:
        try:
            message = await channel.hear()
        except EOFError:
            os._exit(1)
        match message:
            case Rows(changes):
                work.arrived(changes)
            case KeyAccepted():
                sender.key_was_accepted()
            case Stop(at_once=True):
                sender.abandon()
            case Stop():
                sender.stop(Outage("The run stops"))
            case unknown:
                raise TypeError(f"{type(unknown).__name__} is no message of a run")


def main() -> None:
    """Serve a run over standard input and output; what else would print there goes to standard
    error.
    """
    incoming, outgoing = os.fdopen(os.dup(0), "rb", 0), os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    sys.stdin.close()
    anyio.run(
        _serve, incoming, outgoing, backend_options={"use_uvloop": find_spec("uvloop") is not None}
    )


if __name__ == "__main__":
    main()

"""Several processes that send for one run: one checkpoint, one budget, one set of bounds.

Each of them is a `member.py` with workers of its own. The run hands out changes as they ask for
them, and takes down what became of each; the budget is the file that all runs on a host share
anyway. A change is in one process's hands at a time, and a showing is in one change, so none is
changed from two sides.

Invariants:

1. Each change that was handed out comes back as one outcome, or its process is gone: then it is
   pending and may have
   been applied; or the process ended without having begun it: then it stays in flight, for the run
   to release.
2. Until the API was reached, one process sends, and that sends one change at a time.
3. The first reason to stop is the run's; every process hears of it.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

import anyio
from anyio import to_thread

from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly
from bulk_sync.model import Change, Outcome, RowDecided, State, Tally
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.channel import Channel, Ended, KeyAccepted, News, Order, Rows, Stop, Wanted
from bulk_sync.send.sender import Work

_LAST_SECONDS = 5.0
"""A process that was told to end and has not by then is killed."""

Process = subprocess.Popen[bytes]


@contextmanager
def hired(number: int) -> Iterator[Sequence[Process]]:
    """Start so many processes; they wait until a `Crew` has work for them, and are gone at the end."""
    environment = {name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"}
    processes: list[Process] = []
    try:
        for _ in range(number):
            processes.append(  # noqa: PERF401 - what was started is known when the next one fails
                subprocess.Popen(
                    [sys.executable, "-P", "-m", "bulk_sync.send.member"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,  # Ctrl-C at the terminal is the run's to hear
                )
            )
        yield processes
    finally:
        for process in processes:
            with suppress(OSError):
                _pipe(process.stdin).close()
        for process in processes:
            try:
                process.wait(_LAST_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _pipe(process.stdout).close()


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None  # noqa: S101 - each was asked for
    return end


class Crew:
    """Sends what `work` holds through processes; to a run it is what a `Sender` is."""

    def __init__(
        self,
        processes: Sequence[Process],
        work: Work,
        order: Order,
        *,
        tally: Tally,
        bounds: Bounds,
        on_row: Callable[[RowDecided], None] | None = None,
    ) -> None:
        self._processes = processes
        self._work = work
        self._order = order
        self._tally = tally
        self._bounds = bounds
        self._on_row = on_row
        self._key_accepted = order.key_accepted
        self._told: dict[int, Tally] = {}  # by process
        self._channels: list[Channel] = []
        self._turn = anyio.Lock()
        self._reached = anyio.Event()
        self.stopped: BulkSyncError | None = None

    def stop(self, reason: BulkSyncError) -> None:
        """Take no more changes; requests on their way may end. The first reason stays."""
        if self.stopped is None:
            self.stopped = reason
            self._reached.set()
            self._say(Stop())

    def abandon(self) -> None:
        """Cut off the requests on their way, too; their changes stay pending."""
        self.stop(Outage("Stopped at once"))
        self._say(Stop(at_once=True))

    async def run(self) -> None:
        """Send until all is sent or the run is stopped; then `stopped` says why."""
        async with anyio.create_task_group() as tasks:
            for place, process in enumerate(self._processes):
                tasks.start_soon(self._lead, process, place)
        self._tally.in_flight = 0

    def _say(self, message: object) -> None:
        for channel in self._channels:
            channel.say(message)

    async def _lead(self, process: Process, place: int) -> None:
        channel = await Channel.over(_pipe(process.stdout), _pipe(process.stdin))
        held: dict[int, Change] = {}
        try:
            if place:
                await self._reached.wait()
            if self.stopped is not None:
                return
            self._channels.append(channel)
            channel.say(self._order_of(place))
            while True:
                match await channel.hear():
                    case Wanted(number):
                        changes = await self._changes(number)
                        held.update((change.id, change) for change in changes)
                        channel.say(Rows(changes))
                    case News() as news:
                        self._take_down(process, news, held)
                    case Ended(stopped, bug):
                        if bug is not None:
                            raise RuntimeError(f"in one of --processes: {bug}")
                        if stopped is not None:
                            self.stop(stopped)
                        return
                    case unknown:
                        raise TypeError(f"{type(unknown).__name__} is no message of a member")
        except EOFError:
            self._give_up(await to_thread.run_sync(process.wait), held)
        finally:
            self._reached.set()
            channel.close()

    def _order_of(self, place: int) -> Order:
        number = len(self._processes)
        workers = self._order.workers // number + (place < self._order.workers % number)
        return self._order._replace(workers=workers, key_accepted=self._key_accepted)

    async def _changes(self, number: int) -> list[Change]:
        """The next changes; none when there are none, or the run stops."""
        async with self._turn:
            if self.stopped is not None:
                return []
            at_hand = [change for _ in range(number) if (change := self._work.take()) is not None]
            return at_hand or await self._work.claim(number)

    def _take_down(self, process: Process, news: News, held: dict[int, Change]) -> None:
        self._told[process.pid] = news.tally
        self._add_up()
        if any(status.isdecimal() for status in news.tally.statuses):
            self._reached.set()
        for record in news.records:
            logging.getLogger(record.name).handle(record)
        for outcome in news.outcomes:
            held.pop(outcome.id, None)
            self._put(outcome)
        if self._on_row is not None:
            for row in news.rows:
                self._on_row(row)

    def _put(self, outcome: Outcome) -> None:
        self._work.put(outcome)
        self._tally.count(outcome)
        if outcome.state is State.UPDATED and not self._key_accepted:
            self._key_accepted = True
            self._say(KeyAccepted())
        reason = self._bounds.refusal(self._tally.decided, outcome, any_accepted=self._key_accepted)
        if reason is not None:
            self.stop(reason)

    def _add_up(self) -> None:
        """The run's counts are the sums of the processes'; what they are all told is what it was
        last.
        """
        total, told = self._tally, list(self._told.values())
        total.requests = sum(one.requests for one in told)
        total.retries = sum(one.retries for one in told)
        total.throttled = sum(one.throttled for one in told)
        total.in_flight = sum(one.in_flight for one in told)
        total.throttled_seconds = max(one.throttled_seconds for one in told)  # they share each wait
        total.waiting_until = max(one.waiting_until for one in told)
        total.trouble = next((one.trouble for one in told if one.trouble), None)
        total.limit, total.source = told[-1].limit, told[-1].source
        total.statuses = dict(sum((Counter(one.statuses) for one in told), Counter()))
        total.latencies = dict(sum((Counter(one.latencies) for one in told), Counter()))
        for one in told:
            total.notes.update(one.notes)

    def _give_up(self, code: int, held: dict[int, Change]) -> None:
        """A process is gone: nobody knows what became of the changes that it held."""
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        self.stop(
            StoppedEarly(
                f"One of --processes ended unexpectedly ({how}); what it had not told of stays pending. Run again"
            )
        )
        for change in held.values():
            message = "It was with a process that ended unexpectedly, and may have been applied; run again"
            self._put(
                Outcome(change.id, State.PENDING, 1, message=message, may_have_been_applied=True)
            )

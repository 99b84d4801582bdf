"""The checkpoint as the workers see it: outcomes go in without waiting, and reach the disk in
groups.

With a group of outcomes changes are taken ahead, in the same commit: as many as go out in
`AHEAD_SECONDS`, judged by the rows before, so that the workers never wait for a disk.

Invariants: every outcome that was put is written before `run` ends, in the order of its
putting; only one thread touches the checkpoint at a time; a failed write ends the run, and what it held
is tried once more by `save`. A change is handed out only after it was committed as in flight; one
that was taken ahead and not handed out is released at the end with others that were never sent.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio import to_thread

from bulk_sync.clock import Clock, utc_text
from bulk_sync.errors import OutputError
from bulk_sync.job.outbox import Outbox
from bulk_sync.model.rows import Change, Outcome, State, Tally
from bulk_sync.timeline import Counts, Line

GROUP_SECONDS, LONGEST_GROUP_SECONDS = 0.03, 0.06
"""How long an outcome may wait for company: three times as long as the last group took to be
written, within these.

So writing takes a quarter of the time at the most, and a slow disk gets larger groups; but what a
crash leaves acknowledged and unrecorded, to be repeated, is what came within the longest. Each
group takes the interpreter from the workers a few times, so that small ones would cost more than
they save.
"""

AHEAD_SECONDS = 0.3
"""Changes for so long are taken ahead: while one group is written, outcomes for the next one come,
and again.
"""

MOST_AT_ONCE = 2048
"""So many are taken at once at the most: a group with more takes too long to write."""

_SLICE_SECONDS = 0.005
"""How often it is looked whether changes run short."""

_STEP = 4
"""So many times as many as the last time are taken, while the rate rises."""

_RATE_SECONDS = 0.01
"""The rate of rows is taken from at least so long."""

LOOK_SECONDS = 0.5
"""While no outcomes come, the counts are looked at so often: what a throttled run does is part of
its time line.
"""


class Recorder:
    """Group commits for one run."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        on_first_acknowledged: Callable[[], None],
        tally: Tally | None = None,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._on_first_acknowledged = on_first_acknowledged
        self._waiting: list[Outcome] = []
        self._ahead: deque[Change] = deque()
        self._ended = 0  # rows, since the time below
        self._since = clock.monotonic()
        self._per_second = 0.0
        self._ran_dry = -math.inf
        self._taken = 0  # the last time
        self._all_taken = False
        self._pause = GROUP_SECONDS
        self._wake = anyio.Event()
        self._closing = False
        self._one_at_a_time = anyio.Lock()
        self._tally = tally or Tally()
        self._states: Counter[State] = Counter()
        self._counted = Counts()
        self._began = clock.monotonic()
        self._line = Line(utc_text(clock.now()))

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; never waits, so that cancellation can't come between a reply and its
        record.
        """
        if not self._waiting:
            self._wake.set()
        self._waiting.append(outcome)
        self._states[outcome.state] += 1
        self._ended += 1

    def close(self) -> None:
        """Let `run` end once all is written."""
        self._closing = True
        self._wake.set()

    def take(self) -> Change | None:
        """The next change that was taken ahead; never waits."""
        return self._ahead.popleft() if self._ahead else None

    async def claim(self, limit: int) -> list[Change]:
        """Take pending rows: those at hand, or when there are none the next ones, after what is
        waiting was written.

        None only when all are taken: those that a write brought may be handed out by `take` before
        it ends here.
        """
        while not (self._ahead or self._all_taken or self._closing):
            now = self._clock.monotonic()
            # None is at hand again so soon: what is known of the rate is too little.
            wanted = MOST_AT_ONCE if now - self._ran_dry < 2 * LONGEST_GROUP_SECONDS else limit
            self._ran_dry = now
            self._taken = max(self._taken, limit)
            await self._write(max(limit, self._in_steps(wanted)))
        return [self._ahead.popleft() for _ in range(min(limit, len(self._ahead)))]

    async def run(self) -> None:
        """Write groups until closed, or cancelled; what is left is written even then."""
        try:
            while not self._closing:
                with anyio.move_on_after(LOOK_SECONDS) as looking:
                    await self._wake.wait()
                if not looking.cancelled_caught:
                    self._wake = anyio.Event()
                    if not self._closing:
                        await self._wait_for_company()
                await self._write()
        finally:
            await self._write()

    async def _wait_for_company(self) -> None:
        """Let more outcomes come, unless none do or workers may soon have to wait for changes."""
        until = self._clock.monotonic() + self._pause
        while (left := until - self._clock.monotonic()) > 0 and not (
            self._closing or self._is_short()
        ):
            await self._clock.sleep(min(left, _SLICE_SECONDS))

    def _is_short(self) -> bool:
        return not self._all_taken and len(self._ahead) < self._rate() * AHEAD_SECONDS / 4

    async def save(self) -> None:
        """When a write has failed and every request has ended: try once more, for there may be room
        again.

        What can't be written stays in flight, which is the truth about it. So do changes that were
        taken ahead: how the run broke off is not known here, so they are called sent rather than
        not.
        """
        with suppress(OutputError):
            await self._write()

    async def _write(self, at_least: int = 0) -> None:
        """Write what is waiting, and take so many changes; shielded, for a group that was taken
        must reach the disk.
        """
        with anyio.CancelScope(shield=True):
            async with self._one_at_a_time:
                await self._write_group(at_least)

    async def _write_group(self, at_least: int) -> None:
        self._note_the_time()
        group, self._waiting = self._waiting, []
        points = self._line.unsaved()
        if not group and points is None and not at_least:
            return
        wanted = (
            0 if self._closing or self._all_taken else max(at_least, self._in_steps(self._lack()))
        )
        begun = self._clock.monotonic()
        try:
            changes = await to_thread.run_sync(self._outbox.exchange, group, points, wanted)
        except BaseException:
            self._waiting[:0] = group  # the disk may take it later, see `save`
            self._all_taken = True  # nothing more is handed out
            raise
        self._ahead.extend(changes)
        self._taken = len(changes) or self._taken
        self._all_taken = self._all_taken or len(changes) < wanted
        seconds = self._clock.monotonic() - begun
        self._pause = min(LONGEST_GROUP_SECONDS, max(GROUP_SECONDS, 3 * seconds))
        self._line.saved()
        if self._on_first_acknowledged is not _done and any(
            o.state is State.UPDATED for o in group
        ):
            await to_thread.run_sync(self._on_first_acknowledged)
            self._on_first_acknowledged = _done

    def _in_steps(self, wanted: int) -> int:
        """A few times as many as the last time at the most: many at once take long, and workers may
        wait for them.
        """
        return min(wanted, _STEP * self._taken)

    def _lack(self) -> int:
        """So many changes are missing to those that should be at hand."""
        return min(MOST_AT_ONCE, max(0, int(self._rate() * AHEAD_SECONDS) - len(self._ahead)))

    def _rate(self) -> float:
        """Rows that end, per second."""
        now = self._clock.monotonic()
        if now - self._since > _RATE_SECONDS:
            latest = self._ended / max(now - self._since, 1e-3)
            self._per_second = max(latest, (self._per_second + latest) / 2)
            self._ended, self._since = 0, now
        return self._per_second

    def _note_the_time(self) -> None:
        """Take what was counted since the last time into the time line."""
        tally = self._tally
        counted = Counts(
            Counter(self._states),
            tally.requests,
            tally.retries,
            tally.throttled,
            tally.limit,
            tally.source,
            dict(tally.latencies),
        )
        news, self._counted = counted.since(self._counted), counted
        if news:
            self._line.add(int((self._clock.monotonic() - self._began) * 1000), news)


def _done() -> None:
    """Nothing is left to note."""

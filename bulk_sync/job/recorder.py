"""The checkpoint as the workers see it: outcomes go in without waiting, changes come prefetched.

Outcomes reach the disk in groups. Each group prefetches changes in the same commit, for several
groups at the current rate, so that workers never wait for a disk.

Invariants:

1. Every outcome that was put is written before `run` ends, in the order of putting.
2. One thread at a time uses the checkpoint. It is the event loop's only for a small group, and as
   far as `loop_time` allows.
3. A failed write ends the run; `save` tries once more to write what it held.
4. A creation is noted on the disk before `begin_creation` returns.
5. No request leaves while an outcome waits for its commit for longer than
   `LONGEST_UNWRITTEN_SECONDS` and twice the time that other runs add to a group: where the disk or
   the event loop is late, sending waits for it (`is_behind`).
6. A change is handed out only after it was committed as in flight. One that was prefetched and not
   handed out is released at the end of the run like others that were never sent.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress

import anyio
from anyio import to_thread

from bulk_sync.clock import Clock, utc_text
from bulk_sync.errors import CheckpointBusy, OutputError
from bulk_sync.job.database import Locked
from bulk_sync.job.loop_time import LoopTime
from bulk_sync.job.outbox import Outbox
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, Change, Creation, Outcome, State, Tally
from bulk_sync.timeline import Counts, Line, Unsaved

GROUP_SECONDS, LONGEST_GROUP_SECONDS = 0.03, 0.06
"""Bounds of the time that an outcome waits for others: three times the last group's write.

A slow disk gets larger groups, up to the longer bound: a crash loses at most the outcomes of that
time, whose changes are sent again. Smaller groups would cost more than they save, because each
takes the interpreter from the workers a few times.
"""

SECONDS_A_RUN, LONGEST_SHARED_SECONDS, ENOUGH_OUTCOMES = 0.005, 1.0, 8
"""The time that each further run in the same event loop adds to a group, the longest time that all
of them add, and the number of outcomes that ends it.

A commit takes about half a millisecond of a processor, however few outcomes it has. Hundreds of
slow jobs that each commit as soon as a lone one does would have no time left to send. After a
crash, the outcomes of one such group may be missing.
"""

LONGEST_UNWRITTEN_SECONDS = 0.2
"""How late the commit of an outcome may be before sending waits, too: twice the time that a group
usually takes with its write.
"""

PREFETCH_SECONDS, PREFETCH_GROUPS = 0.3, 3
"""Time that prefetched changes should last, and as many groups where other runs prolong them:
longer than two groups take to fill and be written.
"""

MAX_BATCH = 2048
"""Changes in one commit: a larger group takes too long to write."""

MOST_IN_LOOP = 64
"""Outcomes and changes in a group that is written in the event loop: in about a millisecond."""

MAX_PREFETCHED_CHARACTERS = 4 * 1024 * 1024
"""Characters of the patches that are prefetched, beyond which no more are; bounds memory."""

# The factor by which a group may take more changes than the one before, while the rate rises.
_MAX_GROWTH = 4

# The shortest time that a rate is measured over.
_RATE_WINDOW_SECONDS = 0.01

IDLE_SECONDS = 0.5
"""How often the time line is stored: with the next group then, or alone in a throttled run.

After a crash it lacks so much of the run at most. With each group, it would be a third of what a
commit of a single row costs.
"""


class Recorder:
    """Group commits for one run."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Clock,
        on_first_acknowledged: Callable[[], None],
        tally: Tally | None = None,
        runs: Callable[[], int] = lambda: 1,
        loop_time: LoopTime | None = None,
    ) -> None:
        """Take the outbox of a run; `runs` returns how many send in the same event loop.

        They share `loop_time`; without it, threads write all groups.
        """
        self._outbox = outbox
        self._loop_time = loop_time if loop_time and outbox.is_local else None
        self._clock = clock
        self._on_first_acknowledged: Callable[[], None] | None = on_first_acknowledged
        self._waiting: list[Outcome] = []
        self._unwritten = _Unwritten()
        self._prefetched: deque[Change] = deque()
        self._characters = 0  # of their patches
        self._to_create: dict[int, str | None] = {}  # reports, by row
        self._begun: dict[int, Creation | None] = {}
        self._rate = _Rate(clock)
        self._time_line = _TimeLine(clock, tally or Tally())
        self._ran_dry = -math.inf
        self._last_taken = 0
        self._all_taken = False
        self._runs = runs
        self._pause = GROUP_SECONDS
        self._shared_pause = 0.0
        self._few = 0  # prefetched changes, below which more are needed before the group is due
        self._wake = anyio.Event()
        self._gathering = anyio.CancelScope()
        self._waiting_for_more = anyio.CancelScope()
        self._closing = False
        self._write_lock = anyio.Lock()

    def put(self, outcome: Outcome) -> None:
        """Take an outcome without waiting, so no cancellation comes between reply and record."""
        if not self._waiting:
            self._unwritten.since = self._clock.monotonic()
            self._wake.set()
        self._waiting.append(outcome)
        if len(self._waiting) == ENOUGH_OUTCOMES:
            self._waiting_for_more.cancel()
        self._time_line.states[outcome.state] += 1
        self._rate.ended += 1

    def is_behind(self) -> bool:
        """Return whether an outcome waits for too long for its commit."""
        oldest = self._unwritten.oldest
        return self._clock.monotonic() - oldest > LONGEST_UNWRITTEN_SECONDS + 2 * self._shared_pause

    async def catch_up(self) -> None:
        """Wait until `run` has written another group."""
        await self._unwritten.written.wait()

    def close(self) -> None:
        """Let `run` end once all outcomes are written."""
        self._closing = self._time_line.is_ending = True
        self._wake.set()
        self._gathering.cancel()

    def take(self) -> Change | None:
        """Return the next prefetched change, if any, without waiting."""
        if not self._prefetched:
            return None
        change = self._prefetched.popleft()
        self._characters -= len(change.body)
        if self._is_short():
            self._gathering.cancel()
        return change

    async def claim(self, limit: int) -> list[Change]:
        """Return up to `limit` changes: prefetched ones, else the next ones of the outbox.

        An empty list means that all are taken. Another worker may `take` changes of this claim's
        write before it returns.
        """
        while not (self._prefetched or self._all_taken or self._closing):
            now = self._clock.monotonic()
            # If the queue ran dry twice in so short a time, the measured rate is too low.
            wanted = MAX_BATCH if now - self._ran_dry < 2 * LONGEST_GROUP_SECONDS else limit
            self._ran_dry = now
            self._last_taken = max(self._last_taken, limit)
            await self._write(max(limit, self._ramped(wanted)))
        taken = (self.take() for _ in range(min(limit, len(self._prefetched))))
        return [change for change in taken if change is not None]

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:
        """Note durably that the showing of a change is about to be created; see `Outbox`.

        `report_id` is for a row that names no report. Changes that wait for a write meanwhile
        share the next one. Raises OutputError.
        """
        self._to_create[change.id] = report_id
        with anyio.CancelScope(shield=True):
            async with self._write_lock:
                if change.id in self._to_create:  # else the write before took it along
                    wanted = list(self._to_create.items())
                    self._begun |= await to_thread.run_sync(self._outbox.begin_creations, wanted)
                    for row, _ in wanted:  # others may have been added while it was written
                        del self._to_create[row]
        return self._begun.pop(change.id)

    async def alone(self, write: Callable[[], None]) -> None:
        """Call a function that writes to the checkpoint, in a thread and between two groups."""
        with anyio.CancelScope(shield=True):
            async with self._write_lock:
                await to_thread.run_sync(write)

    async def run(self) -> None:
        """Write groups until closed or cancelled; the last outcomes are written even then."""
        try:
            while not self._closing:
                with anyio.move_on_after(IDLE_SECONDS) as idle:
                    await self._wake.wait()
                if not idle.cancelled_caught:
                    self._wake = anyio.Event()
                    if not self._closing:
                        await self._gather()
                await self._write()
        finally:
            self._time_line.is_ending = True
            await self._write()

    async def _gather(self) -> None:
        """Wait for more outcomes, unless workers may soon run out of changes."""
        with anyio.CancelScope() as self._gathering:
            if not self._is_short():
                await self._wait(self._pause)
                with anyio.CancelScope() as self._waiting_for_more:
                    if len(self._waiting) < ENOUGH_OUTCOMES:
                        await self._wait(self._shared_pause)

    async def _wait(self, seconds: float) -> None:
        """Wait until the oldest outcome has waited for so long."""
        # A claim may take the outcomes along meanwhile.
        left = self._unwritten.since + seconds - self._clock.monotonic()
        if self._waiting and left > 0:
            await self._clock.sleep(left)

    def _is_short(self) -> bool:
        is_low = len(self._prefetched) < self._few
        return is_low and not self._all_taken and self._characters < MAX_PREFETCHED_CHARACTERS

    async def save(self) -> None:
        """Try once more to write after a write failed and every request has ended.

        Rows whose outcomes can't be written stay in flight. So do prefetched changes, because it is
        unknown here how the run ended, and taking them for sent is the safe choice.
        """
        with suppress(OutputError, CheckpointBusy):
            await self._write()

    async def _write(self, at_least: int = 0) -> None:
        """Write the waiting outcomes and take changes; shielded, because all must be recorded."""
        with anyio.CancelScope(shield=True):
            async with self._write_lock:
                await self._write_group(at_least)

    async def _write_group(self, at_least: int) -> None:
        points = self._time_line.unsaved()
        group, self._waiting = self._waiting, []
        self._unwritten.begin()
        if not group and points is None and not at_least:
            return
        wanted = 0
        if not (self._closing or self._all_taken):
            wanted = max(at_least, self._ramped(self._shortfall()))
        begun = self._clock.monotonic()
        try:
            changes = await self._exchange(group, points, wanted)
        except BaseException:
            self._waiting[:0] = group  # for `save`
            self._unwritten.failed()
            self._all_taken = True  # hand out nothing more
            raise
        self._prefetched.extend(changes)
        self._characters += sum(len(change.body) for change in changes)
        self._last_taken = len(changes) or self._last_taken
        # Fewer than wanted may also be as many as fit.
        self._all_taken = self._all_taken or (len(changes) < wanted and not self._outbox.has_more)
        self._unwritten.ended()
        seconds = self._clock.monotonic() - begun
        self._pause = min(LONGEST_GROUP_SECONDS, max(GROUP_SECONDS, 3 * seconds))
        self._shared_pause = self._shared_seconds()
        self._few = 0 if self._all_taken else self._target() // 4
        self._time_line.saved()
        if self._on_first_acknowledged and any(one.state in ACKNOWLEDGED_STATES for one in group):
            await to_thread.run_sync(self._on_first_acknowledged)
            self._on_first_acknowledged = None

    async def _exchange(
        self, group: list[Outcome], points: Unsaved | None, wanted: int
    ) -> list[Change]:
        begun, left = self._clock.monotonic(), self._loop_time
        if left and len(group) + wanted <= MOST_IN_LOOP and left.is_left(begun):
            with suppress(Locked):
                try:
                    return self._outbox.exchange(group, points, wanted, waits=False)
                finally:
                    left.spend(begun, self._clock.monotonic())
        return await to_thread.run_sync(self._outbox.exchange, group, points, wanted)

    def _ramped(self, wanted: int) -> int:
        """Bound a batch by the last one, because workers may be waiting for it."""
        return min(wanted, _MAX_GROWTH * self._last_taken)

    def _shortfall(self) -> int:
        """Return how many changes the queue is short of its target."""
        if self._characters >= MAX_PREFETCHED_CHARACTERS:
            return 0
        return min(MAX_BATCH, max(0, self._target() - len(self._prefetched)))

    def _target(self) -> int:
        """Return how many changes should be prefetched after a write."""
        seconds = max(PREFETCH_SECONDS, PREFETCH_GROUPS * self._shared_pause)
        return int(self._rate.per_second() * seconds)

    def _shared_seconds(self) -> float:
        """Return the time of a group for the sake of the other runs: none is waited for in vain."""
        others = min(LONGEST_SHARED_SECONDS, SECONDS_A_RUN * (self._runs() - 1))
        rate = self._rate.per_second()
        return min(others, ENOUGH_OUTCOMES / rate) if rate else others


class _Unwritten:
    """The age of the outcomes that are not committed."""

    def __init__(self) -> None:
        self.since = math.inf
        """The instant of the oldest one that no write has taken along; infinity without any."""
        self._in_write = math.inf
        self.written = anyio.Event()
        """Set when the next write has ended well."""

    @property
    def oldest(self) -> float:
        """The instant of the oldest one; infinity without any."""
        return min(self.since, self._in_write)

    def begin(self) -> None:
        """Note that a write takes along all that wait."""
        self._in_write, self.since = self.since, math.inf

    def ended(self) -> None:
        """Note that the write has ended well."""
        self._in_write = math.inf
        self.written.set()
        self.written = anyio.Event()

    def failed(self) -> None:
        """Note that those of the write wait again."""
        self.since, self._in_write = self.oldest, math.inf


class _Rate:
    """The rate at which rows end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._per_second = 0.0
        self.ended = 0  # rows since `_since`

    def per_second(self) -> float:
        """Return the current rate; it rises at once and falls by halves."""
        now = self._clock.monotonic()
        if now - self._since > _RATE_WINDOW_SECONDS:
            latest = self.ended / max(now - self._since, 1e-3)
            self._per_second = max(latest, (self._per_second + latest) / 2)
            self.ended, self._since = 0, now
        return self._per_second


class _TimeLine:
    """The counts of the run by stretches of time."""

    def __init__(self, clock: Clock, tally: Tally) -> None:
        self._clock = clock
        self._tally = tally
        self._began = clock.monotonic()
        self._line = Line(utc_text(clock.now()))
        self._counted = Counts()
        self._saved_at = -math.inf
        self._is_written = False  # by the write that is on its way
        self.is_ending = False
        """True when the next write is the last."""
        self.states: Counter[State] = Counter()

    def unsaved(self) -> Unsaved | None:
        """Sample the counts, and return the points to write now, if any."""
        tally = self._tally
        counted = Counts(
            Counter(self.states),
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
        is_due = self._clock.monotonic() - self._saved_at >= IDLE_SECONDS
        points = self._line.unsaved() if is_due or self.is_ending else None
        self._is_written = points is not None
        return points

    def saved(self) -> None:
        """Mark the points of the latest write, if it had any, as written."""
        if self._is_written:
            self._saved_at = self._clock.monotonic()
            self._line.saved()

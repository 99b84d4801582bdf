"""The rate budget of a host for one base URL and key: permits, and what is known of the limit.

Every run on this host that speaks to the same address with the same key shares one
`Pace`, kept in a small file in the user's state folder. Whoever wants a permit locks the
file, reads it, takes what it saw since into account, reserves the next permit, writes it
back and unlocks: microseconds, never across a wait. The kernel holds the lock, so a
process that dies holds nothing; what it had reserved is one permit at the most.

Invariants:

1. Every request of a run has a permit of its own, from `at_once` or `permit`, in order of asking.
2. No permit is used before the latest hold is over, whichever run was throttled: a run that slept
   reads the pace again when it wakes. At more than a hundred permits a second those of the next
   10 ms are taken together, as many as were used of late. A hold that another run caused in that
   time is not seen before the next reading, as requests in flight would not see it either; one that
   this run caused is.
3. A file that is torn, of another version or from before the machine was started is replaced by a
   fresh pace; one that can't be kept costs the sharing, never the run.

Times in the file are of the machine's monotonic clock, which its processes share.
"""

from __future__ import annotations

import logging
import math
import os
import random
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import anyio

from bulk_sync.clock import Clock
from bulk_sync.model.rows import RateSource
from bulk_sync.send.observation import Seen
from bulk_sync.send.pace import GROUP_SECONDS, SIZE, TOLERANCE_SECONDS, Group, Pace

try:
    import fcntl
except ImportError:  # Windows has no flock: there each run has a budget of its own
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("bulk_sync.send")

_MAGIC = b"bulk-sync pace 1\n"
_LOCK_RETRY_SECONDS = 0.001
_NO_GROUP = Group(0.0, 0.0, 0, 0.0)


class Keeping(Protocol):
    """Where a pace is kept while nobody uses it."""

    def try_open(self, now: Callable[[], float]) -> Pace | None:
        """Return the pace, for this holder alone until `close`; None while another holds it.

        `now` is called once it is held.
        """
        ...

    def close(self, pace: Pace) -> None:
        """Put it back."""
        ...


class InMemory:
    """A pace in this process alone; tests share one among senders."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()

    def try_open(self, now: Callable[[], float]) -> Pace | None:  # noqa: ARG002 - the protocol's
        """The pace."""
        return self._pace

    def close(self, pace: Pace) -> None:
        """Do nothing: the pace was never copied."""


class InFile:
    """A pace in a locked file; raises OSError when it can't be kept there.

    When a write fails later (a full or broken disk), this run keeps the pace to itself from then
    on: the old one in the file would give the same permit again and again.
    """

    def __init__(self, path: Path) -> None:
        if fcntl is None:
            raise OSError("files can't be shared on this system")
        _make_private(path.parent)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._own: Pace | None = None

    def try_open(self, now: Callable[[], float]) -> Pace | None:
        """Lock and read."""
        if self._own is not None:
            return self._own
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        content = os.pread(self._file, len(_MAGIC) + SIZE + 4, 0)
        return _read(content, now())  # with the lock, so that no earlier holder used it after `now`

    def close(self, pace: Pace) -> None:
        """Write and unlock."""
        if self._own is not None:
            return
        data = pace.pack()
        try:
            os.pwrite(self._file, _MAGIC + data + zlib.crc32(data).to_bytes(4, "little"), 0)
        except OSError:
            self._own = pace
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def end(self) -> None:
        """Close the file."""
        os.close(self._file)


def _make_private(folder: Path) -> None:
    """Make a folder, and missing ones above it, for this user alone.

    The XDG Base Directory Specification asks for that.
    """
    if not folder.is_dir():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _read(content: bytes, now: float) -> Pace:
    data = content[len(_MAGIC) : -4]
    if not content.startswith(_MAGIC) or zlib.crc32(data).to_bytes(4, "little") != content[-4:]:
        return Pace()
    try:
        pace = Pace.unpack(data)
    except ValueError:
        return Pace()
    # The clock starts over with the machine.
    return pace if pace.used_at <= now else Pace()


class NoPermit(Exception):
    """No permit comes in time; the next would come in `seconds`."""

    def __init__(self, seconds: float, *, asked: bool) -> None:
        super().__init__(f"no permit for {seconds:.0f} s")
        self.seconds = seconds
        self.asked = asked
        """True when the API asked for a wait that outlasts the patience; else the permit would come
        after the end of the run.
        """


class Budget:
    """The permits of one run; `ceiling` is the user's rate per second."""

    def __init__(
        self, keeping: Keeping, clock: Clock, dice: random.Random, ceiling: float | None = None
    ) -> None:
        self._keeping = keeping
        self._clock = clock
        self._dice = dice
        self._ceiling = ceiling
        self._unread: list[tuple[float, Seen]] = []
        self._turn = anyio.Lock(fast_acquire=True)
        self._waiting = 0  # tasks in `permit`
        self._group = _NO_GROUP
        self._next = 0  # permit of the group
        self._used = 0  # permits of the group
        self._is_stale = False  # a reply that is not taken into account yet may change the pace
        self._readings = 0
        self.held_until = float("-inf")
        self.throttled_seconds = 0.0
        self.rate = 0.0
        """In force, per second, as of the last reading; the limit below likewise."""
        self.limit: float | None = None
        self.source = RateSource.NONE

    def at_once(self) -> float | None:
        """Return the ordinal of a permit that is due and already taken, if any; never wait.

        None also while another task waits for a permit.
        """
        if self._waiting:
            return None
        now = self._clock.monotonic()
        due = self._next_due(now)
        return None if due is None or due > now else self._take()

    async def permit(self, until: float = math.inf, patience_seconds: float = math.inf) -> float:
        """Wait for the next permit, in order of asking; return its ordinal.

        Raises NoPermit, at once, when it would come after `until`, or when the API asked for a wait
        that outlasts the patience.
        """
        self._waiting += 1
        try:
            async with self._turn:
                while True:
                    now = self._clock.monotonic()
                    due = self._next_due(now)
                    if due is None:
                        due = await self._take_group(until, patience_seconds)
                    ordinal, reading = self._take(), self._readings
                    wait = due - self._clock.monotonic()
                    if wait <= 0:
                        return ordinal
                    await self._clock.sleep(wait)
                    if wait <= GROUP_SECONDS and reading == self._readings and not self._is_stale:
                        return ordinal
                    self._close(await self._open())
                    if self.held_until <= self._clock.monotonic():
                        return ordinal
        finally:
            self._waiting -= 1

    def _next_due(self, now: float) -> float | None:
        """Return when the next permit of the group is due; None when there is none.

        Those that are too late are dropped, as the pace would drop them.
        """
        group = self._group
        if self._is_stale or self._next >= group.number:
            return None
        if group.interval:
            late = math.ceil((now - TOLERANCE_SECONDS - group.start) / group.interval)
            if late > self._next:
                self._next = late
                if late >= group.number:
                    return None
        return group.start + self._next * group.interval

    def _take(self) -> float:
        self._next += 1
        self._used += 1
        return self._group.ordinal + self._next - 1

    async def _take_group(self, until: float, patience_seconds: float) -> float:
        """Take the next permits, and return when the first of them is due."""
        most = 2 * self._used + 1 if self._used >= self._group.number else self._used + 1
        pace = await self._open()
        try:
            now = self._clock.monotonic()
            next_at, too_long = (
                max(pace.due, pace.held_until),
                pace.held_until - now > patience_seconds,
            )
            if too_long or next_at > until:
                raise NoPermit(next_at - now, asked=too_long)
            self._group = pace.reserve_group(now, most, self._ceiling)
        finally:
            self._close(pace)
        self._next = self._used = 0
        return self._group.start

    def saw(self, seen: Seen) -> None:
        """Keep a reply for the next reading of the pace; never wait."""
        self._unread.append((self._clock.monotonic(), seen))
        if seen.kind in {"throttled", "busy"} or seen.quotas:
            self._is_stale = True

    async def settle(self) -> None:
        """Take all replies into the shared pace."""
        self._close(await self._open())

    async def _open(self) -> Pace:
        """Read the pace and take all replies into it; it is this budget's alone until `_close`."""
        while (pace := self._keeping.try_open(self._clock.monotonic)) is None:
            await self._clock.sleep(_LOCK_RETRY_SECONDS)
        try:
            for at, seen in self._unread:
                pace.observe(at, seen, self._dice.random(), self._ceiling)
        except BaseException:
            self._keeping.close(pace)
            raise
        self._unread.clear()
        if self._is_stale or pace.held_until > self._clock.monotonic():
            self._group = _NO_GROUP
        self._is_stale = False
        self._readings += 1
        return pace

    def _close(self, pace: Pace) -> None:
        self._keeping.close(pace)
        if pace.held_until > self.held_until:
            self._count_wait(pace.held_until)
        self.rate = pace.per_second(self._clock.monotonic(), self._ceiling)
        self.limit, self.source = pace.limit(self._clock.monotonic(), self._ceiling)

    def _count_wait(self, until: float) -> None:
        """Count a wait that the API asked any run for; time that waits share counts once."""
        now = self._clock.monotonic()
        seconds = until - max(now, self.held_until)
        if seconds > 0:
            self.throttled_seconds += seconds
            log.info(
                "the API asks to wait %.2f s",
                until - now,
                extra={"event": "throttled", "wait": round(seconds, 3)},
            )
        self.held_until = until

"""The rate budget of one host for one base URL and key: permits, and the limit as far as known.

All runs on this host that use the same address and key share one `Pace`, kept in a small file in
the user's state folder. To take a permit, a run locks the file, reads the pace, applies the replies
it saw since, reserves the next permit, writes the pace back and unlocks. That takes microseconds,
and the lock is never held across a wait. The kernel owns the lock, so a process that dies releases
it; what it had reserved is lost, the permits of 10 ms at most.

Invariants:

1. Each request has its own permit, from `permit_nowait` or `permit`, in the order of the calls.
2. No permit is used before the latest hold is over, whichever run was throttled: a run that slept
   reads the pace again when it wakes. Above a hundred permits per second, those of the next 10 ms
   are taken as one group. A hold that another run caused in that time is seen at the next reading,
   just as requests in flight don't see it; a hold that this run caused is seen immediately.
3. A file that is torn or of another version is replaced by a fresh pace. When the file can't be
   kept, the run goes on with a pace of its own.
4. A permit that has to wait for a hold or an allowance is not reserved: whoever waits reads the
   pace again when the wait is over, when a reply of its own run may have ended it, and every
   `_POLL_SECONDS`, because another run may have learnt more.

Instants in the file are on the machine's monotonic clock, which all its processes share. The file
names the boot that the clock counts from: after another one, all instants are shifted by the time
of day. `run.shared_limit` gives each host a file of its own.
"""

from __future__ import annotations

import logging
import math
import os
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import anyio

from bulk_sync import platforms
from bulk_sync.clock import Clock, utc_text
from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.header_values import LONGEST_WAIT
from bulk_sync.send.known import allowances_of
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import GROUP_SECONDS, TOLERANCE_SECONDS, Group, Pace
from bulk_sync.send.packed import SIZE, pack, shift, unpack

log = logging.getLogger("bulk_sync.send")

# Count up the version when the layout of `Pace` changes.
_MAGIC = b"bulk-sync pace 3\n"
_BOOT_BYTES = 36  # a UUID as text
_OFFSET = struct.Struct("<d")
_HEAD_BYTES = len(_MAGIC) + _BOOT_BYTES + _OFFSET.size

# The holder needs microseconds, so the lock is free again by then.
_LOCK_RETRY_SECONDS = 0.001

# How often a wait is interrupted to learn what other runs have learnt: a part of it, within bounds.
_POLL_PART, _SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.05, 0.5, 5.0

# A shorter wait for an allowance is not worth a word.
_NOTED_SECONDS = 1.0

_NO_GROUP = Group(0.0, 0.0, 0, 0.0)


class PaceStore(Protocol):
    """Storage of a pace between uses."""

    def try_open(self, now: Callable[[], float]) -> Pace | None:
        """Return the pace, exclusively until `close`; None while another holds it.

        `now` is called once the lock is held.
        """
        ...

    def close(self, pace: Pace) -> None:
        """Store the pace and release it."""
        ...


class PaceInMemory:
    """A pace of this process alone."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()

    def try_open(self, now: Callable[[], float]) -> Pace | None:  # noqa: ARG002 - the protocol's
        """Return the pace."""
        return self._pace

    def close(self, pace: Pace) -> None:
        """Do nothing: the pace was never copied."""


class PaceInFile:
    """A pace in a locked file; raises OSError when the file can't be opened.

    `boot` identifies the start of the machine that its monotonic clock counts from, and `offset`
    returns the time of day less that clock, in seconds.

    When the file can't be locked, read or written later (a full or broken disk, a network folder
    without locks), this run keeps the pace in memory from then on, because a stale one in the file
    would grant the same permit again and again. `on_trouble` is called once with the error.
    """

    def __init__(
        self,
        path: Path,
        boot: str = "",
        offset: Callable[[], float] = lambda: 0.0,
        on_trouble: Callable[[OSError], None] = lambda _: None,
    ) -> None:
        if not platforms.HAS_LOCKS:
            raise OSError("files can't be shared on this system")
        _make_private(path.parent)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | platforms.CLOSE_ON_EXEC, 0o600)
        self._boot = boot.encode()[:_BOOT_BYTES].ljust(_BOOT_BYTES)
        self._offset = offset
        self._on_trouble = on_trouble
        self._own: Pace | None = None
        self._last: tuple[bytes, Pace] = (b"", Pace())  # as this run wrote it

    def try_open(self, now: Callable[[], float]) -> Pace | None:
        """Lock the file and read the pace."""
        if self._own is not None:
            return self._own
        try:
            platforms.lock(self._file, wait=False)
            content = platforms.read_at(self._file, _HEAD_BYTES + SIZE + 4, 0)
        except BlockingIOError:
            return None
        except OSError as error:
            return self._keep(self._last[1], error)
        if content == self._last[0]:  # no other run wrote since: nothing to unpack
            return self._last[1]
        # Ask for the time with the lock held: no earlier holder can have used the pace after it.
        return self._read(content, now())

    def _read(self, content: bytes, now: float) -> Pace:
        data = content[_HEAD_BYTES:-4]
        if not content.startswith(_MAGIC) or _checksum(content[:-4]) != content[-4:]:
            return Pace()
        try:
            pace = unpack(data)
        except ValueError:
            return Pace()
        boot = content[len(_MAGIC) : len(_MAGIC) + _BOOT_BYTES]
        if boot != self._boot or pace.used_at > now:
            # The monotonic clock started over with the machine.
            (offset,) = _OFFSET.unpack_from(content, len(_MAGIC) + _BOOT_BYTES)
            shift(pace, offset - self._offset())
        return pace if pace.used_at <= now else Pace()

    def close(self, pace: Pace) -> None:
        """Write the pace and unlock the file."""
        if self._own is not None:
            return
        content = _MAGIC + self._boot + _OFFSET.pack(self._offset()) + pack(pace)
        content += _checksum(content)
        try:
            platforms.write_at(self._file, content, 0)
            self._last = content, pace
            platforms.unlock(self._file)
        except OSError as error:
            self._keep(pace, error)

    def _keep(self, pace: Pace, error: OSError) -> Pace:
        """Keep the pace in memory from now on, and hold no lock that others would wait for."""
        self._own = pace
        with suppress(OSError):
            platforms.unlock(self._file)
        self._on_trouble(error)
        return pace

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


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(4, "little")


class NoPermit(Exception):
    """No permit comes in time; the next one is due in `seconds`."""

    def __init__(
        self, seconds: float, *, asked_by_api: bool, by_allowance: bool, by_user: bool
    ) -> None:
        super().__init__(f"no permit for {seconds:.0f} s")
        self.seconds = seconds
        self.by_user = by_user
        """True when the user's own limits are all that forbids a request now."""
        self.by_allowance = by_allowance
        """True when an allowance is used up for so long, rather than a hold in force."""
        self.asked_by_api = asked_by_api
        """True when a hold or an allowance means a longer wait than the caller's patience, False
        when the permit would come after the end of the run.
        """


class Budget:
    """The permits of one run, under the user's limits."""

    def __init__(
        self, store: PaceStore, clock: Clock, dice: random.Random, given: Given = NO_LIMITS
    ) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._given = given
        self._unread: list[tuple[float, Observation]] = []
        self._turn = anyio.Lock(fast_acquire=True)
        self._waiting = 0  # tasks in `permit`
        self._group = _NO_GROUP
        self._next = 0  # index of the group's next permit
        self._used = 0  # permits of the group that were handed out
        self._is_stale = False  # an unread reply may change the pace
        self._readings = 0  # lets a sleeping `permit` notice that the pace was read meanwhile
        self._news: anyio.Event | None = None  # set by a reply while `permit` waits for long
        self._held_until = -math.inf
        self._listed_at = -math.inf
        self.held_until = -math.inf
        """The end of the latest wait for the API or an allowance."""
        self.throttled_seconds = 0.0
        """The time that the API asked to wait, or that its allowances were used up."""
        self.waited_seconds = 0.0
        """The same, and waits for the user's own allowances."""
        self.waits_for_user = False
        """True when the latest wait is for the user's own allowances alone."""
        self.rate = 0.0
        """The rate in force, per second. Like the limits below, as of the last reading."""
        self.limit: float | None = None
        self.source = RateSource.NONE
        self.allowances: tuple[Allowance, ...] = ()
        self.on_change: Callable[[], None] = lambda: None
        """Called when any of these may have changed, also at the beginning of a wait."""

    def permit_nowait(self) -> float | None:
        """Return the ordinal of a permit that is reserved and due; None if there is none.

        None also while another task waits for a permit.
        """
        if self._waiting:  # first come, first served
            return None
        now = self._clock.monotonic()
        due = self._next_due(now)
        return None if due is None or due > now else self._take()

    async def permit(self, until: float = math.inf, patience_seconds: float = math.inf) -> float:
        """Wait for the next permit, in the order of the calls; return its ordinal.

        Raises NoPermit immediately when the permit would come after `until`, or after a wait that
        is longer than `patience_seconds`.
        """
        self._waiting += 1
        try:
            async with self._turn:
                while True:
                    now = self._clock.monotonic()
                    due = self._next_due(now)
                    if due is None:
                        wait_until = await self._take_group(until, patience_seconds)
                        if wait_until is not None:
                            await self._sleep(wait_until)
                            continue
                        due = self._group.start
                    ordinal, reading = self._take(), self._readings
                    wait = due - self._clock.monotonic()
                    if wait <= 0:
                        return ordinal
                    await self._clock.sleep(wait)
                    # After a short sleep in which nothing changed, no new reading is needed.
                    if wait <= GROUP_SECONDS and reading == self._readings and not self._is_stale:
                        return ordinal
                    self._close(await self._open())
                    if self._held_until <= self._clock.monotonic():
                        return ordinal
        finally:
            self._waiting -= 1

    async def _sleep(self, until: float) -> None:
        """Wait until an instant, a reply of this run, or the next poll."""
        wait = until - self._clock.monotonic()
        poll = min(_LONGEST_POLL_SECONDS, max(_SHORTEST_POLL_SECONDS, _POLL_PART * wait))
        news = self._news = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def wake_up() -> None:
                await self._clock.sleep(max(0.0, min(wait, poll)))
                news.set()

            tasks.start_soon(wake_up)
            await news.wait()
            tasks.cancel_scope.cancel()
        self._news = None

    def _next_due(self, now: float) -> float | None:
        """Return when the group's next permit is due; None when it has none left.

        Permits that are too late are dropped, as `Pace.reserve` drops them.
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

    async def _take_group(self, until: float, patience_seconds: float) -> float | None:
        """Take the next permits as the group; return the end of a wait that comes first, if any."""
        # Double the size of a group that was used up, else ask for what was used of the last one:
        # a run must not reserve permits that another run could use.
        used_up = self._used >= self._group.number
        most = (2 if used_up else 1) * self._used + 1
        pace = await self._open()
        try:
            now = self._clock.monotonic()
            wait_until = pace.wait_until(now, self._given)
            by_user = pace.wait_until(now) <= now  # whatever the API wants
            next_at = max(pace.due_at(now, self._given), wait_until)
            too_long = wait_until - now > patience_seconds
            if too_long or next_at > until:
                raise NoPermit(
                    min(next_at - now, LONGEST_WAIT),
                    asked_by_api=too_long,
                    by_allowance=wait_until > pace.held_until,
                    by_user=by_user,
                )
            if wait_until > now:
                self._group = _NO_GROUP
                if wait_until - now > _NOTED_SECONDS:
                    self._count_wait(wait_until, by_user=by_user)
                return wait_until
            self._group = pace.reserve_group(now, most, self._given)
        finally:
            self._close(pace)
        self._next = self._used = 0
        return None

    async def doubt(self, patience_seconds: float) -> None:
        """Let one request leave before stated resets that are further away than this."""
        pace = await self._open()
        now = self._clock.monotonic()
        pace.doubt(now, now + patience_seconds, self._given)
        self._close(pace)

    def observe(self, seen: Observation) -> None:
        """Keep an observation for the next reading of the pace, without waiting."""
        self._unread.append((self._clock.monotonic(), seen))
        if seen.kind in {"throttled", "busy"} or seen.quotas:
            self._is_stale = True
        if self._news is not None:
            self._news.set()

    async def settle(self) -> None:
        """Apply all observations to the shared pace."""
        self._listed_at = -math.inf
        self._close(await self._open())

    async def _open(self) -> Pace:
        """Lock and read the pace and apply all observations; it stays locked until `_close`."""
        while (pace := self._store.try_open(self._clock.monotonic)) is None:
            await self._clock.sleep(_LOCK_RETRY_SECONDS)
        try:
            for at, seen in self._unread:
                pace.observe(at, seen, self._dice.random(), self._given, self._offset())
        except BaseException:
            self._store.close(pace)
            raise
        self._unread.clear()
        if self._is_stale or pace.held_until > self._clock.monotonic():
            self._group = _NO_GROUP
        self._is_stale = False
        self._readings += 1
        return pace

    def _close(self, pace: Pace) -> None:
        self._store.close(pace)
        now = self._clock.monotonic()
        if pace.held_until > self._held_until:
            self._held_until = pace.held_until
            if pace.held_until > now:
                self._count_wait(pace.held_until)
        self.rate = pace.per_second(now, self._given)
        self.limit, self.source = pace.limit(now, self._given)
        if now >= self._listed_at + _NOTED_SECONDS:
            self._listed_at = now
            self.allowances = allowances_of(pace, now, self._given, self._offset())
        self.on_change()

    def _offset(self) -> float:
        return self._clock.now().timestamp() - self._clock.monotonic()

    def _count_wait(self, until: float, *, by_user: bool = False) -> None:
        """Count a wait that any run has to keep; overlapping waits count once.

        One `by_user` is for the user's own limits, which the API knows nothing of.
        """
        now = self._clock.monotonic()
        seconds = until - max(now, self.held_until)
        if seconds > 0:
            self.waits_for_user = by_user
            self.waited_seconds += seconds
            self.throttled_seconds += 0.0 if by_user else seconds
            self._listed_at = -math.inf  # it will be looked at for as long as the wait
            at = self._clock.now() + timedelta(seconds=until - now)
            log.info(
                "waiting for %s for %.2f s, until %s",
                "--rate or --leave" if by_user else "the API",
                until - now,
                utc_text(at),
                extra={
                    "event": "waiting" if by_user else "throttled",
                    "wait": round(seconds, 3),
                },
            )
        self.held_until = max(self.held_until, until)

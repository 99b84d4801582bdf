"""The file of a pace between uses, and the permits of one host from it.

All runs on this host that use the same address and key share one `Pace`, kept in a small file in
the user's state folder. To take permits, a run locks the file, reads the pace, applies the replies
it saw since, reserves the next permits, writes the pace back and unlocks. That takes microseconds,
and the lock is never held across a wait. The kernel owns the lock, so a process that dies releases
it; what it had reserved is lost, the permits of 10 ms, or of a second where it was alone.

A file that is torn or of another version is replaced by a fresh pace. When the file can't be kept,
the run goes on with a pace of its own.

Instants in the file are on the machine's monotonic clock, which all its processes share. The file
names the boot that the clock counts from: after another one, all instants are shifted by the time
of day. `run.shared_limit` gives each host a file of its own.
"""

from __future__ import annotations

import math
import os
import random
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from bulk_sync import platforms
from bulk_sync.clock import Clock
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import ALONE, KEPT_AFTER_SECONDS, NEAR, Pace, Reach
from bulk_sync.send.packed import SIZE, pack, shift, unpack
from bulk_sync.send.permits import Answer, Request, answer

# Count up the version when the layout of `Pace` changes.
_MAGIC = b"bulk-sync pace 5\n"
_BOOT_BYTES = 36  # a UUID as text
_OFFSET = struct.Struct("<d")
_HEAD_BYTES = len(_MAGIC) + _BOOT_BYTES + _OFFSET.size

# Windows doesn't name its boots: the clocks have moved apart by more than a correction of the time.
_STARTED_OVER_SECONDS = 60.0

# The holder needs microseconds, so the lock is free again by then.
_LOCK_RETRY_SECONDS = 0.001


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
        flags = os.O_RDWR | os.O_CREAT | platforms.CLOSE_ON_EXEC | platforms.BINARY
        self._file = os.open(path, flags, 0o600)
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
        (offset,) = _OFFSET.unpack_from(content, len(_MAGIC) + _BOOT_BYTES)
        moved = offset - self._offset()
        is_unnamed = not boot.strip() and abs(moved) > _STARTED_OVER_SECONDS
        if boot != self._boot or is_unnamed or pace.used_at > now:
            # The monotonic clock started over with the machine.
            shift(pace, moved)
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


class LocalPermits:
    """The permits of the runs that share one stored pace."""

    def __init__(self, store: PaceStore, clock: Clock, dice: random.Random) -> None:
        self._store = store
        self._clock = clock
        self._dice = dice
        self._unread: list[tuple[float, Observation]] = []  # survive a wait that is cancelled
        self._reach = NEAR
        self._taken = -1.0  # permits that were taken of the pace, by this run's last question
        self._shared_at = -math.inf  # when another run had taken some

    @property
    def reach(self) -> Reach:
        """The bounds of its permits as of the last question."""
        return self._reach

    def prepare(self, request: Request) -> None:
        """Keep what was seen: the next question takes no time."""
        self._unread.extend(request.seen)

    async def ask(self, request: Request) -> Answer:
        """Lock and read the pace, let it answer, and store it."""
        self._unread.extend(request.seen)
        while (pace := self._store.try_open(self._clock.monotonic)) is None:
            await self._clock.sleep(_LOCK_RETRY_SECONDS)
        try:
            now = self._clock.monotonic()
            offset = self._clock.now().timestamp() - now
            if pace.taken != self._taken:
                self._shared_at = now
            is_alone = now - self._shared_at > KEPT_AFTER_SECONDS
            self._reach = ALONE if is_alone else NEAR
            asked = request._replace(seen=tuple(self._unread))
            answered = answer(pace, now, asked, self._dice.random, offset, self._reach)
            self._taken = pace.taken
            self._unread.clear()
            return answered
        finally:
            self._store.close(pace)

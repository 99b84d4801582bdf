"""Bounded examinations: no file keeps a command busy for longer than a sound one of its size.

The examination runs in a thread of its own, because some of SQLite's steps can't be interrupted
(its structure check reads every page in one), and a signal only reaches the thread that waits.
"""

from __future__ import annotations

import math
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from bulk_sync.clock import SystemClock
from bulk_sync.job.damage import SIDE_FILES, error_code

Found = TypeVar("Found")

BASE_SECONDS = 20.0
"""For a file of any size: a busy machine examines a small one in less than a second."""

# A slow disk reads some tens of millions.
_BYTES_PER_SECOND = 5_000_000

_LONGEST_STEP_SECONDS = 1.0

# What an examination gets to end by itself once it is told to.
_GRACE_SECONDS = 1.0


class TooSlow(Exception):
    """An examination took longer than it may; the text says how long."""


def allowed_seconds(size: int) -> float:
    """Return how long it may take to examine a file of this many bytes."""
    return BASE_SECONDS + size / _BYTES_PER_SECOND


def bytes_on_disk(path: Path) -> int:
    """Return the bytes of a database and the files next to it, without holes."""
    found = 0
    for ending in ("", *SIDE_FILES):
        one = path.with_name(path.name + ending)
        if one.exists():
            stat = one.stat()
            found += min(stat.st_size, getattr(stat, "st_blocks", stat.st_size) * 512)
    return found


class Deadline:
    """The end of an examination, which its threads look at.

    A pause of the process, or of the machine, is no fault of the file: between two looks, no more
    than `_LONGEST_STEP_SECONDS` count.
    """

    def __init__(self, seconds: float, now: Callable[[], float] | None = None) -> None:
        self.seconds = seconds
        self._now = now or SystemClock().monotonic
        self._last = self._now()
        self._used = 0.0
        self._cancelled = False

    def cancel(self) -> None:
        """End the examination, because nobody waits for it any more."""
        self._cancelled = True

    def is_over(self) -> bool:
        """Return whether the examination has to end."""
        now = self._now()
        self._used += min(now - self._last, _LONGEST_STEP_SECONDS)
        self._last = now
        return self._cancelled or self._used >= self.seconds


class Background(Generic[Found]):
    """A function in a thread that no process waits for at its end."""

    def __init__(self, work: Callable[[], Found]) -> None:
        self._done = threading.Event()
        self._found: list[Found] = []
        self._raised: BaseException | None = None

        def run() -> None:
            try:
                self._found.append(work())
            except BaseException as raised:  # noqa: BLE001 - raised again by `result`
                self._raised = raised
            finally:
                self._done.set()

        # Not of a pool: Python joins the threads of a pool before it exits.
        threading.Thread(target=run, daemon=True).start()

    def has_ended(self, within_seconds: float) -> bool:
        """Wait that long at most, and return whether the function has ended."""
        return self._done.wait(within_seconds)

    def result(self) -> Found:
        """Wait for the function, and return or raise its result."""
        self._done.wait()
        if self._raised is not None:
            raise self._raised
        return self._found[0]


def within(deadline: Deadline, work: Callable[[], Found]) -> Found:
    """Do the work in a thread, and return or raise its result; TooSlow when it takes too long.

    A signal whose handler raises ends the wait and the work.
    """
    too_slow = TooSlow(f"checking it took longer than {deadline.seconds:.0f} seconds")
    try:
        background = Background(work)
        steps = math.ceil((deadline.seconds + _GRACE_SECONDS) / _LONGEST_STEP_SECONDS)
        if not any(background.has_ended(_LONGEST_STEP_SECONDS) for _ in range(steps)):
            raise too_slow
        return background.result()
    except sqlite3.Error as error:
        if error_code(error) == sqlite3.SQLITE_INTERRUPT:
            raise too_slow from None
        raise
    finally:
        deadline.cancel()

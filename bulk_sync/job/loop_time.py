"""The time of a common event loop that its runs may spend on writing groups of outcomes in it.

A thread for each group of a slow job takes ten times as long as the write itself: SQLite lets other
threads run with each statement, and a busy loop is slow to let the writer go on. So where many runs
share a loop, small groups are written in it. One that hangs would hold up all runs, so that is done
on disks of this host alone: where those hang, little else goes on either.

Invariant: in any stretch of time, all writes but the last take at most `BURST_SECONDS` and the part
`MOST_PART` of that stretch. The groups of a disk that is slow go to threads for the rest.

Pure: instants are arguments, in seconds on any monotonic clock.
"""

from __future__ import annotations

MOST_PART, BURST_SECONDS = 0.5, 0.1


class LoopTime:
    """The time that is left for writes in one event loop."""

    def __init__(self) -> None:
        self._spent = 0.0
        """Seconds above what the time since allows."""
        self._at = 0.0

    def is_left(self, now: float) -> bool:
        """Return whether another write may be made in the loop."""
        return self._spent_at(now) < BURST_SECONDS

    def spend(self, began: float, ended: float) -> None:
        """Count a write that took from one instant to another."""
        self._spent, self._at = self._spent_at(ended) + ended - began, ended

    def _spent_at(self, now: float) -> float:
        return max(0.0, self._spent - MOST_PART * (now - self._at))

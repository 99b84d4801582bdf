"""Leases of jobs: who may work at a job now, by numbers that only grow. Pure.

The plugin of the scheduler keeps them (`desk`), on its own clock.

Invariants:

1. A job has one holder at most at any instant, the one with its current number.
2. Numbers only grow: whoever takes a job has a higher number than all who had one before. A lower
   number is refused for good, which fences off a holder that was cut off or stopped.
3. A lease ends when it is released, when its worker is gone, or once another takes the job after
   `LEASE_SECONDS` in which it was not renewed. Until then its holder may renew it, however late:
   nobody else had the job meanwhile.
4. A holder that gets no answer gives up after `GIVE_UP_SECONDS`, on its own clock and counted from
   a question that was answered. That is before anybody can take its job for its silence.
"""

from __future__ import annotations

from dataclasses import dataclass

LEASE_SECONDS = 12.0
"""How long a lease is kept for a holder that is not heard of."""

GIVE_UP_SECONDS = 8.0
"""How long a holder goes on without an answer."""


@dataclass
class Held:
    """A job's lease; `holder` is a random token of the one that has it.

    `renewed_at` is an instant of the scheduler's clock. `seen` has for each source of permits of
    the holder how many of its observations are known.
    """

    number: int
    holder: str
    worker: str
    renewed_at: float
    seen: dict[str, int]


class Leases:
    """The leases of all jobs of a scheduler."""

    def __init__(self) -> None:
        self._last = 0
        self._held: dict[str, Held] = {}

    def acquire(self, now: float, job: str, holder: str, worker: str) -> Held | None:
        """Take a job; None while another holds it.

        Asked again by the same holder, whose answer was lost, it is the same lease.
        """
        held = self._held.get(job)
        if held is not None and held.holder == holder:
            held.renewed_at = now
            return held
        if held is not None and now - held.renewed_at < LEASE_SECONDS:
            return None
        self._last += 1
        taken = self._held[job] = Held(self._last, holder, worker, now, {})
        return taken

    def renewed(self, now: float, job: str, number: int) -> Held | None:
        """Renew the lease with this number and return it; None if it has ended."""
        held = self._held.get(job)
        if held is None or held.number != number:
            return None
        held.renewed_at = now
        return held

    def release(self, job: str, number: int) -> None:
        """End the lease with this number, if it has not ended."""
        held = self._held.get(job)
        if held is not None and held.number == number:
            del self._held[job]

    def worker_of(self, job: str) -> str | None:
        """Return the worker that has a job, if one has."""
        held = self._held.get(job)
        return None if held is None else held.worker

    def worker_is_gone(self, worker: str) -> None:
        """End the leases of a worker."""
        self._held = {job: one for job, one in self._held.items() if one.worker != worker}

"""Is it this row, or is the API gone? Pure.

A row whose attempts are used up is not `failed` yet: it is a suspect, and what happens
next decides.

- A request that began after the suspect's last attempt gets through: the API lives, so
  the row is the trouble, and it is `failed`.
- As many rows are suspect as there are workers, or nothing at all was ever answered: the
  API is gone. The run stops and they stay `pending`, like every unsent row (promise 6).
- The rows run out first: a look at the API (`GET /v1/users/me`) decides.

That the request must have begun later matters: replies that were on their way when an
outage began say nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bulk_sync.model import Outcome

FEWEST_SUSPECTS = 3
"""However few workers there are, fewer rows than this don't make an outage."""


@dataclass(slots=True)
class Liveness:
    """Signs of life in one run; times are in seconds of a clock that does not jump."""

    workers: int
    answered: bool = False
    _suspects: list[tuple[float, Outcome]] = field(default_factory=list)

    def got_through(self, begun: float) -> list[Outcome]:
        """A request that began then was decided by the API; returns the rows that are thereby failed."""
        if not self._suspects:
            return []
        failed = [outcome for ended, outcome in self._suspects if ended <= begun]
        self._suspects = [(ended, outcome) for ended, outcome in self._suspects if ended > begun]
        return failed

    def used_up(self, outcome: Outcome, ended: float) -> bool:
        """Suspect a row whose last attempt ended then; True when that makes an outage."""
        self._suspects.append((ended, outcome))
        return len(self._suspects) >= max(FEWEST_SUSPECTS, self.workers) or not self.answered

    @property
    def suspects(self) -> list[Outcome]:
        """Rows without a verdict."""
        return [outcome for _, outcome in self._suspects]

"""Is it this row, or is the API gone? Pure.

A row whose attempts are used up is `failed` only when something else got through since
its first attempt: then the API works and the row is the trouble. Otherwise the row is a
suspect, and waits for the verdict:

- something gets through: the API lives, all suspects are `failed`;
- `LIMIT` rows are suspect, or nothing at all was ever answered: the API is gone, the run
  stops, and they stay `pending` like every other unsent row (promise 6);
- the rows run out first: a look at the API (`GET /v1/users/me`) decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bulk_sync.model import Outcome

LIMIT = 3
"""Rows given up in sequence, each after all its attempts, that make an outage."""


@dataclass(slots=True)
class Liveness:
    """Signs of life in one run."""

    signs: int = 0
    answered: bool = False
    suspects: list[Outcome] = field(default_factory=list)

    def got_through(self) -> list[Outcome]:
        """Something was decided by the API; returns the rows that are thereby failed."""
        self.signs += 1
        cleared, self.suspects = self.suspects, []
        return cleared

    def used_up(self, outcome: Outcome, signs_at_start: int) -> Literal["failed", "suspect", "outage"]:
        """Judge a row that has no attempts left; `signs_at_start` is `signs` at its first attempt."""
        if self.signs > signs_at_start:
            return "failed"
        self.suspects.append(outcome)
        return "outage" if len(self.suspects) >= LIMIT or not self.answered else "suspect"

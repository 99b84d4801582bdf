"""Whether the API refuses one row alone with 429, while it answers others. Pure.

A limit refuses whatever comes, so a row is refused alone only if others are seen to pass: changes
that left after a refusal of the row and got through before the next one. The row is to blame once
that would have happened too often, if it were refused no more often than the others since then.

When nothing else is left to send, `GET /v1/users/me` takes the place of the others, but
says less: it may not count for a limit on changes, nor be locked out. So it counts only

- if a change was seen to pass so once, which no limit with a long window allows, or if users/me
  says that requests are left; and
- after the row was refused on end for longer than a lock-out or this run's longest wait for its
  turn: for `_LOCKED_SECONDS`, and for `_TIMES_LONGER` than everything was refused before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

_TIMES = 3
"""Refusals between which others passed, at least."""

# One row in a million is blamed though it was only unlucky.
_IMPROBABLE = math.log(1e-6)

# Usual lock-outs take half a minute or a minute (Airtable; GitHub's secondary limits). Pauses
# double, so the last one before two minutes are over is longer than that.
_LOCKED_SECONDS = 120.0
_TIMES_LONGER = 2.0


class Answer(Enum):
    """An answer of users/me between two refusals of a row."""

    NONE = "it was not asked, or was refused, too"
    PASSES = "it got through"
    LEFT = "it got through, and said that requests are left"


@dataclass(slots=True)
class Refusals:
    """The refusals of one row; instants are on the run's clock."""

    passed_before: int
    """Requests that had got through at the first refusal."""
    refused_before: int
    """Other requests that had been refused by then."""
    refused_at: float = math.inf
    """When the latest refusal was known."""
    times: int = 0
    """How often a change that left after a refusal got through before the next one."""
    answer: Answer = Answer.NONE
    """The answer of users/me since the latest refusal."""
    answers: int = 0
    """Answers of users/me that show that others pass."""

    def add(self, now: float, latest_through: float) -> None:
        """Note a refusal; the latest request that got through left at `latest_through`."""
        self.times += latest_through > self.refused_at
        if self.answer is Answer.LEFT or (self.answer is Answer.PASSES and self.times):
            self.answers += 1
        self.refused_at, self.answer = now, Answer.NONE

    def are_improbable(self, passed: int, refused: int) -> bool:
        """Return whether the row is to blame; so many others have passed or been refused by now."""
        passed, refused = passed - self.passed_before, refused - self.refused_before
        # The rule of succession (Laplace): without a refusal of others, there might be one next.
        share = (refused + 1) / (passed + refused + 2)
        return self.times >= _TIMES and self.times * math.log(share) <= _IMPROBABLE

    def are_alone(self, refused_seconds: float, longest_before: float) -> bool:
        """Return whether the row is to blame by the answers of users/me.

        No row got through for `refused_seconds`, and for `longest_before` in an earlier time.
        """
        long = max(_LOCKED_SECONDS, _TIMES_LONGER * longest_before)
        return self.answers >= _TIMES and refused_seconds >= long

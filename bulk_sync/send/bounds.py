"""Bounds that end a run although the API is up: too many failures, or the deadline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct

from bulk_sync.errors import StoppedEarly
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, Outcome, State
from bulk_sync.quantities import Share
from bulk_sync.wording import counted, were

SAMPLE = 100
"""Rows that must be tried before a share is judged. Without a single acknowledgement, this many
failures end the run.
"""

FORBIDDEN_IN_A_ROW = 10
"""This many 403s without an acknowledgement in between mean that the key is at fault."""


@dataclass(slots=True)
class KeyTrust:
    """Whether the replies so far show that the key is good.

    `accepted` is True once any row was acknowledged.
    """

    accepted: bool = False
    forbidden_in_a_row: int = 0
    creations_forbidden: int = 0
    """POSTs refused with 403 since anything was acknowledged."""

    def acknowledged(self) -> None:
        """Record that a row was acknowledged."""
        self.accepted = True
        self.forbidden_in_a_row = self.creations_forbidden = 0

    def rejected(self, *, forbidden: bool) -> None:
        """Record that a row was rejected, with a 403 or otherwise."""
        # Any other rejection comes from the endpoint itself, so the key got past its check.
        self.forbidden_in_a_row = self.forbidden_in_a_row + 1 if forbidden else 0

    @property
    def holds(self) -> bool:
        """True when a 403 is about its row rather than the key."""
        return self.accepted and self.forbidden_in_a_row < FORBIDDEN_IN_A_ROW


class Bounds(Struct, frozen=True):
    """The user's bounds; `deadline` is an instant of the run's own clock, in seconds."""

    max_failures: Share | None = None
    deadline: float = math.inf

    def reason_to_stop(
        self, ended: Mapping[State, int], latest: Outcome, *, any_accepted: bool
    ) -> StoppedEarly | None:
        """Return why no more rows are to be sent after `latest`; None to go on.

        `ended` counts this run's rows by state. Without --max-failures a run goes on as long as any
        row was ever accepted, or fewer than `SAMPLE` failed.
        """
        if latest.state not in {State.REJECTED, State.FAILED}:
            return None
        failures = ended.get(State.REJECTED, 0) + ended.get(State.FAILED, 0)
        rows = failures + sum(ended.get(state, 0) for state in ACKNOWLEDGED_STATES)
        last = f"The last of them: {latest.error}: {latest.message}"
        if self.max_failures is None:
            # A wrong host or key column rejects every row: stop before it rejects 50,000.
            if any_accepted or failures < SAMPLE:
                return None
            return StoppedEarly(
                f"None of the first {failures} rows was accepted: is this the right --base-url, "
                f"and the right column of keys? {last}. To send the rest all the same: "
                "--max-failures 100%"
            )
        if self.max_failures.count is None and rows < SAMPLE:
            return None  # 1 of the first 2 rows is 50%, and says nothing
        if not self.max_failures.exceeded_by(failures, rows):
            return None
        return StoppedEarly(
            f"{failures:,} of {counted(rows, 'row')} tried {were(failures)} refused or failed, "
            f"more than --max-failures {self.max_failures} allows. {last}"
        )

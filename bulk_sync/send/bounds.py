"""When a run ends before all is sent, the API being well: too many failures, or the deadline. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from bulk_sync.errors import StoppedEarly
from bulk_sync.model.rows import Outcome, State
from bulk_sync.quantities import Share

SAMPLE = 100
"""Rows by which a share is judged at the earliest; and so many failures, nothing having been
accepted, are enough.
"""


class Bounds(Struct, frozen=True):
    """What the user set: `deadline` is an instant of the run's own clock, in seconds."""

    max_failures: Share | None = None
    deadline: float = math.inf

    def refusal(
        self, ended: Mapping[State, int], latest: Outcome, *, any_accepted: bool
    ) -> StoppedEarly | None:
        """Why no more rows are to be sent after `latest`, going by how many of this run ended how;
        None to go on.

        Without --max-failures a run goes on as long as any row was ever accepted, or fewer than
        `SAMPLE` failed.
        """
        if latest.state not in {State.REJECTED, State.FAILED}:
            return None
        failures = ended.get(State.REJECTED, 0) + ended.get(State.FAILED, 0)
        rows = failures + ended.get(State.UPDATED, 0)
        last = f"The last of them: {latest.error}: {latest.message}"
        if self.max_failures is None:
            if any_accepted or failures < SAMPLE:
                return None
            return StoppedEarly(
                f"None of the first {failures} rows was accepted: is this the right --base-url, and the right column "
                f"of keys? {last}. To send the rest all the same: --max-failures 100%"
            )
        if self.max_failures.count is None and rows < SAMPLE:
            return None
        if not self.max_failures.exceeded_by(failures, rows):
            return None
        return StoppedEarly(
            f"{failures} of the {rows} rows tried were refused or failed, more than --max-failures {self.max_failures} "
            f"allows. {last}"
        )

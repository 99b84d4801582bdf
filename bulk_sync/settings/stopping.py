"""The bounds at which a run refuses to start, or stops."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import Annotated

from bulk_sync.quantities import Share
from bulk_sync.settings.forms import CLOCK_TIME, DURATION, SHARE
from bulk_sync.settings.option import Option

_HALF = Share(percent=50)


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """The options about bounds; `finish_by` is a time of day on this machine."""

    PANEL = "Stopping"

    max_problems: Annotated[
        Share, Option("Send nothing when more rows than this are invalid.", "N|N%", form=SHARE)
    ] = _HALF
    max_changes: Annotated[
        Share | None,
        Option(
            "Send nothing when more rows than this would be sent (a share: of the sheet's rows); "
            "default: no bound.",
            "N|N%",
            form=SHARE,
            example="500",
        ),
    ] = None
    max_failures: Annotated[
        Share | None,
        Option(
            "Stop when more rows than this are refused or fail (a share: of those tried, from the "
            "100th on); default: when the first 100 all do.",
            "N|N%",
            form=SHARE,
            example="5%",
        ),
    ] = None
    deadline_seconds: Annotated[
        float | None,
        Option(
            "Send no more rows after this time; the rest stays pending.",
            "DURATION",
            name="deadline",
            form=DURATION,
            example="2h",
            above=0,
        ),
    ] = None
    finish_by: Annotated[
        time | None,
        Option(
            "Send no more rows after this time of day on this machine; the rest stays pending.",
            "HH:MM",
            form=CLOCK_TIME,
            example="06:00",
        ),
    ] = None

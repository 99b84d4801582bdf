"""The rate of requests, and how long the API may make a run wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bulk_sync.quantities import Rate, Share
from bulk_sync.settings.forms import DURATION, RATES, RESERVE
from bulk_sync.settings.option import Option

_WEEK_SECONDS = 7 * 86400


_NOTHING = Share(count=0)


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """The user's own limits, all of which hold; without any, the API's limit alone does."""

    PANEL = "Sending"

    rates: Annotated[
        tuple[Rate, ...],
        Option(
            "Send no faster than this, together with all runs on this host that use the same key; "
            "repeatable: every rate holds. Rates by the minute, hour or day are allowances, spent "
            "at once and then waited for. auto, the default, follows the limits that the API "
            "states, or finds them.",
            "auto|N/s|N/m|N/h|N/d",
            name="rate",
            form=RATES,
            example="10/s",
        ),
    ] = ()
    leave: Annotated[
        Share,
        Option(
            "Leave this much of each allowance to others who use the same key.",
            "N|N%",
            form=RESERVE,
        ),
    ] = _NOTHING
    max_wait_seconds: Annotated[
        float,
        Option(
            "How long to wait when the API asks for it or an allowance is used up. A longer wait "
            "ends the run, and the message has the time from which to run again.",
            "DURATION",
            name="max-wait",
            form=DURATION,
            at_least=0,
            at_most=_WEEK_SECONDS,
        ),
    ] = 7200.0

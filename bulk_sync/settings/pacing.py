"""The rate of requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bulk_sync.quantities import Rate
from bulk_sync.settings.forms import RATE
from bulk_sync.settings.option import Option


@dataclass(frozen=True, kw_only=True)
class Pacing:
    """The ceiling of the rate; None for the API's own limit."""

    PANEL = "Sending"

    rate: Annotated[
        Rate | None,
        Option(
            "Send no faster than N/s, N/m or N/h, together with all runs on this host that use "
            "the same key. auto follows the limit in the API's headers, or finds it.",
            "auto|N/s",
            form=RATE,
        ),
    ] = None

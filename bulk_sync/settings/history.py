"""Earlier runs of a job, and the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class History:
    """The options about earlier runs, and about values that the API acknowledged in them."""

    PANEL = "Sending"

    only_changed: Annotated[
        bool,
        Option("Leave out values that equal those the API last acknowledged for the showing."),
    ] = False
    ledger: Annotated[
        Path | None,
        Option(
            "Keep what was acknowledged in a file that sheets of several names share; default: "
            "in the checkpoint.",
            "PATH",
            example="ledger.sqlite",
            access=Access.DATABASE,
        ),
    ] = None
    fresh: Annotated[bool, Option("Start over: forget what the checkpoint knows of this file.")] = (
        False
    )
    new_key: Annotated[bool, Option("Continue a job that another key of the same team began.")] = (
        False
    )

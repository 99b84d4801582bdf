"""The options of jobs that run at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class Together:
    """Which jobs run, and how many at the same time."""

    PANEL = "Jobs"

    jobs: Annotated[
        Path | None,
        Option(
            "Read the jobs from this file; default: bulk-sync.jobs.toml in your configuration "
            "folder.",
            "FILE",
            example="teams.toml",
            access=Access.READ,
        ),
    ] = None
    at_once: Annotated[
        int, Option("Run so many jobs at the same time.", "N", at_least=1, at_most=1000)
    ] = 50
    dask: Annotated[
        str | None,
        Option(
            "Run the jobs on the Dask cluster with this scheduler, or on N worker processes of "
            "this machine with local:N; needs the extra dask.",
            "ADDRESS",
            example="tcp://scheduler.example.com:8786",
        ),
    ] = None
    check: Annotated[
        bool,
        Option(
            "Send nothing: check the sheets of all jobs, and show when each would be done and "
            "whether the time until --finish-by or --deadline suffices. No network, no key."
        ),
    ] = False

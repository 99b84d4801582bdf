"""Folders whose files are pushed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.settings.forms import DURATION
from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class Inbox:
    """When a file of a folder is pushed, and where it is moved when it is finished."""

    settle_seconds: Annotated[
        float,
        Option(
            "Take only the files of a folder that nobody has written to for this long.",
            "DURATION",
            name="settle",
            panel="Reading",
            form=DURATION,
            at_least=0,
        ),
    ] = 10.0
    archive: Annotated[
        Path | None,
        Option(
            "Move a sheet there when all of its rows are settled (exit code 0).",
            "DIR",
            panel="Output",
            example="done",
            access=Access.FOLDER,
        ),
    ] = None

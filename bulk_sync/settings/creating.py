"""Showings that North does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from bulk_sync.settings.forms import REPORT_ID
from bulk_sync.settings.option import Option


@dataclass(frozen=True, kw_only=True)
class Creating:
    """The creation of showings that are missing, and their report."""

    PANEL = "Sending"

    create_missing: Annotated[
        bool,
        Option(
            "Create a showing when North has none with the row's key; the row ends created. Rows "
            "that address their showing by id are not created."
        ),
    ] = False
    report: Annotated[
        str | None,
        Option(
            "The report that created showings belong to; a row's own report_id comes first.",
            "ID",
            form=REPORT_ID,
            example="550e8400-e29b-41d4-a716-446655440000",
        ),
    ] = None

    @property
    def permissions(self) -> frozenset[str]:
        """The key's permissions for showings that a push needs."""
        return frozenset({"update", "create"} if self.create_missing else {"update"})

"""The other side of a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """The sheets to compare with; `with_` is a path, or `ledger`."""

    PANEL = "Comparing"

    with_: Annotated[
        str,
        Option(
            "The sheet to compare with, or ledger: what the API last acknowledged.",
            "OTHER",
            name="with",
            example="export.csv",
            access=Access.READ,
            no_paths=("ledger",),
        ),
    ]
    base: Annotated[
        Path | None,
        Option(
            "The sheet that FILE was edited from: it shows who changed what; values changed on "
            "both sides conflict.",
            "SNAPSHOT",
            example="export-monday.csv",
            access=Access.READ,
        ),
    ] = None
    with_profile: Annotated[
        Path | None,
        Option(
            "A profile for OTHER and the base, when their columns or dates differ from those of "
            "FILE.",
            "FILE",
            example="export.toml",
            access=Access.READ,
        ),
    ] = None
    with_on_duplicate: Annotated[
        Literal["error", "last", "merge"] | None,
        Option(
            "Of rows of OTHER (or the base) with one key and different values: count all as "
            "problems, or compare with the last, or with all of them merged.",
            example="last",
        ),
    ] = None
    prefer: Annotated[
        Literal["here"] | None,
        Option("With --push, send the value here where both sides changed it.", example="here"),
    ] = None
    one_way: Annotated[bool, Option("Rows that are only in OTHER are no difference.")] = False
    push: Annotated[bool, Option("Send, for each row that differs, the fields that differ.")] = (
        False
    )
    accept_systematic: Annotated[
        bool,
        Option(
            "With --push, send the differences also when they have one cause, such as another time "
            "zone or a column that moved by a row."
        ),
    ] = False

    @property
    def prefer_here(self) -> bool:
        """True when the value here is sent where both sides changed it."""
        return self.prefer == "here"

"""The sheet, and the layout of its file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.quantities import Condition, RowRange
from bulk_sync.settings.forms import CONDITIONS, ROWS
from bulk_sync.settings.option import Option


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The options about reading; None is detected.

    `for_all_sheets` names those that a settings file or a profile sets: one that can't concern this
    sheet is no error.
    """

    PANEL = "Reading"
    ABOUT_SHEET = True

    input: Path
    sheet: Annotated[
        str | None,
        Option(
            "The sheet of a workbook; default: the first with a key.", "NAME|N", example="March"
        ),
    ] = None
    header_row: Annotated[
        int | None,
        Option("The row with the column names; default: detected.", "N", example="1", at_least=1),
    ] = None
    delimiter: Annotated[
        str | None,
        Option("The cell separator, or tab; default: detected.", "CHAR", example=";"),
    ] = None
    encoding: Annotated[
        str | None,
        Option("The encoding of a text file; default: detected.", "NAME", example="utf-8"),
    ] = None
    multiline_cells: Annotated[
        bool,
        Option(
            "Take line breaks in quotes for a part of their cell, also where the next line looks "
            "like a row of its own.",
        ),
    ] = False
    rows: Annotated[
        tuple[RowRange, ...],
        Option(
            "Take these rows only, by the numbers that the spreadsheet program shows; the others "
            "are neither sent nor forgotten.",
            "N-N,N",
            form=ROWS,
            example="10-20,35",
        ),
    ] = ()
    where: Annotated[
        tuple[Condition, ...],
        Option(
            "Take only rows whose cell in this column shows this text, whatever its case. "
            "Repeatable: any of the texts for one column, and all of the columns.",
            "'COLUMN=TEXT'",
            form=CONDITIONS,
            example="Status=Confirmed",
        ),
    ] = ()
    limit: Annotated[
        int | None,
        Option(
            "Take the first N rows only; with --rows or --where, of those.",
            "N",
            example="100",
            at_least=1,
        ),
    ] = None

    for_all_sheets: frozenset[str] = frozenset()

    @property
    def takes_all(self) -> bool:
        """True when no option leaves out rows."""
        return self.limit is None and not self.rows and not self.where

    @property
    def from_standard_input(self) -> bool:
        """True when the sheet comes over standard input."""
        return str(self.input) == "-"

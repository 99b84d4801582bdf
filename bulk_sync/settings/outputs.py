"""The files that a run writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class JobFiles:
    """The files of all commands on jobs; None is named after the input."""

    PANEL = "Output"

    out: Annotated[
        Path | None,
        Option(
            "The folder for results and checkpoint; default: that of FILE.",
            "DIR",
            example="results",
            access=Access.FOLDER,
        ),
    ] = None
    checkpoint: Annotated[
        Path | None,
        Option(
            "The checkpoint.",
            "PATH",
            example="showings.checkpoint.sqlite",
            access=Access.DATABASE,
        ),
    ] = None
    page: Annotated[
        Path | None,
        Option(
            "Write the report as an HTML page; {date} and {time} in its name are those at which "
            "the run began.",
            "PATH",
            example="report.html",
            access=Access.WRITTEN,
            dated=True,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Outputs(JobFiles):
    """The files of a push."""

    results: Annotated[
        Path | None,
        Option(
            "The results file; the suffix decides the format: .csv, .jsonl or .xlsx. {date} and "
            "{time} in its name are those at which the run began: showings.{date}.csv.",
            "PATH",
            example="results.csv",
            access=Access.WRITTEN,
            dated=True,
        ),
    ] = None
    with_cells: Annotated[
        bool,
        Option(
            "Add the sheet's own columns to the results, after the others. As .xlsx that is a copy "
            "of the sheet with states and comments, and it can be corrected and pushed."
        ),
    ] = False
    undo_file: Annotated[
        Path | None,
        Option(
            "Write a CSV whose push would restore earlier values, as far as they were "
            "acknowledged.",
            "PATH",
            example="undo.csv",
            access=Access.WRITTEN,
        ),
    ] = None
    purge: Annotated[
        bool,
        Option(
            "When the job is finished, remove cells and patches from its checkpoint; the outcome "
            "of each row stays."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Purging:
    """The extent of a purge beyond the job's own checkpoint."""

    PANEL = "Output"

    purge_ledger: Annotated[
        bool,
        Option(
            "With --purge, remove the values of all jobs from the ledger that the job shares "
            "(--ledger); each job still knows what it has done."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Differences(JobFiles):
    """The files of a comparison."""

    results: Annotated[
        Path | None,
        Option(
            "Write the differences; the suffix decides the format: .csv, .jsonl or .xlsx. {date} "
            "and {time} in its name are those at which the run began.",
            "PATH",
            example="differences.csv",
            access=Access.WRITTEN,
            dated=True,
        ),
    ] = None
    template: Annotated[
        Path | None,
        Option(
            "Write the differences as a sheet to edit and push (.csv or .xlsx).",
            "PATH",
            name="export-template",
            example="to-edit.xlsx",
            access=Access.WRITTEN,
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """The outputs of `check` apart from its summary."""

    PANEL = "Output"

    show: Annotated[
        int,
        Option("Print the first N patches as the API will see them.", "N", at_least=0),
    ] = 0
    save_profile: Annotated[
        Path | None,
        Option(
            "Write the mapping as a profile, to use with --profile.",
            "FILE",
            example="profile.toml",
            access=Access.WRITTEN,
        ),
    ] = None

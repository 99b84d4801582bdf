"""The options that only the command line has. Imports little, because `--help` needs them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from bulk_sync.settings.option import Access, Option


@dataclass(frozen=True, kw_only=True)
class Following:
    """The options for following a run: on the terminal, in a log, in a monitoring system."""

    PANEL = "Output"

    json: Annotated[
        bool, Option("Print the summary as JSON, and nothing else, on standard output.")
    ] = False
    quiet: Annotated[bool, Option("Print errors only.")] = False
    verbose: Annotated[
        int, Option("Log every request on standard error.", short="-v", counts=True)
    ] = 0
    log_format: Annotated[
        Literal["text", "json"],
        Option(
            "The format of log lines. With json and without --log-file they replace the progress "
            "on standard error."
        ),
    ] = "text"
    log_file: Annotated[
        Path | None,
        Option(
            "Append the log to this file, an event a line; with -v every request too.",
            "PATH",
            example="bulk-sync.log",
            access=Access.WRITTEN,
        ),
    ] = None
    metrics_file: Annotated[
        Path | None,
        Option(
            "Write the figures of the run for Prometheus (node_exporter's textfile collector).",
            "PATH",
            example="bulk-sync.prom",
            access=Access.WRITTEN,
        ),
    ] = None
    on_finish: Annotated[
        str | None,
        Option(
            "Run this command when the run has ended, however it did: its standard input is the "
            "summary as JSON, BULK_SYNC_EXIT_CODE is the exit code.",
            "COMMAND",
            example="./notify.sh",
        ),
    ] = None

    @property
    def logs_to_stderr(self) -> bool:
        """True when log lines are on standard error."""
        return self.log_file is None and (self.verbose > 0 or self.log_format == "json")

    @property
    def json_to_stderr(self) -> bool:
        """True when standard error must contain nothing but JSON."""
        return self.log_file is None and self.log_format == "json"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The option about the question of commands that push."""

    PANEL = "Sending"

    yes: Annotated[
        bool,
        Option(
            "Send without asking. A push on a terminal asks before the first row of a job leaves.",
            short="-y",
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class Sample:
    """The options of `demo`."""

    PANEL = "Output"

    out: Annotated[Path, Option("The folder for the results.", "DIR", access=Access.FOLDER)] = (
        Path()
    )


@dataclass(frozen=True, kw_only=True)
class Examining:
    """The options of `doctor`."""

    PANEL = "Output"

    verbose: Annotated[
        int, Option("Show all settings, also those with their default.", short="-v", counts=True)
    ] = 0


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The options of `init`."""

    user: Annotated[bool, Option("Write it into your configuration folder, for all folders.")] = (
        False
    )


@dataclass(frozen=True, kw_only=True)
class OneRow:
    """The row that `explain` is about."""

    PANEL = "Row"
    SETTABLE = False

    row: Annotated[
        int | None,
        Option(
            "The number of the row, as the spreadsheet program shows it.",
            "N",
            example="17",
            at_least=1,
        ),
    ] = None
    key: Annotated[
        str | None,
        Option(
            "The key of the showing, or North's id of it; all rows that have it are explained.",
            "KEY",
            example="SH-1017",
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The options of `template`."""

    fields: Annotated[
        str | None,
        Option(
            "The fields that get a column, separated by commas; default: the key and all that a "
            "patch may have.",
            "FIELDS",
            example="rating,feedback",
        ),
    ] = None

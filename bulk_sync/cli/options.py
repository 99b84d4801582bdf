"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from bulk_sync.quantities import parse_clock_time, parse_duration, parse_limit, parse_share

Value = TypeVar("Value")


def reading(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser for an option: what it raises becomes a usage error with its own sentence."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return read


_READ_RATE, _READ_SHARE, _READ_DURATION = (
    reading(parse_limit),
    reading(parse_share),
    reading(parse_duration),
)

Input = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A CSV file or a workbook; - reads CSV from standard input.",
        show_default=False,
    ),
]
Inputs = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="CSV files or workbooks, and folders of them; - reads CSV from standard input.",
        show_default=False,
    ),
]
InputOrCheckpoint = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The file that was pushed, or its checkpoint.", show_default=False
    ),
]
# How the sheet is read

Sheet = Annotated[
    str | None,
    typer.Option(
        "--sheet",
        metavar="NAME|N",
        help="The sheet of a workbook; else the first with a key.",
        rich_help_panel="Reading",
    ),
]
HeaderRow = Annotated[
    int | None,
    typer.Option(
        "--header-row",
        metavar="N",
        help="The row that names the columns; else it is found.",
        rich_help_panel="Reading",
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="CHAR",
        help="What separates cells (also: tab); else it is found.",
        rich_help_panel="Reading",
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="The encoding of a text file; else it is found.",
        rich_help_panel="Reading",
    ),
]

# What its cells mean

Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="'HEADER=FIELD'",
        help="Which field a column fills; 'HEADER=' leaves it out.",
        rich_help_panel="Mapping",
    ),
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="A mapping in TOML, as check --save-profile writes it.",
        rich_help_panel="Mapping",
    ),
]
Timezone = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        metavar="AREA/CITY",
        help="For times without an offset; else this machine's own.",
        rich_help_panel="Mapping",
    ),
]
DateOrder = Annotated[
    Literal["mdy", "dmy", "ymd"] | None,
    typer.Option(
        "--date-order",
        help="Of numeric dates such as 02/03/2026; mdy unless the column speaks against it.",
        rich_help_panel="Mapping",
    ),
]
DefaultTime = Annotated[
    str | None,
    typer.Option(
        "--default-time",
        metavar="HH:MM",
        parser=reading(parse_clock_time),
        help="For dates without a time; else they are refused.",
        rich_help_panel="Mapping",
    ),
]
Clear = Annotated[
    str | None,
    typer.Option(
        "--clear",
        metavar="TOKEN",
        help="A cell with this text clears the field (sends null; the API's published schema does not promise "
        "that it takes one).",
        rich_help_panel="Mapping",
    ),
]
OnDuplicate = Annotated[
    Literal["error", "last", "merge"] | None,
    typer.Option(
        "--on-duplicate",
        help="Of rows for one showing: send none, the last, or all merged into one.",
        rich_help_panel="Mapping",
    ),
]
Strict = Annotated[
    bool | None,
    typer.Option(
        "--strict",
        metavar=" ",
        help="Unknown columns are an error.",
        show_default=False,
        rich_help_panel="Mapping",
    ),
]

# The rest

BaseUrl = Annotated[
    str,
    typer.Option(
        "--base-url", metavar="URL", help="Where the API lives.", rich_help_panel="Sending"
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="Read the API key from a file that only you can read; else NORTH_API_KEY.",
        rich_help_panel="Sending",
    ),
]
RateOption = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="auto|N/s",
        parser=_READ_RATE,
        help="Send no faster than this: N/s, N/m or N/h, together with all runs on this host that use the same key. "
        "auto keeps to what the API's headers say of its limit, else finds it.",
        show_default="auto",
        rich_help_panel="Sending",
    ),
]
Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        metavar="N",
        help="Requests under way at once, at the most.",
        rich_help_panel="Sending",
    ),
]
TransportOption = Annotated[
    str,
    typer.Option(
        "--transport",
        metavar="auto|httptools|httpx",
        help='What speaks HTTP; auto is the fastest that is installed (extra "fast") and can get there.',
        rich_help_panel="Sending",
    ),
]
Timeout = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        help="How long a whole reply may take.",
        rich_help_panel="Sending",
    ),
]
MaxAttempts = Annotated[
    int,
    typer.Option(
        "--max-attempts",
        metavar="N",
        help="Requests for one row that may fail; being told to wait does not count.",
        rich_help_panel="Sending",
    ),
]
RetryFor = Annotated[
    str,
    typer.Option(
        "--retry-for",
        metavar="DURATION",
        parser=_READ_DURATION,
        help="How long one row is tried, and how long an outage is waited out.",
        rich_help_panel="Sending",
    ),
]
Ambiguous = Annotated[
    Literal["retry", "stop"],
    typer.Option(
        "--ambiguous",
        help="When a request may have been applied, its reply being lost: send it again, or leave the row failed.",
        rich_help_panel="Sending",
    ),
]
MaxProblems = Annotated[
    str,
    typer.Option(
        "--max-problems",
        metavar="N|N%",
        parser=_READ_SHARE,
        help="Send nothing when more rows than this are invalid.",
        rich_help_panel="Stopping",
    ),
]
MaxFailures = Annotated[
    str | None,
    typer.Option(
        "--max-failures",
        metavar="N|N%",
        parser=_READ_SHARE,
        help="Stop when more rows than this are refused or fail (a share: of those tried, from the 100th on); "
        "else when the first 100 all do.",
        show_default=False,
        rich_help_panel="Stopping",
    ),
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        parser=_READ_DURATION,
        help="Send no more rows after this time; the rest stays pending.",
        show_default=False,
        rich_help_panel="Stopping",
    ),
]
FinishBy = Annotated[
    str | None,
    typer.Option(
        "--finish-by",
        metavar="HH:MM",
        parser=reading(parse_clock_time),
        help="Send no more rows after this time of the day, this machine's; the rest stays pending.",
        show_default=False,
        rich_help_panel="Stopping",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", metavar="N", help="Take the first N rows only.", rich_help_panel="Reading"
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Where results and checkpoint go; else beside FILE.",
        rich_help_panel="Output",
    ),
]
Results = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="PATH",
        help="Name the results file; its ending says what it is: .csv, .jsonl or .xlsx.",
        rich_help_panel="Output",
    ),
]
Page = Annotated[
    Path | None,
    typer.Option(
        "--page",
        metavar="PATH",
        help="Write what came of it as an HTML page, to look at, pass on and print.",
        rich_help_panel="Output",
    ),
]
Checkpoint = Annotated[
    Path | None,
    typer.Option(
        "--checkpoint", metavar="PATH", help="Name the checkpoint.", rich_help_panel="Output"
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        metavar=" ",
        help="Start over: forget what the checkpoint knows of this file.",
        rich_help_panel="Sending",
    ),
]
NewKey = Annotated[
    bool,
    typer.Option(
        "--new-key",
        metavar=" ",
        help="Go on with a job that another key of the same team began.",
        rich_help_panel="Sending",
    ),
]
Purge = Annotated[
    bool,
    typer.Option(
        "--purge",
        metavar=" ",
        help="When the job is finished, remove cells and patches from its checkpoint; what became of each row stays.",
        rich_help_panel="Output",
    ),
]
OnlyChanged = Annotated[
    bool,
    typer.Option(
        "--only-changed",
        metavar=" ",
        help="Leave out what equals the values that the API last acknowledged for the showing.",
        rich_help_panel="Sending",
    ),
]
LedgerFile = Annotated[
    Path | None,
    typer.Option(
        "--ledger",
        metavar="PATH",
        help="Keep what was acknowledged in a file that sheets of several names share; else in the checkpoint.",
        rich_help_panel="Sending",
    ),
]
UndoFile = Annotated[
    Path | None,
    typer.Option(
        "--undo-file",
        metavar="PATH",
        help="Write a CSV whose push would put earlier values back, as far as they were acknowledged.",
        rich_help_panel="Output",
    ),
]
With = Annotated[
    str,
    typer.Option(
        "--with",
        metavar="OTHER",
        help="The sheet to compare with, or ledger: what the API acknowledged last.",
        show_default=False,
        rich_help_panel="Comparing",
    ),
]
WithProfile = Annotated[
    Path | None,
    typer.Option(
        "--with-profile",
        metavar="FILE",
        help="A profile for OTHER and the base, when their columns or dates are not as those of FILE.",
        rich_help_panel="Comparing",
    ),
]
Base = Annotated[
    Path | None,
    typer.Option(
        "--base",
        metavar="SNAPSHOT",
        help="The sheet that FILE was edited from: tells whose each change is; values changed on both sides conflict.",
        rich_help_panel="Comparing",
    ),
]
Prefer = Annotated[
    Literal["here"] | None,
    typer.Option(
        "--prefer",
        metavar="here",
        help="With --push, send the value here where both sides changed it.",
        rich_help_panel="Comparing",
    ),
]
OneWay = Annotated[
    bool,
    typer.Option(
        "--one-way",
        metavar=" ",
        help="Rows that are only in OTHER are no difference.",
        rich_help_panel="Comparing",
    ),
]
PushChanges = Annotated[
    bool,
    typer.Option(
        "--push",
        metavar=" ",
        help="Send, of each row that differs, the fields that differ.",
        rich_help_panel="Comparing",
    ),
]
Template = Annotated[
    Path | None,
    typer.Option(
        "--export-template",
        metavar="PATH",
        help="Write what differs as a sheet to edit and push (.csv or .xlsx).",
        rich_help_panel="Output",
    ),
]
Differences = Annotated[
    Path | None,
    typer.Option(
        "--results",
        metavar="PATH",
        help="Write the differences; the ending says as what: .csv, .jsonl or .xlsx.",
        rich_help_panel="Output",
    ),
]
Rehearse = Annotated[
    bool,
    typer.Option(
        "--sandbox",
        metavar=" ",
        help="Rehearse: start a sandbox and send to it.",
        rich_help_panel="Sending",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=" ",
        help="Print the summary as JSON, and nothing else, on standard output.",
        rich_help_panel="Output",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", metavar=" ", help="Print errors only.", rich_help_panel="Output")
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        metavar=" ",
        help="Log every request on standard error.",
        show_default=False,
        rich_help_panel="Output",
    ),
]
Archive = Annotated[
    Path | None,
    typer.Option(
        "--archive",
        metavar="DIR",
        help="Move a sheet there when all of its rows are settled (exit code 0).",
        rich_help_panel="Output",
    ),
]
Settle = Annotated[
    str,
    typer.Option(
        "--settle",
        metavar="DURATION",
        parser=_READ_DURATION,
        help="Of a folder, take the files that nobody has written to for so long.",
        rich_help_panel="Reading",
    ),
]
LogFormat = Annotated[
    Literal["text", "json"],
    typer.Option(
        "--log-format",
        help="How log lines are written. With json and without --log-file they take the place of the progress on "
        "standard error.",
        rich_help_panel="Output",
    ),
]
LogFile = Annotated[
    Path | None,
    typer.Option(
        "--log-file",
        metavar="PATH",
        help="Add what happens to this file, an event a line; with -v every request too.",
        rich_help_panel="Output",
    ),
]
MetricsFile = Annotated[
    Path | None,
    typer.Option(
        "--metrics-file",
        metavar="PATH",
        help="Write the figures of the run for Prometheus (node_exporter's textfile collector).",
        rich_help_panel="Output",
    ),
]
OnFinish = Annotated[
    str | None,
    typer.Option(
        "--on-finish",
        metavar="COMMAND",
        help="Run this when the run has ended, however it did: the summary as JSON is on its standard input, the exit "
        "code in BULK_SYNC_EXIT_CODE.",
        show_default=False,
        rich_help_panel="Output",
    ),
]

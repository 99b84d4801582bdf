"""Options that several commands share, each declared once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from bulk_sync.settings import parse_duration, parse_rate, parse_share

Value = TypeVar("Value")


def reading(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """A parser for an option: what it raises becomes a usage error with its own sentence."""

    def read(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return read


_READ_RATE, _READ_SHARE, _READ_DURATION = reading(parse_rate), reading(parse_share), reading(parse_duration)

Input = Annotated[Path, typer.Argument(metavar="FILE", help="A CSV file in UTF-8.", show_default=False)]
InputOrCheckpoint = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="The file that was pushed, or its checkpoint.", show_default=False),
]
BaseUrl = Annotated[str, typer.Option("--base-url", metavar="URL", help="Where the API lives.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key-file",
        metavar="FILE",
        help="Read the API key from a file that only you can read; else NORTH_API_KEY.",
    ),
]
RateOption = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="N/s",
        parser=_READ_RATE,
        help="Send no faster than this: N/s, N/m or N/h. A window may hold a tenth of a second's worth more. "
        "Without it, only --workers and what the API says bound the rate.",
    ),
]
Workers = Annotated[int, typer.Option("--workers", metavar="N", help="Requests under way at once, at the most.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", help="How long a whole reply may take.")]
MaxAttempts = Annotated[
    int,
    typer.Option(
        "--max-attempts",
        metavar="N",
        help="Requests for one row that may fail; being told to wait does not count.",
    ),
]
RetryFor = Annotated[
    str,
    typer.Option("--retry-for", metavar="DURATION", parser=_READ_DURATION, help="How long one row is tried."),
]
MaxProblems = Annotated[
    str,
    typer.Option(
        "--max-problems",
        metavar="N|N%",
        parser=_READ_SHARE,
        help="Send nothing when more rows than this are invalid.",
    ),
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="Take the first N rows only.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Where results and checkpoint go; else beside FILE."),
]
Results = Annotated[Path | None, typer.Option("--results", metavar="PATH", help="Name the results file (CSV).")]
Checkpoint = Annotated[Path | None, typer.Option("--checkpoint", metavar="PATH", help="Name the checkpoint.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", metavar=" ", help="Start over: forget what the checkpoint knows of this file.")
]
NewKey = Annotated[
    bool, typer.Option("--new-key", metavar=" ", help="Go on with a job that another key of the same team began.")
]
Json = Annotated[
    bool, typer.Option("--json", metavar=" ", help="Print the summary as JSON, and nothing else, on standard output.")
]
Quiet = Annotated[bool, typer.Option("--quiet", metavar=" ", help="Print errors only.")]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose", "-v", count=True, metavar=" ", help="Log every request on standard error.", show_default=False
    ),
]

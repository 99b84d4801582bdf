"""What `check` shows: the file as understood, the mapping, the problems, and what a push would do."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CheckSummary, Understood
from bulk_sync.report.as_json import check_json
from bulk_sync.report.terminal.summary import json_line
from bulk_sync.report.words import printable, rows_of, span

_LONGEST_CELL = 40
_MOST_CAUSES = 12
_NARROW = 70
"""Characters of a terminal below which examples would crowd out headers and fields."""


def show_check_json(console: Console, summary: CheckSummary) -> None:
    """The summary as one JSON object."""
    console.file.write(json_line(check_json(summary)))


def show_check(console: Console, summary: CheckSummary, next_command: str | None) -> None:
    """The summary for a person."""
    _line(console, "File", f"{summary.input}: {_in_words(summary.understood)}")
    console.print()
    console.print(_mapping(summary, examples=console.width >= _NARROW))
    for note in (*summary.notes, *summary.assumptions):
        console.print(Text(printable(note)), soft_wrap=True)
    console.print()
    _line(console, "Rows", _counts(summary))
    _problems(console, summary)
    _line(console, "Push", _plan(summary))
    for target, body in summary.patches:
        console.print(
            Text(f"  PATCH {printable(target)} ", style="bold") + Text(printable(body)),
            soft_wrap=True,
        )
    if summary.profile:
        _line(console, "Profile", summary.profile)
    if next_command:
        _line(console, "Next", next_command, style="bold")


def _line(console: Console, name: str, text: str, style: str = "") -> None:
    console.print(Text(f"{name + ':':<10}") + Text(printable(text), style=style), soft_wrap=True)


def _in_words(file: Understood) -> str:
    parts = [file.format]
    if file.sheet is not None:
        parts.append(f"sheet {file.sheet!r}")
    if file.encoding is not None:
        parts.append(file.encoding)
    if file.delimiter is not None:
        parts.append(f"separated by {file.delimiter}")
    if file.quoting is not None and not file.quoting.startswith('"'):
        parts.append(f"quotes: {file.quoting}")
    return ", ".join([*parts, f"header in row {file.header_row}"])


def _mapping(summary: CheckSummary, *, examples: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("header", overflow="fold", min_width=12)
    table.add_column("field", no_wrap=examples)
    table.add_column("filled", justify="right", no_wrap=True)
    if examples:
        table.add_column("example, as it would be sent", overflow="ellipsis", no_wrap=True)
    for column in summary.columns:
        if column.field is None:
            table.add_row(Text(printable(column.header)), Text("left out", style="dim"))
            continue
        example = "" if column.example is None else json.dumps(column.example, ensure_ascii=False)
        short = example if len(example) <= _LONGEST_CELL else example[: _LONGEST_CELL - 3] + "..."
        shown = [Text(printable(short))] if examples else []
        table.add_row(
            Text(printable(column.header)), Text(column.field), f"{column.filled:,}", *shown
        )
    return table


def _counts(summary: CheckSummary) -> str:
    states = summary.states
    parts = [f"{summary.rows:,}"]
    if states.get(State.INVALID, 0):
        parts.append(f"{states[State.INVALID]:,} invalid")
    if states.get(State.SUPERSEDED, 0):
        parts.append(f"{states[State.SUPERSEDED]:,} superseded by another row")
    if summary.duplicates:
        parts.append(f"{summary.duplicates:,} with a key that stands in several rows")
    return ", ".join(parts)


def _problems(console: Console, summary: CheckSummary) -> None:
    for group in summary.problems:
        console.print(Text(f"{group.code}: {rows_of(group.count)}", style="bold"))
        if group.code == "bad_value" and summary.causes:
            for cause in summary.causes[:_MOST_CAUSES]:
                rows = f"{rows_of(cause.rows)}, " if cause.rows > 1 else ""
                text = f"  {cause.text}: {rows}{'first ' * (cause.rows > 1)}row {cause.first_row}: {cause.value}"
                console.print(Text(printable(text)), soft_wrap=True)
            if len(summary.causes) > _MOST_CAUSES:
                console.print(Text(f"  and {len(summary.causes) - _MOST_CAUSES:,} kinds more"))
            continue
        for number, message in group.examples:
            console.print(Text(f"  row {number}: {printable(message)}"), soft_wrap=True)


def _plan(summary: CheckSummary) -> str:
    if summary.stopped is not None:
        return "nothing, as the sheet stands"
    if not summary.requests:
        return "nothing: no row is a valid change"
    text = f"{summary.requests:,} patch{'es' * (summary.requests != 1)}, a request each"
    if summary.seconds is None:
        return f"{text}; how long that takes depends on the API's limit (--rate 10/s would tell)"
    of_the_user = summary.rate is not None and summary.per_second == summary.rate.per_second
    rate = (
        str(summary.rate)
        if of_the_user
        else f"{summary.per_second:.3g}/s, the API's limit as last met"
    )
    text = f"{text}: at least {span(summary.seconds)} at {rate}"
    if summary.window_seconds is None or summary.per_second is None:
        return text
    if summary.suffices:
        return f"{text}, within the {span(summary.window_seconds)} that it has"
    left = summary.requests - int(summary.window_seconds * summary.per_second)
    return f"{text}, but it has {span(summary.window_seconds)}: about {left:,} would stay pending (exit code 6)"

"""The result of `check` on a terminal: file, mapping, problems, and the push it would lead to."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.summaries import CheckedBatch, CheckSummary, Understood
from bulk_sync.report.ahead import total_text
from bulk_sync.report.as_json import check_json, json_line
from bulk_sync.report.facts import unsettled_text
from bulk_sync.report.terminal.ahead import show_ahead
from bulk_sync.report.terminal.lines import show_labelled, show_line, show_next
from bulk_sync.report.words import printable

_LONGEST_EXAMPLE = 40

# Words for columns that fill no field; others are ignored.
_UNMAPPED = {"ambiguous": "ambiguous", "part": "used below"}

# On a narrower terminal, examples would crowd out headers and fields.
_NARROW = 70


def show_check_json(console: Console, summary: CheckSummary) -> None:
    """Print the result as one JSON object."""
    console.file.write(json_line(check_json(summary)))


def show_checks(console: Console, batch: CheckedBatch) -> None:
    """Print the results for several files, one after the other, then their sum."""
    for part in batch.parts:
        if part.summary is not None:
            show_check(console, part.summary, None)
            console.print()
    if batch.unsettled:
        show_line(console, f"{unsettled_text(batch.unsettled, batch.settle_seconds)}.")
    summaries = [part.summary for part in batch.parts if part.summary is not None]
    if len(summaries) > 1:
        show_labelled(console, "All files", total_text(summaries))
    if not batch.parts and not batch.unsettled:
        show_line(console, "Nothing to check: no sheet found.")


def show_check(console: Console, summary: CheckSummary, next_command: str | None) -> None:
    """Print the result for a person."""
    show_labelled(console, "File", f"{summary.input}: {_file_text(summary.understood)}")
    console.print()
    console.print(_mapping(summary, examples=console.width >= _NARROW))
    show_ahead(console, summary)
    for target, body in summary.patches:
        patch = Text(f"  PATCH {printable(target)} ", style="bold") + Text(printable(body))
        console.print(patch, soft_wrap=True)
    if summary.profile:
        show_labelled(console, "Profile", summary.profile)
    show_next(console, next_command)


def _file_text(file: Understood) -> str:
    parts = [file.format]
    if file.sheet is not None:
        parts.append(f"sheet {file.sheet!r}")
    if file.encoding is not None:
        parts.append(file.encoding)
    if file.delimiter is not None:
        parts.append(f"separated by {file.delimiter}")
    if file.quoting is not None and not file.quoting.startswith('"'):  # double quotes are usual
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
        header = Text(printable(column.header))
        if column.field is None:
            word = _UNMAPPED.get(column.why, "ignored")
            table.add_row(header, Text(word, style="dim"))
            continue
        cells = [Text(printable(_example(column.example)))] if examples else []
        table.add_row(header, Text(column.field), f"{column.filled:,}", *cells)
    return table


def _example(value: object) -> str:
    text = "" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_EXAMPLE else text[: _LONGEST_EXAMPLE - 3] + "..."

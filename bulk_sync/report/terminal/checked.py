"""The result of `check` on a terminal: file, mapping, problems, and the push it would lead to."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.estimates import ALLOWANCE_SECONDS, Window
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CheckedBatch, CheckSummary, Creatable, Understood
from bulk_sync.report.as_json import check_json, json_line
from bulk_sync.report.facts import unsettled_text
from bulk_sync.report.terminal.lines import show_causes, show_labelled, show_line, show_next
from bulk_sync.report.words import counted, printable, quota_text, rate, span

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
        requests = sum(summary.requests for summary in summaries if summary.stopped is None)
        rows = sum(summary.rows for summary in summaries)
        total = f"{counted(rows, 'row')}, {counted(requests, 'patch', 'patches')} to send"
        show_labelled(console, "All files", total)
    if not batch.parts and not batch.unsettled:
        show_line(console, "Nothing to check: no sheet found.")


def show_check(console: Console, summary: CheckSummary, next_command: str | None) -> None:
    """Print the result for a person."""
    show_labelled(console, "File", f"{summary.input}: {_file_text(summary.understood)}")
    console.print()
    console.print(_mapping(summary, examples=console.width >= _NARROW))
    for note in (*summary.notes, *summary.assumptions):
        show_line(console, note)
    console.print()
    show_labelled(console, "Rows", _counts(summary))
    _problems(console, summary)
    show_labelled(console, "Push", _plan(summary))
    if summary.creatable is not None and summary.stopped is None:
        show_labelled(console, "Create", _creatable(summary.creatable))
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


def _counts(summary: CheckSummary) -> str:
    states = summary.states
    parts = [f"{summary.rows:,}"]
    if states.get(State.INVALID, 0):
        parts.append(f"{states[State.INVALID]:,} invalid")
    if states.get(State.SUPERSEDED, 0):
        parts.append(f"{states[State.SUPERSEDED]:,} superseded by another row")
    if summary.duplicates:
        parts.append(f"{summary.duplicates:,} with a key that other rows have too")
    return ", ".join(parts)


def _problems(console: Console, summary: CheckSummary) -> None:
    for group in summary.problems:
        show_line(console, f"{group.code}: {counted(group.count, 'row')}", style="bold")
        show_causes(console, [cause for cause in summary.causes if cause.code == group.code])


def _plan(summary: CheckSummary) -> str:
    if summary.stopped is not None:
        return "refused until the sheet is corrected"
    if not summary.changes:
        if summary.states.get(State.SUPERSEDED, 0):
            return "nothing: other rows took the place of those that could be sent"
        return "nothing: no row is a valid change"
    if not summary.requests:
        return "nothing: every row that can be sent was acknowledged before"
    text = f"{counted(summary.requests, 'patch', 'patches')}, one request each"
    if summary.acknowledged:
        text = f"{text} ({summary.acknowledged:,} more were acknowledged before)"
    if summary.held_seconds:
        text = f"{text}, none before {span(math.ceil(summary.held_seconds))}: the API asks to wait"
    if summary.seconds is None:
        return f"{text}; the duration depends on the API's limit (unknown, see --rate)"
    text = f"{text}: at least {span(round(summary.seconds))}{_bounds(summary)}"
    if summary.window_seconds is None:
        return text
    window = span(round(summary.window_seconds))
    if summary.suffices:
        return f"{text}, within the {window} available"
    left = summary.requests - summary.in_time
    return (
        f"{text}, but only {window} are available: about {left:,} would stay pending (exit code 6)"
    )


def _creatable(found: Creatable) -> str:
    """Return which rows may create their showing, and why others may not."""
    parts = [
        f"{counted(found.rows, 'row')} can create a missing showing, with one more request each"
    ]
    if found.without_report:
        rows = _rows(found.without_report, found.first_without_report)
        have = "has" if found.without_report == 1 else "have"
        parts.append(f"{rows} {have} no report_id (see --report)")
    if found.by_id:
        rows = _rows(found.by_id, found.first_by_id)
        address = "addresses its showing" if found.by_id == 1 else "address their showings"
        parts.append(f"{rows} {address} by id, and can't create one")
    return "; ".join(parts)


def _rows(count: int, first: Sequence[int]) -> str:
    """Return `row 5`, `rows 5 and 7`, `12 rows (5, 7, 9, 12, 13, ...)`."""
    numbers = ", ".join(map(str, first))
    if count > len(first):
        return f"{counted(count, 'row')} ({numbers}, ...)"
    return f"{'row' if count == 1 else 'rows'} {numbers}"


def _window(window: Window) -> str:
    """Return `1,000 requests per hour`, or what is left where no more is known."""
    if (window.contents is not None and window.seconds is not None) or window.left is None:
        return quota_text(window.contents, window.seconds)
    left = f"{counted(math.floor(window.left), 'request')} left"
    return left if window.resets_in is None else f"{left} for {span(round(window.resets_in))}"


def _bounds(summary: CheckSummary) -> str:
    """Return the limits that the duration follows from: ` at 10/s and 1,000 requests per hour`."""
    bounds = [str(rate) for rate in summary.rates]
    met = [] if summary.limit is None else [rate(summary.limit)]
    # The user's own come first among the windows, and are in the rates already.
    own = sum(one.period_seconds >= ALLOWANCE_SECONDS for one in summary.rates)
    met += [_window(one) for one in summary.windows[own:]]
    if met:
        bounds.append(f"{' and '.join(met)}, the API's limit when last met")
    return f" at {' and '.join(bounds)}" if bounds else ""

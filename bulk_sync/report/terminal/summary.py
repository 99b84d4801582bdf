"""The summary of a run on a terminal: states, causes, pace, files, the next command.

It is written to standard output; progress and errors are written to standard error. Text from cells
and from the server is escaped, so that no control character reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.echoes import changed_rows, echo_lines
from bulk_sync.report.facts import pace_parts
from bulk_sync.report.next_step import after_push, explain_first
from bulk_sync.report.terminal.lines import (
    show_causes,
    show_files,
    show_labelled,
    show_line,
    show_next,
    show_parts,
    show_sentence,
)
from bulk_sync.report.words import STATES, allowance_text
from bulk_sync.wording import and_more

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_MOST_ECHOES = 5
"""Rows that are named of those that came back with another value."""


def show_summary(console: Console, summary: Summary, shown: Collection[str] = ()) -> None:
    """Print the summary of a run, or of a job so far.

    `shown` are notes that the same terminal has had since the run began.
    """
    for note in summary.notes:
        if note not in shown:
            show_line(console, note)
    if summary.team:
        show_sentence(console, "Team", str(summary.team))
    console.print(_states(summary))
    show_causes(console, summary.causes, "see the failed rows")
    _show_echoes(console, summary)
    if summary.traffic.requests:
        show_parts(console, pace_parts(summary), style="dim")
    for allowance in summary.traffic.allowances:
        show_line(console, f"Allowance: {allowance_text(allowance)}", style="dim")
    files = (
        ("Results", summary.files.results),
        ("To correct", summary.files.failed),
        ("Page", summary.files.page),
        ("Undo", summary.files.undo),
        ("Checkpoint", summary.files.checkpoint),
    )
    show_files(console, files)
    if (explain := explain_first(summary)) is not None:
        show_labelled(console, "Explain", explain)
    step = after_push(summary)
    show_next(console, None if step is None else str(step))


def _show_echoes(console: Console, summary: Summary) -> None:
    """Print the first values that came back changed."""
    if not summary.echo_differs:
        return
    show_line(console, f"{changed_rows(summary.echo_differs)}:", style="bold")
    shown = summary.echoes[:_MOST_ECHOES]
    for line in echo_lines(shown):
        show_line(console, f"  {line}")
    if more := and_more(summary.echo_differs - len(shown), "row"):
        show_line(console, f"  {more}, see the messages in the results")


def _states(summary: Summary) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for state in State:
        count = summary.states.get(state, 0)
        if count:
            note = ""
            if state is State.PENDING and summary.in_flight:
                note = f"{summary.in_flight:,} of them in flight: they may have been applied"
            table.add_row(
                Text(state.value, style=STATES[state].style),
                Text(f"{count:,}", justify="right"),
                Text(note, style="dim"),
            )
    total = Text(f"{summary.rows:,}", style="bold", justify="right")
    table.add_row(Text("rows", style="bold"), total, "")
    return table

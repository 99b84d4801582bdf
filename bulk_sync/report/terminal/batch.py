"""The summary of a push of several files on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Batch, Part
from bulk_sync.report.echoes import changed_rows
from bulk_sync.report.facts import unsettled_text
from bulk_sync.report.terminal.lines import show_files, show_line
from bulk_sync.report.words import printable


def show_batch(console: Console, batch: Batch) -> None:
    """Print a line for each file, then the files to correct, notes and files left for later."""
    if batch.parts:
        console.print(_table(batch.parts))
    for part in batch.parts:
        if part.summary is not None:
            show_files(console, [("To correct", part.summary.files.failed)])
            if part.summary.echo_differs:
                show_line(console, f"{part.input}: {changed_rows(part.summary.echo_differs)}.")
            for note in part.summary.notes:
                show_line(console, f"{part.input}: {note}")
        if part.note:
            show_line(console, part.note)
    if batch.unsettled:
        show_line(console, f"{unsettled_text(batch.unsettled, batch.settle_seconds)}.")
    elif not batch.parts:
        show_line(console, "Nothing to push: no sheet found.")


def _table(parts: Sequence[Part]) -> Table:
    states = [state for state in State if any(_count(part, state) for part in parts)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for heading in ("rows", *(state.value for state in states), "exit code"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in parts:
        rows = "" if part.rows is None else f"{part.rows:,}"
        counts = ["" if part.rows is None else f"{_count(part, state):,}" for state in states]
        code = str(part.exit_code) if part.begun else "not started"
        table.add_row(Text(printable(part.input)), rows, *counts, code)
    return table


def _count(part: Part, state: State) -> int:
    return part.states.get(state, 0)

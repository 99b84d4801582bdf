"""The end of a run of several files, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Part
from bulk_sync.report.words import printable


def show_batch(console: Console, parts: Sequence[Part], unsettled: Sequence[Path]) -> None:
    """A line for each file, its rows by state; then what is to be mended, and what was left alone."""
    states = [state for state in State if any(_count(part, state) for part in parts)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("file", overflow="fold")
    for heading in ("rows", *(state.value for state in states), "exit code"):
        table.add_column(heading, justify="right", no_wrap=True)
    for part in parts:
        rows = str(part.summary.rows) if part.summary else ""
        counts = [f"{_count(part, state):,}" if part.summary else "" for state in states]
        table.add_row(
            Text(printable(part.input)),
            rows,
            *counts,
            str(part.exit_code) if part.begun else "not begun",
        )
    if parts:
        console.print(table)
    for part in parts:
        if part.summary is not None and part.summary.failed:
            console.print(Text(f"To mend:    {printable(part.summary.failed)}"), soft_wrap=True)
        notes = part.summary.notes if part.summary is not None else ()
        for note in notes:
            console.print(Text(f"{printable(part.input)}: {printable(note)}"), soft_wrap=True)
        if part.note:
            console.print(Text(printable(part.note)), soft_wrap=True)
    for path in unsettled:
        console.print(
            Text(f"Left alone, for it is still being written: {printable(str(path))}"),
            soft_wrap=True,
        )
    if not parts:
        console.print("Nothing to push: no sheet was found.")


def _count(part: Part, state: State) -> int:
    return part.summary.states.get(state, 0) if part.summary else 0

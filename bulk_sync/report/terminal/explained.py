"""The explanation of rows on a terminal: cells, patch, attempts, outcome, what North has."""

from __future__ import annotations

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from bulk_sync.model.explained import CellRead, Explanation, ReadAs, RowExplained
from bulk_sync.report.as_json import json_line
from bulk_sync.report.explained import (
    attempt_lines,
    cell_text,
    explanation_json,
    known_lines,
    mapped_text,
    outcome_text,
    problems_of_cell,
    problems_of_row,
    read_text,
    reasons_of,
    state_text,
)
from bulk_sync.report.terminal.lines import show_labelled, show_line, show_sentence
from bulk_sync.report.words import STATES, printable
from bulk_sync.wording import counted

_DEPTH = 2


def show_explanation_json(console: Console, explanation: Explanation) -> None:
    """Print the explanation as one JSON object."""
    console.file.write(json_line(explanation_json(explanation)))


def show_explanation(console: Console, explanation: Explanation) -> None:
    """Print everything known of the rows."""
    for place, row in enumerate(explanation.rows):
        if place:
            console.print()
        _show_row(console, row, explanation)
    if explanation.running:
        show_line(console, "A run uses this checkpoint now; the row may change.")
    if explanation.stopped is not None:
        console.print()
        show_sentence(console, "Push", f"refused: {explanation.stopped}")


def _show_row(console: Console, row: RowExplained, explanation: Explanation) -> None:
    found = row.row
    key = found.result.key or found.result.target
    of_key = f", key {key}" if key else ""
    show_line(console, f"Row {row.number} of {explanation.input}{of_key}", style="bold")
    state = state_text(row, is_refused=explanation.stopped is not None)
    show_sentence(console, "State", state, style=STATES[found.result.state].style)
    for problem in problems_of_row(row):
        _show(console, problem, _DEPTH)
    console.print()
    show_line(console, "Cells:")
    if not row.cells:
        _show(console, "removed by --purge", _DEPTH)
    for cell in row.cells:
        _show_cell(console, cell, explanation)
    console.print()
    _show_patch(console, row)
    _show_job(console, row, explanation)
    _show_known(console, row, explanation)


def _show_cell(console: Console, read: CellRead, explanation: Explanation) -> None:
    if read.read_as is ReadAs.IGNORED and read.cell == "":
        return
    place = "profile" if read.place is None else read.place
    header = f" {read.header}" if read.header else ""
    _show(console, f"{place}{header}: {cell_text(read.cell)}", _DEPTH, style="bold")
    mapped = mapped_text(read)
    by = f" ({mapped})" if mapped and read.why != "name" else ""
    _show(console, f"{read_text(read)}{by}", 2 * _DEPTH)
    for why in reasons_of(read, explanation.assumptions):
        _show(console, f"- {why}", 2 * _DEPTH, style="dim")
    for problem in problems_of_cell(read):
        _show(console, problem, 2 * _DEPTH, style="yellow")


def _show_patch(console: Console, row: RowExplained) -> None:
    found = row.row
    if found.body is None:
        show_labelled(console, "Patch", "none")
        return
    show_labelled(console, "Patch", f"PATCH {found.result.target} {found.body}")
    kept = row.kept
    if kept is not None and row.is_same and kept.body not in {None, found.body}:
        show_labelled(console, "Sent", f"PATCH {kept.result.target} {kept.body}")


def _show_job(console: Console, row: RowExplained, explanation: Explanation) -> None:
    kept = row.kept
    if kept is None:
        why = f"the job in {explanation.checkpoint} does not have it"
        if not explanation.has_job:
            why = (
                f"there is no job in {explanation.checkpoint}. If the sheet was pushed with "
                "--checkpoint or --out, give them here, too"
            )
        show_sentence(console, "Attempts", f"none: {why}")
        return
    if not row.is_same:
        at = f"row {kept.result.number}"
        text = f"its last push had other values for the showing, in {at}; what follows is about it"
        show_sentence(console, "Edited", text)
        if kept.body is not None:
            show_labelled(console, "Then", f"PATCH {kept.result.target} {kept.body}")
    count = kept.result.attempts
    show_labelled(console, "Attempts", counted(count, "request") if count else "none")
    for line in attempt_lines(kept):
        _show(console, line, _DEPTH)
    show_sentence(console, "Outcome", outcome_text(kept))
    for label, value in (("Showing", kept.result.showing_id), ("Updated", kept.result.updated_at)):
        if value:
            show_labelled(console, label, value)


def _show_known(console: Console, row: RowExplained, explanation: Explanation) -> None:
    lines = [*known_lines(row)]
    where = f" (ledger {explanation.ledger})" if explanation.ledger else ""
    if not lines:
        show_labelled(console, "North", f"no acknowledged value is known{where}")
        return
    show_labelled(console, "North", f"acknowledged last{where}:")
    for line in lines:
        _show(console, line, _DEPTH)


def _show(console: Console, text: str, depth: int, style: str = "") -> None:
    """Print a sentence with an indent: a hanging one on a terminal, one line in a file."""
    line = Text(printable(text), style=style)
    if console.is_terminal:
        console.print(Padding(line, (0, 0, 0, depth)))
    else:
        console.print(Text(" " * depth) + line, soft_wrap=True)

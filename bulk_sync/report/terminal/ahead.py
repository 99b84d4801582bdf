"""The facts of a push to come, on a terminal: at the end of `check`, and before the question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bulk_sync.model.summaries import CheckSummary
from bulk_sync.report.ahead import (
    create_text,
    first_lines,
    push_text,
    rows_text,
    together,
    total_text,
)
from bulk_sync.report.terminal.lines import show_causes, show_labelled, show_line, show_sentence
from bulk_sync.wording import and_more, counted

if TYPE_CHECKING:
    from rich.console import Console


MOST_SHEETS = 10
"""The sheets that are shown one by one."""


def show_review(
    console: Console, summaries: Sequence[CheckSummary], where: str, refused: Sequence[str] = ()
) -> None:
    """Print what a push of these sheets would do, before it is asked for.

    `refused` has a sentence for each of the other sheets, which are not sent.
    """
    console.print()
    _show_refused(console, refused)
    if len(summaries) == 1:
        show_labelled(console, "File", summaries[0].input)
        show_ahead(console, summaries[0], where)
        console.print()
        return
    for summary in summaries[:MOST_SHEETS]:
        show_labelled(console, "File", summary.input)
        show_ahead(console, summary)
        console.print()
    if more := and_more(len(summaries) - MOST_SHEETS, "file"):
        show_line(console, more)
    show_labelled(console, "All files", total_text(summaries))
    show_sentence(console, "To", where)
    show_sentence(console, "Push", push_text(together(summaries)))
    console.print()


def _show_refused(console: Console, refused: Sequence[str]) -> None:
    for sentence in refused[:MOST_SHEETS]:
        show_sentence(console, "Not sent", sentence)
    if len(refused) > MOST_SHEETS:
        show_line(console, f"and {counted(len(refused) - MOST_SHEETS, 'more file')} not sent")
    if refused:
        console.print()


def show_ahead(console: Console, summary: CheckSummary, where: str | None = None) -> None:
    """Print what was assumed, what becomes of the rows, the first changes, and the time.

    `where` is the API and the team that they would go to, if known.
    """
    for note in (*summary.notes, *summary.assumptions):
        show_line(console, note)
    console.print()
    show_labelled(console, "Rows", rows_text(summary))
    for group in summary.problems:
        show_line(console, f"{group.code}: {counted(group.count, 'row')}", style="bold")
        show_causes(console, [cause for cause in summary.causes if cause.code == group.code])
    if where is not None:
        show_sentence(console, "To", where)
    show_sentence(console, "Push", push_text(summary))
    if summary.creatable is not None and summary.stopped is None:
        show_sentence(console, "Create", create_text(summary.creatable))
    for place, line in enumerate(first_lines(summary.first)):
        show_sentence(console, "First" if place == 0 else "", line)

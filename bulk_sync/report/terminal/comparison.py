"""The result of `reconcile` on a terminal: counts, then the differing values by field."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.comparison import Compared, Difference, Reconciliation, RowClass
from bulk_sync.report.as_json import json_line, reconciliation_json
from bulk_sync.report.facts import base_notes, class_lines, other_side
from bulk_sync.report.next_step import after_comparison
from bulk_sync.report.problems import compared_message
from bulk_sync.report.systematic import refusal, systematic_lines
from bulk_sync.report.terminal.lines import show_files, show_indented, show_line, show_next
from bulk_sync.report.text_diff import Part, around_change, changed_parts, text_of_value
from bulk_sync.report.words import AUTHORS, CLASSES, printable
from bulk_sync.wording import and_more, counted

# On a terminal of at least this width, old and new values are side by side.
_WIDE = 100


def show_reconciliation_json(
    console: Console, summary: Reconciliation, pushed: dict[str, Any] | None, exit_code: int
) -> None:
    """Print the result as one JSON object, with the summary of a push that followed."""
    push = {} if pushed is None else {"push": pushed}
    console.file.write(json_line(reconciliation_json(summary, exit_code) | push))


def show_reconciliation(console: Console, summary: Reconciliation) -> None:
    """Print the result for a person."""
    show_line(console, f"{summary.input} against {_other(summary)}")
    for line in systematic_lines(summary):
        show_line(console, line, style="yellow")
    for note in summary.notes:
        show_line(console, note)
    console.print(_counts(summary))
    for field, rows in summary.first:
        _show_field(console, field, summary.fields[field], rows)
    for row_class in (RowClass.PROBLEM, RowClass.ONLY_HERE, RowClass.ONLY_THERE):
        _show_listed(console, summary, row_class)
    for sentence in base_notes(summary):
        show_line(console, sentence)
    why = refusal(summary)
    if why is not None:
        show_line(console, why, style="bold red")
    files = (
        ("Results", summary.results),
        ("Page", summary.page),
        ("To edit", summary.template),
        ("Changes", summary.changes),
    )
    show_files(console, files)
    show_next(console, after_comparison(summary))


def _other(summary: Reconciliation) -> str:
    other = other_side(summary)
    return f"{other}, both since {summary.base}" if summary.base else other


def _counts(summary: Reconciliation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column()
    for name in ("here", "there"):
        table.add_column(name, justify="right")
    for line in class_lines(summary):
        table.add_row(Text(line.look.name, style=line.look.style), *_pair(line.here, line.there))
    totals = _pair(summary.here.rows, summary.there.rows)
    table.add_row("rows", *totals, style="bold")
    return table


def _pair(here: int, there: int) -> tuple[str, str]:
    return f"{here:,}", f"{there:,}"


# The differences


def _show_field(console: Console, field: str, count: int, rows: tuple[Compared, ...]) -> None:
    show_line(console, f"{field}: {counted(count, 'row')}", style="bold")
    marks = _Marks(
        in_colour=console.is_terminal and console.color_system is not None and not console.no_color
    )
    if console.is_terminal and console.width >= _WIDE:
        console.print(_side_by_side(rows, marks))
    else:
        for row in rows:
            there, here = marks.of(row.differences[0])
            show_line(console, f"  row {row.number}, {row.key or row.target}")
            console.print(Text("    there: ") + there, soft_wrap=True)
            console.print(Text("    here:  ") + _with_author(row, here), soft_wrap=True)
    if more := and_more(count - len(rows)):
        show_line(console, f"  {more} (--results)", style="dim")


def _side_by_side(rows: tuple[Compared, ...], marks: _Marks) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name, ratio in (("  row", None), ("showing", 2), ("there", 4), ("here", 4)):
        table.add_column(name, ratio=ratio, overflow="fold")
    for row in rows:
        there, here = marks.of(row.differences[0])
        key = Text(printable(row.key or row.target))
        table.add_row(f"  {row.number}", key, there, _with_author(row, here))
    return table


def _with_author(row: Compared, here: Text) -> Text:
    author = row.differences[0].author
    return here if author is None else here + Text(f"  ({AUTHORS[author]})", style="dim")


# Characters; of a longer value the part around the first change is shown.
_LONGEST_TEXT = 1000


class _Marks:
    """Marks the changes between two texts, by colour or as `git diff --word-diff` does."""

    def __init__(self, *, in_colour: bool) -> None:
        self._in_colour = in_colour

    def of(self, one: Difference) -> tuple[Text, Text]:
        texts = text_of_value(one.there), text_of_value(one.here)
        old, new = changed_parts(*around_change(*texts, _LONGEST_TEXT))
        return self._marked(old, "red", ("[-", "-]")), self._marked(new, "green", ("{+", "+}"))

    def _marked(self, parts: list[Part], colour: str, marks: tuple[str, str]) -> Text:
        if not parts:
            return Text("(blank)", style="dim")
        text = Text()
        for part, changed in parts:
            if not changed:
                text.append(printable(part))
            elif self._in_colour:
                text.append(printable(part), style=f"bold {colour} underline")
            else:
                text.append(f"{marks[0]}{printable(part)}{marks[1]}")
        return text


# Rows without a counterpart, or with a problem


def _show_listed(console: Console, summary: Reconciliation, row_class: RowClass) -> None:
    rows = [row for row in summary.listed if row.row_class is row_class]
    if not rows:
        return
    count = summary.classes[row_class]
    show_line(console, f"{CLASSES[row_class].name}: {counted(count, 'row')}", style="bold")
    rest = and_more(count - len(rows))
    more = f" {rest} (--results)" if rest else ""
    if row_class is not RowClass.PROBLEM:
        show_line(console, f"  {', '.join(_names(rows))}{more}")
        return
    for row in rows:
        place = f"row {row.number}" if row.number is not None else f"row {row.number_there} there"
        show_indented(console, Text(printable(f"{place}: {compared_message(row)}")))
    if more:
        show_line(console, f" {more}", style="dim")


def _names(rows: list[Compared]) -> Iterator[str]:
    for row in rows:
        number = row.number if row.number is not None else row.number_there
        # A row of the ledger has no number.
        yield f"{row.key or row.target}{f' (row {number})' if number else ''}"

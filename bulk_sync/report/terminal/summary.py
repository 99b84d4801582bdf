"""What a person sees: progress while a run goes on, and the summary at its end.

Progress goes to standard error, the summary to standard output. Text from cells or from
the server is made harmless first: no control character reaches the terminal raw.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CauseGroup, Summary
from bulk_sync.report.words import limit_text, printable, rows_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


_MOST_CAUSES = 12
_MOST_FACTS = 50
_FIRST_ROWS = 3
"""Causes on a terminal, in a report's list, and rows that each names."""

_COLOURS = {
    State.UPDATED: "green",
    State.UNCHANGED: "green",
    State.SUPERSEDED: "dim",
    State.INVALID: "yellow",
    State.REJECTED: "red",
    State.FAILED: "red",
    State.PENDING: "cyan",
}


def show_error(console: Console, sentence: str) -> None:
    """Print what is wrong, as one sentence."""
    from rich.text import Text

    text = printable(sentence)
    end = "" if text.endswith((".", "!", "?", "--help")) else "."
    console.print(
        Text("Error: ", style="bold red") + Text(text + end, style="default"), soft_wrap=True
    )


def show_summary(console: Console, summary: Summary, next_command: str | None) -> None:
    """The end of a run: states, the first rows of each problem, files, what to run next."""
    from rich.text import Text

    for note in summary.notes:
        console.print(Text(printable(note)), soft_wrap=True)
    console.print(_states(summary))
    _show_causes(console, summary.causes)
    if summary.requests:
        console.print(Text(_pace(summary), style="dim"), soft_wrap=True)
    for name, path in (
        ("Results", summary.results),
        ("To mend", summary.failed),
        ("Page", summary.page),
        ("Undo", summary.undo),
        ("Checkpoint", summary.checkpoint),
    ):
        if path:
            console.print(Text(f"{name + ':':<12}{printable(path)}"), soft_wrap=True)
    if next_command:
        console.print(
            Text("Next:       ") + Text(printable(next_command), style="bold"), soft_wrap=True
        )


def _show_causes(console: Console, causes: Sequence[CauseGroup]) -> None:
    """A line for each cause; wrapped under itself on a terminal, whole in a file."""
    from rich.table import Table
    from rich.text import Text

    for group in causes[:_MOST_CAUSES]:
        line = Text(f"{rows_of(group.rows)}: ", style="bold") + Text(
            printable(_in_words(group)), style="default"
        )
        if console.is_terminal:
            hang = Table.grid(padding=(0, 0))
            hang.add_column(width=2)
            hang.add_column(overflow="fold")
            hang.add_row("", line)
            console.print(hang)
        else:
            console.print(Text("  ") + line, soft_wrap=True)
    if len(causes) > _MOST_CAUSES:
        more = len(causes) - _MOST_CAUSES
        console.print(
            Text(f"  and {more:,} kind{'s' * (more != 1)} more, see the failed rows"),
            soft_wrap=True,
        )


def _in_words(group: CauseGroup) -> str:
    """Cause, remedy and first rows, as in `rating 6 to 10: expected 1 to 5 (rows 7, 12, 19, ...)`."""
    doubt = f"; {group.in_doubt:,} may have been applied" if group.in_doubt else ""
    numbers = ", ".join(str(number) for number, _ in group.first_rows[:_FIRST_ROWS])
    more = ", ..." if group.rows > _FIRST_ROWS else ""
    return f"{group.cause}: {group.remedy} (row{'s' * (group.rows != 1)} {numbers}{more}{doubt})"


def json_line(value: object) -> str:
    """A line of JSON in printable ASCII: what a terminal acts on is escaped, DEL too, which JSON
    lets pass.
    """
    return json.dumps(value, ensure_ascii=True, default=str).replace("\x7f", "\\u007f") + "\n"


def _states(summary: Summary) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    for state in State:
        count = summary.states.get(state, 0)
        if count:
            style = _COLOURS[state]
            note = (
                f"{summary.in_flight:,} of them in flight: they may have been applied"
                if _uncertain(state, summary)
                else ""
            )
            table.add_row(
                Text(state.value, style=style),
                Text(f"{count:,}", justify="right"),
                Text(note, style="dim"),
            )
    table.add_row(
        Text("rows", style="bold"), Text(f"{summary.rows:,}", style="bold", justify="right"), ""
    )
    return table


def _uncertain(state: State, summary: Summary) -> bool:
    return state is State.PENDING and summary.in_flight > 0


def _pace(summary: Summary) -> str:
    parts = [f"{summary.requests:,} requests", f"{summary.retries:,} retries"]
    if summary.throttled:
        parts.append(f"{summary.throttled:,} told to wait")
    if summary.seconds:
        parts += [f"{summary.seconds:.1f} s", f"{summary.rows_per_second:.1f} rows/s"]
    sent = summary.rows - sum(
        summary.states.get(state, 0) for state in (State.INVALID, State.SUPERSEDED)
    )
    if summary.retries and sent:
        parts.insert(1, f"{summary.requests / sent:.2f} a row")
    used = "" if summary.utilisation is None else f", {summary.utilisation:.0%} of it used"
    return ", ".join((*parts, limit_text(summary.limit, summary.source) + used))


def facts_of(summary: Summary) -> Iterator[tuple[str, object]]:
    """What a summary says, as (name, value), for a report that lists it."""
    yield "input", summary.input
    yield "sent to", summary.base_url
    yield "rows", summary.rows
    yield from (
        (state.value, summary.states[state]) for state in State if summary.states.get(state, 0)
    )
    yield from (
        (f"{group.code}: {rows_of(group.rows)}", _in_words(group))
        for group in summary.causes[:_MOST_FACTS]
    )
    if len(summary.causes) > _MOST_FACTS:
        yield "causes left out", len(summary.causes) - _MOST_FACTS
    if summary.requests:
        yield "pace", _pace(summary)
    yield from (("note", note) for note in summary.notes)
    if summary.stopped is not None:
        yield "stopped", str(summary.stopped)

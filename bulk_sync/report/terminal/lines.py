"""The lines that terminal summaries consist of: text, files, next command, error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bulk_sync.model.summaries import CauseGroup
from bulk_sync.report.facts import cause_text
from bulk_sync.report.words import printable
from bulk_sync.wording import and_more, counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

# The functions import rich, which takes 40 ms, so that a command that prints nothing doesn't wait.

_LABEL_WIDTH = 12
_MOST_CAUSES = 12


def show_line(console: Console, text: str, style: str = "") -> None:
    """Print a sentence: wrapped at words on a terminal, one line in a file."""
    from rich.text import Text

    console.print(Text(printable(text), style=style), soft_wrap=not console.is_terminal)


def show_some(console: Console, lines: Sequence[str], most: int, noun: str) -> None:
    """Print the first lines, at most `most`, and how many more there are."""
    for line in lines[:most]:
        show_line(console, line)
    if more := and_more(len(lines) - most, noun):
        show_line(console, f"{more}; --json has all of them")


def lines_of_parts(parts: Sequence[str], width: int) -> list[str]:
    """Join parts with commas, in lines of at most `width` characters that end between parts."""
    lines: list[str] = []
    for place, part in enumerate(parts):
        text = part if place + 1 == len(parts) else f"{part},"
        if lines and len(lines[-1]) + 1 + len(text) <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return lines


def show_parts(console: Console, parts: Sequence[str], style: str = "") -> None:
    """Print parts with commas: in lines that end between them on a terminal, one line in a file."""
    whole = [", ".join(parts)]
    for line in lines_of_parts(parts, console.width) if console.is_terminal else whole:
        show_line(console, line, style)


def show_labelled(console: Console, label: str, text: str, style: str = "") -> None:
    """Print `Label:      text`, unwrapped, so that paths and commands can be copied."""
    from rich.text import Text

    line = Text(f"{label + ':':<{_LABEL_WIDTH}}") + Text(printable(text), style=style)
    console.print(line, soft_wrap=True)


def show_sentence(console: Console, label: str, text: str, style: str = "") -> None:
    """Print `Label:      text` for a sentence, wrapped at words on a terminal.

    Without a label it goes on below an earlier one.
    """
    from rich.text import Text

    line = Text(f"{label and label + ':':<{_LABEL_WIDTH}}") + Text(printable(text), style=style)
    console.print(line, soft_wrap=not console.is_terminal)


def show_files(console: Console, files: Iterable[tuple[str, str | None]]) -> None:
    """Print files (label, path), except those that were not written."""
    for label, path in files:
        if path:
            show_labelled(console, label, path)


def show_next(console: Console, command: str | None) -> None:
    """Print the command to run next, if there is one."""
    if command:
        show_labelled(console, "Next", command, style="bold")


def show_error(console: Console, sentence: str) -> None:
    """Print an error as one sentence, wrapped at words on a terminal."""
    from rich.text import Text

    text = printable(sentence)
    end = "" if text.endswith((".", "!", "?", "--help")) else "."
    line = Text("Error: ", style="bold red") + Text(text + end, style="default")
    console.print(line, soft_wrap=not console.is_terminal)


def show_indented(console: Console, line: Text) -> None:
    """Print a line, two blanks in: with a hanging indent on a terminal, unwrapped in a file."""
    from rich.table import Table
    from rich.text import Text

    if console.is_terminal:
        hanging = Table.grid(padding=(0, 0))
        hanging.add_column(width=2)
        hanging.add_column(overflow="fold")
        hanging.add_row("", line)
        console.print(hanging)
    else:
        console.print(Text("  ") + line, soft_wrap=True)


def show_causes(console: Console, causes: Sequence[CauseGroup], rest: str | None = None) -> None:
    """Print an indented line for each cause."""
    from rich.text import Text

    for group in causes[:_MOST_CAUSES]:
        line = Text(f"{counted(group.rows, 'row')}: ", style="bold") + Text(
            printable(cause_text(group)), style="default"
        )
        show_indented(console, line)
    if more := and_more(len(causes) - _MOST_CAUSES, "cause"):
        show_line(console, f"  {more}" + (f", {rest}" if rest else ""))

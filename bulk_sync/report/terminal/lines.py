"""Lines that every terminal summary is made of: text, files, next command, error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bulk_sync.report.words import printable

if TYPE_CHECKING:
    from rich.console import Console

# rich takes 40 ms to import: a command that prints none of these must not wait for it.

_LABEL_WIDTH = 12


def show_line(console: Console, text: str, style: str = "") -> None:
    """Print a sentence: wrapped at words on a terminal, one line in a file."""
    from rich.text import Text

    console.print(Text(printable(text), style=style), soft_wrap=not console.is_terminal)


def show_labelled(console: Console, label: str, text: str, style: str = "") -> None:
    """Print `Label:      text`, unwrapped, so that paths and commands can be copied."""
    from rich.text import Text

    line = Text(f"{label + ':':<{_LABEL_WIDTH}}") + Text(printable(text), style=style)
    console.print(line, soft_wrap=True)


def show_files(console: Console, files: Iterable[tuple[str, str | None]]) -> None:
    """Print files (label, path), but for those that were not written."""
    for label, path in files:
        if path:
            show_labelled(console, label, path)


def show_next(console: Console, command: str | None) -> None:
    """Print the one command to run next, if there is one."""
    if command:
        show_labelled(console, "Next", command, style="bold")


def show_error(console: Console, sentence: str) -> None:
    """Print an error as one sentence, wrapped at words on a terminal."""
    from rich.text import Text

    text = printable(sentence)
    end = "" if text.endswith((".", "!", "?", "--help")) else "."
    line = Text("Error: ", style="bold red") + Text(text + end, style="default")
    console.print(line, soft_wrap=not console.is_terminal)

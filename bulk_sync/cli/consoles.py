"""Standard output and standard error as rich has them; imported where something is to be shown with
it.
"""

from __future__ import annotations

from typing import TextIO

from rich.console import Console


class _Output(Console):
    """Standard output; a reader that has left is the commands' business: rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def output() -> Console:
    """Standard output."""
    return _Output(highlight=False)


def errors(stream: TextIO) -> Console:
    """Standard error, by way of `stream`."""
    return Console(file=stream, highlight=False)

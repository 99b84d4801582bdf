"""Print to standard output and standard error, also after their readers have left."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from bulk_sync.errors import OutputError
from bulk_sync.platforms import why_refused

if TYPE_CHECKING:
    from rich.console import Console

# Determined at the start, because a closed terminal is no longer one.
_AT_A_TERMINAL = sys.stdout is not None and sys.stdout.isatty()


@contextmanager
def standard_output() -> Iterator[None]:
    """Flush what the block prints; raises OutputError if it can't be written.

    A reader that has left (`| head`) is not an error and does not change the exit code.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if not isinstance(error, BrokenPipeError) and not _terminal_gone(error):
            raise OutputError(f"standard output can't be written: {why_refused(error)}") from None


def _discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, because Python flushes its buffer again at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminal_gone(error: OSError) -> bool:
    """True when the stream was a terminal that somebody closed."""
    return error.errno == errno.EIO and _AT_A_TERMINAL


class Forgiving:
    """Standard error that discards its output when nobody reads it any more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text, or discard it."""
        try:
            return self._stream.write(text)
        except OSError:
            _discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush the buffer, or discard it."""
        try:
            self._stream.flush()
        except OSError:
            _discard(self._stream)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the stream has it
        return getattr(self._stream, name)


def forgiving_stderr() -> TextIO:
    """Return standard error as a stream that never fails."""
    return cast("TextIO", Forgiving(sys.stderr))


def out() -> Console:
    """Return standard output as a console."""
    # rich is slow to import, and a run with --quiet or --json may need none of it.
    from rich.console import Console

    class Output(Console):
        """Console whose broken pipe `standard_output` handles; rich would exit with code 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    return Output(highlight=False)


def err() -> Console:
    """Return standard error as a console."""
    from rich.console import Console

    return Console(file=forgiving_stderr(), highlight=False)


def say(line: str) -> None:
    """Print a line on standard error."""
    from bulk_sync.report.terminal.lines import show_line

    show_line(err(), line)


def show_failure(sentence: str) -> None:
    """Print an error on standard error."""
    from bulk_sync.report.terminal.lines import show_error

    show_error(err(), sentence)


def may_be_a_terminal(stream: TextIO) -> bool:
    """Return False if rich certainly would not find a terminal, to save its import."""
    # A stream that was closed is None.
    isatty: Callable[[], bool] = getattr(stream, "isatty", lambda: False)
    return isatty() or any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))

"""Standard output and standard error: printing to them, and readers that have left."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from bulk_sync.errors import OutputError

if TYPE_CHECKING:
    from rich.console import Console

_AT_A_TERMINAL = sys.stdout.isatty()  # at the start: a terminal that was closed is none any more


@contextmanager
def standard_output() -> Iterator[None]:
    """Print a summary; raises OutputError when it can't be written.

    A reader that has left (`| head`) is no error: it changes neither the work nor the exit code.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        if not isinstance(error, BrokenPipeError) and not _terminal_gone(error):
            raise OutputError(f"standard output can't be written: {error.strerror}") from None


def _give_up(stream: TextIO) -> None:
    """Discard the rest of a stream: what is left in its buffer would fail again at the end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _terminal_gone(error: OSError) -> bool:
    """True when the stream was a terminal that somebody closed."""
    return error.errno == errno.EIO and _AT_A_TERMINAL


class Forgiving:
    """Standard error; when nobody reads it any more the run goes on, and the rest is discarded."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or discard."""
        try:
            return self._stream.write(text)
        except OSError:
            _give_up(self._stream)
            return len(text)

    def flush(self) -> None:
        """Flush, or discard."""
        try:
            self._stream.flush()
        except OSError:
            _give_up(self._stream)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the stream has it
        return getattr(self._stream, name)


def forgiving_stderr() -> TextIO:
    """Return standard error as a stream that never fails."""
    return cast("TextIO", Forgiving(sys.stderr))


def out() -> Console:
    """Return standard output as a console; rich is imported late, because a run may need none."""
    from rich.console import Console

    class Output(Console):
        """rich would exit with 1 when the reader has left; `standard_output` handles that."""

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
    """Print on standard error what went wrong."""
    from bulk_sync.report.terminal.lines import show_error

    show_error(err(), sentence)


def may_be_a_terminal(stream: TextIO) -> bool:
    """False where rich would surely find none: to import it takes a while, for nothing."""
    # A stream that was closed is None.
    isatty: Callable[[], bool] = getattr(stream, "isatty", lambda: False)
    return isatty() or any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))

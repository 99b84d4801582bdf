"""Show of an exception that is a bug of ours where it was raised, never its text.

Invariant: no text of an exception is printed or logged, whoever raised it and in whatever thread,
task or destructor, because it may quote a cell of a client's sheet or the key. Types, files, lines
and names of functions are our own words and those of libraries.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import TracebackType

from bulk_sync import signals

_PACKAGE = Path(__file__).parents[1]

# Of an exception that was raised while others were handled, or that is a group of others.
_MOST_RELATED = 20


def sentence(error: BaseException) -> str:
    """Return what is said of a bug in one line; of a group, its first member."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    where = next((f" at {place}" for place in reversed(_places(error)) if "bulk_sync" in place), "")
    return f"this is a bug in bulk-sync ({type(error).__name__}{where}); please report it"


def trace(error: BaseException) -> str:
    """Return the places of an exception and of those that belong to it, the innermost last."""
    lines: list[str] = []
    for relation, one in _related(error):
        lines += [f"{relation}:" if relation else "Traceback, without values:"]
        lines += [f"  {place}" for place in _places(one)]
        lines += [type(one).__qualname__]
    return "\n".join(lines) + "\n"


def show_no_texts() -> None:
    """Let Python itself show exceptions as `trace` does, wherever nobody catches them."""
    sys.excepthook = _on_uncaught
    threading.excepthook = lambda args: _show(args.exc_value)
    signals.show_unraisable_by(lambda args: _show(args.exc_value))
    # It logs the tasks that failed unnoticed, with their exceptions.
    logging.getLogger("asyncio").addHandler(_OnlyPlaces(logging.WARNING))
    logging.getLogger("asyncio").propagate = False


class _OnlyPlaces(logging.Handler):
    """Prints the exception of a record; its message may describe the values of a task."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            _show(record.exc_info[1])


def _on_uncaught(
    _type: type[BaseException], error: BaseException, _tb: TracebackType | None
) -> None:
    _show(error)


def _show(error: BaseException | None) -> None:
    if error is not None and sys.stderr is not None:
        sys.stderr.write(trace(error))


def _related(error: BaseException) -> Iterator[tuple[str, BaseException]]:
    """Yield an exception with its causes before it, and the members of a group after it."""
    seen: list[BaseException] = []

    def visit(one: BaseException, relation: str) -> Iterator[tuple[str, BaseException]]:
        if any(one is known for known in seen) or len(seen) >= _MOST_RELATED:
            return
        seen.append(one)
        if (before := one.__cause__ or one.__context__) is not None:
            yield from visit(before, "First")
        yield relation, one
        if isinstance(one, BaseExceptionGroup):
            for member in one.exceptions:
                yield from visit(member, "In it")

    yield from visit(error, "")


def _places(error: BaseException) -> list[str]:
    return [
        f"{_short(frame.f_code.co_filename)}, line {line}, in {frame.f_code.co_name}"
        for frame, line in walk_tb(error.__traceback__)
    ]


def _short(file: str) -> str:
    """Return the path of a file from where packages are; no path of the user's folders."""
    parts = Path(file).parts
    for root in (_PACKAGE.name, "site-packages"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at:])
    return "/".join(parts[-2:])

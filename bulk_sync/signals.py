"""The signals that end a command, from its first line to its last.

Invariants:

1. Every signal that arrives is kept before anything else is done with it, until it was raised or
   handed to the run that is sending.
2. The handler raises only in a `raising` block, whose code may be cut off anywhere: it sends
   nothing. It never raises while an event loop runs, outcomes are recorded or reports are written.
3. A signal that arrives elsewhere is raised or handed over when the next block begins. Without a
   next block the command has ended by itself, and its own exit code counts.
4. A second signal ends the process at once, unless a run that is sending takes it; with the
   command's own exit code once that was printed.
5. At the end nothing is raised any more, and the process can't be ended by a signal's default
   action.

A library has no handlers of its own but while it sends, and only in the main thread: Python calls
handlers nowhere else. They need no support by the event loop, which Windows lacks.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from types import FrameType, TracebackType
from typing import Any, NoReturn

from bulk_sync import platforms
from bulk_sync.errors import Interrupted
from bulk_sync.platforms import ENDING_SIGNALS

Listener = Callable[[int], object]
"""Takes the number of a signal, in the main thread and between any two of its instructions."""

_HANGUP: int | None = getattr(signal, "SIGHUP", None)

# After the first signal, a run that is sending takes one more: it cuts off its requests.
_HANDED_AT_MOST = 2


# Until a finalizer has ended in which a signal could not be raised.
_FINALIZER_SECONDS = 0.01


class _Stage(Enum):
    STARTING = "nothing was done yet: a signal ends the process"
    RAISING = "a signal raises Interrupted"
    HOLDING = "a signal is kept"
    ENDED = "the exit code is known: a signal only hurries"


class _State:
    """The signals of this process, and what becomes of the next one."""

    def __init__(self) -> None:
        self.installed = False
        self.stage = _Stage.HOLDING
        self.arrived: list[int] = []
        self.kept: int | None = None  # neither raised nor handed over yet
        self.raised: int | None = None  # in the current block, which it may not have left
        self.listener: Listener | None = None
        self.code: int | None = None  # of the process, once it is known
        self.show: Callable[[sys.UnraisableHookArgs], object] = sys.__unraisablehook__


_state = _State()


def install() -> None:
    """Take over the signals of this process, which is a command's.

    A signal that is ignored, as nohup does with SIGHUP, stays ignored.
    """
    _state.stage = _Stage.STARTING
    _state.installed = True
    for number in ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)
    sys.unraisablehook = _raise_again
    # Registered first, so called last.
    atexit.register(_end_deaf)


def show_unraisable_by(show: Callable[[sys.UnraisableHookArgs], object]) -> None:
    """Show by this function what is raised where nothing can be, but for signals."""
    _state.show = show
    if not _state.installed:
        sys.unraisablehook = show


def hold() -> None:
    """Keep signals from here on, because the command ends or something was sent."""
    if _is_ours():
        _state.stage = _Stage.HOLDING


def announced(code: int) -> None:
    """Let no signal change the exit code any more, because it is printed."""
    if _is_ours():
        _state.stage = _Stage.HOLDING
        if _state.code is None:  # else a summary within another one
            _state.code = code


def ended(code: int) -> None:
    """Let the exit code count, whatever signal comes while the interpreter shuts down."""
    if _is_ours():
        _state.stage, _state.code = _Stage.ENDED, code


class raising:  # noqa: N801 - a block, as those of contextlib
    """A block in which a signal raises Interrupted; `end` ends it early.

    Signals are kept after it. One that was kept before is raised at the beginning, unless `earlier`
    is False. Without handlers of our own it does nothing.
    """

    def __init__(self, *, earlier: bool = True) -> None:
        self._earlier = earlier

    def __enter__(self) -> raising:
        if _is_ours():
            _state.raised = None
            _state.stage = _Stage.RAISING  # before the look at `kept`, so that none is missed
            if self._earlier:
                _raise_kept()
        return self

    def end(self) -> None:
        """Keep signals from here on; raises Interrupted if one was swallowed in the block."""
        if _is_ours():
            _state.stage = _Stage.HOLDING
            number, _state.raised = _state.raised, None
            if number is not None:
                raise Interrupted(number)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise Interrupted in place of an error that it caused, as in a callback of C code."""
        if isinstance(error, Interrupted) or (error and not isinstance(error, Exception)):
            hold()
            _state.raised = None
        else:
            self.end()


@contextmanager
def held() -> Iterator[None]:
    """Keep signals in a block that may not be cut off, as an event loop; raise one after it."""
    before = _state.stage
    hold()
    try:
        yield
    finally:
        if _is_ours():
            _state.stage = before
    if before is _Stage.RAISING and _is_ours():
        _raise_kept()


@contextmanager
def handed_to(listener: Listener) -> Iterator[None]:
    """Call a function for each signal of a block, and for one that was kept before.

    In a library's main thread the signals are taken over for the block; in other threads nothing
    is done.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {} if _state.installed else _take_over()
    _state.listener = listener  # before the look at `kept`, so that none is missed
    try:
        number, _state.kept = _state.kept, None
        if number is not None:
            listener(number)
        yield
    finally:
        _state.listener = None
        for number, handler in before.items():
            signal.signal(number, handler)


def _take_over() -> dict[int, Any]:
    """Handle the signals of a host's process; return its handlers."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # None is a handler that was not set from Python, which can't be set again.
    before = {
        number: handler
        for number, handler in before.items()
        if handler is not None and handler is not signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, _hand_over)
    return before


def _hand_over(number: int, _: FrameType | None) -> None:
    if _state.listener is not None:
        _state.listener(_usual(number))


def _usual(number: int) -> int:
    """Return Ctrl-C's number for Ctrl-Break, which only Windows has."""
    return int(signal.SIGINT) if number == platforms.BREAK else number


def _is_ours() -> bool:
    return _state.installed and threading.current_thread() is threading.main_thread()


def _raise_kept() -> None:
    number, _state.kept = _state.kept, None
    if number is not None:
        _state.stage = _Stage.HOLDING
        raise Interrupted(number)


def _on_signal(number: int, _: FrameType | None) -> None:
    number = _usual(number)
    if _state.stage is _Stage.STARTING:
        os._exit(128 + number)
    code = 128 + number if _state.code is None else _state.code
    if _state.stage is _Stage.ENDED:
        _leave(code)
    # When a terminal closes, the shell and the kernel both say so.
    if number == _HANGUP and number in _state.arrived:
        return
    _state.arrived.append(number)
    if _state.listener is not None and len(_state.arrived) <= _HANDED_AT_MOST:
        _state.listener(number)
    elif len(_state.arrived) > 1:
        _leave(code)
    elif _state.stage is _Stage.RAISING:
        _state.stage, _state.raised = _Stage.HOLDING, number
        raise Interrupted(number)
    else:
        _state.kept = number


def _raise_again(unraisable: sys.UnraisableHookArgs) -> None:
    """Raise an Interrupted again that was raised where nothing can be, as in a finalizer."""
    if not isinstance(unraisable.exc_value, Interrupted) or _state.raised is None:
        # What a signal cut off may complain, as a thread whose start it interrupted does.
        if not _state.arrived:
            _state.show(unraisable)
        return
    number, _state.raised = _state.raised, None
    _state.arrived.clear()
    _state.stage = _Stage.RAISING
    # Not from here, where nothing can be raised either.
    threading.Thread(target=_send_again, args=(number,), daemon=True).start()


def _send_again(number: int) -> None:
    threading.Event().wait(_FINALIZER_SECONDS)
    platforms.send_to_thread(threading.main_thread().ident or 0, number)


def _leave(code: int) -> NoReturn:
    """End the process without waiting for threads, children or finalizers."""
    for stream in (sys.stdout, sys.stderr):
        # The signal may have come in the middle of a write.
        with suppress(Exception):
            stream.flush()
    with suppress(Exception):
        if sys.stderr.isatty():
            os.write(2, b"\x1b[?25h")  # show the cursor, which a progress bar hides
    os._exit(code)


def _end_deaf() -> None:
    """Let no signal through any more: Python sets the default actions while it ends."""
    if _is_ours():
        platforms.ignore(ENDING_SIGNALS)

"""The callbacks of a running push, and what ends it: signals, a stop event, an error."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import anyio
from msgspec import Struct

from bulk_sync.clock import Clock
from bulk_sync.errors import ENDING_SIGNALS, BulkSyncError, Interrupted, StoppedEarly
from bulk_sync.model.rows import RowDecided, Tally
from bulk_sync.run.sheet import OnRows
from bulk_sync.send.sender import Sender

_LOOK_SECONDS = 0.1
"""So often a run looks whether it is asked to stop by the program that called."""


OnRow = Callable[[RowDecided], None]
"""Is told of each row as it is decided."""


Watch = Callable[[Tally], AbstractContextManager[None]]
"""Shows the running counts while rows are sent."""


class Following(Struct, frozen=True):
    """Who is told while a run goes on, and who may end it."""

    watch: Watch
    on_rows: OnRows
    on_row: OnRow | None
    stop: threading.Event | None


class Telling:
    """Tells the caller of each row. What that raises stops the run, which raises it once it has
    ended.

    Between a reply and the putting of its outcome rows are told of, too: there nothing may be
    raised.
    """

    def __init__(self, on_row: OnRow) -> None:
        self._on_row = on_row
        self.stop: Callable[[BulkSyncError], None] = lambda _: None
        self.raised: BaseException | None = None

    def __call__(self, row: RowDecided) -> None:
        """Pass a decided row on to the caller."""
        if self.raised is None:
            try:
                self._on_row(row)
            except BaseException as raised:  # noqa: BLE001 - raised again
                self.raised = raised
                self.stop(StoppedEarly("Whoever was told of a row raised an error"))


async def heed_signals(sender: Sender, scope: anyio.CancelScope) -> None:
    """The first Ctrl-C, SIGTERM or SIGHUP lets requests on their way end; the second cuts them off."""
    before = {number: signal.getsignal(number) for number in ENDING_SIGNALS}
    # nohup and its kin have SIGHUP ignored, and mean it.
    before = {
        number: handler for number, handler in before.items() if handler is not signal.SIG_IGN
    }
    try:
        with scope, anyio.open_signal_receiver(*before) as received:
            async for number in received:
                if sender.stopped is not None:
                    sender.abandon()
                sender.stop(Interrupted(number))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def heed_the_caller(
    sender: Sender, stop: threading.Event, clock: Clock, ended: anyio.CancelScope
) -> None:
    """Let requests on their way end once the program that called asks for it; after the end it asks
    for nothing.
    """
    while not ended.cancel_called:
        if stop.is_set():
            sender.stop(StoppedEarly("The program that called asked to stop"))
            return
        await clock.sleep(_LOOK_SECONDS)


def only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of a task group's, where all are for the user."""
    errors = _leaves(group)
    return errors[0] if all(isinstance(error, BulkSyncError) for error in errors) else group


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in _leaves(one)]

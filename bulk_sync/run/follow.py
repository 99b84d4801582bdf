"""The callbacks of a push, and its early ends: signals, a stop event, an error."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

import anyio
from msgspec import Struct

from bulk_sync import signals
from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError, CheckpointBusy, Interrupted, StoppedEarly
from bulk_sync.job.lock import Holding
from bulk_sync.model.account import Team
from bulk_sync.model.rows import RowDecided, Tally
from bulk_sync.run.loops import Loop, OwnLoop
from bulk_sync.run.sheet import OnRows
from bulk_sync.send.budget import OpenPermits
from bulk_sync.send.sender import Sender

# How often a run checks the caller's stop event.
_STOP_POLL_SECONDS = 0.1


class AboutToSend(Struct, frozen=True):
    """The rows of a run and their destination; `team` is None when the API doesn't name it."""

    rows: int
    base_url: str
    team: Team | None


OnRow = Callable[[RowDecided], None]
"""Called for each row as it is decided."""

OnWarning = Callable[[str], None]
"""Called before anything is sent with each sentence about values that look damaged."""

OnSending = Callable[[AboutToSend], None]
"""Called before the first row leaves."""

Watch = Callable[[Tally], AbstractContextManager[None]]
"""Shows the running counts while rows are sent."""


class StopRequest(threading.Event):
    """An event by which a caller stops runs in other threads, with the reason.

    `reason` is set before the event is; after `hurry` requests in flight are cut off, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reason: BulkSyncError = StoppedEarly("The calling program asked to stop")
        self.hurry = False
        self._places = itertools.count()
        self._listeners: list[Callable[[], None]] = []

    def take(self, number: int) -> None:
        """Take a signal: the first one stops, the second one hurries.

        A second one may come between any two instructions of the first. It must not set the event,
        whose lock the first may hold in this very thread.
        """
        if next(self._places) == 0:
            self.reason = Interrupted(number)
            self.set()
        else:
            self.hurry = True
            if self.is_set():  # else the first one calls them, when it goes on
                self._call_listeners()

    def set(self) -> None:
        """Set the event, and call the listeners."""
        super().set()
        self._call_listeners()

    def _call_listeners(self) -> None:
        for listener in tuple(self._listeners):  # others come and go in their threads
            listener()

    @contextmanager
    def handed_to(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call the listener when the event is set, also if it was before, and on `hurry`.

        It is called in any thread, and must take no lock.
        """
        self._listeners.append(listener)
        try:
            if self.is_set():
                listener()
            yield
        finally:
            self._listeners.remove(listener)


class Callbacks(Struct, frozen=True):
    """The caller's callbacks, the event by which it stops the run, and the loop that sends.

    In a cluster, `open_permits` takes the place of the budgets that the runs of this host share,
    and losing one of the `leases` ends the run as losing a lock does.
    """

    watch: Watch = lambda _: nullcontext()
    on_rows: OnRows = lambda _: None
    on_row: OnRow | None = None
    stop: threading.Event | None = None
    on_warning: OnWarning = lambda _: None
    on_sending: OnSending = lambda _: None
    open_permits: OpenPermits | None = None
    leases: tuple[Holding, ...] = ()
    loop: Loop = OwnLoop()


class RowNotifier:
    """Calls the caller's function for each decided row; an error that it raises stops the run.

    The call happens before the outcome is recorded, so an error raised there would lose the
    outcome. It is kept in `raised` until the run has ended.
    """

    def __init__(self, on_row: OnRow) -> None:
        self._on_row = on_row
        self.stop: Callable[[BulkSyncError], None] = lambda _: None
        self.raised: BaseException | None = None

    def __call__(self, row: RowDecided) -> None:
        """Pass a decided row on, unless an earlier call failed."""
        if self.raised is None:
            try:
                self._on_row(row)
            except BaseException as raised:  # noqa: BLE001 - raised again
                self.raised = raised
                self.stop(StoppedEarly("The callback for decided rows raised an error"))


@contextmanager
def stopped_by_signals(sender: Sender) -> Iterator[None]:
    """Stop after requests in flight on the first signal; cut them off on the second."""

    def stop(number: int) -> None:
        if sender.stopped is not None:
            sender.abandon()
        sender.stop(Interrupted(number))

    # Works on any event loop; those of Windows have no `add_signal_handler`.
    loop = asyncio.get_running_loop()
    with signals.handed_to(lambda number: loop.call_soon_threadsafe(stop, number)):
        yield


@contextmanager
def stopped_by_loss(sender: Sender, holds: Sequence[Holding]) -> Iterator[None]:
    """Stop after requests in flight once another host holds the checkpoint, too."""
    loop = asyncio.get_running_loop()

    def stop(error: CheckpointBusy) -> None:
        with suppress(RuntimeError):  # the loop has ended, and sends nothing
            loop.call_soon_threadsafe(sender.stop, error)

    try:
        for hold in holds:
            hold.on_loss = stop
            if hold.is_lost:  # before it had somebody to call
                sender.stop(hold.error())
        yield
    finally:
        for hold in holds:
            hold.on_loss = lambda _: None


@contextmanager
def stopped_by_request(sender: Sender, request: StopRequest) -> Iterator[None]:
    """Stop after requests in flight once that is requested; cut them off on `hurry`."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        sender.stop(request.reason)
        if request.hurry:
            sender.abandon()

    def ask() -> None:
        with suppress(RuntimeError):  # the loop has ended, and sends nothing
            loop.call_soon_threadsafe(stop)

    with request.handed_to(ask):
        yield


async def stop_on_event(
    sender: Sender, stop: threading.Event, clock: Clock, ended: anyio.CancelScope
) -> None:
    """Stop after requests in flight once the caller sets `stop`; return when the run has ended."""
    # A threading.Event can't be awaited, hence the polling.
    while not ended.cancel_called:
        if stop.is_set():
            sender.stop(StopRequest().reason)
            return
        await clock.sleep(_STOP_POLL_SECONDS)


def only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error of a group if all are for the user, else the group."""
    errors = _leaves(group)
    return errors[0] if all(isinstance(error, BulkSyncError) for error in errors) else group


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in _leaves(one)]

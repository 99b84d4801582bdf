"""The early end of a run: the reason, and the cancellation of everything that waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import anyio

from bulk_sync.clock import Clock, utc_text
from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly


class Stopping(Exception):
    """The run stops before the change is decided."""


class Halt:
    """Stops a run early."""

    def __init__(self) -> None:
        self.reason: BulkSyncError | None = None
        self.waits = anyio.CancelScope()
        """The scope around all waits of a run; requests in flight are shielded from it."""
        self._requests: set[anyio.CancelScope] = set()

    def stop(self, reason: BulkSyncError) -> None:
        """Cancel all waits except those for replies. The first reason stays."""
        if self.reason is None:
            self.reason = reason
        self.waits.cancel()

    def abandon(self) -> None:
        """Cut off the requests in flight, too."""
        self.stop(Outage("Stopped at once"))  # a reason only if nothing stopped the run before
        for scope in self._requests:
            scope.cancel()

    async def stop_at(self, deadline: float, clock: Clock) -> None:
        """Stop the run at an instant of its clock, immediately if that has passed."""
        left = deadline - clock.monotonic()
        if left > 0:  # staging may have taken longer than the deadline allows
            await clock.sleep(left)
        over_since = max(0.0, clock.monotonic() - deadline)
        at = utc_text(clock.now() - timedelta(seconds=over_since))
        self.stop(StoppedEarly(f"The time that --deadline or --finish-by sets was over at {at}"))

    @contextmanager
    def request_scope(self, *, shield: bool = False) -> Iterator[anyio.CancelScope]:
        """Open a scope that only `abandon` can cancel while it is shielded."""
        with anyio.CancelScope(shield=shield) as scope:
            self._requests.add(scope)
            try:
                yield scope
            finally:
                self._requests.discard(scope)


@contextmanager
def interruptible(scope: anyio.CancelScope) -> Iterator[None]:
    """Lift the shield of a scope during a wait for anything but a reply, so that a stop ends it."""
    scope.shield = False
    try:
        yield
    finally:
        scope.shield = True

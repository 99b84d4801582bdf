"""Send the pending changes of a job: transport, budget, recorder and sender together."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import anyio
from msgspec import Struct
from pydantic import SecretStr

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import Clock, seconds_until
from bulk_sync.errors import BulkSyncError, UsageError
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Store
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, State, Tally
from bulk_sync.quantities import Share
from bulk_sync.run.follow import (
    Callbacks,
    RowNotifier,
    only_error,
    stop_on_event,
    stop_on_signals,
)
from bulk_sync.run.shared_limit import open_pace_store
from bulk_sync.run.summary import Sent
from bulk_sync.secret import fingerprint
from bulk_sync.send.account import LONGEST_SECONDS, Account, Preflight, Wanted
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.choose import Name, choose_transport, load, open_transport
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import Target
from bulk_sync.version import __version__


class Destination(Struct, frozen=True):
    """The API of a job, and the transport to it.

    Requests go to `address`. It differs from `base_url` in a rehearsal, whose base URL is
    `sandbox:`. `team` is that of `--team`; a rehearsal has none, because it reaches nobody.
    """

    base_url: str
    address: str
    key: SecretStr
    transport: Name
    team: str | None = None

    @property
    def key_fingerprint(self) -> str:
        """The fingerprint of the key, which checkpoints hold."""
        return fingerprint(self.key)


def choose_destination(
    target: Target, send_to: str | None, key: SecretStr, sending: Sending
) -> Destination:
    """Choose the transport; raises UsageError when it can't be used or can't reach the API.

    Also for a rehearsal without the address of a sandbox: only the command starts one itself.
    """
    base_url = target.base_url
    is_rehearsal = base_url == SANDBOX_TARGET
    if is_rehearsal and send_to is None:
        raise UsageError(
            "sandbox: a rehearsal needs a running sandbox; pass its address as send_to"
        )
    address = send_to or base_url
    return Destination(
        base_url,
        address,
        key,
        choose_transport(sending.transport, address),
        None if is_rehearsal else target.team,
    )


def bounds_of(stopping: Stopping, clock: Clock) -> Bounds:
    """Return the bounds of a run that begins now."""
    return Bounds(stopping.max_failures, clock.monotonic() + seconds_left(stopping, clock))


def seconds_left(stopping: Stopping, clock: Clock) -> float:
    """Return how long a push may send; infinity when neither bound is set."""
    until = math.inf if stopping.finish_by is None else seconds_until(stopping.finish_by, clock)
    deadline = stopping.deadline_seconds
    return min(until, math.inf if deadline is None else deadline)


def start_tally(counts: Mapping[State, int], leave: Share) -> Tally:
    """Return the running counts of a run that begins with these rows."""
    total = sum(counts.values())
    return Tally(total=total, settled_before=total - counts.get(State.PENDING, 0), leave=leave)


class SendingRun(Struct, frozen=True):
    """Everything that sending needs; `state_folder` None is the user's own."""

    store: Store
    tally: Tally
    destination: Destination
    sending: Sending
    creating: Creating
    pacing: Pacing
    bounds: Bounds
    callbacks: Callbacks
    clock: Clock
    state_folder: Path | None = None

    def terms(self) -> Terms:
        """Return the terms of the sender."""
        job = self.store.database.job()
        return Terms(
            policy=RetryPolicy(
                max_attempts=self.sending.max_attempts,
                retry_for_seconds=self.sending.retry_for_seconds,
                repeat_ambiguous=self.sending.ambiguous == "retry",
                max_wait_seconds=self.pacing.max_wait_seconds,
            ),
            bounds=self.bounds,
            workers=self.sending.workers,
            key_accepted=job is not None
            and job.key_fingerprint == self.destination.key_fingerprint,
            preflight=self._preflight(),
            create_missing=self.creating.create_missing,
            report_id=self.creating.report,
        )

    def _preflight(self) -> Preflight:
        async def record(_: Account) -> None: ...

        return Preflight(
            Wanted(verbs=self.needed_verbs(), team=self.destination.team),
            min(self.sending.timeout_seconds, LONGEST_SECONDS),
            record,
        )

    def needed_verbs(self) -> frozenset[str]:
        """Return what the key must be allowed to do with showings."""
        return self.creating.permissions

    def recorder(self) -> Recorder:
        """Return the recorder of outcomes; the first acknowledgement proves the key, too."""
        database, of_key = self.store.database, self.destination.key_fingerprint
        return Recorder(
            self.store.outbox,
            self.clock,
            on_first_acknowledged=lambda: database.accept_key(of_key),
            tally=self.tally,
        )


def send_pending(run: SendingRun) -> Sent:
    """Send pending changes until each has an outcome or the run stops early."""
    counts = run.store.views.counts()
    clock = run.clock
    if not counts.get(State.PENDING, 0):
        return Sent(0.0, notes=(nothing_to_send(counts),))
    # Import now, so that imports don't count as sending time or as the first request's latency.
    load(run.destination.transport)
    with_uvloop = find_spec("uvloop") is not None  # the extra "fast" brings it
    if with_uvloop:
        import_module("uvloop")
    begun = clock.monotonic()
    with run.callbacks.watch(run.tally):
        stopped = anyio.run(send_changes, run, backend_options={"use_uvloop": with_uvloop})
    seconds = clock.monotonic() - begun
    run.store.database.add_seconds(seconds)
    return Sent(seconds, stopped)


def nothing_to_send(counts: Mapping[State, int]) -> str:
    """Return why there is nothing to send."""
    if not counts:
        return "Nothing to send: the sheet has a header and no rows."
    acknowledged = any(counts.get(state, 0) for state in ACKNOWLEDGED_STATES)
    if counts.get(State.UNCHANGED, 0) and not acknowledged:
        return "Nothing to send: the API acknowledged all of these values before."
    if acknowledged:
        return "Nothing to send: every row that can be sent was acknowledged before."
    return "Nothing to send: no row is a valid change."


async def send_changes(run: SendingRun) -> BulkSyncError | None:
    """Send the pending changes; return why sending ended early, None if it did not.

    Raises the error of the callback for decided rows.
    """
    to, sending = run.destination, run.sending
    notifier = None if run.callbacks.on_row is None else RowNotifier(run.callbacks.on_row)
    recorder = run.recorder()
    ceiling = min((rate.per_second for rate in run.pacing.rates), default=None)
    dice = random.Random()  # noqa: S311 - jitter, no secret
    with open_pace_store(to.base_url, to.key, run.state_folder, run.tally) as pace_store:
        async with open_transport(
            to.transport,
            to.address,
            to.key,
            timeout_seconds=sending.timeout_seconds,
            connections=sending.workers,
            user_agent=f"bulk-sync/{__version__}",
        ) as transport:
            sender = Sender(
                transport,
                recorder,
                budget=Budget(pace_store, run.clock, dice, ceiling),
                terms=run.terms(),
                clock=run.clock,
                dice=dice,
                tally=run.tally,
                on_row=notifier,
            )
            if notifier is not None:
                notifier.stop = sender.stop
            await _send_and_record(sender, recorder, run.callbacks.stop, run.clock)
    run.store.outbox.release()
    if notifier is not None and notifier.raised is not None:
        raise notifier.raised
    return sender.stopped


async def _send_and_record(
    sender: Sender, recorder: Recorder, stop: threading.Event | None, clock: Clock
) -> None:
    """Send and record concurrently until all is recorded or something ends the run."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            listening = anyio.CancelScope()
            # Python delivers signals to the main thread only.
            if threading.current_thread() is threading.main_thread():
                tasks.start_soon(stop_on_signals, sender, listening)
            if stop is not None:
                tasks.start_soon(stop_on_event, sender, stop, clock, listening)
            await sender.run()
            listening.cancel()
            recorder.close()
    except BaseExceptionGroup as group:
        # Save the outcomes that are known, whatever failed elsewhere.
        await recorder.save()
        raise only_error(group) from None

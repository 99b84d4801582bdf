"""Send the pending changes of a job: transport, budget, recorder and sender together."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskGroup
from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from bulk_sync import signals
from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import Clock, seconds_until
from bulk_sync.errors import BulkSyncError, CheckpointBusy, UsageError
from bulk_sync.job.damage import lost_during_run
from bulk_sync.job.lock import Holding
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Store
from bulk_sync.model.account import Team
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, State, Tally
from bulk_sync.open_files import allow_open_files
from bulk_sync.run.follow import (
    AboutToSend,
    Callbacks,
    RowNotifier,
    StopRequest,
    only_error,
    stop_on_event,
    stopped_by_loss,
    stopped_by_request,
    stopped_by_signals,
)
from bulk_sync.run.loops import load_loop
from bulk_sync.run.shared_limit import open_permits
from bulk_sync.run.summary import Sent, note_on_workers
from bulk_sync.secret import fingerprint
from bulk_sync.send.account import LONGEST_SECONDS, Account, Preflight, Wanted
from bulk_sync.send.allowances import Given
from bulk_sync.send.backlog import NoWork, Work
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.choose import Name, choose_transport, load, open_transport
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import Target
from bulk_sync.version import __version__

# The shortest deadline, that of a push whose time is over before it begins.
_SHORTEST_SECONDS = 0.001


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
    allow_open_files(sending.workers)
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
    return min(_seconds(stopping, clock))


def _seconds(stopping: Stopping, clock: Clock) -> tuple[float, float]:
    until = math.inf if stopping.finish_by is None else seconds_until(stopping.finish_by, clock)
    deadline = stopping.deadline_seconds
    return math.inf if deadline is None else deadline, until


class End(Struct, frozen=True):
    """When a run has to stop sending, as instants of its clock; infinity is no bound."""

    deadline: float
    finish_by: float

    @classmethod
    def of(cls, stopping: Stopping, clock: Clock) -> End:
        """Return the end of a run that begins now."""
        deadline, until = _seconds(stopping, clock)
        now = clock.monotonic()
        return cls(now + deadline, now + until)

    def without(self, seconds: float) -> End:
        """Return the end of a run that waited for its user; a time of day stays."""
        return replace(self, deadline=self.deadline + seconds)

    @property
    def at(self) -> float:
        """The earlier one."""
        return min(self.deadline, self.finish_by)


def ending_at(settings: PushSettings, end: float, clock: Clock) -> PushSettings:
    """Return settings of a push that ends at an instant of the clock; infinity is no bound.

    For commands that do something before they push: `--deadline` counts from their beginning, and
    `--finish-by` would be tomorrow's once the time has passed.
    """
    seconds = end - clock.monotonic()
    bound = None if math.isinf(seconds) else max(_SHORTEST_SECONDS, seconds)
    return settings.changed(deadline_seconds=bound, finish_by=None)


def count_rows(tally: Tally, counts: Mapping[State, int]) -> None:
    """Set the rows with which a run begins in its running counts."""
    tally.total = sum(counts.values())
    tally.settled_before = tally.total - counts.get(State.PENDING, 0)


class SendingRun(Struct, frozen=True):
    """Everything that sending needs; `state_folder` None is the user's own.

    `holds` are the locks of checkpoint and ledger, and leases; losing one ends the run.

    Once users/me was asked, before the sheet was staged, `asked` is True, and `account` its answer,
    if it gave one.
    """

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
    asked: bool = False
    account: Account | None = None
    holds: tuple[Holding, ...] = ()

    @classmethod
    def of(
        cls,
        settings: PushSettings,
        store: Store,
        destination: Destination,
        bounds: Bounds,
        callbacks: Callbacks,
        clock: Clock,
        tally: Tally,
        holds: tuple[Holding, ...],
    ) -> SendingRun:
        """Return the run of these settings, before anything was asked."""
        return cls(
            store=store,
            tally=tally,
            destination=destination,
            sending=settings.sending,
            creating=settings.creating,
            pacing=settings.pacing,
            bounds=bounds,
            callbacks=callbacks,
            clock=clock,
            state_folder=settings.state_folder,
            holds=(*holds, *callbacks.leases),
        )

    @property
    def team(self) -> Team | None:
        """The key's team, if it was asked for before the sheet was staged."""
        return self.account.team if self.account else None

    def terms(self, preflight: Preflight | None) -> Terms:
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
            and job.key_proven
            and job.key_fingerprint == self.destination.key_fingerprint,
            preflight=preflight,
            create_missing=self.creating.create_missing,
            report_id=self.creating.report,
            account_was_asked=self.asked,
        )

    def preflight(self, recorder: Recorder) -> Preflight | None:
        """Return the terms of the first request; None if it was made and got no answer."""
        known, of_key = self.store.known, self.destination.key_fingerprint

        async def record(account: Account | None) -> None:
            team = account.team if account else None
            if team is not None:
                await recorder.alone(partial(known.bind, of_key, team))
            self.announce(team)

        if self.asked and self.account is None:
            self.announce(None)
            return None
        job = self.store.database.job()
        wanted = self.wanted(job.team if job else None)
        return Preflight(wanted, self.account_seconds, record, self.account)

    def announce(self, team: Team | None) -> None:
        """Pass on where the pending rows are about to go."""
        rows = self.tally.total - self.tally.settled_before
        self.callbacks.on_sending(AboutToSend(rows, self.destination.base_url, team))

    def wanted(self, job_team: Team | None, *, key_is_new: bool = False) -> Wanted:
        """Return what the key must be, and be allowed to do with showings."""
        return Wanted(self.creating.permissions, self.destination.team, job_team, key_is_new)

    @property
    def account_seconds(self) -> float:
        """The time for an answer of users/me."""
        return min(self.sending.timeout_seconds, LONGEST_SECONDS)

    def recorder(self) -> Recorder:
        """Return the recorder of outcomes; the first acknowledgement proves the key, too."""
        database, of_key = self.store.database, self.destination.key_fingerprint
        return Recorder(
            self.store.outbox,
            self.clock,
            on_first_acknowledged=lambda: database.accept_key(of_key),
            tally=self.tally,
            runs=lambda: self.callbacks.loop.running,
            loop_time=self.callbacks.loop.for_writes,
        )


def send_pending(run: SendingRun) -> Sent:
    """Send pending changes until each has an outcome or the run stops early.

    Raises CheckpointBusy when another host holds checkpoint or ledger, too; OutputError when one of
    them is gone before anything was sent.
    """
    for hold in run.holds:
        hold.check()
    database = run.store.database
    if (missing := database.missing()) is not None:
        raise lost_during_run(missing, sent=False)
    counts = run.store.views.counts()
    clock = run.clock
    if not counts.get(State.PENDING, 0):
        return Sent(0.0, notes=(nothing_to_send(counts),))
    _load(run)
    if run.callbacks.loop.for_writes is not None:
        database.spare_memory()
    begun = clock.monotonic()
    with run.callbacks.watch(run.tally):
        stopped = run.callbacks.loop.run(send_changes, run)
    if isinstance(stopped, CheckpointBusy):
        raise stopped  # the other run writes the results
    seconds = clock.monotonic() - begun
    database.add_seconds(seconds)
    if (missing := database.missing()) is not None:
        stopped = lost_during_run(missing, sent=True)
    return Sent(seconds, stopped, note_on_workers(run.tally, seconds, run.sending.workers))


def ask_first(run: SendingRun, job_team: Team | None) -> SendingRun:
    """Ask users/me before the sheet is staged; return the run with the answer, if there is one.

    `job_team` is the team of the job that the checkpoint has. Raises KeyRefused, WrongTeam, Outage,
    StoppedEarly, Interrupted; nothing was staged then.
    """
    answered: list[Account] = []

    async def note(account: Account | None) -> None:
        if account is not None:
            answered.append(account)

    async def ask() -> BulkSyncError | None:
        wanted = run.wanted(job_team, key_is_new=True)
        terms = run.terms(Preflight(wanted, run.account_seconds, note))
        async with (
            _open_sender(run, NoWork(), terms) as sender,
            anyio.create_task_group() as tasks,
            _listening(run, sender, tasks),
        ):
            await sender.run()
        return sender.stopped

    with signals.held():
        _load(run)
        stopped = run.callbacks.loop.run(ask)
    if stopped is not None:
        raise stopped
    return replace(run, asked=True, account=answered[0] if answered else None)


def _load(run: SendingRun) -> None:
    """Import the transport and its event loop.

    Imports must not count as sending time or as the first request's latency.
    """
    load(run.destination.transport)
    load_loop()


def nothing_to_send(counts: Mapping[State, int]) -> str:
    """Return why there is nothing to send."""
    if not counts:
        return "Nothing to send: the sheet has a header and no rows."
    acknowledged = any(counts.get(state, 0) for state in ACKNOWLEDGED_STATES)
    if counts.get(State.UNCHANGED, 0) and not acknowledged:
        return "Nothing to send: the API acknowledged all of these values before."
    if acknowledged and not counts.get(State.FAILED, 0):
        return "Nothing to send: every row that can be sent was acknowledged before."
    if counts.get(State.FAILED, 0):
        return (
            "Nothing to send: the rows that are left may have been applied, and --ambiguous stop "
            "doesn't send them again."
        )
    if counts.get(State.SUPERSEDED, 0):
        return "Nothing to send: other rows took the place of those that could be sent."
    return "Nothing to send: no row is a valid change."


async def send_changes(run: SendingRun) -> BulkSyncError | None:
    """Send the pending changes; return why sending ended early, None if it did not.

    Raises the error of the callback for decided rows.
    """
    notifier = None if run.callbacks.on_row is None else RowNotifier(run.callbacks.on_row)
    recorder = run.recorder()
    terms = run.terms(run.preflight(recorder))
    async with _open_sender(run, recorder, terms, notifier) as sender:
        if notifier is not None:
            notifier.stop = sender.stop
        await _send_and_record(run, sender, recorder)
    run.store.outbox.release()
    if notifier is not None and notifier.raised is not None:
        raise notifier.raised
    return sender.stopped


@asynccontextmanager
async def _open_sender(
    run: SendingRun, work: Work, terms: Terms, notifier: RowNotifier | None = None
) -> AsyncIterator[Sender]:
    """Open transport and pace for a sender of this work."""
    to, sending = run.destination, run.sending
    given = Given(run.pacing.rates, run.pacing.leave)
    dice = random.Random()  # noqa: S311 - jitter, no secret
    with open_permits(
        to.base_url, to.key, run.state_folder, run.tally, run.clock, run.callbacks.open_permits
    ) as permits:
        async with open_transport(
            to.transport,
            to.address,
            to.key,
            timeout_seconds=sending.timeout_seconds,
            connections=sending.workers,
            user_agent=f"bulk-sync/{__version__}",
        ) as transport:
            yield Sender(
                transport,
                work,
                budget=Budget(permits, run.clock, given),
                terms=terms,
                clock=run.clock,
                dice=dice,
                tally=run.tally,
                on_row=notifier,
            )


@asynccontextmanager
async def _listening(run: SendingRun, sender: Sender, tasks: TaskGroup) -> AsyncIterator[None]:
    """Let signals and the caller stop a sender in this block."""
    listening = anyio.CancelScope()
    stop = run.callbacks.stop
    with ExitStack() as stack:
        if isinstance(stop, StopRequest):
            stack.enter_context(stopped_by_request(sender, stop))
        elif stop is not None:
            tasks.start_soon(stop_on_event, sender, stop, run.clock, listening)
        stack.enter_context(stopped_by_loss(sender, run.holds))
        stack.enter_context(stopped_by_signals(sender))
        yield
    listening.cancel()


async def _send_and_record(run: SendingRun, sender: Sender, recorder: Recorder) -> None:
    """Send and record concurrently until all is recorded or something ends the run."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            async with _listening(run, sender, tasks):
                await sender.run()
            recorder.close()
    except BaseExceptionGroup as group:
        # Save the outcomes that are known, whatever failed elsewhere.
        await recorder.save()
        raise only_error(group) from None

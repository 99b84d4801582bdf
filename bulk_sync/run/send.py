"""Send what is pending: transport, budget, recorder and sender together."""

from __future__ import annotations

import hashlib
import math
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import anyio
from platformdirs import user_state_path
from pydantic import SecretStr

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import Clock, SystemClock, seconds_until
from bulk_sync.errors import BulkSyncError
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State, Tally
from bulk_sync.run.follow import Following, Telling, heed_signals, heed_the_caller, only_error
from bulk_sync.secret import fingerprint
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget, InFile, InMemory, Keeping
from bulk_sync.send.context import Terms
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.choose import Name, open_transport
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.version import __version__


def seconds_left(stopping: Stopping, clock: Clock) -> float:
    """Return how long a push may send; infinity without a deadline and a time to finish by."""
    by_then = math.inf if stopping.finish_by is None else seconds_until(stopping.finish_by, clock)
    return min(by_then, stopping.deadline_seconds or math.inf)


def known_limit(base_url: str, key: SecretStr, state_folder: Path | None = None) -> float | None:
    """The API's limit in requests per second, as runs on this host last knew it; None when none met
    it.
    """
    path = _pace_file(base_url, key, state_folder)
    if not path.exists():
        return None
    clock = SystemClock()
    try:
        shared = InFile(path)
    except OSError:
        return None
    pace = shared.try_open(clock.monotonic)
    if pace is not None:
        shared.close(pace)
    shared.end()
    return None if pace is None else pace.limit(clock.monotonic())[0]


def nothing_to_send(counts: Mapping[State, int]) -> str:
    """Return why there is nothing to send."""
    if not counts:
        return "Nothing to send: the sheet has a header and no rows."
    if counts.get(State.UNCHANGED, 0) and not counts.get(State.UPDATED, 0):
        return "Nothing to send: the API acknowledged all of these values before."
    if counts.get(State.UPDATED, 0):
        return "Nothing to send: every row that can be sent was acknowledged before."
    return "Nothing to send: no row is a valid change."


async def send_pending(
    settings: PushSettings,
    name: Name,
    base_url: str,
    store: Store,
    tally: Tally,
    clock: Clock,
    bounds: Bounds,
    following: Following,
) -> BulkSyncError | None:
    """Send what is pending; returns why it ended early, or None."""
    of_key = fingerprint(settings.key)
    job = store.database.job()
    accepted = job is not None and job.key_fingerprint == of_key
    telling = None if following.on_row is None else Telling(following.on_row)
    recorder = Recorder(
        store.outbox,
        clock,
        on_first_acknowledged=lambda: store.database.accept_key(of_key),
        tally=tally,
    )
    sending = settings.sending
    terms = Terms(
        policy=_retry_policy(sending),
        bounds=bounds,
        workers=sending.workers,
        key_accepted=accepted,
    )
    ceiling = settings.pacing.rate.per_second if settings.pacing.rate else None
    dice = random.Random()  # noqa: S311 - jitter, no secret
    with _open_keeping(settings, tally) as keeping:
        async with open_transport(
            name,
            base_url,
            settings.key,
            timeout_seconds=sending.timeout_seconds,
            connections=sending.workers,
            user_agent=f"bulk-sync/{__version__}",
        ) as transport:
            sender = Sender(
                transport,
                recorder,
                budget=Budget(keeping, clock, dice, ceiling),
                terms=terms,
                clock=clock,
                dice=dice,
                tally=tally,
                on_row=telling,
            )
            await _send_all(sender, recorder, following, clock, telling)
    return _end_of_sending(store, sender, telling)


def _retry_policy(sending: Sending) -> RetryPolicy:
    return RetryPolicy(
        max_attempts=sending.max_attempts,
        retry_for_seconds=sending.retry_for_seconds,
        repeat_ambiguous=sending.ambiguous == "retry",
    )


def _end_of_sending(store: Store, sender: Sender, telling: Telling | None) -> BulkSyncError | None:
    """All requests have ended, and all outcomes are recorded."""
    store.outbox.release()
    if telling is not None and telling.raised is not None:
        raise telling.raised
    return sender.stopped


async def _send_all(
    sender: Sender,
    recorder: Recorder,
    following: Following,
    clock: Clock,
    telling: Telling | None,
) -> None:
    """Send and record side by side, until all is sent and recorded or somebody ends it."""
    if telling is not None:
        telling.stop = sender.stop
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            signals = anyio.CancelScope()
            if threading.current_thread() is threading.main_thread():  # only there signals arrive
                tasks.start_soon(heed_signals, sender, signals)
            if following.stop is not None:
                tasks.start_soon(heed_the_caller, sender, following.stop, clock, signals)
            await sender.run()
            signals.cancel()
            recorder.close()
    except BaseExceptionGroup as group:
        await recorder.save()
        raise only_error(group) from None


@contextmanager
def _open_keeping(settings: PushSettings, tally: Tally) -> Iterator[Keeping]:
    """Where the budget is kept: in a file that all runs on this host share, but for a rehearsal."""
    if settings.target.base_url == SANDBOX_TARGET:
        yield InMemory()
        return
    path = _pace_file(settings.target.base_url, settings.key, settings.state_folder)
    try:
        shared = InFile(path)
    except OSError as error:
        reason = error.strerror or str(error)
        tally.notes["budget"] = (
            f"The limit is not shared with other runs on this host: {path}: {reason}."
        )
        yield InMemory()
        return
    try:
        yield shared
    finally:
        shared.end()


def _pace_file(base_url: str, key: SecretStr, state_folder: Path | None) -> Path:
    name = hashlib.sha256(f"{base_url} {fingerprint(key)}".encode()).hexdigest()[:24]
    return (
        (state_folder or user_state_path("bulk-sync", appauthor=False)) / "budgets" / f"{name}.pace"
    )


def start_tally(counts: Mapping[State, int]) -> Tally:
    """Return the counts that a run starts with."""
    total = sum(counts.values())
    return Tally(total=total, settled_before=total - counts.get(State.PENDING, 0))

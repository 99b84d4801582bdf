"""Check jobs that would run at the same time: their sheets, and when each would be done.

Nothing is sent, no key is needed, and no file is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from bulk_sync import batch
from bulk_sync.clock import Clock, seconds_until
from bulk_sync.errors import BulkSyncError, UsageError
from bulk_sync.job.leftover import JobPlace
from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs, Key
from bulk_sync.model.estimates import KnownPace, spaced_rate, windows_for
from bulk_sync.model.schedule import KeyLimits, PlannedJob, expected
from bulk_sync.model.summaries import CheckedBatch, CheckSummary
from bulk_sync.pipeline import check as check_sheet
from bulk_sync.quantities import Share
from bulk_sync.run.outputs import refuse_names
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import choose_destination
from bulk_sync.run.shared_limit import known_pace
from bulk_sync.run.sheet import OnRows
from bulk_sync.secret import fingerprint
from bulk_sync.settings.files import Files
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import SheetSettings
from bulk_sync.settings.stopping import Stopping
from bulk_sync.together import Job, Ready

_NOTHING = Share(count=0)

Reading = Callable[[str], AbstractContextManager[OnRows]]
"""Follows the reading of a job's files under a name."""


class FoundKey(Struct, frozen=True):
    """The key of a job, or the error that its source has.

    `source` is the same for jobs whose keys come from the same place, and None where the key is
    known. It is not shown, because a command may have a secret in it.
    """

    state: Key
    key: SecretStr | None = None
    error: UsageError | None = None
    source: str = ""


class _Read(Struct):
    """A job that was read, with what its course depends on."""

    job: CheckedJob
    budget: str
    known: KnownPace = KnownPace()
    pacing: Pacing = Pacing()
    stopping: Stopping = Stopping()


def check(
    jobs: Sequence[Job],
    *,
    key_of: Callable[[PushSettings], FoundKey],
    at_once: int,
    window_seconds: float,
    clock: Clock,
    reading: Reading = lambda _: nullcontext(lambda _: None),
) -> CheckedJobs:
    """Check all jobs, which a run would begin in this order. No two of them use one checkpoint.

    `make` of a job needs no key: `key_of` finds it without asking anybody. `window_seconds` is the
    time that the run has; infinity without a bound.
    """
    limits: dict[str, KnownPace] = {}
    # One after the other: a sheet of 2,000 rows takes 40 ms of CPU, less than a process to start,
    # and threads would share one interpreter.
    read = [_read(job, key_of, limits, clock, reading) for job in jobs]
    courses = expected(
        [_planned(one, window_seconds, clock) for one in read],
        _limits_by_key(read, clock.now()),
        at_once,
    )
    return CheckedJobs(
        tuple(replace(one.job, expected=course) for one, course in zip(read, courses, strict=True)),
        None if math.isinf(window_seconds) else window_seconds,
    )


def _read(
    job: Job,
    key_of: Callable[[PushSettings], FoundKey],
    limits: dict[str, KnownPace],
    clock: Clock,
    reading: Reading,
) -> _Read:
    try:
        ready = job.make()
        settings = ready.settings
        key = key_of(settings)
        to = choose_destination(settings.target, None, settings.key, settings.sending)
    except BulkSyncError as error:
        return _Read(CheckedJob(job.name, error=error), budget=f"none of {job.name}")
    budget, known = f"{to.base_url} {key.source}", KnownPace()
    if key.key is not None:
        budget = f"{to.base_url} {fingerprint(key.key)}"
        if budget not in limits:
            limits[budget] = known_pace(to.base_url, key.key)
        known = limits[budget]
    found: CheckedBatch | None = None
    wrong: BulkSyncError | None = None
    try:
        with reading(job.name) as on_rows:
            found = _check_files(job, ready, known, clock, on_rows)
    except BulkSyncError as error:
        wrong = error
    return _Read(
        CheckedJob(job.name, found, wrong, key=key.state, key_error=key.error),
        budget,
        known,
        settings.pacing,
        settings.stopping,
    )


def _check_files(
    job: Job, ready: Ready, known: KnownPace, clock: Clock, on_rows: OnRows
) -> CheckedBatch:
    settings, outputs = ready.settings, ready.settings.outputs

    def checkpoint_of(file: Path) -> Path:
        return Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint).checkpoint

    def check_one(one: SheetSettings, judgement: Judgement | None) -> CheckSummary:
        file = one.reading.input
        refuse_names(settings.changed(input=file))
        return check_sheet(
            one,
            on_rows=on_rows,
            known=known,
            job=JobPlace(checkpoint_of(file), settings.target.base_url),
            judgement=judgement,
        )

    batch.refuse_options_of_one_sheet(job.named, settings, outputs)
    return batch.check(
        job.named,
        settings,
        ready.inbox,
        check_one,
        checkpoint_of,
        clock,
        lambda _: nullcontext(on_rows),
    )


def _planned(one: _Read, window_seconds: float, clock: Clock) -> PlannedJob:
    deadline, finish_by = one.stopping.deadline_seconds, one.stopping.finish_by
    until = math.inf if finish_by is None else seconds_until(finish_by, clock)
    return PlannedJob(
        one.budget,
        one.job.requests,
        spaced_rate(one.pacing.rates),
        until=min(window_seconds, until),
        within=math.inf if deadline is None else deadline,
    )


def _limits_by_key(read: Sequence[_Read], now: datetime) -> Mapping[str, KeyLimits]:
    by_key: dict[str, list[_Read]] = {}
    for one in read:
        by_key.setdefault(one.budget, []).append(one)
    return {
        key: limits_of_key([one.pacing for one in some], some[0].known, now)
        for key, some in by_key.items()
    }


def limits_of_key(pacings: Sequence[Pacing], known: KnownPace, now: datetime) -> KeyLimits:
    """Return the limits that hold for all jobs of a key together.

    Those that only some of its jobs set are left out, so that no estimate is too long.
    """
    spaced = [spaced_rate(pacing.rates) for pacing in pacings]
    own = [rate for rate in spaced if rate is not None]
    rates = [*([max(own)] if len(own) == len(spaced) else []), known.limit]
    first, *others = pacings
    common = [rate for rate in first.rates if all(rate in one.rates for one in others)]
    leave = first.leave if all(one.leave == first.leave for one in others) else _NOTHING
    return KeyLimits(
        min((rate for rate in rates if rate is not None), default=None),
        windows_for(common, known.allowances, now, leave),
        known.held_seconds,
    )

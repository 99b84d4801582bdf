"""Check jobs that would run at the same time: their sheets, and when each would be done.

Nothing is sent, no key is needed, and no file is written.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace
from pydantic import SecretStr

from bulk_sync import batch
from bulk_sync.clock import Clock, seconds_until
from bulk_sync.errors import BulkSyncError, UsageError
from bulk_sync.job.leftover import JobPlace
from bulk_sync.job.store import Store
from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs, Key
from bulk_sync.model.estimates import KnownPace, spaced_rate, windows_for
from bulk_sync.model.schedule import KeyLimits, PlannedJob, expected
from bulk_sync.model.summaries import CheckedBatch, CheckSummary
from bulk_sync.pipeline import check as check_sheet
from bulk_sync.quantities import Share
from bulk_sync.run.outputs import refuse_names
from bulk_sync.run.rows import Judgement
from bulk_sync.run.send import choose_destination
from bulk_sync.run.shared_limit import known_pace_of
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

    `source` is the same for jobs whose keys come from the same place, and "" where the key is
    known. It is not shown, because a command may have a secret in it.
    """

    state: Key
    key: SecretStr | None = None
    error: UsageError | None = None
    source: str = ""


class _Prepared(Struct):
    """A job whose settings and key source were read, or the error in them."""

    job: Job
    ready: Ready | None = None
    key: FoundKey = FoundKey("missing")
    error: BulkSyncError | None = None

    @property
    def source(self) -> str:
        """The API and where its key comes from."""
        return "" if self.ready is None else f"{_base_url(self.ready)} {self.key.source}"


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
    prepared = [_prepare(job, key_of) for job in jobs]
    budgets = _Budgets(prepared, clock)
    # One after the other: a sheet of 2,000 rows takes 40 ms of CPU, less than a process to start,
    # and threads would share one interpreter.
    read = [_read(one, budgets, clock, reading) for one in prepared]
    courses = expected(
        [_planned(one, window_seconds, clock) for one in read],
        _limits_by_key(read, clock.now()),
        at_once,
    )
    return CheckedJobs(
        tuple(replace(one.job, expected=course) for one, course in zip(read, courses, strict=True)),
        None if math.isinf(window_seconds) else window_seconds,
    )


def _prepare(job: Job, key_of: Callable[[PushSettings], FoundKey]) -> _Prepared:
    try:
        ready = job.make()
        settings = ready.settings
        choose_destination(settings.target, None, settings.key, settings.sending)  # can it be had?
        return _Prepared(job, ready, key_of(settings))
    except BulkSyncError as error:
        return _Prepared(job, error=error)


def _base_url(ready: Ready) -> str:
    return ready.settings.target.base_url


class _Budgets:
    """The limits of each key as earlier runs on this host met them.

    A key that is not asked for is the one that a checkpoint of its jobs was last sent with.
    """

    def __init__(self, prepared: Sequence[_Prepared], clock: Clock) -> None:
        self._limits: dict[str, KnownPace] = {}
        self._last_used: dict[str, str] = {}
        for one in prepared:
            if one.key.state == "not asked" and one.source not in self._last_used:
                found = _last_fingerprint(one, clock)
                if found is not None:
                    self._last_used[one.source] = found

    def find(self, one: _Prepared) -> tuple[str, KnownPace]:
        """Return the name of a job's budget, and what is known of it."""
        if one.ready is None:
            return f"none of {one.job.name}", KnownPace()
        key = one.key.key
        mark = self._last_used.get(one.source) if key is None else fingerprint(key)
        if mark is None:
            return one.source, KnownPace()
        base_url = _base_url(one.ready)
        budget = f"{base_url} {mark}"
        if budget not in self._limits:
            self._limits[budget] = known_pace_of(base_url, mark)
        return budget, self._limits[budget]


def _last_fingerprint(one: _Prepared, clock: Clock) -> str | None:
    """Return the fingerprint of the key that a job was last sent with; None before that."""
    if one.ready is None:
        return None
    try:
        files = batch.inputs_of(one.job.named, 0.0, clock.now()).files
    except BulkSyncError:  # the check of the files says it
        return None
    for file in files:
        checkpoint = _checkpoint_of(file, one.ready)
        with suppress(BulkSyncError, OSError):  # a push has the words for a damaged one
            if not checkpoint.exists():
                continue
            with Store.read(checkpoint) as store:
                job = store.database.job()
            if job is not None and job.key_fingerprint and job.base_url == _base_url(one.ready):
                return job.key_fingerprint
    return None


def _checkpoint_of(file: Path, ready: Ready) -> Path:
    outputs = ready.settings.outputs
    return Files.of(file, out=outputs.out, checkpoint=outputs.checkpoint).checkpoint


def _read(one: _Prepared, budgets: _Budgets, clock: Clock, reading: Reading) -> _Read:
    budget, known = budgets.find(one)
    name, ready = one.job.name, one.ready
    if ready is None:
        return _Read(CheckedJob(name, error=one.error), budget)
    found: CheckedBatch | None = None
    wrong: BulkSyncError | None = None
    try:
        with reading(name) as on_rows:
            found = _check_files(one.job, ready, known, clock, on_rows)
    except BulkSyncError as error:
        wrong = error
    return _Read(
        CheckedJob(name, found, wrong, key=one.key.state, key_error=one.key.error),
        budget,
        known,
        ready.settings.pacing,
        ready.settings.stopping,
    )


def _check_files(
    job: Job, ready: Ready, known: KnownPace, clock: Clock, on_rows: OnRows
) -> CheckedBatch:
    settings, outputs = ready.settings, ready.settings.outputs

    def check_one(one: SheetSettings, judgement: Judgement | None) -> CheckSummary:
        file = one.reading.input
        refuse_names(settings.changed(input=file))
        return check_sheet(
            one,
            on_rows=on_rows,
            known=known,
            job=JobPlace(_checkpoint_of(file, ready), settings.target.base_url),
            judgement=judgement,
        )

    batch.refuse_options_of_one_sheet(job.named, settings, outputs)
    return batch.check(
        job.named,
        settings,
        ready.inbox,
        check_one,
        lambda file: _checkpoint_of(file, ready),
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

"""The way of a run, on one page: read, check, stage, send, report.

The stages know nothing of each other; here they meet.
"""

from __future__ import annotations

import hashlib
import random
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path

import anyio
from pydantic import SecretStr

from bulk_sync import __version__
from bulk_sync.check.headers import Mapping, map_headers
from bulk_sync.check.rows import check_row
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.errors import BulkSyncError, InputError, Interrupted, UsageError
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Job, Store
from bulk_sync.model import MENDABLE_STATES, Problem, Record, Row, State, Summary, Tally
from bulk_sync.plan import JobFacts, Start, Twin, how_to_start, settle_twins
from bulk_sync.read.delimited import open_table
from bulk_sync.read.interface import Table
from bulk_sync.report.failed import write_failed
from bulk_sync.report.files import check_writable, digest, set_aside
from bulk_sync.report.results import write_results
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.pace import Pacer
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.httpx import open_httpx
from bulk_sync.settings import SANDBOX_TARGET, Files, PushSettings

Watch = Callable[[Tally], AbstractContextManager[None]]
"""Shows the running counts while rows are sent."""


def push(
    settings: PushSettings,
    *,
    send_to: str | None = None,
    watch: Watch = lambda _: nullcontext(),
    clock: Clock | None = None,
) -> Summary:
    """Bring a sheet into North, or go on where an earlier run of it stopped.

    `send_to` is the address behind `sandbox:`. Writes the checkpoint and the reports that
    `settings.files` names. The summary says what became of the rows, and in `stopped` why
    sending ended early, if it did.

    Raises InputError (nothing was sent), UsageError, OutputError, CheckpointBusy.
    """
    clock = clock or SystemClock()
    files = settings.files
    _refuse_one_file_for_two(settings.input, files)
    with open_table(settings.input) as table:
        mapping = map_headers(table.headers, str(settings.input))
        with held(files.checkpoint), Store.open(files.checkpoint) as store:
            for report in (files.results, files.failed):
                check_writable(report)
            notes = _stage(settings, store, table, mapping)
            tally = _tally(settings, store)
            begun = clock.monotonic()
            stopped = None
            if store.counts().get(State.PENDING, 0):
                with watch(tally):
                    stopped = anyio.run(_send, settings, send_to or settings.base_url, store, tally, clock)
            else:
                notes = (*notes, _nothing_to_send(store))
            seconds = clock.monotonic() - begun
            store.add_seconds(seconds)
            notes = (*notes, *_write_reports(store, files, table.headers))
            return _of_run(settings, store, files, tally, seconds, stopped, notes)


def read_summary(files: Files) -> Summary:
    """Where a job stands, from its checkpoint alone; raises CheckpointError when there is none."""
    with Store.read(files.checkpoint) as store:
        return replace(_of_job(store, files), running=is_held(files.checkpoint))


def write_reports(files: Files) -> Summary:
    """Write the reports again from the checkpoint; raises CheckpointError, OutputError."""
    with Store.read(files.checkpoint) as store:
        job = store.job()
        notes = _write_reports(store, files, job.headers if job else ())
        summary = _of_job(store, files)
        return replace(summary, notes=(*summary.notes, *notes))


# Stage


def _refuse_one_file_for_two(source: Path, files: Files) -> None:
    """A report must not take the place of the sheet, the checkpoint or another report."""
    named = {"the input": source, "--results": files.results, "the failed rows": files.failed}
    named["--checkpoint"] = files.checkpoint
    seen: dict[Path, str] = {}
    for name, path in named.items():
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UsageError(f"{path}: {other} and {name} can't be the same file; name another.")


def _stage(settings: PushSettings, store: Store, table: Table, mapping: Mapping) -> tuple[str, ...]:
    """Read the sheet into the checkpoint, unless the very same is there; returns notes for the user."""
    asked = JobFacts(settings.base_url, fingerprint(settings.key), table.digest, _meaning(settings))
    start = _how_to_start(store.job(), asked, settings)
    if start is Start.NEW:
        store.forget()
    goes_on = start is Start.RESUME
    if goes_on:
        _refuse_too_many_problems(settings, store, table)
        store.retry_undone()
    else:
        goes_on = _restage(settings, store, table, mapping, asked)
    if settings.new_key:
        store.accept_key(fingerprint(settings.key))
    return _notes(mapping, start, goes_on=goes_on)


def _how_to_start(known: Job | None, asked: JobFacts, settings: PushSettings) -> Start:
    facts = (
        None if known is None else JobFacts(known.base_url, known.key_fingerprint, known.input_digest, known.meaning)
    )
    try:
        return how_to_start(facts, asked, fresh=settings.fresh, new_key=settings.new_key)
    except UsageError as error:
        raise UsageError(f"{settings.files.checkpoint}: {error}") from None


def _restage(settings: PushSettings, store: Store, table: Table, mapping: Mapping, asked: JobFacts) -> bool:
    """Read the sheet; True when it goes on with the job that was there."""
    rows = table.rows()
    chosen = rows if settings.limit is None else islice(rows, settings.limit)
    generation = store.stage(_checked(chosen, mapping))
    partial = settings.limit is not None and next(rows, None) is not None
    for group in store.twins(generation):
        verdicts = settle_twins([Twin(*twin) for twin in group])
        store.decide_staged((v.id, v.state, v.error, v.message) for v in verdicts)
    # Before the job becomes this sheet's: a refused one leaves the job, and what it acknowledged, as it was.
    _refuse_too_many_problems(settings, store, table, generation)
    known = store.job()
    return store.adopt(
        Job(
            generation=generation,
            input=str(settings.input),
            input_digest=asked.input_digest,
            meaning=asked.meaning,
            partial=partial,
            headers=table.headers,
            base_url=asked.base_url,
            key_fingerprint=known.key_fingerprint if known else None,
            seconds=known.seconds if known else 0.0,
        )
    )


def _checked(rows: Iterator[Row], mapping: Mapping) -> Iterator[Record | Problem]:
    return (check_row(row, mapping) for row in rows)


def _meaning(settings: PushSettings) -> str:
    """What else than the file's bytes decides about the patches: this version's rules, and --limit."""
    return f"{__version__} limit={settings.limit}"


def fingerprint(key: SecretStr) -> str:
    """A name for the key that can't be turned back into it (the key is 32 random characters)."""
    return hashlib.sha256(b"bulk-sync " + key.get_secret_value().encode()).hexdigest()[:16]


def _refuse_too_many_problems(
    settings: PushSettings, store: Store, table: Table, generation: int | None = None
) -> None:
    counts = store.counts(generation)
    invalid, total = counts.get(State.INVALID, 0), sum(counts.values())
    if not settings.max_problems.exceeded_by(invalid, total):
        return
    _write_reports(store, settings.files, table.headers, generation)
    groups = store.problems(1, generation)
    first = "; ".join(f"row {number}: {text}" for group in groups for number, text in group.examples[:1])
    raise InputError(
        f"{settings.input}: {invalid} of {total} rows can't be sent, more than --max-problems allows "
        f"({settings.max_problems}), so nothing was sent. {first}. Mend {settings.input} and push it again "
        f"({settings.files.failed} lists what is wrong), or raise --max-problems"
    )


def _notes(mapping: Mapping, start: Start, *, goes_on: bool) -> tuple[str, ...]:
    notes = []
    if mapping.ignored:
        notes.append(f"Columns left out, because no field has their name: {', '.join(mapping.ignored)}.")
    if goes_on:
        notes.append("Going on from the checkpoint: a row that was acknowledged is not sent again.")
    elif start is Start.RESTAGE:
        notes.append("The job before is finished and this is other content: a new job, all of its rows are sent.")
    return tuple(notes)


def _nothing_to_send(store: Store) -> str:
    counts = store.counts()
    if not counts:
        return "Nothing to send: the sheet has a header and no rows."
    if counts.get(State.UPDATED, 0):
        return "Nothing to send: every row that can be sent was acknowledged before."
    return "Nothing to send: no row is a valid change."


# Send


async def _send(
    settings: PushSettings, base_url: str, store: Store, tally: Tally, clock: Clock
) -> BulkSyncError | None:
    """Send what is pending; returns why it ended early, or None."""
    name = fingerprint(settings.key)
    job = store.job()
    recorder = Recorder(store, clock, on_first_acknowledged=lambda: store.accept_key(name))
    policy = RetryPolicy(max_attempts=settings.max_attempts, retry_for_seconds=settings.retry_for_seconds)
    async with open_httpx(
        base_url,
        settings.key,
        timeout_seconds=settings.timeout_seconds,
        connections=settings.workers,
        user_agent=f"bulk-sync/{__version__}",
    ) as transport:
        sender = Sender(
            transport,
            recorder,
            pacer=Pacer(settings.rate),
            policy=policy,
            clock=clock,
            dice=random.Random(),  # noqa: S311 - jitter, no secret
            tally=tally,
            workers=settings.workers,
            key_accepted=job is not None and job.key_fingerprint == name,
        )
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(recorder.run)
                signals = anyio.CancelScope()
                if threading.current_thread() is threading.main_thread():  # only there signals arrive
                    tasks.start_soon(_heed_signals, sender, signals)
                await sender.run()
                signals.cancel()
                recorder.close()
        except BaseExceptionGroup as group:
            raise _only_error(group) from None
    store.release()
    return sender.stopped


async def _heed_signals(sender: Sender, scope: anyio.CancelScope) -> None:
    """The first Ctrl-C or SIGTERM lets requests on their way end; the second cuts them off."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with scope, anyio.open_signal_receiver(*before) as received:
            async for number in received:
                if sender.stopped is not None:
                    sender.abandon()
                sender.stop(Interrupted(number))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error for the user in a group of a task group's, else the group itself: then it is a bug of ours."""
    ours, others = group.split(BulkSyncError)
    error: BaseException | None = ours if others is None else None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error or group


# Report


def _write_reports(
    store: Store, files: Files, headers: Sequence[str], generation: int | None = None
) -> tuple[str, ...]:
    """Write results and failed rows; a failed file that somebody edited is kept under another name, as a note says."""
    write_results(files.results, store.results(generation=generation))
    there = digest(files.failed)
    edited = there is not None and there != store.digest_of_report(files.failed)
    kept = set_aside(files.failed) if edited else None
    write_failed(files.failed, headers, store.results(MENDABLE_STATES, generation))
    written = digest(files.failed)
    if written is not None:
        store.note_report(files.failed, written)
    return (f"{files.failed} was edited since it was written; the edited file is now {kept}.",) if kept else ()


def _tally(settings: PushSettings, store: Store) -> Tally:
    counts = store.counts()
    total = sum(counts.values())
    return Tally(total=total, settled_before=total - counts.get(State.PENDING, 0), rate=settings.rate)


def _of_job(store: Store, files: Files) -> Summary:
    job = store.job()
    if job is None:
        raise InputError(f"{files.checkpoint}: nothing was staged in this checkpoint, so nothing was sent.")
    counts = store.counts()
    requests, retries, throttled, in_flight = store.totals()
    return Summary(
        input=job.input,
        base_url=job.base_url,
        rows=sum(counts.values()),
        states=counts,
        problems=store.problems(),
        in_flight=in_flight,
        requests=requests,
        retries=retries,
        throttled=throttled,
        seconds=job.seconds,
        rows_per_second=counts.get(State.UPDATED, 0) / job.seconds if job.seconds else 0.0,
        rate=None,
        utilisation=None,
        results=_if_there(files.results),
        failed=_if_there(files.failed),
        checkpoint=str(files.checkpoint),
        notes=_kind(job),
    )


def _of_run(
    settings: PushSettings,
    store: Store,
    files: Files,
    tally: Tally,
    seconds: float,
    stopped: BulkSyncError | None,
    notes: tuple[str, ...],
) -> Summary:
    rate = settings.rate
    summary = _of_job(store, files)
    return replace(
        summary,
        input=str(settings.input),
        requests=tally.requests,
        retries=tally.retries,
        throttled=tally.throttled,
        seconds=seconds,
        rows_per_second=tally.done / seconds if tally.done and seconds else 0.0,
        rate=rate,
        utilisation=tally.requests / (seconds * rate.per_second) if rate and seconds and tally.requests else None,
        notes=(*summary.notes, *notes),
        stopped=stopped,
    )


def _kind(job: Job) -> tuple[str, ...]:
    """What a reader of the counts must know first."""
    notes = []
    if job.base_url == SANDBOX_TARGET:
        notes.append("Rehearsal: sent to a sandbox on this machine, nothing reached North.")
    if job.partial:
        notes.append("Only the first rows were taken, as --limit says.")
    return tuple(notes)


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None

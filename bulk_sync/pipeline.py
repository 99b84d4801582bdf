"""The way of a run, on one page: read, check, stage, send, report.

The stages know nothing of each other; here they meet.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import time
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import anyio
from anyio import from_thread, to_thread
from msgspec import Struct
from msgspec.structs import replace
from platformdirs import user_state_path
from pydantic import SecretStr

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.check.rows import without_known
from bulk_sync.clock import Clock, SystemClock, seconds_until
from bulk_sync.errors import (
    ENDING_SIGNALS,
    BulkSyncError,
    CheckpointDamaged,
    InputError,
    Interrupted,
    StoppedEarly,
    UsageError,
)
from bulk_sync.job.damage import set_aside as keep_damaged
from bulk_sync.job.database import Job
from bulk_sync.job.lock import held, is_held
from bulk_sync.job.recorder import Recorder
from bulk_sync.job.store import Store
from bulk_sync.model.rows import MENDABLE_STATES, RateSource, Result, RowDecided, State, Tally
from bulk_sync.model.summaries import CheckSummary, Summary
from bulk_sync.plan import JobFacts, Start, how_to_start
from bulk_sync.report.causes import causes_of
from bulk_sync.report.terminal.summary import facts_of
from bulk_sync.report.written.atomic import check_writable, digest, set_aside
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.lines import refuse_too_many, refuse_unknown_kind
from bulk_sync.report.written.results import write_results
from bulk_sync.report.written.undo import CLEARED, beside, write_undo
from bulk_sync.secret import fingerprint
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget, InFile, InMemory, Keeping
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.sender import Sender
from bulk_sync.send.transport.choose import Name, chosen, load, open_transport
from bulk_sync.settings import Files, PushSettings, SheetSettings
from bulk_sync.sheet import OnRows, Sheet, open_sheet, wants_mark
from bulk_sync.version import __version__

log = logging.getLogger("bulk_sync.run")
logging.getLogger("bulk_sync").addHandler(
    logging.NullHandler()
)  # else warnings that nobody asked for go to stderr

_LOOK_SECONDS = 0.1
"""So often a run looks whether it is asked to stop by the program that called."""

OnRow = Callable[[RowDecided], None]
"""Is told of each row as it is decided."""

Watch = Callable[[Tally], AbstractContextManager[None]]
"""Shows the running counts while rows are sent."""


def push(
    settings: PushSettings,
    *,
    send_to: str | None = None,
    watch: Watch = lambda _: nullcontext(),
    on_rows: OnRows = lambda _: None,
    on_row: OnRow | None = None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Summary:
    """Bring a sheet into North, or go on where an earlier run of it stopped.

    `send_to` is the address behind `sandbox:`. Writes the checkpoint and the reports that
    `settings.files` names. The summary says what became of the rows, and in `stopped` why
    sending ended early, if it did.

    `on_rows` is told now and then how many rows were read, `on_row` each row as it is decided; what
    they raise ends the run. Once `stop` is set no more rows are sent, and the rest stays pending.
    Can be called where an event loop runs, as in a notebook; then that waits, see `push_async`.

    Raises InputError (nothing was sent), UsageError, OutputError, CheckpointBusy.
    """
    clock = clock or SystemClock()
    following = _Following(watch, on_rows, on_row, stop)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _push(settings, send_to, following, clock)
    stop = stop or threading.Event()
    following = replace(following, stop=stop)
    with ThreadPoolExecutor(max_workers=1) as beside:  # a thread can't run two event loops
        pushing = beside.submit(_push, settings, send_to, following, clock)
        try:
            return pushing.result()
        except (
            BaseException
        ):  # Ctrl-C, a notebook's "interrupt": the thread ends tidily, and is waited for
            stop.set()
            raise


async def push_async(
    settings: PushSettings, *, send_to: str | None = None, on_row: OnRow | None = None
) -> Summary:
    """The same as `push` for programs on asyncio; `on_row` is called in another thread.

    When it is cancelled, requests on their way may end and are recorded, the rest stays pending;
    then the cancellation goes on. Raises as `push` does.
    """
    stop, ended = threading.Event(), anyio.Event()

    def work() -> Summary:
        try:
            return push(settings, send_to=send_to, on_row=on_row, stop=stop)
        finally:
            from_thread.run_sync(ended.set)

    try:
        return await to_thread.run_sync(work, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        stop.set()
        with anyio.CancelScope(shield=True):
            await ended.wait()
        raise


def results(checkpoint: Path) -> Iterator[Result]:
    """What became of each row of a job, in input order, from its checkpoint; raises
    CheckpointError.
    """
    with Store.read(checkpoint) as store:
        yield from store.views.results()


class _Following(Struct, frozen=True):
    """Who is told while a run goes on, and who may end it."""

    watch: Watch
    on_rows: OnRows
    on_row: OnRow | None
    stop: threading.Event | None


class _Telling:
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
        if self.raised is None:
            try:
                self._on_row(row)
            except BaseException as raised:  # noqa: BLE001 - raised again
                self.raised = raised
                self.stop(StoppedEarly("Whoever was told of a row raised an error"))


def _push(
    settings: PushSettings, send_to: str | None, following: _Following, clock: Clock
) -> Summary:
    transport = chosen(settings.transport, send_to or settings.base_url)
    seconds = seconds_left(settings.deadline_seconds, settings.finish_by, clock)
    bounds = Bounds(settings.max_failures, clock.monotonic() + seconds)
    files = settings.files
    _refuse_one_file_for_two(settings)
    refuse_unknown_kind(files.results)
    log.info("begins: %s to %s", settings.input, settings.base_url, extra={"event": "begin"})
    with (
        Store.examined_beside(files.checkpoint) as examined,
        open_sheet(settings, following.on_rows) as sheet,
    ):
        headers = sheet.table.headers
        with (
            held(files.checkpoint),
            _shared_ledger(settings),
            _checkpoint(settings, examined) as (store, aside),
        ):
            for report in (files.results, files.failed, *_page_of(files), *_undo_files(settings)):
                check_writable(report)
            notes = (*aside, *_stage(settings, store, sheet))
            counts = store.views.counts()
            tally = _tally(counts)
            log.info("staged: %s", _in_words(counts), extra={"event": "staged"})
            refuse_too_many(files.results, tally.total)
            with_uvloop = find_spec("uvloop") is not None  # it comes with `fast`
            if counts.get(State.PENDING, 0):
                load(transport)
                if with_uvloop:
                    import_module("uvloop")
            begun = clock.monotonic()
            stopped = None
            if counts.get(State.PENDING, 0):
                with following.watch(tally):
                    stopped = anyio.run(
                        _send,
                        settings,
                        transport,
                        send_to or settings.base_url,
                        store,
                        tally,
                        clock,
                        bounds,
                        following,
                        backend_options={"use_uvloop": with_uvloop},
                    )
            else:
                notes = (*notes, _nothing_to_send(counts))
            seconds = clock.monotonic() - begun
            store.database.add_seconds(seconds)
            summary = _of_run(settings, store, files, tally, seconds, stopped, notes)
            notes = (*_write_reports(store, files, headers, summary), *_write_undo(settings, store))
            _write_page(store, files, _with_files(summary, files, settings.undo_file, notes), clock)
            if settings.purge:
                notes = (*notes, _purged_or_why_not(store))
            return _logged(_with_files(summary, files, settings.undo_file, notes))


def _logged(summary: Summary) -> Summary:
    """Say in the log how the run ended."""
    for note in summary.notes:
        log.info("%s", note, extra={"event": "note"})
    stopped = f"; {summary.stopped}" if summary.stopped else ""
    level = (
        logging.INFO
        if summary.exit_code == 0
        else logging.WARNING
        if summary.exit_code == 3
        else logging.ERROR
    )
    text = f"ends with exit code {summary.exit_code}: {_in_words(summary.states)}, {summary.requests} requests{stopped}"
    log.log(level, "%s", text, extra={"event": "end", "exit_code": summary.exit_code})
    return summary


def _in_words(states: Mapping[State, int]) -> str:
    return (
        ", ".join(f"{states[state]} {state.value}" for state in State if states.get(state, 0))
        or "no rows"
    )


def check(
    settings: SheetSettings,
    *,
    show: int = 0,
    save_profile: Path | None = None,
    on_rows: OnRows = lambda _: None,
    limit: float | None = None,
    window_seconds: float | None = None,
) -> CheckSummary:
    """Everything of a push but the sending: no network, no key, and no file but the profile is
    written.

    `show` patches are part of the summary, which says in `stopped` why a push would refuse
    the sheet, if it would. `limit` is what the API is known to take, in requests per second
    (`known_limit`), and `window_seconds` the time that a push would have. Raises InputError when
    it can't be read at all, UsageError, OutputError.
    """
    with open_sheet(settings, on_rows) as sheet, Store.scratch() as store:
        staged = sheet.stage(store, keep_cells=False)
        counts = store.views.counts(staged.generation)
        saved = _save_profile(settings, sheet, save_profile)
        return CheckSummary(
            input=str(settings.input),
            understood=sheet.table.understood,
            columns=sheet.columns_seen(),
            rows=sum(counts.values()),
            states=counts,
            problems=store.views.problems(generation=staged.generation),
            causes=sheet.causes(),
            duplicates=staged.duplicates,
            assumptions=sheet.assumptions(),
            notes=(*sheet.notes(), *_partial_note(partial=staged.partial)),
            rate=settings.rate,
            limit=limit,
            window_seconds=window_seconds,
            patches=store.staged.patches(show, staged.generation) if show else (),
            profile=saved,
            stopped=sheet.refusal(store, staged.generation),
        )


def seconds_left(deadline_seconds: float | None, finish_by: time | None, clock: Clock) -> float:
    """How long a push may send; infinity when neither bound is set."""
    until = math.inf if finish_by is None else seconds_until(finish_by, clock)
    return min(until, math.inf if deadline_seconds is None else deadline_seconds)


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


def _save_profile(settings: SheetSettings, sheet: Sheet, path: Path | None) -> str | None:
    if path is None:
        return None
    sheet.profile(settings).save(path)
    return str(path)


def read_summary(files: Files) -> Summary:
    """Where a job stands, from its checkpoint alone; raises CheckpointError when there is none."""
    with Store.read(files.checkpoint) as store:
        return replace(_of_job(store, files), running=is_held(files.checkpoint))


def purge(files: Files) -> Summary:
    """Write the reports, then remove from the checkpoint what a finished job no longer needs.

    Raises UsageError while rows are pending, CheckpointBusy, CheckpointError, OutputError.
    """
    with held(files.checkpoint):
        with Store.read(files.checkpoint) as store:
            why_not = _not_to_be_purged(store)
        if why_not is not None:
            raise UsageError(f"{files.checkpoint}: {why_not}")
        summary = _write_again(files, running=False)
        with Store.open(files.checkpoint) as store:
            store.database.purge()
        return replace(summary, notes=(*summary.notes, PURGED_NOTE))


def write_reports(files: Files) -> Summary:
    """Write the reports again from the checkpoint; raises CheckpointError, OutputError, UsageError."""
    return _write_again(files, running=is_held(files.checkpoint))


def _write_again(files: Files, *, running: bool) -> Summary:
    refuse_unknown_kind(files.results)
    with Store.read(files.checkpoint) as store:
        job, summary = store.database.job(), _of_job(store, files)
        _refuse_one_name_for_two({"the input": Path(summary.input), **_named(files)})
        refuse_too_many(files.results, summary.rows)
        for page in _page_of(files):
            check_writable(page)
        notes = _write_reports(store, files, job.headers if job else (), summary)
        _write_page(
            store,
            files,
            replace(_with_files(summary, files, None, notes), running=running),
            SystemClock(),
        )
        return _with_files(summary, files, None, notes)


# Stage


@contextmanager
def _checkpoint(
    settings: PushSettings, examined: Callable[[], None]
) -> Iterator[tuple[Store, tuple[str, ...]]]:
    """Open the checkpoint for a run; with --fresh one that is damaged is kept under another name,
    as a note says.
    """
    path = settings.files.checkpoint
    notes: tuple[str, ...] = ()
    with ExitStack() as stack:
        try:
            store = stack.enter_context(Store.open(path, settings.ledger, examined))
        except CheckpointDamaged:
            if not settings.fresh:
                raise
            notes = (f"{path} was damaged; it is now {keep_damaged(path)}.",)
            store = stack.enter_context(Store.open(path, settings.ledger))
        yield store, notes


def _shared_ledger(settings: PushSettings) -> AbstractContextManager[None]:
    """Hold the ledger that jobs share: one run at a time may change what is known."""
    return nullcontext() if settings.ledger is None else held(settings.ledger)


def _undo_files(settings: PushSettings) -> tuple[Path, ...]:
    return () if settings.undo_file is None else (settings.undo_file, beside(settings.undo_file))


def _refuse_one_file_for_two(settings: PushSettings) -> None:
    """A report must not take the place of the sheet, the checkpoint or another report."""
    named = {"the input": settings.input, **_named(settings.files)}
    named |= {"--ledger": settings.ledger} if settings.ledger else {}
    named |= dict(
        zip(("--undo-file", "the rows that can't be undone"), _undo_files(settings), strict=False)
    )
    _refuse_one_name_for_two(named)


def _named(files: Files) -> dict[str, Path]:
    named = {
        "--results": files.results,
        "the failed rows": files.failed,
        "--checkpoint": files.checkpoint,
    }
    return named | ({"--page": files.page} if files.page else {})


def _page_of(files: Files) -> tuple[Path, ...]:
    return () if files.page is None else (files.page,)


def _refuse_one_name_for_two(named: Mapping[str, Path]) -> None:
    seen: dict[Path, str] = {}
    for name, path in named.items():
        other = seen.setdefault(path.resolve(), name)
        if other != name:
            raise UsageError(f"{path}: {other} and {name} can't be the same file; name another.")


def _stage(settings: PushSettings, store: Store, sheet: Sheet) -> tuple[str, ...]:
    """Read the sheet into the checkpoint, unless the very same is there; returns notes for the
    user.
    """
    asked = JobFacts(
        settings.base_url, fingerprint(settings.key), sheet.table.digest, sheet.meaning()
    )
    start = _how_to_start(store.database.job(), asked, settings)
    if start is Start.NEW:
        store.adoption.drop()
    goes_on = start is Start.RESUME
    if goes_on and not store.views.purged():  # what is to be tried again has lost its patch there
        _refuse(settings, store, sheet)
        store.outbox.retry_undone()
    else:
        goes_on = _restage(settings, store, sheet, asked)
    if settings.new_key:
        store.database.accept_key(fingerprint(settings.key))
    notes = (
        *sheet.notes(),
        *sheet.assumptions(),
        *_how_it_started(start, settings, goes_on=goes_on),
    )
    if not store.known.trust(fingerprint(settings.key), same_account=settings.new_key):
        notes = (
            *notes,
            "What was acknowledged to another API key is not relied on: every field is sent.",
        )
    if settings.only_changed:
        _leave_out_what_is_known(store)
    return notes


def _leave_out_what_is_known(store: Store) -> None:
    """Take out of pending patches what the API acknowledged before; rows with nothing left are
    unchanged.
    """
    store.known.settle()
    last = 0
    while known := store.known.of_pending(after=last):
        last = known[-1].id
        rest = ((row.id, row.body, without_known(row.body, row.values)) for row in known)
        store.known.leave_out(
            (row, patch) for row, body, patch in rest if patch is None or patch[0] != body
        )


def _how_to_start(known: Job | None, asked: JobFacts, settings: PushSettings) -> Start:
    facts = (
        None
        if known is None
        else JobFacts(known.base_url, known.key_fingerprint, known.input_digest, known.meaning)
    )
    try:
        return how_to_start(facts, asked, fresh=settings.fresh, new_key=settings.new_key)
    except UsageError as error:
        raise UsageError(f"{settings.files.checkpoint}: {error}") from None


def _restage(settings: PushSettings, store: Store, sheet: Sheet, asked: JobFacts) -> bool:
    """Read the sheet; True when it goes on with the job that was there."""
    staged = sheet.stage(store)
    # Before the job becomes this sheet's: a refused one leaves the job, and what it acknowledged,
    # as it was.
    _refuse(settings, store, sheet, staged.generation)
    known = store.database.job()
    return store.adoption.adopt(
        Job(
            generation=staged.generation,
            input=str(settings.input),
            input_digest=asked.input_digest,
            meaning=asked.meaning,
            partial=staged.partial,
            headers=sheet.table.headers,
            base_url=asked.base_url,
            key_fingerprint=known.key_fingerprint if known else None,
            seconds=known.seconds if known else 0.0,
        )
    )


def _refuse(
    settings: PushSettings, store: Store, sheet: Sheet, generation: int | None = None
) -> None:
    """Raise InputError when the sheet is not to be sent, its problems written down."""
    refusal = sheet.refusal(store, generation, listed_in=settings.files.failed)
    if refusal is not None:
        # The results stay those of what was sent; only what is to be mended is written.
        _write_failed(store, settings.files, sheet.table.headers, sheet.meaning(), generation)
        raise refusal


def _how_it_started(start: Start, settings: PushSettings, *, goes_on: bool) -> tuple[str, ...]:
    if goes_on:
        return ("Going on from the checkpoint: a row that was acknowledged is not sent again.",)
    if start is Start.RESTAGE:
        what = (
            "what differs from the last one acknowledged is"
            if settings.only_changed
            else "all of its rows are"
        )
        return (f"The job before is finished and this is other content: a new job, {what} sent.",)
    return ()


def _nothing_to_send(counts: Mapping[State, int]) -> str:
    if not counts:
        return "Nothing to send: the sheet has a header and no rows."
    if counts.get(State.UNCHANGED, 0) and not counts.get(State.UPDATED, 0):
        return "Nothing to send: the API acknowledged all of these values before."
    if counts.get(State.UPDATED, 0):
        return "Nothing to send: every row that can be sent was acknowledged before."
    return "Nothing to send: no row is a valid change."


# Send


async def _send(
    settings: PushSettings,
    name: Name,
    base_url: str,
    store: Store,
    tally: Tally,
    clock: Clock,
    bounds: Bounds,
    following: _Following,
) -> BulkSyncError | None:
    """Send what is pending; returns why it ended early, or None."""
    of_key = fingerprint(settings.key)
    job = store.database.job()
    accepted = job is not None and job.key_fingerprint == of_key
    telling = None if following.on_row is None else _Telling(following.on_row)
    recorder = Recorder(
        store.outbox,
        clock,
        on_first_acknowledged=lambda: store.database.accept_key(of_key),
        tally=tally,
    )
    policy = RetryPolicy(
        max_attempts=settings.max_attempts,
        retry_for_seconds=settings.retry_for_seconds,
        repeat_ambiguous=settings.ambiguous == "retry",
    )
    ceiling = settings.rate.per_second if settings.rate else None
    dice = random.Random()  # noqa: S311 - jitter, no secret
    with _keeping(settings, tally) as keeping:
        async with open_transport(
            name,
            base_url,
            settings.key,
            timeout_seconds=settings.timeout_seconds,
            connections=settings.workers,
            user_agent=f"bulk-sync/{__version__}",
        ) as transport:
            sender = Sender(
                transport,
                recorder,
                budget=Budget(keeping, clock, dice, ceiling),
                policy=policy,
                bounds=bounds,
                clock=clock,
                dice=dice,
                tally=tally,
                workers=settings.workers,
                key_accepted=accepted,
                on_row=telling,
            )
            await _see_through(sender, recorder, following, clock, telling)
    return _ended(store, sender, telling)


def _ended(store: Store, sender: Sender, telling: _Telling | None) -> BulkSyncError | None:
    """All requests have ended, and all outcomes are recorded."""
    store.outbox.release()
    if telling is not None and telling.raised is not None:
        raise telling.raised
    return sender.stopped


async def _see_through(
    sender: Sender,
    recorder: Recorder,
    following: _Following,
    clock: Clock,
    telling: _Telling | None,
) -> None:
    """Send and record side by side, until all is sent and recorded or somebody ends it."""
    if telling is not None:
        telling.stop = sender.stop
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.run)
            signals = anyio.CancelScope()
            if threading.current_thread() is threading.main_thread():  # only there signals arrive
                tasks.start_soon(_heed_signals, sender, signals)
            if following.stop is not None:
                tasks.start_soon(_heed_the_caller, sender, following.stop, clock, signals)
            await sender.run()
            signals.cancel()
            recorder.close()
    except BaseExceptionGroup as group:
        await recorder.save()
        raise _only_error(group) from None


@contextmanager
def _keeping(settings: PushSettings, tally: Tally) -> Iterator[Keeping]:
    """Where the budget is kept: in a file that all runs on this host share, but for a rehearsal."""
    if settings.base_url == SANDBOX_TARGET:
        yield InMemory()
        return
    path = _pace_file(settings.base_url, settings.key, settings.state_folder)
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


async def _heed_signals(sender: Sender, scope: anyio.CancelScope) -> None:
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


async def _heed_the_caller(
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


def _only_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error in a group of a task group's, where all are for the user."""
    errors = _leaves(group)
    return errors[0] if all(isinstance(error, BulkSyncError) for error in errors) else group


def _leaves(error: BaseException) -> list[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for one in error.exceptions for leaf in _leaves(one)]


# Report

PURGED_NOTE = (
    "Cells and patches were removed from the checkpoint; what became of each row stays there."
)


def _not_to_be_purged(store: Store) -> str | None:
    """Why the checkpoint still needs what it holds, as a sentence; None when it doesn't."""
    counts = store.views.counts()
    pending = counts.get(State.PENDING, 0)
    if pending:
        return f"{pending:,} rows are pending, so nothing can be purged yet: push the sheet again first."
    return (
        None if counts else "nothing was staged in this checkpoint, so there is nothing to purge."
    )


def _purged_or_why_not(store: Store) -> str:
    why_not = _not_to_be_purged(store)
    if why_not is not None:
        return f"Not purged: {why_not}"
    store.database.purge()
    return PURGED_NOTE


def _write_reports(
    store: Store, files: Files, headers: Sequence[str], summary: Summary
) -> tuple[str, ...]:
    """Write results and failed rows; a failed file that somebody edited is kept under another name,
    as a note says.
    """
    write_results(files.results, store.views.lines(), facts_of(summary))
    if MENDABLE_STATES.isdisjoint(summary.states) and not os.path.lexists(files.failed):
        return ()
    job = store.database.job()
    return _write_failed(store, files, headers, job.meaning if job else "")


def _write_page(store: Store, files: Files, summary: Summary, clock: Clock) -> None:
    """Write the page, if it is asked for: it tells of all runs of the job, as its charts do."""
    if files.page is None:
        return
    from bulk_sync.report.page.run import write_page

    job, runs = _of_job(store, files), store.views.runs()
    counted = [point.counts for run in runs for point in run.points]
    complete = (
        sum(counts.requests for counts in counted) >= job.requests
    )  # the job is not older than time lines are
    of_all = replace(
        summary,
        requests=job.requests,
        # A row's first request in a later run is no retry, though its attempts say so.
        retries=sum(counts.retries for counts in counted) if complete else job.retries,
        throttled=job.throttled,
        seconds=job.seconds,
        rows_per_second=job.rows_per_second,
    )
    write_page(
        files.page, of_all, runs, store.views.results, made_at=clock.now(), version=__version__
    )


def _with_files(
    summary: Summary, files: Files, undo_file: Path | None, notes: tuple[str, ...]
) -> Summary:
    """The summary, now that the files are written."""
    return replace(
        summary,
        results=_if_there(files.results),
        failed=_if_there(files.failed),
        page=_if_there(files.page) if files.page else None,
        undo=_if_there(undo_file) if undo_file else None,
        notes=(*summary.notes, *notes),
    )


def _write_failed(
    store: Store, files: Files, headers: Sequence[str], meaning: str, generation: int | None = None
) -> tuple[str, ...]:
    """Write the rows to mend, of the job's sheet or of one that is refused."""
    if generation is None and store.views.purged():
        if not set(store.views.counts()) & MENDABLE_STATES:
            return ()
        return (
            f"{files.failed} was not written: the cells of its rows were removed by --purge. Push the sheet again.",
        )
    there = digest(files.failed)
    edited = there is not None and not store.database.wrote_report(files.failed, there)
    kept = set_aside(files.failed) if edited else None
    rows = store.views.results(MENDABLE_STATES, generation)
    before = partial(store.database.note_report, files.failed)
    write_failed(files.failed, headers, rows, before, marked=wants_mark(meaning))
    return (
        (f"{files.failed} was edited since it was written; the edited file is now {kept}.",)
        if kept
        else ()
    )


def _write_undo(settings: PushSettings, store: Store) -> tuple[str, ...]:
    """Write the sheet that would put earlier values back, if it is asked for; a note tells what it
    can't.
    """
    if settings.undo_file is None:
        return ()
    if store.views.purged():
        return (
            f"{settings.undo_file} was not written: what the rows were was removed by --purge.",
        )
    undo = write_undo(settings.undo_file, store.views.sent)
    notes = [f"{settings.undo_file}: a push of it puts back earlier values of {undo.rows:,} rows."]
    if undo.clears:
        notes.append(f"Some were cleared before: push it with --clear {CLEARED}.")
    if undo.unknown:
        notes.append(
            f"Of {undo.unknown:,} rows nothing earlier is known, so they can't be put back: "
            f"{beside(settings.undo_file)}."
        )
    return (" ".join(notes),)


def _tally(counts: Mapping[State, int]) -> Tally:
    total = sum(counts.values())
    return Tally(total=total, settled_before=total - counts.get(State.PENDING, 0))


def _of_job(store: Store, files: Files) -> Summary:
    job = store.database.job()
    if job is None:
        raise InputError(
            f"{files.checkpoint}: nothing was staged in this checkpoint, so nothing was sent."
        )
    counts = store.views.counts()
    any_bad = not MENDABLE_STATES.isdisjoint(counts)
    requests, retries, throttled, in_flight = store.views.totals()
    return Summary(
        input=job.input,
        base_url=job.base_url,
        rows=sum(counts.values()),
        states=counts,
        problems=store.views.problems() if any_bad else (),
        causes=causes_of(store.views.bad_rows()) if any_bad else (),
        in_flight=in_flight,
        requests=requests,
        retries=retries,
        throttled=throttled,
        seconds=job.seconds,
        rows_per_second=counts.get(State.UPDATED, 0) / job.seconds if job.seconds else 0.0,
        limit=None,
        source=RateSource.NONE,
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
    limit = tally.limit
    summary = _of_job(store, files)
    return replace(
        summary,
        input=str(settings.input),
        requests=tally.requests,
        retries=tally.retries,
        throttled=tally.throttled,
        throttled_seconds=tally.throttled_seconds,
        statuses=dict(sorted(tally.statuses.items())),
        seconds=seconds,
        rows_per_second=tally.done / seconds if tally.done and seconds else 0.0,
        limit=limit,
        source=tally.source,
        utilisation=tally.requests / (seconds * limit)
        if limit and seconds and tally.requests
        else None,
        notes=(*summary.notes, *notes, *tally.notes.values()),
        stopped=stopped,
    )


def _kind(job: Job) -> tuple[str, ...]:
    """What a reader of the counts must know first."""
    notes = []
    if job.base_url == SANDBOX_TARGET:
        notes.append("Rehearsal: sent to a sandbox on this machine, nothing reached North.")
    return (*notes, *_partial_note(partial=job.partial))


def _partial_note(*, partial: bool) -> tuple[str, ...]:
    return ("Only the first rows were taken, as --limit says.",) if partial else ()


def _if_there(path: Path) -> str | None:
    return str(path) if path.exists() else None

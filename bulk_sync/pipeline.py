"""The way of a run, on one page: read, check, stage, send, report.

The stages know nothing of each other; here they meet.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import anyio
from anyio import from_thread, to_thread
from msgspec.structs import replace

from bulk_sync.clock import Clock, SystemClock
from bulk_sync.job.lock import held
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Result, State
from bulk_sync.model.summaries import CheckSummary, Summary
from bulk_sync.report.causes import problems_of
from bulk_sync.report.problems import full_message_of
from bulk_sync.report.written.atomic import check_writable
from bulk_sync.report.written.lines import refuse_too_many, refuse_unknown_kind
from bulk_sync.run.follow import Following, OnRow, Watch
from bulk_sync.run.outputs import (
    page_of,
    partial_note,
    purged_or_why_not,
    refuse_one_file_for_two,
    summary_of_run,
    undo_files,
    with_files,
    write_report_files,
    write_run_page,
    write_undo_file,
)
from bulk_sync.run.send import nothing_to_send, seconds_left, send_pending, start_tally
from bulk_sync.run.sheet import OnRows, Sheet, open_sheet
from bulk_sync.run.stage import open_checkpoint, shared_ledger, stage_sheet
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.transport.choose import Name, chosen, load
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import SheetSettings

log = logging.getLogger("bulk_sync.run")
logging.getLogger("bulk_sync").addHandler(
    logging.NullHandler()
)  # else warnings that nobody asked for go to stderr


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
    following = Following(watch, on_rows, on_row, stop)
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
        for result in store.views.results():
            # Most have nothing to be put in words.
            if result.reasons or result.given_up:
                yield replace(result, message=full_message_of(result, in_doubt=False))
            else:
                yield result


def _push(
    settings: PushSettings, send_to: str | None, following: Following, clock: Clock
) -> Summary:
    transport = chosen(settings.sending.transport, send_to or settings.target.base_url)
    seconds = seconds_left(settings.stopping, clock)
    bounds = Bounds(settings.stopping.max_failures, clock.monotonic() + seconds)
    files, undo_file = settings.files, settings.outputs.undo_file
    refuse_one_file_for_two(settings)
    refuse_unknown_kind(files.results)
    source, target = settings.reading.input, settings.target.base_url
    log.info("begins: %s to %s", source, target, extra={"event": "begin"})
    with (
        Store.examining(files.checkpoint) as examined,
        open_sheet(settings, following.on_rows) as sheet,
    ):
        headers = sheet.table.headers
        with (
            held(files.checkpoint),
            shared_ledger(settings.history),
            open_checkpoint(files.checkpoint, settings.history, examined) as (store, aside),
        ):
            for report in (files.results, files.failed, *page_of(files), *undo_files(undo_file)):
                check_writable(report)
            notes = (*aside, *stage_sheet(settings, store, sheet))
            counts = store.views.counts()
            tally = start_tally(counts)
            log.info("staged: %s", _in_words(counts), extra={"event": "staged"})
            refuse_too_many(files.results, tally.total)
            with_uvloop = counts.get(State.PENDING, 0) > 0 and _load(transport)
            begun = clock.monotonic()
            stopped = None
            if counts.get(State.PENDING, 0):
                with following.watch(tally):
                    stopped = anyio.run(
                        send_pending,
                        settings,
                        transport,
                        send_to or target,
                        store,
                        tally,
                        clock,
                        bounds,
                        following,
                        backend_options={"use_uvloop": with_uvloop},
                    )
            else:
                notes = (*notes, nothing_to_send(counts))
            seconds = clock.monotonic() - begun
            store.database.add_seconds(seconds)
            summary = summary_of_run(settings, store, files, tally, seconds, stopped, notes)
            notes = (
                *write_report_files(store, files, headers, summary),
                *write_undo_file(undo_file, store),
            )
            write_run_page(store, files, with_files(summary, files, undo_file, notes), clock)
            if settings.outputs.purge:
                notes = (*notes, purged_or_why_not(store))
            return _logged(with_files(summary, files, undo_file, notes))


def _load(transport: Name) -> bool:
    """Import what sending needs, before its clock starts; True with uvloop, from the extra `fast`."""
    load(transport)
    with_uvloop = find_spec("uvloop") is not None
    if with_uvloop:
        import_module("uvloop")
    return with_uvloop


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
    text = f"ends with exit code {summary.exit_code}: {_in_words(summary.states)}, {summary.traffic.requests} requests{stopped}"
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
        problems, causes = problems_of(store.views.bad_rows(staged.generation))
        saved = _save_profile(sheet, save_profile)
        return CheckSummary(
            input=str(settings.reading.input),
            understood=sheet.table.understood,
            columns=sheet.columns_seen(),
            rows=sum(counts.values()),
            states=counts,
            problems=problems,
            causes=causes,
            duplicates=staged.duplicates,
            assumptions=sheet.assumptions(),
            notes=(*sheet.notes(), *partial_note(partial=staged.partial)),
            rate=settings.pacing.rate,
            limit=limit,
            window_seconds=window_seconds,
            patches=store.staged.patches(show, staged.generation) if show else (),
            profile=saved,
            stopped=sheet.refusal(store, staged.generation),
        )


def _save_profile(sheet: Sheet, path: Path | None) -> str | None:
    if path is None:
        return None
    sheet.profile().save(path)
    return str(path)


# Stage


# Send


# Report

"""A run on one page: read, check and stage a sheet, send what is pending, write the files.

Each stage is a module of `run/` or a package below it, and does not know the others.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from msgspec.structs import replace

from bulk_sync import signals
from bulk_sync.clock import Clock, SystemClock, utc_text
from bulk_sync.errors import OutputError
from bulk_sync.job.database import Ended
from bulk_sync.job.leftover import JobPlace, Leftover, left_by
from bulk_sync.job.lock import held
from bulk_sync.job.store import Store
from bulk_sync.model.estimates import KnownPace, windows_for
from bulk_sync.model.rows import State, Tally
from bulk_sync.model.summaries import CheckSummary, Creatable, Summary
from bulk_sync.report.causes import problems_of
from bulk_sync.run import log
from bulk_sync.run.ahead import look_ahead
from bulk_sync.run.dated import dated, note_names
from bulk_sync.run.findings import (
    assumptions_of,
    columns_of,
    many_changes,
    notes_on,
    refusal_of,
    warnings_on,
)
from bulk_sync.run.follow import Callbacks, OnRow, OnWarning, Watch
from bulk_sync.run.mapping_profile import profile_of
from bulk_sync.run.outputs import (
    check_outputs,
    refuse_names,
    refuse_unfit_results,
    write_outputs,
)
from bulk_sync.run.rows import Judgement, Reviewed, stage_rows
from bulk_sync.run.send import (
    SendingRun,
    ask_first,
    bounds_of,
    choose_destination,
    count_rows,
    send_pending,
)
from bulk_sync.run.sheet import OnRows, Sheet, open_sheet, refuse_without_report
from bulk_sync.run.stage import Staging, hold_ledger, open_checkpoint, stage_sheet
from bulk_sync.run.summary import note_on_choice, summary_of_run
from bulk_sync.run.threads import in_thread, outside_event_loop
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import SheetSettings

# Rows that `check` names of those that can't create their showing.
_ROWS_NAMED = 5

# Without a handler, Python prints a library's warnings to stderr.
logging.getLogger("bulk_sync").addHandler(logging.NullHandler())

_NOTHING_KNOWN = KnownPace()


def push(
    settings: PushSettings,
    *,
    send_to: str | None = None,
    watch: Watch = lambda _: nullcontext(),
    on_rows: OnRows = lambda _: None,
    on_row: OnRow | None = None,
    on_warning: OnWarning = lambda _: None,
    stop: threading.Event | None = None,
    clock: Clock | None = None,
) -> Summary:
    """Bring a sheet into North, or continue where an earlier run of it stopped.

    Writes the checkpoint and the files that `settings.files` names. The summary has the states of
    the rows, and in `stopped` why sending ended early, if it did. `send_to` is the address behind
    `sandbox:`.

    `on_rows` is called now and then with the number of rows read, `on_warning` before anything is
    sent with each sentence about values that look damaged, `on_row` for each decided row; an error
    that they raise ends the run. Once `stop` is set no more rows are sent, and the rest stays
    pending. May be called where an event loop runs, as in a notebook, and blocks it: see
    `push_async`.

    Raises InputError (nothing was sent), UsageError, OutputError, CheckpointBusy.
    """
    used = clock or SystemClock()
    return outside_event_loop(
        lambda stop: _push(
            settings, send_to, Callbacks(watch, on_rows, on_row, stop, on_warning), used
        ),
        stop,
    )


def push_in_run(
    settings: PushSettings,
    judgement: Judgement | None,
    callbacks: Callbacks,
    *,
    send_to: str | None = None,
    reviewed: Reviewed | None = None,
) -> Summary:
    """Push a sheet whose rows were judged with those of others, or that a person looked over.

    See `run.several` and `review`. Raises as `push` does, and InputError when the sheet has changed
    since.
    """
    earlier = tuple(one for one in (judgement, reviewed) if one is not None)
    return _push(settings, send_to, callbacks, SystemClock(), judgement, earlier)


async def push_async(
    settings: PushSettings, *, send_to: str | None = None, on_row: OnRow | None = None
) -> Summary:
    """Do the same as `push` in a thread, for programs on asyncio; `on_row` is called there.

    When cancelled, requests in flight end and are recorded, and the rest stays pending; then the
    cancellation goes on. Raises as `push` does.
    """
    return await in_thread(lambda stop: push(settings, send_to=send_to, on_row=on_row, stop=stop))


def _push(
    settings: PushSettings,
    send_to: str | None,
    callbacks: Callbacks,
    clock: Clock,
    judgement: Judgement | None = None,
    earlier: Sequence[Judgement | Reviewed] = (),
) -> Summary:
    settings = dated(settings, clock)
    source, files = settings.reading.input, settings.files
    history, outputs = settings.history, settings.outputs
    # Refuse wrong settings before any file is opened.
    to = choose_destination(settings.target, send_to, settings.key, settings.sending)
    bounds = bounds_of(settings.stopping, clock)
    refuse_names(settings)
    log.run_begins(source, to.base_url)
    with (
        signals.raising() as interruptible,
        Store.examining(files.checkpoint) as examined,
        open_sheet(settings.reading, settings.meaning, settings.own_folder) as sheet,
        held(files.checkpoint) as hold,
        hold_ledger(sheet, files, outputs.undo_file, history) as (history, moved, of_ledger),
        open_checkpoint(
            files.checkpoint, history, examined, between_hosts=settings.on_shared_storage
        ) as (store, opened),
    ):
        refuse_without_report(sheet, settings.creating)
        for one in earlier:
            one.refuse_if_changed(sheet)
        check_outputs(files, outputs.undo_file)  # better now than after sending
        staging = Staging(
            sheet=sheet,
            store=store,
            base_url=to.base_url,
            key_fingerprint=to.key_fingerprint,
            # Most rows of results are done.
            history=dataclasses.replace(history, only_changed=True)
            if sheet.is_results
            else history,
            files=files,
            max_problems=settings.stopping.max_problems,
            judgement=judgement,
            repeat_ambiguous=settings.sending.ambiguous == "retry",
        )
        tally = Tally(leave=settings.pacing.leave)
        holds = (hold, *of_ledger)
        sending = SendingRun.of(settings, store, to, bounds, callbacks, clock, tally, holds)
        if staging.needs_team():
            sending = ask_first(sending, staging.job_team())
            staging = replace(staging, team=sending.team)
        notes = (*opened, *moved, *stage_sheet(staging, callbacks.on_rows))
        store.database.note_begin(settings.command)
        note_names(store, files)
        count_rows(tally, store.views.counts())
        changes, most = tally.total - tally.settled_before, settings.stopping.max_changes
        if (refused := many_changes(source, changes, tally.total, most)) is not None:
            raise refused
        log.sheet_staged(store.views.counts())
        warnings = _warn(sheet, callbacks.on_warning)
        refuse_unfit_results(store, files, sheet.headers, tally.total)
        interruptible.end()  # from here on what is sent has to be recorded and reported
        sent = send_pending(sending)
        summary = summary_of_run(store, files, source, tally, sent, notes)
        try:
            summary = write_outputs(store, files, outputs, sheet.headers, summary, clock)
        except OutputError as error:
            with suppress(OutputError):  # the disk may be full for the checkpoint, too
                store.database.note_end(Ended(utc_text(clock.now()), error.exit_code))
            raise
        store.database.note_end(Ended(utc_text(clock.now()), summary.exit_code))
    log.run_ends(summary, warnings)
    return summary


def _warn(sheet: Sheet, on_warning: OnWarning) -> tuple[str, ...]:
    warnings = warnings_on(sheet)
    log.warned(warnings)
    for warning in warnings:
        on_warning(warning)
    return warnings


def check(
    settings: SheetSettings,
    *,
    show: int = 0,
    save_profile: Path | None = None,
    on_rows: OnRows = lambda _: None,
    known: KnownPace = _NOTHING_KNOWN,
    window_seconds: float | None = None,
    job: JobPlace | None = None,
    judgement: Judgement | None = None,
) -> CheckSummary:
    """Do everything that a push does except sending; write no file but the profile.

    Needs no network and no key. The summary has the first `show` patches, and in `stopped` the
    reason if a push would refuse the sheet. `known` has the API's limits as earlier runs learnt
    them, and `window_seconds` is the time that a push would have. Changes that the `job` of the
    sheet has acknowledged are not sent again. `judgement` is what was decided about the rows in a
    run of several sheets. Raises InputError if the sheet can't be read, UsageError, OutputError.
    """
    pacing = settings.pacing
    folder = settings.own_folder if job is None else job.checkpoint.parent
    with (
        open_sheet(settings.reading, settings.meaning, folder) as sheet,
        Store.scratch(otherwise=folder) as store,
    ):
        refuse_without_report(sheet, settings.creating)
        if judgement is not None:
            judgement.refuse_if_changed(sheet)
        rows = stage_rows(sheet, store, on_rows, keep_cells=False, judgement=judgement)
        counts = store.views.counts(rows.generation)
        problems, causes = problems_of(store.views.bad_rows(rows.generation))
        saved = _save_profile(sheet, save_profile)
        left = _left_by(sheet, store, rows.generation, job)
        ahead = look_ahead(sheet, store, rows.generation, job)
        if ahead.unchanged:
            counts = {
                **counts,
                State.PENDING: counts[State.PENDING] - ahead.unchanged,
                State.UNCHANGED: ahead.unchanged,
            }
        acknowledged = left.acknowledged - ahead.overwritten
        changes = counts.get(State.PENDING, 0) - acknowledged
        bounds = settings.stopping
        stopped = refusal_of(sheet, store, rows.generation, bounds.max_problems) or many_changes(
            settings.reading.input, changes, sum(counts.values()), bounds.max_changes
        )
        shown = show if stopped is None else 0  # a push would send none
        return CheckSummary(
            input=str(settings.reading.input),
            understood=sheet.table.understood,
            columns=columns_of(sheet),
            rows=sum(counts.values()),
            states=counts,
            problems=problems,
            causes=causes,
            acknowledged=acknowledged,
            duplicates=rows.duplicates,
            left_out=rows.left_out,
            assumptions=assumptions_of(sheet),
            notes=(*notes_on(sheet), *note_on_choice(rows.left_out)),
            rates=pacing.rates,
            limit=known.limit,
            window_seconds=window_seconds,
            windows=windows_for(pacing.rates, known.allowances, SystemClock().now(), pacing.leave),
            held_seconds=known.held_seconds,
            patches=store.staged.patches(shown, rows.generation) if shown else (),
            profile=saved,
            creatable=_creatable(store, rows.generation, settings.creating),
            stopped=stopped,
            first=ahead.first if stopped is None else (),
            is_resumed=left.is_resumed and not ahead.overwritten,
            digest=sheet.table.digest,
            meaning=sheet.digest,
        )


def _left_by(sheet: Sheet, store: Store, generation: int, job: JobPlace | None) -> Leftover:
    if job is None:
        return Leftover()
    return left_by(store, generation, job, digest=sheet.table.digest, meaning=sheet.digest)


def _creatable(store: Store, generation: int, creating: Creating) -> Creatable | None:
    if not creating.create_missing:
        return None
    return store.staged.creatable(generation, creating.report, most=_ROWS_NAMED)


def _save_profile(sheet: Sheet, path: Path | None) -> str | None:
    if path is None:
        return None
    profile_of(sheet).save(path)
    return str(path)

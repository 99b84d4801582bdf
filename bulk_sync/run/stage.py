"""Stage a sheet: open the checkpoint and decide what is to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

from bulk_sync.check.patches import without_known
from bulk_sync.errors import CheckpointDamaged, UsageError
from bulk_sync.job.damage import set_aside as keep_damaged
from bulk_sync.job.database import Job
from bulk_sync.job.lock import held
from bulk_sync.job.store import Store
from bulk_sync.plan import JobFacts, Start, how_to_start
from bulk_sync.run.outputs import write_failed_file
from bulk_sync.run.sheet import Sheet
from bulk_sync.secret import fingerprint
from bulk_sync.settings.history import History
from bulk_sync.settings.push import PushSettings


@contextmanager
def open_checkpoint(
    path: Path, history: History, examined: Callable[[], None]
) -> Iterator[tuple[Store, tuple[str, ...]]]:
    """Open the checkpoint for a run; with --fresh one that is damaged is kept under another name,
    as a note says.
    """
    notes: tuple[str, ...] = ()
    with ExitStack() as stack:
        try:
            store = stack.enter_context(Store.open(path, history.ledger, examined))
        except CheckpointDamaged:
            if not history.fresh:
                raise
            notes = (f"{path} was damaged; it is now {keep_damaged(path)}.",)
            store = stack.enter_context(Store.open(path, history.ledger))
        yield store, notes


def shared_ledger(history: History) -> AbstractContextManager[None]:
    """Hold the ledger that jobs share: one run at a time may change what is known."""
    return nullcontext() if history.ledger is None else held(history.ledger)


def stage_sheet(settings: PushSettings, store: Store, sheet: Sheet) -> tuple[str, ...]:
    """Read the sheet into the checkpoint, unless the very same is there; returns notes for the
    user.
    """
    asked = JobFacts(
        settings.target.base_url, fingerprint(settings.key), sheet.table.digest, sheet.meaning()
    )
    history = settings.history
    try:
        start = _decide_start(store.database.job(), asked, history)
    except UsageError as error:
        raise UsageError(f"{settings.files.checkpoint}: {error}") from None
    if start is Start.NEW:
        store.adoption.drop()
    goes_on = start is Start.RESUME
    if goes_on and not store.views.purged():  # what is to be tried again has lost its patch there
        _refuse_if_too_many(settings, store, sheet)
        store.outbox.requeue()
    else:
        goes_on = _restage(settings, store, sheet, asked)
    if history.new_key:
        store.database.accept_key(fingerprint(settings.key))
    notes = (
        *sheet.notes(),
        *sheet.assumptions(),
        *_how_it_started(start, history, goes_on=goes_on),
    )
    if not store.known.trust(fingerprint(settings.key), same_account=history.new_key):
        notes = (
            *notes,
            "What was acknowledged to another API key is not relied on: every field is sent.",
        )
    if history.only_changed:
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


def _decide_start(known: Job | None, asked: JobFacts, history: History) -> Start:
    facts = (
        None
        if known is None
        else JobFacts(known.base_url, known.key_fingerprint, known.input_digest, known.meaning)
    )
    return how_to_start(facts, asked, fresh=history.fresh, new_key=history.new_key)


def _restage(settings: PushSettings, store: Store, sheet: Sheet, asked: JobFacts) -> bool:
    """Read the sheet; True when it goes on with the job that was there."""
    staged = sheet.stage(store)
    # Before the job becomes this sheet's: a refused one leaves the job, and what it acknowledged,
    # as it was.
    _refuse_if_too_many(settings, store, sheet, staged.generation)
    known = store.database.job()
    return store.adoption.adopt(
        Job(
            generation=staged.generation,
            input=str(settings.reading.input),
            input_digest=asked.input_digest,
            meaning=asked.meaning,
            partial=staged.partial,
            headers=sheet.table.headers,
            base_url=asked.base_url,
            key_fingerprint=known.key_fingerprint if known else None,
            seconds=known.seconds if known else 0.0,
        )
    )


def _refuse_if_too_many(
    settings: PushSettings, store: Store, sheet: Sheet, generation: int | None = None
) -> None:
    """Raise InputError when the sheet is not to be sent, its problems written down."""
    refusal = sheet.refusal(store, generation, listed_in=settings.files.failed)
    if refusal is not None:
        # The results stay those of what was sent; only what is to be mended is written.
        write_failed_file(store, settings.files, sheet.table.headers, sheet.meaning(), generation)
        raise refusal


def _how_it_started(start: Start, history: History, *, goes_on: bool) -> tuple[str, ...]:
    if goes_on:
        return ("Going on from the checkpoint: a row that was acknowledged is not sent again.",)
    if start is Start.RESTAGE:
        what = (
            "what differs from the last one acknowledged is"
            if history.only_changed
            else "all of its rows are"
        )
        return (f"The job before is finished and this is other content: a new job, {what} sent.",)
    return ()

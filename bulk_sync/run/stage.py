"""Stage the sheet of a push: open the checkpoint, and decide which rows are to be sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.check.patches import without_known
from bulk_sync.errors import CheckpointDamaged, InputError, UsageError
from bulk_sync.job.damage import keep_side_files
from bulk_sync.job.damage import set_aside as keep_damaged
from bulk_sync.job.database import Job, is_checkpoint
from bulk_sync.job.lock import Hold, held
from bulk_sync.job.store import Store
from bulk_sync.job.trust import note_on_folder
from bulk_sync.model.account import Team, same_team, wrong_team
from bulk_sync.plan import JobFacts, Start, how_to_start
from bulk_sync.quantities import Share
from bulk_sync.run.findings import assumptions_of, notes_on, refusal_by_columns, refusal_of
from bulk_sync.run.ledgers import Place, keeps_ledger_in, learn_all, origin_of, place_of_ledger
from bulk_sync.run.outputs import write_failed_rows
from bulk_sync.run.paths import Use, refuse_clashes, uses_of_job
from bulk_sync.run.rows import Judgement, stage_rows
from bulk_sync.run.sheet import OnRows, Sheet
from bulk_sync.settings.files import Files
from bulk_sync.settings.history import History
from bulk_sync.settings.option import Access
from bulk_sync.wording import counted


class HeldLedger(NamedTuple):
    """The history with the ledger that is used, notes for the user, and the ledger's lock."""

    history: History
    notes: tuple[str, ...]
    holds: tuple[Hold, ...] = ()


class Staging(Struct, frozen=True):
    """A sheet to stage for a push, the API and key it is for, and the options about it.

    `team` is the key's, if it was read before staging (see `needs_team`). `judgement` is what was
    decided about the rows in a run of several sheets.
    """

    sheet: Sheet
    store: Store
    base_url: str
    key_fingerprint: str
    history: History
    files: Files
    max_problems: Share
    team: Team | None = None
    judgement: Judgement | None = None
    repeat_ambiguous: bool = True

    def facts(self) -> JobFacts:
        """Return the facts that identify the job of this push."""
        digest = self.sheet.table.digest
        elsewhere = self.judgement.elsewhere if self.judgement else ""
        return JobFacts(
            self.base_url, self.key_fingerprint, digest, self.sheet.digest, self.team, elsewhere
        )

    def needs_team(self) -> bool:
        """Return whether the key's team decides how to stage, so that users/me is asked before.

        It does if job or ledger are of another key, and may do so when the job is to be forgotten.
        """
        if self.base_url == SANDBOX_TARGET:
            return False
        job, ledger = self.store.database.job(), self.store.known.account(self.base_url)
        if self.history.fresh:
            return job is not None or ledger is not None
        if job is not None and job.base_url not in {self.base_url, SANDBOX_TARGET}:
            return False  # refused in any case
        of_job = job.key_fingerprint if job and job.base_url == self.base_url else None
        known = {of_job, ledger.fingerprint if ledger else None}
        return not known <= {None, self.key_fingerprint}

    def job_team(self) -> Team | None:
        """Return the team of the job that the checkpoint has; None if it is to be forgotten."""
        job = self.store.database.job()
        is_kept = job is not None and not self.history.fresh and job.base_url == self.base_url
        return job.team if job is not None and is_kept else None


@contextmanager
def open_checkpoint(
    path: Path, history: History, examined: Callable[[], None], *, between_hosts: bool = False
) -> Iterator[tuple[Store, tuple[str, ...]]]:
    """Open the checkpoint for a run; yield it with notes for the user.

    `between_hosts` if other hosts use it, too. With --fresh, a damaged one is kept under another
    name. Raises CheckpointError.
    """
    notes = note_on_folder(path.parent)
    if (kept := keep_side_files(path)) is not None:
        notes += (f"{path} was removed, but not all of it; what was left is now {kept}.",)
    with ExitStack() as stack:
        try:
            store = stack.enter_context(
                Store.open(path, history.ledger, examined, between_hosts=between_hosts)
            )
        except CheckpointDamaged:
            if not history.fresh:
                raise
            notes += (f"{path} was damaged; it is now {keep_damaged(path)}.",)
            store = stack.enter_context(
                Store.open(path, history.ledger, between_hosts=between_hosts)
            )
        if not store.database.has_wal and not between_hosts:
            why = "this folder has no shared memory, as some network and FUSE file systems"
            note = f"{path} has a rollback journal: {why}. On a local disk it is faster."
            notes = (*notes, note)
        yield store, notes


@contextmanager
def hold_ledger(
    sheet: Sheet, files: Files, undo_file: Path | None, history: History
) -> Iterator[HeldLedger]:
    """Hold the job's ledger, because one run at a time may change it.

    Raises UsageError when another file of the run would take its place, CheckpointBusy;
    CheckpointError when the one that --ledger names can't be used.
    """
    origin = origin_of(sheet.reading.input, sheet.made_from, of_push=sheet.is_of_push)
    place = place_of_ledger(files.checkpoint, history.ledger, origin)
    if place.path is None:
        yield HeldLedger(replace(history, ledger=None), place.notes)
        return
    ledger = Use("the ledger", place.path, Access.DATABASE)
    refuse_clashes([*uses_of_job(files, undo_file), ledger])
    with held(place.path, "--ledger") as hold:
        try:
            if is_checkpoint(place.path):
                learn_all(place.path)
            of_sheet = origin.checkpoint if origin else None
            if of_sheet is not None and not keeps_ledger_in(of_sheet, place.path):
                # Otherwise the sheet's own ledger would not follow what this push sends.
                with held(of_sheet), Store.open(of_sheet, place.path):
                    pass
        except CheckpointDamaged as error:
            if history.ledger is not None:
                raise
            place = Place(None, (f"The ledger of this job can't be used: {error}",))
        yield HeldLedger(replace(history, ledger=place.path), place.notes, (hold,))


def stage_sheet(staging: Staging, on_rows: OnRows) -> tuple[str, ...]:
    """Stage the sheet, unless the checkpoint holds the same one; return notes for the user.

    Raises InputError when the sheet must not be sent, UsageError when the checkpoint belongs to
    another job.
    """
    store, history = staging.store, staging.history
    start = _decide_start(staging)
    overwritten = 0
    if start is Start.NEW:
        store.adoption.drop()
    else:
        overwritten = store.known.find_overwritten()
    # A purge removed the patches that would be sent again, and --only-changed left out values of
    # rows that are sent again, so the sheet is staged again.
    if start is Start.RESUME and not overwritten and not store.views.purged():
        continues = True
        _refuse_if_needed(staging)
        store.outbox.requeue(repeat_ambiguous=staging.repeat_ambiguous)
    else:
        continues = _restage(staging, on_rows)
    if not staging.repeat_ambiguous:
        store.outbox.leave_ambiguous()
    # Before the new key is recorded, because that of the ledger's values is compared with it.
    trusted = store.known.trust(staging.key_fingerprint, staging.team, same_team=history.new_key)
    if staging.team is not None:
        store.known.bind(staging.key_fingerprint, staging.team)
    elif history.new_key:
        store.database.accept_key(staging.key_fingerprint)
    notes = [
        *notes_on(staging.sheet),
        *assumptions_of(staging.sheet),
        *note_on_start(start, continues=continues, only_changed=history.only_changed),
    ]
    if staging.judgement is not None and (shared := staging.judgement.shared):
        notes.append(
            f"{counted(shared, 'row')} {'has' if shared == 1 else 'have'} a showing that other "
            "files of this run have too: judged like rows of one file."
        )
    if overwritten and continues:
        notes.append(
            f"Not taken for done any more: {counted(overwritten, 'row')}, because another file "
            "changed the same showings since, or an export shows other values."
        )
    if not trusted:
        notes.append("Acknowledgements to another API key are not relied on: every field is sent.")
    if history.only_changed:
        leave_out_known_values(store)
    return tuple(notes)


def leave_out_known_values(store: Store) -> None:
    """Take values that the API acknowledged before out of pending patches.

    A row with nothing left is unchanged.
    """
    store.known.settle()
    last = 0  # read in batches, so that memory stays constant
    while known := store.known.pending_known(after=last):
        last = known[-1].id
        rest = ((row.id, row.body, without_known(row.body, row.values)) for row in known)
        store.known.leave_out(
            (row, patch) for row, body, patch in rest if patch is None or patch[0] != body
        )


def note_on_start(start: Start, *, continues: bool, only_changed: bool) -> tuple[str, ...]:
    """Return a note about an existing job; none for a new one."""
    if continues:
        return ("Continuing the job: acknowledged rows are not sent again.",)
    if start is Start.RESTAGE:
        sent = "Only changed values are sent." if only_changed else "All of its rows are sent."
        return (f"The sheet has changed since its job was finished: starting a new job. {sent}",)
    return ()


def _decide_start(staging: Staging) -> Start:
    known, history = staging.store.database.job(), staging.history
    facts = None if known is None else _facts_of(known)
    ledger = staging.store.known.account(staging.base_url)
    of_sheet = history.ledger is not None and is_checkpoint(history.ledger)
    of_ledger = ledger.team if of_sheet and ledger else None
    if of_ledger and staging.team and same_team(of_ledger, staging.team) is False:
        raise wrong_team(of_ledger, staging.team)
    try:
        return how_to_start(facts, staging.facts(), fresh=history.fresh, new_key=history.new_key)
    except UsageError as error:
        raise UsageError(f"{staging.files.checkpoint}: {error}") from None


def _facts_of(job: Job) -> JobFacts:
    return JobFacts(
        job.base_url, job.key_fingerprint, job.input_digest, job.meaning, job.team, job.elsewhere
    )


def _restage(staging: Staging, on_rows: OnRows) -> bool:
    """Read the sheet into the checkpoint; return True when it continues the job there."""
    sheet, store = staging.sheet, staging.store
    rows = stage_rows(sheet, store, on_rows, judgement=staging.judgement)
    # Before `adopt`, so that a refused sheet leaves the existing job unchanged.
    _refuse_if_needed(staging, rows.generation)
    known, facts = store.database.job(), staging.facts()
    return store.adoption.adopt(
        Job(
            generation=rows.generation,
            input=str(sheet.reading.input),
            input_digest=facts.input_digest,
            meaning=facts.meaning,
            partial=rows.left_out > 0,
            headers=sheet.headers,
            source=sheet.source,
            base_url=facts.base_url,
            key_fingerprint=known.key_fingerprint if known else None,
            seconds=known.seconds if known else 0.0,
            team=known.team if known else None,
            key_proven=known.key_proven if known else False,
            elsewhere=facts.elsewhere,
        ),
        same_sheet=known is not None and facts.is_of_same_sheet(_facts_of(known)),
    )


def _refuse_if_needed(staging: Staging, generation: int | None = None) -> None:
    """Raise InputError when the sheet must not be sent, after writing its failed rows."""
    sheet, store, path = staging.sheet, staging.store, staging.files.failed
    if (stopped := refusal_by_columns(sheet)) is not None:
        # Its failed rows are not written: corrected, they could be sent past the question.
        raise stopped
    refusal = refusal_of(sheet, store, generation, staging.max_problems, listed_in=path)
    if refusal is not None:
        # Results stay as they are: nothing of this sheet was sent.
        notes = write_failed_rows(
            store, path, sheet.headers, sheet.digest, generation, sheet.source
        )
        raise InputError(". ".join([str(refusal).rstrip("."), *notes])) if notes else refusal

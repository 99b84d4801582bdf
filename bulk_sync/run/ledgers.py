"""Find the ledger of a job, and open the one that a sheet is compared with.

A job's ledger is, in this order: the one of `--ledger`; the one that the job used last; for a file
that an earlier push or comparison of another sheet made (failed rows, changes, an undo file), the
ledger of that sheet, because the file changes the sheet's showings; its own. A ledger may be
another checkpoint: then it is the ledger which that checkpoint uses itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.database import is_checkpoint, recorded_ledger
from bulk_sync.job.ledger import (
    Acknowledged,
    LedgerAccount,
    Same,
    Shown,
)
from bulk_sync.job.ledger_file import changing, read_shared
from bulk_sync.job.lock import held
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import LedgerSide
from bulk_sync.plan import address_of_ledger, refuse_key_of_another
from bulk_sync.secret import fingerprint
from bulk_sync.settings.files import Files
from bulk_sync.settings.reconcile import ReconcileSettings

# The names of our own files that can be pushed, and of edited ones that were kept.
_MADE = re.compile(
    r"(.+)\.(?:failed|changes|undo|results)(?:\.edited(?:-\d+)?)?", re.ASCII | re.DOTALL
)


class Place(Struct, frozen=True):
    """The file of a job's ledger, None for the checkpoint itself, and notes for the user."""

    path: Path | None
    notes: tuple[str, ...] = ()


def place_of_ledger(checkpoint: Path, named: Path | None, origin: Origin | None = None) -> Place:
    """Return where the job of a checkpoint keeps its ledger.

    `named` is the one of `--ledger`, `origin` what the job's file was made from.
    """
    if named is not None:
        return Place(_followed(named, checkpoint))
    used = recorded_ledger(checkpoint)
    if used is not None and _exists(used):
        found = _followed(used, checkpoint)
        return Place(found, (f"The ledger of this job is {found}, as before.",) if found else ())
    sheet = origin.checkpoint if origin else None
    if sheet is not None and (found := _followed(sheet, checkpoint)):
        note = f"The ledger of this job is {found}, as for the sheet that this file was made from."
        return Place(found, (note,))
    if origin is not None and sheet is None:
        note = (
            f"{origin.missing}, the checkpoint of the sheet that this file was made from, is not "
            "there, so its ledger does not learn of this push. Name it with --ledger if it was "
            "moved."
        )
        return Place(None, (note,))
    if used is None:
        return Place(None)
    note = (
        f"{used}, the ledger of this job, is missing, so nothing is known of earlier pushes. "
        "Name it with --ledger if it was moved."
    )
    return Place(None, (note,))


class Origin(Struct, frozen=True):
    """The sheet that a file was made from: its checkpoint, or where it is missing."""

    checkpoint: Path | None
    missing: Path | None = None


def origin_of(source: Path, marked: Sequence[str] = (), *, of_push: bool = True) -> Origin | None:
    """Return what a file was made from; None for one that was not made from another.

    `marked` are the paths of the checkpoint in the file's own mark. Without them the name counts:
    `a.failed.csv`, `a.changes.csv`, `a.undo.csv` and `a.results.csv` are of the job in
    `a.checkpoint.sqlite`, also when they were edited. If that job was of such a file itself, but is
    gone, the next one counts. A file that no push made (`of_push` False) may be of a sheet that was
    never pushed, so that no checkpoint is missing.
    """
    paths = [source.parent / path for path in marked]
    for path in paths:
        if is_checkpoint(path):
            return Origin(path)
    stem = source.stem
    while match := _MADE.fullmatch(stem):
        stem = match[1]
        found = source.with_name(f"{stem}.checkpoint.sqlite")
        if is_checkpoint(found):
            return Origin(found)
    return Origin(None, paths[-1]) if paths and of_push else None


def keeps_ledger_in(checkpoint: Path, path: Path) -> bool:
    """Return whether the ledger of a checkpoint is in this file, also if it is itself."""
    place = place_of_ledger(checkpoint, None).path or checkpoint
    return place.resolve() == path.resolve()


def _exists(path: Path) -> bool:
    """Return whether there is such a file; False for one out of reach, or of an impossible name."""
    try:
        return path.exists()
    except OSError:
        return False


def _followed(path: Path, own: Path) -> Path | None:
    """Return the file with the entries: a checkpoint may have moved its ledger to another.

    None if that is the job's own checkpoint.
    """
    seen = {own.resolve()}
    while path.resolve() not in seen:
        seen.add(path.resolve())
        moved = recorded_ledger(path)
        if moved is None or not _exists(moved):
            return path
        path = moved
    return None


class KnownValues(Struct, frozen=True):
    """The acknowledged values that a ledger has of one API, and whose they are."""

    side: LedgerSide
    entries: Iterator[Acknowledged]


@contextmanager
def acknowledged_values(settings: ReconcileSettings) -> Iterator[KnownValues]:
    """Open the ledger of a comparison: the shared one, or that of the sheet's checkpoint.

    Raises CheckpointError without one, InputError when nothing was acknowledged yet, UsageError
    when it is of another address or key than the comparison is about.
    """
    checkpoint = settings.files.checkpoint
    origin = origin_of(settings.reading.input)
    place = place_of_ledger(checkpoint, settings.history.ledger, origin)
    shared = place.path
    if shared is not None and not is_checkpoint(shared):
        with read_shared(shared) as file:
            address = _address(shared, file.addresses(), settings)
            ledger = file.of(address)
            _refuse_other_key(shared, ledger.account(), settings)
            yield KnownValues(LedgerSide(address, str(shared)), ledger.all())
        return
    path = shared or checkpoint
    with Store.read(path) as store:
        job = store.database.job()
        if job is None:
            raise InputError(
                f"{path}: this checkpoint has no job, so nothing was acknowledged yet."
            )
        address = _address(path, (job.base_url,), settings)
        _refuse_other_key(path, store.known.account(address), settings)
        side = LedgerSide(address, None if shared is None else str(shared))
        yield KnownValues(side, store.known.acknowledged())


class KnownShowings(Struct, frozen=True):
    """Entries of a job's ledger for some showings, and its file if that isn't the checkpoint."""

    found: Sequence[Acknowledged]
    path: Path | None = None


def known_showings(store: Store, base_url: str, names: Iterable[str]) -> KnownShowings:
    """Return the acknowledged values of showings in the ledger that a job used last.

    Nothing is locked or changed. Raises CheckpointError for a ledger that can't be read.
    """
    checkpoint = store.database.path
    shared = place_of_ledger(checkpoint, None).path
    if shared is None:
        return KnownShowings(store.known.find(base_url, names))
    if is_checkpoint(shared):
        with Store.read(shared) as other:
            return KnownShowings(other.known.find(base_url, names), shared)
    with read_shared(shared) as file:
        return KnownShowings(file.of(base_url).find(names), shared)


class Evidence(Struct, frozen=True):
    """The values of North in an export; each part may be iterated more than once.

    `differing` has the showings that the sheet here has otherwise: (target, key, id). `shown` has
    all showings of the export, whether or not the sheet here has them. `same` compares values.
    """

    differing: Callable[[], Iterable[tuple[str, str, str]]]
    shown: Callable[[], Iterable[Shown]]
    same: Same


def doubt(settings: ReconcileSettings, evidence: Evidence) -> None:
    """Let the ledgers of a comparison forget the showings in which an export contradicts them.

    They are those of the sheet here and of the changes that are made from it. Otherwise a push
    would leave out what was acknowledged once and is no longer so. Raises CheckpointBusy.
    """
    checkpoints = [settings.files.checkpoint]
    if settings.changes is not None:
        checkpoints.append(Files.of(settings.changes, out=settings.outputs.out).checkpoint)
    places: dict[Path, None] = {}
    for checkpoint in checkpoints:
        for named in (settings.history.ledger, None):
            place = place_of_ledger(checkpoint, named).path or checkpoint
            if place.exists():
                places[place.resolve()] = None
    for path in places:
        with held(path):
            of_sheet = is_checkpoint(path)
            if of_sheet:
                learn_all(path)
            with changing(path, examined=of_sheet) as file:
                for base_url in [settings.address] if settings.address else file.addresses():
                    ledger = file.of(base_url)
                    if not ledger.is_empty():
                        ledger.doubt_claims(evidence.shown(), evidence.same)
                    ledger.doubt(evidence.differing())


def learn_all(checkpoint: Path) -> None:
    """Let the own ledger of a checkpoint, which the caller holds, learn all that it lists."""
    with Store.open(checkpoint) as store:
        store.known.learn()


def _address(path: Path, known: tuple[str, ...], settings: ReconcileSettings) -> str:
    try:
        return address_of_ledger(known, settings.address)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None


def _refuse_other_key(
    path: Path, account: LedgerAccount | None, settings: ReconcileSettings
) -> None:
    # A push asks the API for the key's team, and decides by that.
    if settings.key is None or settings.comparing.push:
        return
    known = account.fingerprint if account else None
    try:
        refuse_key_of_another(known, fingerprint(settings.key), new_key=settings.history.new_key)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None

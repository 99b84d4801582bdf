"""Find the ledger of a job, and open the one that a sheet is compared with.

A job's ledger is, in this order: the one of `--ledger`; the one that the job used last; its own. A
ledger may be another checkpoint: then it is the ledger which that checkpoint uses itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.database import is_checkpoint, recorded_ledger
from bulk_sync.job.ledger import Acknowledged, LedgerAccount, read_shared
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import LedgerSide
from bulk_sync.plan import address_of_ledger, refuse_key_of_another
from bulk_sync.secret import fingerprint
from bulk_sync.settings.reconcile import ReconcileSettings


class Place(Struct, frozen=True):
    """The file of a job's ledger, None for the checkpoint itself, and notes for the user."""

    path: Path | None
    notes: tuple[str, ...] = ()


def place_of_ledger(checkpoint: Path, named: Path | None) -> Place:
    """Return where the job of a checkpoint keeps its ledger; `named` is the one of `--ledger`."""
    if named is not None:
        return Place(_followed(named, checkpoint))
    used = recorded_ledger(checkpoint)
    if used is None:
        return Place(None)
    if not used.exists():
        note = (
            f"{used}, the ledger of this job, is missing, so nothing is known of earlier pushes. "
            "Name it with --ledger if it was moved."
        )
        return Place(None, (note,))
    found = _followed(used, checkpoint)
    return Place(found, (f"The ledger of this job is {found}, as before.",) if found else ())


def _followed(path: Path, own: Path) -> Path | None:
    """Return the file with the entries: a checkpoint may have moved its ledger to another.

    None if that is the job's own checkpoint.
    """
    seen = {own.resolve()}
    while path.resolve() not in seen:
        seen.add(path.resolve())
        moved = recorded_ledger(path)
        if moved is None or not moved.exists():
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
    place = place_of_ledger(checkpoint, settings.history.ledger)
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

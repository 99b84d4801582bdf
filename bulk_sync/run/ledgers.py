"""Find and open the ledger that a sheet is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import InputError, UsageError
from bulk_sync.job.ledger import Acknowledged, LedgerAccount, read_shared
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import LedgerSide
from bulk_sync.plan import address_of_ledger, refuse_key_of_another
from bulk_sync.secret import fingerprint
from bulk_sync.settings.reconcile import ReconcileSettings


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
    shared = settings.history.ledger
    if shared is not None:
        with read_shared(shared) as file:
            address = _address(shared, file.addresses(), settings)
            ledger = file.of(address)
            _refuse_other_key(shared, ledger.account(), settings)
            yield KnownValues(LedgerSide(address, str(shared)), ledger.all())
        return
    checkpoint = settings.files.checkpoint
    with Store.read(checkpoint) as store:
        job = store.database.job()
        if job is None:
            raise InputError(
                f"{checkpoint}: this checkpoint has no job, so nothing was acknowledged yet."
            )
        address = _address(checkpoint, (job.base_url,), settings)
        _refuse_other_key(checkpoint, store.known.account(address), settings)
        yield KnownValues(LedgerSide(address), store.known.acknowledged())


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

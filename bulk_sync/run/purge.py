"""Purge a finished job: remove cells and patches from its checkpoint."""

from __future__ import annotations

from pathlib import Path

from bulk_sync.job.database import is_checkpoint
from bulk_sync.job.ledger_file import purge_values
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from bulk_sync.wording import are, counted

PURGED_NOTE = (
    "Cells and patches were removed from the checkpoint; the outcome of each row stays there."
)

NO_SHARED_LEDGER = "This job shares no ledger with others, so --purge-ledger had nothing to do."


def purge_ledger(path: Path | None) -> str:
    """Remove the values from the ledger that a job shares with others; return a note for the user.

    Each job still knows what it has done; with --only-changed, all of them send all fields once
    more. The caller holds the ledger; one that is a checkpoint has learnt what it lists. Raises
    CheckpointError, OutputError.
    """
    if path is None:
        return NO_SHARED_LEDGER
    purge_values(path, examined=is_checkpoint(path))
    return (
        f"The values of all jobs were removed from {path}; its jobs still know which rows are done."
    )


def why_not_to_purge(store: Store) -> str | None:
    """Return a sentence if the checkpoint still needs its cells and patches, else None."""
    counts = store.views.counts()
    if not counts:
        return "nothing was staged in this checkpoint, so there is nothing to purge."
    pending = counts.get(State.PENDING, 0)
    if pending:
        return (
            f"{counted(pending, 'row')} {are(pending)} pending, so nothing can be purged yet: push "
            "the sheet again first."
        )
    return None


def purge_or_explain(store: Store) -> str:
    """Purge a job if it is finished; return the note for the user."""
    why_not = why_not_to_purge(store)
    if why_not is not None:
        return f"Not purged: {why_not}"
    store.database.purge()
    return PURGED_NOTE

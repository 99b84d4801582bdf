"""The changes of a sheet that its job has had before: those that are done, and the others."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from bulk_sync.errors import BulkSyncError
from bulk_sync.job.database import ACKNOWLEDGED, APART, EARLIER, OWN_CONTENT, PARKED
from bulk_sync.job.ledger import LedgerAccount
from bulk_sync.job.store import Store
from bulk_sync.settings.history import History


class Sending(NamedTuple):
    """The options about earlier runs, the key and the team: a check has none of them."""

    history: History
    account: LedgerAccount


class JobPlace(NamedTuple):
    """The checkpoint of a job, which may be missing, and the API that the job is for.

    `sending` is what is known when a push is about to begin; None for a check.
    """

    checkpoint: Path
    base_url: str
    sending: Sending | None = None


class Leftover(NamedTuple):
    """The share of a sheet's changes that its job has had before.

    `acknowledged` counts those that are not sent again. `is_resumed` is True if the job has had all
    the others, too, and a row of it was sent.
    """

    acknowledged: int = 0
    is_resumed: bool = False


def left_by(
    sheet: Store, generation: int, place: JobPlace, *, digest: str, meaning: str
) -> Leftover:
    """Return what the job there has had of a staged sheet; mark rows that it spares as `updated`.

    Nothing without a job for that API, or if the push would begin another one (`Adoption.adopt`,
    --fresh). A checkpoint that can't be read spares nothing; the push has the words for that.
    `digest` and `meaning` are those of the sheet; see `database.Job`.
    """
    is_forgotten = place.sending is not None and place.sending.history.fresh
    if is_forgotten or not place.checkpoint.exists():
        return Leftover()
    db = sheet.database.connection
    try:
        with Store.read(place.checkpoint) as before:
            job = before.database.job()
            if job is None or job.base_url != place.base_url:
                return Leftover()
            is_settled = before.adoption.is_settled(job)
            was_sent = before.outbox.was_sent()
            rows = before.database.connection.execute(
                f"SELECT target, content, {ACKNOWLEDGED} AND generation <> {EARLIER}, "
                f"generation = ?1 FROM row "
                f"WHERE generation IN (?1, {PARKED}, {EARLIER}) AND {OWN_CONTENT}",
                (job.generation,),
            )
            db.execute("CREATE TEMP TABLE before (target, content, acknowledged, taken)")
            db.executemany("INSERT INTO before VALUES (?, ?, ?, ?)", rows)
    except (BulkSyncError, sqlite3.Error):
        return Leftover()
    db.execute("CREATE INDEX temp.before_target ON before (target)")
    same_sheet = (job.input_digest, job.meaning) == (digest, meaning)
    if is_settled and not same_sheet and not _same_content(db, generation):
        return Leftover()
    had = (
        "SELECT 1 FROM before WHERE before.target = staged.target "
        "AND before.content = staged.content AND"
    )
    acknowledged = db.execute(
        "UPDATE staged SET state = 'updated' WHERE generation = ? AND state = 'pending' "
        f"AND EXISTS ({had} acknowledged)",
        (generation,),
    ).rowcount
    new = db.execute(
        "SELECT 1 FROM staged WHERE generation = ? AND state = 'pending' "
        f"AND NOT EXISTS ({had} taken) LIMIT 1",
        (generation,),
    ).fetchone()
    return Leftover(acknowledged, was_sent and new is None)


def _same_content(db: sqlite3.Connection, generation: int) -> bool:
    """Return whether the sheet has the job's changes, in any order."""
    staged = (
        f"SELECT target, content FROM staged WHERE generation IN (?, {APART}) AND {OWN_CONTENT}"
    )
    before = "SELECT target, content FROM before"
    return not any(
        db.execute(f"{these} EXCEPT {those} LIMIT 1", (generation,)).fetchone()
        for these, those in ((staged, before), (before, staged))
    )

"""The number of changes of a sheet that a push leaves out because its job knows them as done."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from bulk_sync.errors import BulkSyncError
from bulk_sync.job.database import ACKNOWLEDGED, APART, EARLIER, OWN_CONTENT, PARKED
from bulk_sync.job.store import Store


class JobPlace(NamedTuple):
    """The checkpoint of a job, which may be missing, and the API that the job is for."""

    checkpoint: Path
    base_url: str


def acknowledged_before(
    sheet: Store, generation: int, place: JobPlace, *, digest: str, meaning: str
) -> int:
    """Return how many staged changes the job there spares a push of the sheet.

    0 without a job for that API, or if the push would begin another one (`Adoption.adopt`). A
    checkpoint that can't be read spares none; the push has the words for that. `digest` and
    `meaning` are those of the sheet; see `database.Job`.
    """
    if not place.checkpoint.exists():
        return 0
    db = sheet.database.connection
    try:
        with Store.read(place.checkpoint) as before:
            job = before.database.job()
            if job is None or job.base_url != place.base_url:
                return 0
            is_settled = before.adoption.is_settled(job)
            rows = before.database.connection.execute(
                f"SELECT target, content, {ACKNOWLEDGED} AND generation <> {EARLIER} FROM row "
                f"WHERE generation IN (?, {PARKED}, {EARLIER}) AND {OWN_CONTENT}",
                (job.generation,),
            )
            db.execute("CREATE TEMP TABLE before (target, content, acknowledged)")
            db.executemany("INSERT INTO before VALUES (?, ?, ?)", rows)
    except (BulkSyncError, sqlite3.Error):
        return 0
    db.execute("CREATE INDEX temp.before_target ON before (target)")
    same_sheet = (job.input_digest, job.meaning) == (digest, meaning)
    if is_settled and not same_sheet and not _same_content(db, generation):
        return 0
    (count,) = db.execute(
        "SELECT count(*) FROM staged WHERE generation = ? AND state = 'pending' AND EXISTS "
        "(SELECT 1 FROM before WHERE before.target = staged.target "
        "AND before.content = staged.content AND acknowledged)",
        (generation,),
    ).fetchone()
    return int(count)


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

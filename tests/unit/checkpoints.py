"""Checkpoints for tests: rows, sheets and runs in a line each, and what a kill leaves of one."""

from __future__ import annotations

import shutil
from pathlib import Path

from bulk_sync.check.patches import digest_of
from bulk_sync.job.database import Job
from bulk_sync.job.store import Store
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import LeftOut, Outcome, Problem, Record, Row, State

BAD = Reason(Expected.RATING, "rating", "bad")

Pair = tuple[str, str]
Sheet = list[Pair]


def body_of(value: str) -> str:
    return f'{{"rating":{value}}}'


def record_of(number: int, key: str, value: str) -> Record | Problem:
    row = Row(number, (key, value))
    if value == "bad":
        return Problem(row, key, "bad_value", (BAD,), key)
    body = body_of(value)
    return Record(row, key, body, digest_of(body), ("rating",), key)


def stage(store: Store, sheet: Sheet, *, left_out: Sheet | None = None) -> None:
    """Make a sheet the job's; rows that are left out by choice are below the others."""
    apart = left_out or []
    rows: list[Record | Problem | LeftOut] = []
    for number, (key, value) in enumerate([*sheet, *apart], start=2):
        row = record_of(number, key, value)
        rows.append(row if number < 2 + len(sheet) else LeftOut(row))
    adopt(store, store.staged.stage(rows), partial=bool(apart))


def adopt(store: Store, generation: int, *, partial: bool = False) -> None:
    known = store.database.job()
    fingerprint = known.key_fingerprint if known else None
    store.adoption.adopt(
        Job(
            generation,
            "x.csv",
            "digest",
            "meaning",
            partial,
            ("k", "v"),
            "https://a.example.com",
            fingerprint,
            0.0,
        )
    )


def acknowledge(store: Store) -> None:
    store.outbox.exchange(
        [Outcome(change.id, State.UPDATED, 1) for change in store.outbox.exchange(limit=100)]
    )


def doubtful(store: Store) -> list[str]:
    """The targets of the rows that may have been applied."""
    return [row.target for row in store.views.results() if row.may_have_been_applied]


def as_killed(path: Path, folder: Path) -> Path:
    """The files of a checkpoint that is open, as a kill would leave them."""
    folder.mkdir()
    for name in (path.name, path.name + "-wal"):
        shutil.copy2(path.with_name(name), folder / name)
    return folder / path.name

"""The checkpoint: one SQLite file with the job, its rows and their outcomes.

`Store` opens it and holds its parts. Each has one concern, and its module states what it promises
at every commit:

- `database`: the file, its transactions, the job as a whole;
- `staged`: the rows of a sheet before they are the job's;
- `adoption`: a staged sheet becomes the job's;
- `outbox`: changes handed out, and their outcomes;
- `known`: acknowledged values, for `--only-changed` and `reconcile`;
- `views`: the rows as reports read them.

The tables are in `schema`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Self

from bulk_sync.job.adoption import Adoption
from bulk_sync.job.database import Database, opened, readable, scratch
from bulk_sync.job.health import examining
from bulk_sync.job.known import Known
from bulk_sync.job.outbox import Outbox
from bulk_sync.job.staged import StagedRows
from bulk_sync.job.views import Views


class Store:
    """The parts of an open checkpoint; made by `open`, `scratch` or `read`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.views = Views(database)
        self.staged = StagedRows(database)
        self.known = Known(database)
        self.outbox = Outbox(database, self.known)
        self.adoption = Adoption(database, self.known, self.outbox, self.views)

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        shared_ledger: Path | None = None,
        examined: Callable[[], None] | None = None,
        *,
        between_hosts: bool = False,
    ) -> Iterator[Self]:
        """Open a checkpoint for a run; see `database.opened`.

        `shared_ledger` may be another checkpoint, which the caller holds and has opened before, so
        that it has learnt what it lists: its ledger is used.
        """
        with opened(path, shared_ledger, examined, between_hosts=between_hosts) as database:
            store = cls(database)
            store.known.move()
            yield store

    @staticmethod
    def examining(path: Path) -> AbstractContextManager[Callable[[], None]]:
        """Examine a checkpoint in a thread, for `open` later; see `health.examining`."""
        return examining(path)

    @classmethod
    @contextmanager
    def scratch(cls, path: Path | None = None, *, otherwise: Path | None = None) -> Iterator[Self]:
        """Open a temporary checkpoint; see `database.scratch`."""
        with scratch(path, otherwise) as database:
            yield cls(database)

    @classmethod
    @contextmanager
    def read(cls, path: Path) -> Iterator[Self]:
        """Open a checkpoint for reading, also while a run holds it; see `database.readable`."""
        with readable(path) as database:
            yield cls(database)

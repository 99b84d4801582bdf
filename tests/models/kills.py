"""Cut a run off, or kill it, at any request or commit: a kill leaves the files as they were."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from bulk_sync.clock import SystemClock
from bulk_sync.job.database import Database, is_checkpoint
from bulk_sync.job.store import Store
from bulk_sync.run import send as run_send
from tests.fast_time import FastTime
from tests.models.north import Family, North, transport_to
from tests.models.person import Cut


class Clock(SystemClock):
    """Time at fifty times its speed."""


for _name, _method in FastTime(50.0, SystemClock().monotonic(), 1_772_000_000.0).methods().items():
    setattr(Clock, _name, _method)


class Kills:
    """The life of the program in a folder. It works on after a kill, but North doesn't hear it."""

    def __init__(self, folder: Path, kept: Path, north: North) -> None:
        self._folder = folder
        self._kept = kept
        self._north = north
        self.is_dead = self.was_killed = False
        self.stop = threading.Event()
        north.is_down = lambda: self.is_dead

    @contextmanager
    def cutting(self, family: Family, cut: Cut | None) -> Iterator[None]:
        """Let the block's run be cut off; after a kill the files are as it left them."""
        self.is_dead, self.was_killed = False, False
        self.stop = threading.Event()
        self._north.pushing = family
        requests = commits = 0

        def at_request(when: str) -> None:
            nonlocal requests
            requests += when == "before"
            if cut and cut.kind in {when, "stop"} and requests == cut.number:
                self.stop.set()
                if cut.kind != "stop":
                    self._kill()

        commit = Database.commit

        @contextmanager
        def counted(database: Database, *, waits: bool = True) -> Iterator[Any]:
            nonlocal commits
            commits += 1
            is_last = cut is not None and commits == cut.number and not self.is_dead
            torn = is_last and cut is not None and cut.kind == "torn" and database.shared_ledger
            earlier = _copy_of(database.shared_ledger) if torn and database.shared_ledger else {}
            with commit(database, waits=waits) as connection:
                yield connection
            if is_last and cut is not None and cut.kind in {"commit", "torn"}:
                self.stop.set()
                self._kill()
                for path, content in earlier.items():
                    (self._kept / path.name).write_bytes(content)

        self._north.on_request = at_request
        opened = transport_to(self._north)
        with (
            mock.patch.object(Database, "commit", counted),
            mock.patch.object(run_send, "open_transport", opened),
        ):
            try:
                yield
            finally:
                self._restore()

    def _kill(self) -> None:
        self.is_dead = self.was_killed = True
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self._folder, self._kept, ignore=shutil.ignore_patterns("*-shm", "*.lock"))

    def _restore(self) -> None:
        """Put the files back that a kill left."""
        if self.was_killed:
            shutil.rmtree(self._folder)
            self._kept.rename(self._folder)
        self.is_dead = False


def _copy_of(path: Path) -> dict[Path, bytes]:
    files = (path, path.with_name(path.name + "-wal"))
    return {one: one.read_bytes() for one in files if one.exists()}


def team_of(checkpoint: Path) -> str | None:
    """Return the team of a checkpoint's job, None if it has none."""
    if not is_checkpoint(checkpoint):
        return None
    with Store.read(checkpoint) as store:
        job = store.database.job()
        return job.team.id if job and job.team else None

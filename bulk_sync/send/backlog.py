"""Changes that wait to be sent, and the workers that they wait for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import anyio

from bulk_sync.model.rows import Change, Outcome
from bulk_sync.send.case import Case

MOST_WAITING = 256
"""Rows that may wait to be tried again before no new ones are taken."""


class Work(Protocol):
    """Where changes come from and outcomes go."""

    async def claim(self, limit: int) -> list[Change]:
        """Take up to `limit` changes; an empty list means that none are left."""
        ...

    def take(self) -> Change | None:
        """Return the next change if one is ready; never wait.

        None says nothing about what `claim` may return.
        """
        ...

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; never wait."""
        ...


class Backlog:
    """Changes that are not in flight: new ones, and those to be tried again."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work = work
        self._claim_size = workers
        self._most_open = workers + MOST_WAITING
        self._new: deque[Change] = deque()
        self._exhausted = False
        self.again: deque[Case] = deque()
        """Cases that an outage set back to their start."""
        self.open_rows = 0
        """Rows that were begun and have no outcome, suspects apart."""

    async def next_case(self) -> Case | None:
        """Return the next case, waiting for it if need be; None when none are left."""
        if self.again:
            return self.again.popleft()
        if not self._new and not self._exhausted:
            self._new.extend(await self._work.claim(self._claim_size))
            self._exhausted = not self._new
        return Case(self._new.popleft()) if self._new else None

    def take(self) -> Case | None:
        """Return the next new case if one is ready and none is to be tried again; never wait."""
        if self.again:
            return None
        change = self._new.popleft() if self._new else self._work.take()
        return None if change is None else Case(change)

    def try_again(self, cases: Iterable[Case]) -> None:
        """Put cases back, ahead of all new ones."""
        self.again.extend(cases)

    @property
    def is_full(self) -> bool:
        """True when so many rows are open that no more may begin."""
        return self.open_rows >= self._most_open

    @property
    def has_new(self) -> bool:
        """True while new changes are left, as far as is known."""
        return bool(self._new) or not self._exhausted

    @property
    def only_retries_left(self) -> bool:
        """True when nothing can be sent but rows that are already open."""
        return self.is_full or not (self.has_new or self.again)


class Workers:
    """A fixed number of workers; each lets one request at a time be in flight."""

    def __init__(self, number: int) -> None:
        self._free = anyio.Semaphore(number, fast_acquire=True)
        self.wanted = 0
        """Cases that wait for a worker to be tried again."""

    async def acquire(self) -> None:
        """Take a worker for a case that is about to begin."""
        await self._free.acquire()

    def release(self) -> None:
        """Give back a worker that no case has."""
        self._free.release()

    async def take_for(self, case: Case) -> None:
        """Take a worker for a case that gave up its own."""
        self.wanted += 1
        try:
            await self._free.acquire()
        finally:
            self.wanted -= 1
        case.has_worker = True

    def release_from(self, case: Case) -> None:
        """Take back the case's worker, if it has one."""
        if case.has_worker:
            case.has_worker = False
            self._free.release()

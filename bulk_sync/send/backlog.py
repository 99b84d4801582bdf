"""The backlog of changes to send, and the workers that send them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol

import anyio

from bulk_sync.model.rows import Change, Creation, Outcome
from bulk_sync.send.case import Case

MOST_WAITING = 256
"""The maximum of rows that wait for a retry; then no new ones are taken."""

MAX_OPEN_CHARACTERS = 32 * 1024 * 1024
"""The characters of open rows' patches, beyond which no new row begins; bounds memory."""

_TAIL_ROWS = 7


class Work(Protocol):
    """The source of changes and the sink of outcomes."""

    async def claim(self, limit: int) -> list[Change]:
        """Take up to `limit` changes; an empty list means none are left."""
        ...

    def take(self) -> Change | None:
        """Return the next change if one is ready, without waiting.

        After None, `claim` may still return changes.
        """
        ...

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:
        """Note durably that a showing is about to be created, and return the row's content.

        `report_id` is for a row that names no report. Returns None for a row that addresses its
        showing by id.
        """
        ...

    def put(self, outcome: Outcome) -> None:
        """Take an outcome, without waiting."""
        ...

    def is_behind(self) -> bool:
        """Return whether outcomes wait for so long that no request may leave."""
        ...

    async def catch_up(self) -> None:
        """Wait until more outcomes are kept."""
        ...


class NoWork:
    """No changes: the sender makes its first request only."""

    async def claim(self, limit: int) -> list[Change]:  # noqa: ARG002 - the protocol's
        """Return none."""
        return []

    def take(self) -> Change | None:
        """Return none."""
        return None

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:  # noqa: ARG002
        """Return none, because no row is sent."""
        return None

    def put(self, outcome: Outcome) -> None:
        """Take no outcome, because no row is sent."""

    def is_behind(self) -> bool:
        """Return False: nothing waits."""
        return False

    async def catch_up(self) -> None:
        """Do nothing."""


class Backlog:
    """Changes that are not in flight: new ones, and those an outage gave back."""

    def __init__(self, work: Work, workers: int) -> None:
        self._work = work
        self._claim_size = workers
        self._most_open = workers + MOST_WAITING
        self._new: deque[Change] = deque()
        self._exhausted = False
        self.again: deque[Case] = deque()
        """Cases whose attempts an outage gave back."""
        self.open_rows = 0
        """Rows that were begun and have no outcome yet; suspects don't count."""
        self._open_characters = 0

    async def next_case(self) -> Case | None:
        """Wait for the next case; return None when none are left."""
        if self.again:
            return self.again.popleft()
        if not self._new and not self._exhausted:
            self._new.extend(await self._work.claim(self._claim_size))
            self._exhausted = not self._new
        return Case(self._new.popleft()) if self._new else None

    def take(self) -> Case | None:
        """Return the next new case if one is ready, without waiting."""
        # Those that come again come first, and `next_case` hands them out.
        if self.again or self._open_characters >= MAX_OPEN_CHARACTERS:
            return None
        change = self._new.popleft() if self._new else self._work.take()
        return None if change is None else Case(change)

    def begin(self, case: Case) -> None:
        """Count a case as open."""
        self.open_rows += 1
        self._open_characters += len(case.change.body)

    def end(self, case: Case) -> None:
        """Count a case as open no more."""
        self.open_rows -= 1
        self._open_characters -= len(case.change.body)

    def try_again(self, cases: Iterable[Case]) -> None:
        """Put cases back, ahead of all new ones."""
        self.again.extend(cases)

    @property
    def is_full(self) -> bool:
        """True when no more rows may begin until an open one ends."""
        return self.open_rows >= self._most_open or self._open_characters >= MAX_OPEN_CHARACTERS

    @property
    def has_new(self) -> bool:
        """True unless the source of changes is known to be exhausted."""
        return bool(self._new) or not self._exhausted

    @property
    def is_tail(self) -> bool:
        """True when nothing but a few open rows is left to send."""
        return self.open_rows <= _TAIL_ROWS and not (self.has_new or self.again)

    @property
    def only_retries_left(self) -> bool:
        """True when only rows that are already open can be sent."""
        return self.is_full or not (self.has_new or self.again)


class Workers:
    """A fixed number of workers, each with at most one request in flight."""

    def __init__(self, number: int) -> None:
        self._free = anyio.Semaphore(number, fast_acquire=True)
        # A counter rather than anyio's statistics: it is read after every row.
        self.waiting = 0
        """The number of cases that wait for a worker for their retry."""

    async def acquire(self) -> None:
        """Take a worker for a case that is about to begin."""
        await self._free.acquire()

    def release(self) -> None:
        """Give back a worker that no case holds."""
        self._free.release()

    async def take_for(self, case: Case) -> None:
        """Take a worker for a case that gave up its own."""
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        case.has_worker = True

    def release_from(self, case: Case) -> None:
        """Release the case's worker, if it holds one."""
        if case.has_worker:
            case.has_worker = False
            self._free.release()

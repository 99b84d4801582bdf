"""What passes between the stages.

Plain values, frozen; the one exception is `Tally`, the running counts that the sender
writes and the terminal reads. Nothing here knows files, HTTP or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any

from bulk_sync.errors import BulkSyncError


class State(StrEnum):
    """What became of a row; each row is in exactly one."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    FAILED = "failed"
    PENDING = "pending"


SETTLED_STATES = frozenset({State.UPDATED, State.UNCHANGED, State.SUPERSEDED})
"""A job whose rows are all in these has nothing left to do."""

MENDABLE_STATES = frozenset({State.INVALID, State.REJECTED, State.FAILED})
"""Rows in these go to `*.failed.csv`."""


@dataclass(frozen=True, slots=True)
class CellError:
    """A cell whose formula failed; `code` is what the spreadsheet program shows in it, such as `#N/A`."""

    code: str


Cell = str | bool | int | float | datetime | date | time | timedelta | CellError
"""A cell as its file holds it: always a str from text files; a workbook's keep their type, and a blank one is ""."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the sheet holds it: its number as a spreadsheet program shows it, and its raw cells.

    `fault` is a sentence when the row was read and can't be trusted as it stands: it is never sent.
    """

    number: int
    cells: tuple[Cell, ...]
    fault: str | None = None


def text_of(cell: Cell) -> str:
    """A cell as text, for files and sentences: numbers without a needless `.0`, dates and times in ISO 8601."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, CellError):
        return cell.code
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


@dataclass(frozen=True, slots=True)
class Record:
    """A row that is a patch.

    `target` is the showing's key as written in the sheet, `body` the patch as JSON text
    in the contract's field order, `digest` names the body's content.
    """

    row: Row
    target: str
    body: str
    digest: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that can't be a patch: a code of `cli.md`, and a sentence with column, value and remedy."""

    row: Row
    target: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """A patch waiting to be sent; `id` is the row's identity in the checkpoint."""

    id: int
    number: int
    target: str
    body: str
    digest: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What sending made of one change.

    `attempts` and `throttled` count this run's requests alone; the checkpoint adds them to
    those before. `sent_at` and `duration_ms` are those of the last request.
    """

    id: int
    state: State
    attempts: int
    throttled: int = 0
    http_status: int | None = None
    error: str | None = None
    message: str | None = None
    showing_id: str | None = None
    updated_at: str | None = None
    sent_at: str | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A row of the checkpoint as reports show it."""

    number: int
    cells: tuple[str, ...]
    target: str
    state: State
    in_flight: bool
    http_status: int | None
    attempts: int
    error: str | None
    message: str | None
    fields: str
    showing_id: str | None
    updated_at: str | None
    sent_at: str | None
    duration_ms: int | None


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests in a period, as the user wrote it."""

    requests: float
    period_seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.period_seconds

    @property
    def burst(self) -> int:
        """Requests that a window may hold beyond the rate: a tenth of a second's worth, at least one."""
        return max(1, int(self.per_second / 10))

    def __str__(self) -> str:
        unit = {1: "s", 60: "m", 3600: "h"}.get(int(self.period_seconds), f"{self.period_seconds:g}s")
        return f"{self.requests:g}/{unit}"


@dataclass(slots=True)
class Tally:
    """The running counts of one run."""

    total: int = 0
    settled_before: int = 0
    rate: Rate | None = None
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    in_flight: int = 0
    waiting_until: float = 0.0
    decided: dict[State, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Rows decided in this run."""
        return sum(count for state, count in self.decided.items() if state is not State.PENDING)

    def count(self, outcome: Outcome) -> None:
        """Take one outcome into the counts."""
        self.decided[outcome.state] = self.decided.get(outcome.state, 0) + 1


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """Rows with the same error code: how many, and the first of them with their messages."""

    code: str
    count: int
    examples: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to, or what a checkpoint tells of the runs so far.

    `requests`, `retries`, `throttled`, `seconds` and `rows_per_second` speak of the run;
    from `status` and `report` they speak of the whole job as far as it was recorded.
    """

    input: str
    base_url: str
    rows: int
    states: dict[State, int]
    problems: tuple[ProblemGroup, ...]
    in_flight: int
    requests: int
    retries: int
    throttled: int
    seconds: float
    rows_per_second: float
    rate: Rate | None
    utilisation: float | None
    results: str | None
    failed: str | None
    checkpoint: str
    notes: tuple[str, ...] = ()
    running: bool = False
    stopped: BulkSyncError | None = None

    @property
    def exit_code(self) -> int:
        """As the table in the README has it."""
        if self.stopped is not None:
            return self.stopped.exit_code
        if self.states.get(State.PENDING, 0):
            return 6
        return 3 if any(self.states.get(state, 0) for state in MENDABLE_STATES) else 0

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "input": self.input,
            "base_url": self.base_url,
            "rows": self.rows,
            "states": {state.value: self.states.get(state, 0) for state in State},
            "in_flight": self.in_flight,
            "problems": {group.code: group.count for group in self.problems},
            "requests": self.requests,
            "retries": self.retries,
            "throttled": self.throttled,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
            "rate_limit": {
                "requests_per_second": self.rate.per_second if self.rate else None,
                "source": "--rate" if self.rate else "none",
                "utilisation": None if self.utilisation is None else round(self.utilisation, 3),
            },
            "results": self.results,
            "failed": self.failed,
            "checkpoint": self.checkpoint,
            "notes": list(self.notes),
            "running": self.running,
            "stopped": None if self.stopped is None else str(self.stopped),
            "exit_code": self.exit_code,
        }

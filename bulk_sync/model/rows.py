"""What passes between the stages.

Plain values, frozen; the one exception is `Tally`, the running counts that the sender
writes and the terminal reads. Nothing here knows files, HTTP or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from msgspec import Struct


class State(StrEnum):
    """What became of a row; each row is in exactly one."""

    UPDATED = "updated"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    FAILED = "failed"
    PENDING = "pending"

    __hash__ = str.__hash__
    """As fast as that of the text; an enumeration's own is Python."""


SETTLED_STATES = frozenset({State.UPDATED, State.UNCHANGED, State.SUPERSEDED})
"""A job whose rows are all in these has nothing left to do."""

ERROR_STATES = frozenset({State.INVALID, State.REJECTED, State.FAILED})
"""Rows in these go to `*.failed.csv`."""


class CellError(Struct, frozen=True):
    """A cell whose formula failed; `code` is what the spreadsheet program shows in it, such as
    `#N/A`.
    """

    code: str


Cell = str | bool | int | float | datetime | date | time | timedelta | CellError
"""A cell as its file holds it: always a str from text files; a workbook's keep their type, and a
blank one is "".
"""


class Row(NamedTuple):
    """One row as the sheet holds it: its number as a spreadsheet program shows it, and its raw
    cells.

    `fault` is a sentence when the row was read and can't be trusted as it stands: it is never sent.
    """

    number: int
    cells: tuple[Cell, ...]
    fault: str | None = None


def text_of(cell: Cell) -> str:
    """A cell as text, for files and sentences: numbers without a needless `.0`, dates and times in
    ISO 8601.
    """
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


class Record(NamedTuple):
    """A row that is a patch.

    `target` addresses the showing: its id when the row has one, else its key; `key` is the
    key as written in the sheet. `body` is the patch as JSON text in the contract's field
    order, `digest` names the body's content.
    """

    row: Row
    target: str
    body: str
    digest: str
    fields: tuple[str, ...]
    key: str


class Problem(Struct, frozen=True):
    """A row that can't be a patch: a code of `cli.md`, and a sentence with column, value and
    remedy.

    `target` addresses the showing when the row says so much, else it is empty; `key` is as in the
    sheet.
    """

    row: Row
    target: str
    code: str
    message: str
    key: str


class Change(NamedTuple):
    """A patch waiting to be sent.

    `id` is the row's identity in the checkpoint; `tried` says that a run before this one sent it.
    """

    id: int
    number: int
    target: str
    body: str
    digest: str
    tried: bool = False


class Outcome(NamedTuple):
    """What sending made of one change.

    `attempts` and `throttled` count this run's requests alone; the checkpoint adds them to
    those before. `sent_at` and `duration_ms` are those of the last request.
    `may_have_been_applied` is True when an attempt ended without the API's answer, or with one that
    doesn't tell; it says nothing of a change that is `updated`.
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
    may_have_been_applied: bool = False


class RowDecided(NamedTuple):
    """A row that a run has just decided, for a program that follows it.

    `row` is its number as a spreadsheet program shows it, `key` what addressed the showing;
    `attempts` counts this run's requests, `seconds` are those since the first of them; `error` is a
    code, and `message` a sentence, when it was refused or failed. `may_have_been_applied` says
    nothing of a row that is `updated`.
    """

    row: int
    key: str
    state: State
    http_status: int | None
    attempts: int
    seconds: float
    error: str | None
    message: str | None
    may_have_been_applied: bool = False


class Result(Struct, frozen=True):
    """A row of the checkpoint as reports show it.

    `may_have_been_applied` is True while an attempt, of whatever run, is without an answer that
    settles it; `message` does not repeat that.
    """

    number: int
    cells: tuple[str, ...]
    target: str
    key: str
    state: State
    may_have_been_applied: bool
    http_status: int | None
    attempts: int
    error: str | None
    message: str | None
    fields: str
    showing_id: str | None
    updated_at: str | None
    sent_at: str | None
    duration_ms: int | None


class Sent(Struct, frozen=True):
    """A patch that was or may have been applied: what it set, and of that what the API had
    acknowledged before.
    """

    number: int
    target: str
    key: str
    values: dict[str, Any]
    before: dict[str, Any]


class RateSource(StrEnum):
    """Who says how fast requests may be sent."""

    OPTION = "--rate"
    HEADER = "header"
    FOUND = "found"
    NONE = "none"


@dataclass(slots=True)
class Tally:
    """The running counts of one run.

    `limit` is in requests per second; `latencies` counts requests by the bucket of
    `timeline.latency_bucket`. While nothing gets through, `trouble` says why; nothing is sent
    before `waiting_until`. `throttled_seconds` are those for which the API had asked to wait;
    `statuses` counts requests by HTTP status, or by what befell them.
    """

    total: int = 0
    settled_before: int = 0
    limit: float | None = None
    source: RateSource = RateSource.NONE
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    in_flight: int = 0
    waiting_until: float = 0.0
    trouble: str | None = None
    throttled_seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    decided: dict[State, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Rows decided in this run."""
        return sum(count for state, count in self.decided.items() if state is not State.PENDING)

    def count(self, outcome: Outcome) -> None:
        """Take one outcome into the counts."""
        self.decided[outcome.state] = self.decided.get(outcome.state, 0) + 1

"""What passes between the stages.

Plain values, frozen; the one exception is `Tally`, the running counts that the sender
writes and the terminal reads. Nothing here knows files, HTTP or the clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from bulk_sync.errors import BulkSyncError
from bulk_sync.quantities import Rate


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

MENDABLE_STATES = frozenset({State.INVALID, State.REJECTED, State.FAILED})
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
    code, and `message` a sentence, when it was refused or failed.
    """

    row: int
    key: str
    state: State
    http_status: int | None
    attempts: int
    seconds: float
    error: str | None
    message: str | None


class Result(Struct, frozen=True):
    """A row of the checkpoint as reports show it.

    `may_have_been_applied` is True while an attempt, of whatever run, is without an answer that
    tells; `message` says so then.
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


class Standing(StrEnum):
    """How a showing of one sheet stands to the other; each row is in exactly one."""

    SAME = "same"
    DIFFERS = "differs"
    CONFLICT = "conflict"
    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"
    PROBLEM = "problem"


class Author(StrEnum):
    """Which sheet changed a value since the base that both come from."""

    HERE = "here"
    THERE = "there"
    BOTH = "both"


class Difference(Struct, frozen=True):
    """A field with another value here than there, as JSON has them; None is a blank one.

    `base` is the value that both started from, and `author` who changed it; None without a base.
    """

    field: str
    there: Any
    here: Any
    base: Any
    author: Author | None

    def sendable(self, *, prefer_here: bool) -> bool:
        """True when the value here may take the place of the one there."""
        return self.author in {None, Author.HERE} or (self.author is Author.BOTH and prefer_here)


class Compared(Struct, frozen=True):
    """A showing that is not the same in both sheets.

    `number` is its row here and `number_there` its row there, None where it has none (in the ledger
    nothing has a row). `target` is what addresses it here; `showing_id` is "" when no sheet names
    one.
    """

    standing: Standing
    number: int | None
    number_there: int | None
    target: str
    key: str
    showing_id: str
    message: str | None
    differences: tuple[Difference, ...]


class Reconciliation(Struct, frozen=True):
    """What a comparison of two sheets came to.

    `other` None is the ledger. `standings` counts showings, `superseded` rows here that another row
    stands for. `fields` counts values that differ, by field, and `first` has the first showings
    with each, that difference alone. `listed` are the first showings of the other standings.
    `conflicts` and `stale` count values that both sides, or only the other side, changed since the
    base. `to_send` counts the rows of `changes`. `one_way` says that rows only there are no
    difference.
    """

    input: str
    other: str | None
    base: str | None
    standings: dict[Standing, int]
    superseded: int
    fields: dict[str, int]
    first: tuple[tuple[str, tuple[Compared, ...]], ...]
    listed: tuple[Compared, ...]
    conflicts: int
    stale: int
    to_send: int
    cleared: str | None
    one_way: bool
    prefer_here: bool
    notes: tuple[str, ...]
    results: str | None
    page: str | None
    template: str | None
    changes: str | None

    @property
    def rows(self) -> int:
        """Rows of the sheet."""
        there = self.standings[Standing.ONLY_THERE]
        return sum(self.standings.values()) - there + self.superseded

    @property
    def exit_code(self) -> int:
        """0 without a difference, else 3."""
        equal = {Standing.SAME} | ({Standing.ONLY_THERE} if self.one_way else set())
        return (
            3
            if any(count for standing, count in self.standings.items() if standing not in equal)
            else 0
        )

    @property
    def left_to_decide(self) -> bool:
        """True when a push of the changes leaves something that a person must look at."""
        open_ones = (Standing.PROBLEM, Standing.ONLY_HERE)
        return any(self.standings[one] for one in open_ones) or (
            self.conflicts > 0 and not self.prefer_here
        )

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "input": self.input,
            "with": self.other or "ledger",
            "base": self.base,
            "rows": self.rows,
            "classes": {standing.value: count for standing, count in self.standings.items()},
            "superseded": self.superseded,
            "fields": self.fields,
            "conflicts": self.conflicts,
            "changed_only_there": self.stale,
            "to_send": self.to_send,
            "results": self.results,
            "page": self.page,
            "template": self.template,
            "changes": self.changes,
            "notes": list(self.notes),
            "exit_code": self.exit_code,
        }


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


class Finding(Struct, frozen=True):
    """One thing that `doctor` looked at; `exit_code` is that of a run which would end by it, 0 when
    none would.
    """

    about: str
    text: str
    standing: Literal["well", "notice", "wrong"] = "well"
    exit_code: int = 0


class ProblemGroup(Struct, frozen=True):
    """Rows with the same error code: how many, and the first of them with their messages."""

    code: str
    count: int
    examples: tuple[tuple[int, str], ...]


class BadRow(Struct, frozen=True):
    """A row that ended badly, as far as it tells the cause; `message` is None where --purge removed
    it.
    """

    number: int
    code: str
    http_status: int | None
    message: str | None
    key: str
    target: str
    in_doubt: bool


class CauseGroup(Struct, frozen=True):
    """Rows that ended badly for one reason; a row with two bad cells is in two groups.

    `cause` says what is wrong, `remedy` what to do; `first_rows` are the numbers of the first rows
    with what stands there: the cell's text, or the key when it was the API that refused. `in_doubt`
    counts the rows that may have been applied all the same.
    """

    code: str
    cause: str
    rows: int
    first_rows: tuple[tuple[int, str | None], ...]
    remedy: str
    in_doubt: int = 0

    def as_json(self) -> dict[str, Any]:
        """One of the objects under `causes` of what `--json` prints."""
        return {
            "code": self.code,
            "cause": self.cause,
            "rows": self.rows,
            "first_rows": [{"row": number, "value": value} for number, value in self.first_rows],
            "remedy": self.remedy,
        }


class Summary(Struct, frozen=True):
    """What a run came to, or what a checkpoint tells of the runs so far.

    `requests`, `retries`, `throttled`, `seconds` and `rows_per_second` speak of the run;
    from `status` and `report` they speak of the whole job as far as it was recorded.
    `limit` is in requests per second, `utilisation` the share of it that was used.
    `in_flight` counts the pending rows that may or may not have been applied.
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
    limit: float | None
    source: RateSource
    utilisation: float | None
    results: str | None
    failed: str | None
    checkpoint: str
    page: str | None = None
    undo: str | None = None
    statuses: dict[str, int] = {}
    throttled_seconds: float = 0.0
    causes: tuple[CauseGroup, ...] = ()
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
            "causes": [group.as_json() for group in self.causes],
            "requests": self.requests,
            "retries": self.retries,
            "throttled": self.throttled,
            "throttled_seconds": round(self.throttled_seconds, 3),
            "statuses": self.statuses,
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
            "rate_limit": {
                "requests_per_second": None if self.limit is None else round(self.limit, 3),
                "source": self.source.value,
                "utilisation": None if self.utilisation is None else round(self.utilisation, 3),
            },
            "results": self.results,
            "failed": self.failed,
            "checkpoint": self.checkpoint,
            "page": self.page,
            "undo": self.undo,
            "notes": list(self.notes),
            "running": self.running,
            "stopped": None if self.stopped is None else str(self.stopped),
            "exit_code": self.exit_code,
        }


class Part(Struct, frozen=True):
    """What became of one file: a summary, or the error that kept it from being sent; neither when
    it was not begun.

    Both when it was sent and could not be moved away then.
    """

    input: str
    summary: Summary | None = None
    error: BulkSyncError | None = None
    note: str | None = None

    @property
    def exit_code(self) -> int:
        """As that of a push of this file; 0 when it was not begun."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.summary is None else self.summary.exit_code

    @property
    def begun(self) -> bool:
        """False when the run ended before its turn."""
        return self.summary is not None or self.error is not None

    def as_json(self) -> dict[str, Any]:
        """The summary of the file, or why there is none."""
        note = {"note": self.note} if self.note else {}
        why = {} if self.error is None else {"error": str(self.error)}
        if self.summary is not None:
            return self.summary.as_json() | note | why | {"exit_code": self.exit_code}
        return (
            {"input": self.input, "error": "not begun: the run ended before"}
            | why
            | {"exit_code": self.exit_code}
        )


class Understood(Struct, frozen=True):
    """A file as it was understood.

    `format` is `CSV`, `TSV`, `XLSX` and so on; `header_row` a number as the spreadsheet program
    shows it; `notes` are sentences on what was found or assumed that a person should look at.
    """

    format: str
    header_row: int
    encoding: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    sheet: str | None = None
    notes: tuple[str, ...] = ()


class ColumnSeen(Struct, frozen=True):
    """A column of the sheet: the field it fills (None: it is left out), by what, an example as
    sent, cells filled.
    """

    header: str
    field: str | None
    why: str
    example: object
    filled: int


class Cause(Struct, frozen=True):
    """One kind of problem: in how many rows it is, and the first of them with its cell's text."""

    text: str
    rows: int
    first_row: int
    value: str


class CheckSummary(Struct, frozen=True):
    """What a sheet was understood to say, and what a push of it would do.

    `causes` split the code `bad_value` by what is wrong; `duplicates` counts rows whose key stands
    in another row too; `patches` are (target, body) of the first patches. `rate` is the user's,
    `limit` the API's in requests per second, as far as runs before met it. `seconds` is how long
    sending takes at the lower of both, `window_seconds` how long a push has. `stopped` is why a
    push would refuse.
    """

    input: str
    understood: Understood
    columns: tuple[ColumnSeen, ...]
    rows: int
    states: dict[State, int]
    problems: tuple[ProblemGroup, ...]
    causes: tuple[Cause, ...]
    duplicates: int
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    rate: Rate | None
    limit: float | None
    window_seconds: float | None
    patches: tuple[tuple[str, str], ...]
    profile: str | None = None
    stopped: BulkSyncError | None = None

    @property
    def requests(self) -> int:
        """Requests that a push would send, retries aside."""
        return self.states.get(State.PENDING, 0)

    @property
    def seconds(self) -> float | None:
        """How long they take; None when neither rate nor limit is known."""
        return None if self.per_second is None else self.requests / self.per_second

    @property
    def per_second(self) -> float | None:
        """Requests a second that a push may send, as far as that is known."""
        known = (self.limit, self.rate.per_second if self.rate else None)
        return min((one for one in known if one is not None), default=None)

    @property
    def suffices(self) -> bool | None:
        """Whether all is sent within the window; None when that can't be said."""
        if self.seconds is None or self.window_seconds is None:
            return None
        return self.seconds <= self.window_seconds

    @property
    def exit_code(self) -> int:
        """The one that a push would start with."""
        if self.stopped is not None:
            return self.stopped.exit_code
        return 3 if self.states.get(State.INVALID, 0) else 0

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "input": self.input,
            "file": asdict(self.understood),
            "columns": [asdict(column) for column in self.columns],
            "unknown_columns": [
                column.header for column in self.columns if column.why in {"unknown", "blank"}
            ],
            "rows": self.rows,
            "states": {state.value: self.states.get(state, 0) for state in State},
            "problems": {group.code: group.count for group in self.problems},
            "problem_rows": [
                {"code": group.code, "row": row, "message": message}
                for group in self.problems
                for row, message in group.examples
            ],
            "causes": [asdict(cause) for cause in self.causes],
            "duplicates": self.duplicates,
            "assumptions": list(self.assumptions),
            "notes": list(self.notes),
            "patches": self.requests,
            "requests": self.requests,
            "requests_per_second": self.per_second,
            "window_seconds": None
            if self.window_seconds is None
            else round(self.window_seconds, 1),
            "window_suffices": self.suffices,
            "seconds": None if self.seconds is None else round(self.seconds, 1),
            "shown": [
                {"target": target, "patch": json.loads(body)} for target, body in self.patches
            ],
            "profile": self.profile,
            "stopped": None if self.stopped is None else str(self.stopped),
            "exit_code": self.exit_code,
        }

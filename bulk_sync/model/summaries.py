"""Summaries of a push, a check and a batch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import asdict

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import MENDABLE_STATES, RateSource, State
from bulk_sync.quantities import Rate


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


_PRESSING = (129, 130, 143, 5, 6, 8, 2, 4, 7, 3)
"""Exit codes, the most pressing first: a run of several files ends with the first that any of them
has.
"""


class Batch(Struct, frozen=True):
    """What a run of several files came to."""

    parts: tuple[Part, ...]
    unsettled: tuple[Path, ...]

    @property
    def exit_code(self) -> int:
        """The most pressing of the files'."""
        codes = {part.exit_code for part in self.parts}
        return next((code for code in _PRESSING if code in codes), max(codes, default=0))

    def as_json(self) -> dict[str, Any]:
        """The object that `--json` prints: totals, and the summaries of the files."""
        summaries = [part.summary for part in self.parts if part.summary is not None]
        statuses: dict[str, int] = {}
        for summary in summaries:
            for status, count in summary.statuses.items():
                statuses[status] = statuses.get(status, 0) + count
        return {
            "rows": sum(summary.rows for summary in summaries),
            "states": {
                state.value: sum(summary.states.get(state, 0) for summary in summaries)
                for state in State
            },
            "requests": sum(summary.requests for summary in summaries),
            "retries": sum(summary.retries for summary in summaries),
            "throttled": sum(summary.throttled for summary in summaries),
            "throttled_seconds": round(sum(summary.throttled_seconds for summary in summaries), 3),
            "statuses": statuses,
            "seconds": round(sum(summary.seconds for summary in summaries), 3),
            "files": [part.as_json() for part in self.parts],
            "unsettled": [str(path) for path in self.unsettled],
            "exit_code": self.exit_code,
        }

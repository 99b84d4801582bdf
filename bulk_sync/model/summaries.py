"""Summaries of a push, a check and a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from msgspec import Struct

from bulk_sync.errors import BulkSyncError
from bulk_sync.model.rows import ERROR_STATES, RateSource, State
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
    counts the rows that may have been applied.
    """

    code: str
    cause: str
    rows: int
    first_rows: tuple[tuple[int, str | None], ...]
    remedy: str
    in_doubt: int = 0


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
        return 3 if any(self.states.get(state, 0) for state in ERROR_STATES) else 0


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

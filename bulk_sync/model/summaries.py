"""Summaries of a push, a check and a batch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from msgspec import Struct

from bulk_sync.errors import BulkSyncError, CheckpointBusy
from bulk_sync.model.account import Team
from bulk_sync.model.ahead import FirstChange
from bulk_sync.model.estimates import Window, requests_within, seconds_to_send, spaced_rate
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import ERROR_STATES, Allowance, Echo, RateSource, State
from bulk_sync.quantities import Rate


class Finding(Struct, frozen=True):
    """A finding of `doctor`; `exit_code` is that of a run which would fail for it, else 0."""

    about: str
    text: str
    standing: Literal["well", "notice", "wrong"] = "well"
    exit_code: int = 0


class ProblemGroup(Struct, frozen=True):
    """Rows with one error code: their number, and (row, message) of the first of them."""

    code: str
    count: int
    examples: tuple[tuple[int, str], ...]


class BadRow(Struct, frozen=True):
    """A row with an error, as far as needed to group it.

    `reasons` are of a row that was not sent, `message` is the API's or a failure's; --purge removes
    both.
    """

    number: int
    code: str
    http_status: int | None
    message: str | None
    key: str
    target: str
    in_doubt: bool
    reasons: tuple[Reason, ...] = ()
    left_in_doubt: bool = False


class CauseGroup(Struct, frozen=True):
    """Rows with one cause of an error; a row with two bad cells is in two groups.

    `first_rows` has the first rows, each with its cell's text, or with its key if the API refused
    it. `in_doubt` counts the rows that may have been applied. `left_in_doubt` is True for rows that
    `--ambiguous stop` does not send again for that.
    """

    code: str
    cause: str
    rows: int
    first_rows: tuple[tuple[int, str | None], ...]
    remedy: str
    in_doubt: int = 0
    left_in_doubt: bool = False


class EchoedRow(Struct, frozen=True):
    """A row that was acknowledged with another value than was sent in these fields."""

    number: int
    key: str
    echoes: tuple[Echo, ...]


class Traffic(Struct, frozen=True):
    """The requests of a run, or of a whole job.

    `limit` is in requests per second, `utilisation` the used share of it (0 to 1). `allowances` are
    as of the end. `statuses` counts requests by HTTP status, or by the kind of their failure. A job
    keeps no allowances and no statuses; its limit is that of its last run. `decided` counts the
    rows with an outcome that the requests were for.
    """

    requests: int
    retries: int
    throttled: int
    seconds: float
    rows_per_second: float
    throttled_seconds: float = 0.0
    statuses: dict[str, int] = {}
    limit: float | None = None
    source: RateSource = RateSource.NONE
    utilisation: float | None = None
    allowances: tuple[Allowance, ...] = ()
    decided: int = 0


class ReportFiles(Struct, frozen=True):
    """The paths of a job's files; None for a file that does not exist."""

    results: str | None
    failed: str | None
    checkpoint: str
    page: str | None = None
    undo: str | None = None


class Summary(Struct, frozen=True):
    """The summary of a run, or of a job so far.

    `traffic` is that of the run; from `status` and `report` it is that of the whole job.
    `in_flight` counts the pending rows that may have been applied. `team` is the one that the job
    belongs to, as far as known; if a run was refused before its job had one, the key's.
    `echo_differs` counts the rows of the job that came back with another value than was sent,
    `echoes` has the first of them. `left_out` counts the rows that the last run left out by choice;
    nothing else counts them. `digest` is the SHA-256 of the sheet's bytes, in hex. `command` has
    the words of the last push from a command line, without secrets. `changed` is True from `status`
    if the sheet is another one by now; the rows are those of the job.
    """

    input: str
    base_url: str
    rows: int
    states: dict[State, int]
    problems: tuple[ProblemGroup, ...]
    in_flight: int
    traffic: Traffic
    files: ReportFiles
    causes: tuple[CauseGroup, ...] = ()
    notes: tuple[str, ...] = ()
    running: bool = False
    stopped: BulkSyncError | None = None
    team: Team | None = None
    echo_differs: int = 0
    echoes: tuple[EchoedRow, ...] = ()
    left_out: int = 0
    digest: str = ""
    command: tuple[str, ...] = ()
    changed: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of a run, or of `status`: then 7 while a run holds the job."""
        if self.running:
            return CheckpointBusy.exit_code
        if self.stopped is not None:
            return self.stopped.exit_code
        if self.changed or self.states.get(State.PENDING, 0):
            return 6
        wrong = self.echo_differs or any(self.states.get(state, 0) for state in ERROR_STATES)
        return 3 if wrong else 0

    @property
    def is_finished(self) -> bool:
        """True when nothing is left to do with the sheet, for rows left out by choice either."""
        return self.exit_code == 0 and not self.left_out


class Part(Struct, frozen=True):
    """The result for one file of a batch.

    It has a summary, or the error that kept it from being sent, or neither if the run ended before
    its turn; both if it was sent and then could not be moved to the archive. `unsent` counts the
    rows of a file that was read, and whose turn did not come.
    """

    input: str
    summary: Summary | None = None
    error: BulkSyncError | None = None
    note: str | None = None
    unsent: int | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a push of this file; 0 if it was not started."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.summary is None else self.summary.exit_code

    @property
    def rows(self) -> int | None:
        """The rows of the file; None if they are unknown."""
        return self.unsent if self.summary is None else self.summary.rows

    @property
    def states(self) -> Mapping[State, int]:
        """The rows by state; all are pending whose turn did not come."""
        if self.summary is not None:
            return self.summary.states
        return {} if self.unsent is None else {State.PENDING: self.unsent}

    @property
    def digest(self) -> str:
        """The digest of the sheet that was sent; "" for one that was not."""
        return "" if self.summary is None else self.summary.digest

    @property
    def begun(self) -> bool:
        """False if the run ended before its turn."""
        return self.summary is not None or self.error is not None


class Understood(Struct, frozen=True):
    """The format of a file as it was detected.

    `format` is `CSV`, `TSV`, `XLSX` and so on; `header_row` is its number as a spreadsheet program
    shows it; `notes` are sentences that a person should read. `hidden_columns` are the numbers of
    columns that the program doesn't show, counted from 1.
    """

    format: str
    header_row: int
    encoding: str | None = None
    delimiter: str | None = None
    quoting: str | None = None
    sheet: str | None = None
    notes: tuple[str, ...] = ()
    hidden_columns: tuple[int, ...] = ()


class ColumnSeen(Struct, frozen=True):
    """A column of the sheet and the field that it fills (None: it is ignored).

    `why` is the rule that matched, `example` a value as it would be sent, `filled` counts cells.
    """

    header: str
    field: str | None
    why: str
    example: object
    filled: int


class Creatable(Struct, frozen=True):
    """The rows of a sheet that could create their showing, and the numbers of those that couldn't.

    `by_id` counts the rows that address their showing by id, `without_report` those that name no
    report when there is no default; the numbers are those of the first of them.
    """

    rows: int
    by_id: int = 0
    first_by_id: tuple[int, ...] = ()
    without_report: int = 0
    first_without_report: tuple[int, ...] = ()


class CheckSummary(Struct, frozen=True):
    """A sheet as it was read, and what a push of it would do.

    `duplicates` counts rows whose key is in another row too; `patches` has (target, body) of the
    first patches. `rates` are the user's, `limit` is the API's in requests per second, if an
    earlier run met it; `windows` are the allowances among both. `seconds` is the time that sending
    takes with all of them, after the `held_seconds` for which the API asked to wait;
    `window_seconds` is the time that a push has. `stopped` is the reason that a push would refuse
    the sheet. `left_out` counts the rows that are left out by choice; nothing else counts them.
    `first` has the first rows that would be sent. `is_resumed` is True if a run of this job has
    sent rows, and would go on with nothing but what the job has had. `digest` and `meaning` name
    the sheet as it was read (see `job.database.Job`).
    """

    input: str
    understood: Understood
    columns: tuple[ColumnSeen, ...]
    rows: int
    states: dict[State, int]
    problems: tuple[ProblemGroup, ...]
    causes: tuple[CauseGroup, ...]
    duplicates: int
    assumptions: tuple[str, ...]
    notes: tuple[str, ...]
    rates: tuple[Rate, ...]
    limit: float | None
    window_seconds: float | None
    patches: tuple[tuple[str, str], ...]
    profile: str | None = None
    stopped: BulkSyncError | None = None
    windows: tuple[Window, ...] = ()
    held_seconds: float = 0.0
    creatable: Creatable | None = None
    acknowledged: int = 0
    left_out: int = 0
    first: tuple[FirstChange, ...] = ()
    is_resumed: bool = False
    digest: str = ""
    meaning: str = ""

    @property
    def changes(self) -> int:
        """The changes in the sheet."""
        return self.states.get(State.PENDING, 0)

    @property
    def requests(self) -> int:
        """The requests of a push, retries apart: those for changes that are not acknowledged."""
        return self.changes - self.acknowledged

    @property
    def seconds(self) -> float | None:
        """The time that they take at least; None if no limit that counts for them is known."""
        seconds = seconds_to_send(
            self.requests, self._speed, self.windows, held_seconds=self.held_seconds
        )
        known = self._speed is not None or seconds > 0
        return seconds if known and math.isfinite(seconds) else None

    @property
    def _speed(self) -> float | None:
        """The requests per second apart from allowances; None if unknown."""
        known = (self.limit, spaced_rate(self.rates))
        return min((one for one in known if one is not None), default=None)

    @property
    def per_second(self) -> float | None:
        """The requests per second that a push may send in the long run; None if unknown."""
        known = [self.limit, *(rate.per_second for rate in self.rates)]
        known += [
            window.contents / window.seconds
            for window in self.windows
            if window.contents is not None and window.seconds
        ]
        return min((one for one in known if one is not None), default=None)

    @property
    def in_time(self) -> int:
        """The requests that the time of a push suffices for."""
        return requests_within(
            math.inf if self.window_seconds is None else self.window_seconds,
            self.requests,
            self._speed,
            self.windows,
            held_seconds=self.held_seconds,
        )

    @property
    def suffices(self) -> bool | None:
        """True if the window is long enough; None if that is unknown."""
        if self.seconds is None or self.window_seconds is None:
            return None
        return self.seconds <= self.window_seconds

    @property
    def exit_code(self) -> int:
        """The exit code of a check."""
        if self.stopped is not None:
            return self.stopped.exit_code
        return 3 if self.states.get(State.INVALID, 0) else 0


class CheckedPart(Struct, frozen=True):
    """The check of one file of several: its summary, or the error that kept it from being read."""

    input: str
    summary: CheckSummary | None = None
    error: BulkSyncError | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of a check of this file."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.summary is None else self.summary.exit_code


# Exit codes, the most pressing first: that of a run of several files is the first that one has.
_MOST_PRESSING_FIRST = (129, 130, 143, 1, 5, 6, 8, 2, 4, 7, 3)


class Batch(Struct, frozen=True):
    """The summary of a run of several files.

    `unsettled` were left for a later run, because they had changed within `settle_seconds`.
    """

    parts: tuple[Part, ...]
    unsettled: tuple[Path, ...]
    settle_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of the files."""
        return _most_pressing(self.parts)


class JobResult(Struct, frozen=True):
    """The result of a job of several that ran at the same time.

    It has the results of its files, or the error that kept it from reading them, or the exception
    of a bug; none of them if the run ended before its turn. `seconds` is how long it took.
    """

    name: str
    batch: Batch | None = None
    error: BulkSyncError | None = None
    bug: Exception | None = None
    seconds: float = 0.0
    begun: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code of a push of this job's files; 0 if it was not started."""
        if self.error is not None:
            return self.error.exit_code
        if self.bug is not None:
            return 1
        return 0 if self.batch is None else self.batch.exit_code

    @property
    def summaries(self) -> tuple[Summary, ...]:
        """The summaries of the files that were pushed."""
        return tuple(part.summary for part in self.parts if part.summary is not None)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The results for its files; none if it ended before they were read."""
        return () if self.batch is None else self.batch.parts


class JobsResult(Struct, frozen=True):
    """The results of jobs that ran at the same time; `stopped` is why the run ended early.

    `error` is why a report on all of them could not be written.
    """

    jobs: tuple[JobResult, ...]
    stopped: BulkSyncError | None = None
    error: BulkSyncError | None = None

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of the jobs."""
        if self.stopped is not None:
            return self.stopped.exit_code
        reports = () if self.error is None else (JobResult("", error=self.error),)
        return _most_pressing((*self.jobs, *reports))


class CheckedBatch(Struct, frozen=True):
    """The check of several files; `unsettled` as in `Batch`."""

    parts: tuple[CheckedPart, ...]
    unsettled: tuple[Path, ...]
    settle_seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """The most pressing exit code of the files."""
        return _most_pressing(self.parts)


def by_pressure(one: Part | CheckedPart | JobResult) -> int:
    """Return a number for sorting: the more pressing the exit code, the lower."""
    code = one.exit_code
    known = _MOST_PRESSING_FIRST
    return known.index(code) if code in known else len(known) + (code == 0)


def _most_pressing(parts: Sequence[Part | CheckedPart | JobResult]) -> int:
    return most_pressing(part.exit_code for part in parts)


def most_pressing(codes: Iterable[int]) -> int:
    """Return the exit code of a run in which these occurred."""
    found = set(codes)
    return next((code for code in _MOST_PRESSING_FIRST if code in found), max(found, default=0))

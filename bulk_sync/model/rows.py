"""Rows and what becomes of them: the values that the stages exchange.

All are frozen, but for `Tally`, the running counts that the sender writes and the terminal reads.
Nothing here knows files, HTTP or the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from msgspec import UNSET, Struct

from bulk_sync.model.account import Team
from bulk_sync.model.attempts import Attempt
from bulk_sync.model.problems import Reason
from bulk_sync.quantities import Share


class State(StrEnum):
    """The state of a row; each row is in exactly one."""

    UPDATED = "updated"
    CREATED = "created"
    UNCHANGED = "unchanged"
    INVALID = "invalid"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    FAILED = "failed"
    PENDING = "pending"

    # An enumeration's own hash is Python code, and states are keys of every count.
    __hash__ = str.__hash__


ACKNOWLEDGED_STATES = frozenset({State.UPDATED, State.CREATED})
"""States of the rows whose content the API acknowledged."""

SETTLED_STATES = ACKNOWLEDGED_STATES | {State.UNCHANGED, State.SUPERSEDED}
"""A job is settled when all of its rows are in these states."""

ERROR_STATES = frozenset({State.INVALID, State.REJECTED, State.FAILED})
"""States of the rows in `*.failed.csv`."""


class CellError(Struct, frozen=True):
    """A cell whose formula failed; `code` is the text that it shows, such as `#N/A`."""

    code: str


class Formatted(Struct, frozen=True):
    """A value whose number format shows another text.

    `text` is what the sheet shows, or None if that can't be known for certain; `code` is the
    format's. `is_local` if programs in other languages show other separators.
    """

    value: float | str
    code: str
    text: str | None
    is_local: bool = False


class Cleared(Struct, frozen=True):
    """A cell of our own files that clears its field. It shows nothing."""


CLEARED: Final = Cleared()

Cell = (
    str | bool | int | float | datetime | date | time | timedelta | CellError | Formatted | Cleared
)
"""A cell as read: a str from text files, a typed value from workbooks; a blank one is ""."""


class Row(NamedTuple):
    """A row of the sheet: its number as a spreadsheet program shows it, and its raw cells.

    `fault` is the reason that the row can't be trusted, if any; such a row is never sent.
    """

    number: int
    cells: tuple[Cell, ...]
    fault: Reason | None = None


def text_of(cell: Cell) -> str:
    """Return a cell as text: as it is shown, whole numbers without `.0`, dates in ISO 8601."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        # 15 digits, as spreadsheet programs show; beyond them a float's last ones are noise.
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else format(cell, ".15g")
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    if isinstance(cell, CellError):
        return cell.code
    if isinstance(cell, Formatted):
        return text_of(cell.value) if cell.text is None else cell.text
    if isinstance(cell, Cleared):
        return ""
    return cell.isoformat() if isinstance(cell, date | time) else str(cell)


class Record(NamedTuple):
    """A row that is a patch.

    `target` addresses the showing: its id if the row has one, else its key. `key` is the key as
    written in the sheet, `body` the patch as JSON in the contract's order of fields, `digest` its
    digest. `report_id` is the report of a showing that has to be created, if the row names one.
    `twin` is the key as a person reads it, where that is another text: rows with one are of one
    showing. `blank` are the fields of the body that a blank cell clears.
    """

    row: Row
    target: str
    body: str
    digest: str
    fields: tuple[str, ...]
    key: str
    report_id: str | None = None
    twin: str | None = None
    blank: tuple[str, ...] = ()


class Problem(Struct, frozen=True):
    """A row that can't be a patch: an error code of the results, and the reasons.

    `target` addresses the showing, or is empty if the row addresses none; `key` is as in the sheet,
    and `twin` as in `Record`.
    """

    row: Row
    target: str
    code: str
    reasons: tuple[Reason, ...]
    key: str
    twin: str | None = None


class LeftOut(NamedTuple):
    """A row of the sheet that a run leaves out by choice, and that others are judged with."""

    item: Record | Problem


class Change(NamedTuple):
    """A patch waiting to be sent.

    `id` is the row's id in the checkpoint. `target` is the showing's key, or North's id of it if
    `by_id`. `tried` is True if an earlier run sent the change, `in_doubt` if it may have been
    applied then.
    `may_be_created` is True if an earlier run began to create the showing and knows no outcome.
    """

    id: int
    number: int
    target: str
    body: str
    digest: str
    tried: bool = False
    by_id: bool = False
    in_doubt: bool = False
    may_be_created: bool = False


class Creation(NamedTuple):
    """The content of a row whose showing is missing.

    `patch` is everything that the row says, which --only-changed may have cut down before, and
    `digest` its digest. Without `report_id` the showing can't be created.
    """

    patch: str
    digest: str
    report_id: str | None


class GivenUp(StrEnum):
    """Why a row that failed was not tried again."""

    ATTEMPTS = "attempts"
    TIME = "time"
    AMBIGUOUS = "ambiguous"


class Echo(Struct, frozen=True):
    """A field that the API acknowledged and returned with another value than was sent.

    `sent` and `came_back` are JSON values, UNSET where the checkpoint does not hold them. Of a list
    or an object that came back only the kind is kept, and of a text that is longer than the one
    sent only the beginning.
    """

    field: str
    sent: Any = UNSET
    came_back: Any = UNSET


class Outcome(NamedTuple):
    """The outcome of sending one change.

    `attempts` and `throttled` count the requests of this run; the checkpoint adds them up.
    `sent_at` and `duration_ms` are those of the last request. `may_have_been_applied` is True after
    an attempt without a response, or with one that leaves it open; it means nothing for a change
    that was acknowledged. `may_be_created` is True after a POST that leaves it open. `echoes` are
    the fields that came back with another value than was sent. `tries` are this run's attempts
    before the last one.
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
    given_up: GivenUp | None = None
    may_be_created: bool = False
    echoes: tuple[Echo, ...] = ()
    tries: tuple[Attempt, ...] = ()


class RowDecided(NamedTuple):
    """A row that a run has just decided, for the caller's `on_row`.

    `row` is its number as a spreadsheet program shows it, and `key` addressed the showing.
    `attempts` counts the requests of this run, `seconds` is the time since the first of them.
    `error` (a code) and `message` (a sentence) are set for a row that was refused or failed.
    `may_have_been_applied` means nothing for a row that was acknowledged. `echoes` are its fields
    that came back with another value than was sent.
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
    echoes: tuple[Echo, ...] = ()


class Result(Struct, frozen=True):
    """A row of the checkpoint as reports show it.

    `may_have_been_applied` is True while an attempt of any run has no response that settles it;
    `message` does not repeat that.
    """

    number: int
    cells: tuple[Cell, ...]
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
    reasons: tuple[Reason, ...] = ()
    given_up: GivenUp | None = None
    echoes: tuple[Echo, ...] = ()


class Sent(Struct, frozen=True):
    """A patch that was or may have been applied.

    `values` is what it set, `before` the values of these fields that the API had acknowledged.
    """

    number: int
    target: str
    key: str
    values: dict[str, Any]
    before: dict[str, Any]


class RateSource(StrEnum):
    """The source of the limit on the rate of requests."""

    OPTION = "--rate"
    HEADER = "header"
    ACCOUNT = "users/me"
    FOUND = "found"
    NONE = "none"


class Allowance(Struct, frozen=True):
    """A quota of requests until a reset, as last known; None for values that are unknown.

    It allows `limit` requests per window, and `remaining` more until `resets_at` (with a time
    zone). A window whose length isn't stated takes `at_least_seconds`.
    """

    limit: float | None = None
    remaining: float | None = None
    resets_at: datetime | None = None
    source: RateSource = RateSource.NONE
    window_seconds: float | None = None
    at_least_seconds: float | None = None


_NOTHING = Share(count=0)


@dataclass(slots=True)
class Tally:
    """The running counts of one run.

    `limit` is in requests per second; `latencies` counts requests by `timeline.latency_bucket`.
    `trouble` is the reason while the API is unavailable; nothing is sent before `waiting_until` (on
    the monotonic clock), and `waits_for_user` is True if only the user's own limits are the reason.
    `throttled_seconds` is the time that the API asked to wait. `allowances` are the quotas that
    hold now, those with shorter windows first; others get `leave` of each.
    `all_busy` counts the requests with which as many were in flight as may be.
    `statuses` counts requests by HTTP status, or by the kind of their failure. `team` is the key's,
    once users/me named it.
    """

    total: int = 0
    settled_before: int = 0
    limit: float | None = None
    source: RateSource = RateSource.NONE
    allowances: tuple[Allowance, ...] = ()
    leave: Share = _NOTHING
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    in_flight: int = 0
    all_busy: int = 0
    waiting_until: float = 0.0
    waits_for_user: bool = False
    trouble: str | None = None
    team: Team | None = None
    throttled_seconds: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    decided: dict[State, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Rows decided in this run."""
        # A copy, because another thread may read it while a state is added.
        return sum(
            count for state, count in self.decided.copy().items() if state is not State.PENDING
        )

    def count(self, outcome: Outcome) -> None:
        """Count one outcome."""
        self.decided[outcome.state] = self.decided.get(outcome.state, 0) + 1

"""Everything known of one row: the values that `explain` shows."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from bulk_sync.model.attempts import Attempt
from bulk_sync.model.findings import ColumnFinding
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Cell, Result


class ReadAs(StrEnum):
    """The use that is made of a cell."""

    VALUE = "value"
    CLEARED = "cleared"
    BLANK = "blank"
    UNUSABLE = "unusable"
    IGNORED = "ignored"
    UNKNOWN = "unknown"
    """In a checkpoint, which has cells and no columns for some of them."""


class CellRead(Struct, frozen=True):
    """A cell, and what it was read as.

    `place` is its reference, such as `D17`, None for a cell that a profile makes. `why` is the rule
    by which the header was mapped (see `check.headers.Column`), None where that is unknown.
    `made` is what a profile puts in the place of the cell. `value` is the JSON value that is sent.
    `assumed` are the kinds of assumptions that were needed, `noted` are doubts about the cell, and
    `bad` is why it can't be used.
    """

    place: str | None
    header: str
    cell: Cell
    field: str | None
    why: str | None
    read_as: ReadAs
    value: Any = None
    made: Cell | None = None
    assumed: tuple[str, ...] = ()
    noted: tuple[ColumnFinding, ...] = ()
    bad: tuple[Reason, ...] = ()


class KnownValue(Struct, frozen=True):
    """A value that North acknowledged last, and when, in UTC; None if that is unknown."""

    value: Any
    at: str | None


class KeptRow(Struct, frozen=True):
    """A row as a checkpoint keeps it.

    `content` is the digest of all that the sheet says, `body` the patch, and `whole` the patch
    before --only-changed left out values, if it did. `attempts` are those before the last one.
    `left_out` is True if the last run left it out by choice.
    """

    id: int
    result: Result
    content: str | None
    body: str | None
    whole: str | None
    attempts: tuple[Attempt, ...]
    in_flight: bool
    left_out: bool


class RowExplained(Struct, frozen=True):
    """A row: as the sheet has it, as its job has it, and what North acknowledged.

    `staged` is the row as a push would stage it, None without the sheet. `kept` is the row of the
    job, None if it has none; unless `is_same`, its patch is another one: the sheet was edited. With
    `known` come the acknowledged values of the showing by field.
    """

    number: int
    cells: tuple[CellRead, ...]
    staged: KeptRow | None
    kept: KeptRow | None
    is_same: bool
    known: Mapping[str, KnownValue]

    @property
    def row(self) -> KeptRow:
        """The row of the sheet, or of the job without a sheet."""
        found = self.staged or self.kept
        assert found is not None  # noqa: S101 - one of them was found
        return found


class Explanation(Struct, frozen=True):
    """The rows that were asked for.

    `input` is the sheet, or the name that the checkpoint has for it. `checkpoint` is where its job
    is, or would be. `assumptions` are the words for the kinds of assumptions that cells name.
    `ledger` is the file of a shared one. `stopped` is why a push would refuse the sheet.
    """

    input: str
    checkpoint: str
    rows: tuple[RowExplained, ...]
    assumptions: Mapping[str, str] = {}
    ledger: str | None = None
    running: bool = False
    stopped: Exception | None = None
    has_job: bool = True

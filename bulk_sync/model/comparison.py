"""Values of a comparison of two sheets, `here` and `there`."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct

from bulk_sync.address import DEFAULT_BASE_URL
from bulk_sync.model.problems import Reason
from bulk_sync.model.systematic import Systematic


class RowClass(StrEnum):
    """The result for one showing; each row is in exactly one class."""

    SAME = "same"
    DIFFERS = "differs"
    CONFLICT = "conflict"
    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"
    PROBLEM = "problem"


class Author(StrEnum):
    """The sheet that changed a value since the base that both come from."""

    HERE = "here"
    THERE = "there"
    BOTH = "both"


class Difference(Struct, frozen=True):
    """A field with different values here and there, as in JSON; None is a blank one.

    `base` is the value that both sheets started from, and `author` the one that changed it; both
    are None without a base.
    """

    field: str
    there: Any
    here: Any
    base: Any
    author: Author | None

    def sendable(self, *, prefer_here: bool) -> bool:
        """Return True if the value here may replace the one there."""
        return self.author in {None, Author.HERE} or (self.author is Author.BOTH and prefer_here)


class Compared(Struct, frozen=True):
    """A showing that differs between the sheets.

    `number` is its row here and `number_there` its row there; None without one, as for all of the
    ledger. `target` addresses it here; `showing_id` is "" if neither sheet has it.
    """

    row_class: RowClass
    number: int | None
    number_there: int | None
    target: str
    key: str
    showing_id: str
    differences: tuple[Difference, ...]
    reasons: tuple[Reason, ...] = ()
    reasons_are_there: bool = False


class LedgerSide(Struct, frozen=True):
    """The ledger of a comparison: the base URL that acknowledged its values, and its file.

    `path` is None for the checkpoint of the sheet here.
    """

    address: str
    path: str | None = None


class SideCounts(Struct, frozen=True):
    """The rows of one sheet: by class, superseded by others of their key, and left out by choice.

    They add up to `rows`.
    """

    classes: dict[RowClass, int]
    superseded: int = 0
    left_out: int = 0

    @property
    def rows(self) -> int:
        """All rows of the sheet."""
        return sum(self.classes.values()) + self.superseded + self.left_out


class Reconciliation(Struct, frozen=True):
    """The result of a comparison of two sheets.

    `other` is None for the ledger, which `ledger` describes. `classes` counts showings, a pair of
    rows once; `here` and `there` count the rows of each sheet. `fields` counts
    differing values by field; `first` has the first showings of each field, with that difference
    alone; `listed` has the first showings of the other classes. `conflicts` and `stale` count
    values that both sides, or only the other side, changed since the base. `to_send` counts the
    rows of `changes`. With `one_way`, rows only there are no difference. `systematic` has the
    differences with one cause; `refused` is True if they kept a push from starting. `base_url` is
    where a push of the differences with another sheet goes; `sends` is True if one follows.
    `command` has the words of a command line that only compares, without secrets.
    """

    input: str
    other: str | None
    base: str | None
    classes: dict[RowClass, int]
    here: SideCounts
    there: SideCounts
    fields: dict[str, int]
    first: tuple[tuple[str, tuple[Compared, ...]], ...]
    listed: tuple[Compared, ...]
    conflicts: int
    stale: int
    to_send: int
    one_way: bool
    prefer_here: bool
    notes: tuple[str, ...]
    results: str | None
    page: str | None
    template: str | None
    changes: str | None
    ledger: LedgerSide | None = None
    systematic: tuple[Systematic, ...] = ()
    refused: bool = False
    base_url: str = DEFAULT_BASE_URL
    sends: bool = False
    command: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of the sheet here that were compared, or superseded."""
        return self.here.rows - self.here.left_out

    @property
    def exit_code(self) -> int:
        """0 without a difference, 4 if a push was refused, else 3."""
        if self.refused:
            return 4
        equal = {RowClass.SAME} | ({RowClass.ONLY_THERE} if self.one_way else set())
        differing = any(count for one, count in self.classes.items() if one not in equal)
        return 3 if differing else 0

    @property
    def left_to_decide(self) -> bool:
        """True if something is left for a person to decide after the changes were pushed."""
        undecided = self.classes[RowClass.PROBLEM] + self.classes[RowClass.ONLY_HERE]
        return undecided > 0 or (self.conflicts > 0 and not self.prefer_here)

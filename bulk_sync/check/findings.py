"""Findings about a whole sheet: how full its columns are, and what was assumed to read it."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field

from bulk_sync.check.evidence import Evidence
from bulk_sync.check.keys import KeyCounts
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN, REPORT_COLUMN
from bulk_sync.model.rows import Cell, text_of


@dataclass(slots=True)
class Assumption:
    """The number of times that something was assumed; row number and text of the first cell."""

    count: int
    row: int
    value: str


# The columns that a row fills: has a key, an id, a report, and the names of its values.
_Shape = tuple[bool, bool, bool, tuple[str, ...]]


@dataclass(slots=True)
class Findings:
    """Running counts of one sheet.

    `examples` are by field: the first value as it would be sent. `assumed` is by kind; their words
    are in `report.findings`. `evidence` has the signs of cells about their columns. `keys` are
    those that are judged together.
    """

    examples: dict[str, object] = field(default_factory=dict)
    assumed: dict[str, Assumption] = field(default_factory=dict)
    evidence: Evidence = field(default_factory=Evidence)
    keys: KeyCounts = field(default_factory=KeyCounts)
    _shapes: dict[_Shape, int] = field(default_factory=dict)

    @property
    def filled(self) -> Counter[str]:
        """The number of rows that fill each column."""
        filled: Counter[str] = Counter()
        for (key, uuid, report, names), rows in self._shapes.items():
            others = {KEY_COLUMN: key, ID_COLUMN: uuid, REPORT_COLUMN: report}
            columns = {*names, *(name for name, is_filled in others.items() if is_filled)}
            filled.update(dict.fromkeys(columns, rows))
        return filled

    def so_far(self) -> Findings:
        """Return a copy, to go on with."""
        return copy.deepcopy(self)

    def count_row(
        self,
        names: tuple[str, ...],
        row: dict[str, object],
        key: str,
        uuid: str,
        report: str | None = None,
    ) -> None:
        """Count the columns that a row fills, and keep the first value of each.

        `names` are those of the row's values.
        """
        shape = (key != "", uuid != "", report is not None, names)
        try:
            self._shapes[shape] += 1
        except KeyError:
            # Rows have few shapes, so counting these costs less than counting columns. The first
            # value of a column is in the first row of some shape.
            self._shapes[shape] = 1
            for name, value in {
                KEY_COLUMN: key,
                ID_COLUMN: uuid,
                REPORT_COLUMN: report or "",
                **row,
            }.items():
                if value != "":
                    self.examples.setdefault(name, value)

    def assume(self, kind: str, row: int, cell: Cell, field: str) -> None:  # noqa: ARG002 - see `RowFindings`
        """Count an assumption about a cell of a field."""
        try:
            self.assumed[kind].count += 1
        except KeyError:
            self.assumed[kind] = Assumption(1, row, text_of(cell))


@dataclass(slots=True)
class RowFindings(Findings):
    """The findings of a single row; `kinds` has what was assumed about each field, in order."""

    kinds: dict[str, list[str]] = field(default_factory=dict)

    def assume(self, kind: str, row: int, cell: Cell, field: str) -> None:
        """Count an assumption, and keep its kind."""
        Findings.assume(self, kind, row, cell, field)  # slots make another class, without `super`
        self.kinds.setdefault(field, []).append(kind)

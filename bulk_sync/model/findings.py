"""Findings about the columns of a sheet, as data; the words are in `report.columns`."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from bulk_sync.model.problems import Fact


class Kind(StrEnum):
    """The kinds of findings about columns, in the order in which they are shown.

    Comments list their facts.
    """

    # The sheet is not sent
    SECOND_TABLE = "second_table"
    HALF_CONVERTED = "half_converted"  # text_row, text: the first unconverted one, day_first
    DATE_ORDER = "date_order"  # short_year: 1 if the year may be first
    NAMED_SCALE = "named_scale"  # scale, leave_out
    SCALE = "scale"  # highest, suggested (empty if there is none), leave_out
    LEVELS = "levels"  # highest, leave_out

    # The sheet is sent, and a person should know
    MOJIBAKE = "mojibake"  # was: the first text as it was before; read_as
    REPLACED = "replaced"
    ESCAPED = "escaped"  # was
    NULL_WORD = "null_word"
    CUT = "cut"  # characters
    INVISIBLE = "invisible"  # character: the first one
    OTHER_DAY = "other_day"  # day: that of showing_date
    ZONE = "zone"  # zone, there, offset_there, said, offset_said

    @property
    def stops(self) -> bool:
        """True when a sheet with such a column is not sent."""
        return self in _STOPPING

    @property
    def leaves_comparable(self) -> bool:
        """True when a sheet with such a column may be compared, though it is not sent."""
        return self in _COMPARABLE


_STOPPING = frozenset(
    {
        Kind.SECOND_TABLE,
        Kind.HALF_CONVERTED,
        Kind.DATE_ORDER,
        Kind.NAMED_SCALE,
        Kind.SCALE,
        Kind.LEVELS,
    }
)

_COMPARABLE = frozenset({Kind.NAMED_SCALE, Kind.SCALE, Kind.LEVELS})

MOST_EXAMPLES = 3
"""Cells of a column that a finding names."""


class Example(Struct, frozen=True):
    """A cell of a finding: its row as a spreadsheet program shows it, and its text."""

    row: int
    value: str


class ColumnFinding(Struct, frozen=True):
    """A finding about a column: its cells in number, and the first of them, if it is about cells.

    `header` names the column; it is empty for a finding about the rows themselves.
    """

    kind: Kind
    header: str
    count: int
    examples: tuple[Example, ...]
    facts: Mapping[str, Fact] = {}

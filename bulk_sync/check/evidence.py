"""Signs of cells about their column, collected while the sheet streams through the check.

A cell alone often can't be judged: 4 is a rating out of 5 unless its neighbours are 8 and 9. So the
readers of cells report signs, and once the sheet was read `verdicts` decides about its columns;
nothing was sent by then. Invariant: what is kept is bounded by the number of columns, whatever the
number of rows. Only signs that are rare in a healthy sheet are reported for each cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from bulk_sync.check.cells import excerpt
from bulk_sync.model.findings import MOST_EXAMPLES, Example
from bulk_sync.model.problems import Fact
from bulk_sync.model.rows import Cell


class Sign(Enum):
    """Signs of cells; comments list the facts that are kept of the first one."""

    OTHER_HEADER = auto()
    AGAINST_ORDER = auto()  # short_year: 1 if the year may be first
    # Dates by their form: converted by a program, written in ISO 8601, or numeric. Early days are
    # up to the 12th, so that day and month can be swapped.
    EARLY_DAY = auto()
    LATE_DAY = auto()
    EARLY_ISO_DAY = auto()
    LATE_ISO_DAY = auto()
    SWAPPABLE_TEXT = auto()
    UNSWAPPABLE_TEXT = auto()
    # Numbers in a column of ratings or of yes and no
    BEYOND_SCALE = auto()
    ZERO = auto()
    FRACTION = auto()
    ZERO_OR_ONE = auto()
    OTHER_NUMBER = auto()
    NAMED_LEVEL = auto()  # a number with its scale: 3/5
    # Damage
    MOJIBAKE = auto()  # was, read_as
    REPLACED = auto()
    ESCAPED = auto()  # was
    NULL_WORD = auto()
    CUT = auto()  # characters
    SHORTEST_CUT = auto()
    LONGER = auto()
    INVISIBLE = auto()  # character
    OTHER_DAY = auto()  # day: showing_date's
    ZONE = auto()  # zone, there, offset_there, said, offset_said

    # An enumeration's own hash is Python code, and each date looks its sign up.
    __hash__ = object.__hash__


@dataclass(slots=True)
class Seen:
    """The cells of a column with one sign: their number, the first ones, the highest number."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)
    highest: float = 0.0
    facts: Mapping[str, Fact] = field(default_factory=dict)


class Evidence:
    """The signs by column; `row` is the row being read, as a spreadsheet program shows it."""

    __slots__ = ("_seen", "row")

    def __init__(self) -> None:
        self.row = 0
        self._seen: dict[tuple[str, Sign], Seen] = {}

    def saw(
        self,
        column: str,
        sign: Sign,
        cell: Cell,
        number: float = 0.0,
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Count a sign of a cell; `facts` are kept of the first one."""
        seen = self._seen.get((column, sign))
        if seen is None:
            seen = self._seen[column, sign] = Seen(facts=facts or {})
        seen.count += 1
        seen.highest = max(seen.highest, number)
        if len(seen.examples) < MOST_EXAMPLES:
            seen.examples.append(Example(self.row, excerpt(cell)))

    def of(self, column: str, sign: Sign) -> Seen:
        """Return what was seen of a sign in a column."""
        return self._seen.get((column, sign)) or Seen()

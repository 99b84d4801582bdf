"""What was seen while rows were checked: how full the columns are, and what was assumed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Assumption:
    """How often something was assumed, and the first place: row number and the cell's text."""

    count: int
    row: int
    value: str


@dataclass(slots=True)
class Findings:
    """Running counts of one reading.

    `filled` and `examples` are by field; an example is the first value as it would be sent.
    `assumed` is by kind, see `ASSUMPTIONS`; `against_order` by header: where the column's
    dates speak against the order that is the default; `bad` by what is wrong with cells.
    `other_headers` are rows that name columns in another order than the header.
    """

    filled: Counter[str] = field(default_factory=Counter)
    examples: dict[str, object] = field(default_factory=dict)
    assumed: dict[str, Assumption] = field(default_factory=dict)
    against_order: dict[str, Assumption] = field(default_factory=dict)
    bad: dict[str, Assumption] = field(default_factory=dict)
    other_headers: list[int] = field(default_factory=list)

    def found_bad(self, cause: str, row: int, value: str) -> None:
        """Count a cell that can't be used; of causes beyond a thousand the rest is one."""
        _count(
            self.bad,
            cause if len(self.bad) < 1000 or cause in self.bad else "other values",
            row,
            value,
        )

    def assume(self, kind: str, row: int, value: str) -> None:
        """Count an assumption."""
        _count(self.assumed, kind, row, value)

    def speaks_against_order(self, header: str, row: int, value: str) -> None:
        """Count a date that contradicts the order of day and month."""
        _count(self.against_order, header, row, value)


def _count(counts: dict[str, Assumption], name: str, row: int, value: str) -> None:
    known = counts.get(name)
    if known is None:
        counts[name] = Assumption(1, row, value)
    else:
        known.count += 1


ASSUMPTIONS = {
    "timezone": "times without an offset are in {timezone}",
    "order": "numeric dates are {order}",
    "default_time": "a date without a time means {default_time}",
    "day": "a time without a date is on the day of the row's showing_date, scheduled_date or start",
    "time": "a showing_date without a time begins with showing_time_start",
    "early": "times such as 4:30, without AM or PM, are before noon",
}
"""What each kind of assumption says, with the rules filled in."""

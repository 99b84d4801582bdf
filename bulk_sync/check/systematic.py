"""Find the one cause of many differences between two sheets. Pure.

Finding one changes nothing about what counts as a difference. Each field with differences is
watched while all rows go by, in the order of the one sheet and then of the other, because a column
that moved by a row shows only in the order of its own sheet.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from bulk_sync.check.patches import same
from bulk_sync.check.showing import FIELDS, KEY_COLUMN
from bulk_sync.check.transforms import most, nearly_all, recogniser_of
from bulk_sync.model.problems import Fact
from bulk_sync.model.systematic import Pattern, Systematic

Values = Mapping[str, object]
Rows = Iterable[tuple[Values, Values]]
"""The values of each pair of rows: (here, there)."""

LEAST = 3
"""Fewer differing values of a field are never systematic."""

_LEAST_MOVED = 4
_LEAST_CLEARED = 5
# Neighbours and other columns agree by chance where values repeat: less likely than this.
_LIKELIHOOD = 1e-6
# Different values that are counted; more are as good as all different.
_MOST_VALUES = 1000
_LONGEST_KNOWN = 1000


def find_systematic(
    fields: Sequence[str],
    in_order_here: Callable[[], Rows],
    in_order_there: Callable[[], Rows],
    *,
    are_columns_known: bool = True,
) -> tuple[Systematic, ...]:
    """Return the findings on these fields, in their order.

    `are_columns_known` is False for a ledger, where a missing value is none that is blank.
    """
    columns = {field: _Column(field) for field in fields if field in FIELDS}
    if not columns:
        return ()
    for here, there in in_order_here():
        for column in columns.values():
            column.see(here, there)
    for here, there in in_order_there():
        for column in columns.values():
            column.see_in_order_there(here, there)
    swapped = _swapped(columns)
    found = (
        swapped.get(field) or column.found(are_columns_known=are_columns_known)
        for field, column in columns.items()
    )
    return tuple(one for one in found if one is not None)


class _Column:
    """All that is counted about the values of a field."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._recogniser = recogniser_of(field)
        self._here, self._there = _Moves(), _Moves()
        self._others: Counter[str] = Counter()
        self._values: Counter[object] = Counter()
        # Rows with a value here, of these differing ones, and rows with one there.
        self._rows = self._differing = self._filled_there = 0
        self._cleared = self._blank_there = 0

    def see(self, here: Values, there: Values) -> None:
        """Take a row, in the order of the sheet here."""
        ours, theirs = here.get(self._field), there.get(self._field)
        self._filled_there += theirs is not None
        self._cleared += theirs is not None and ours is None and self._field in here
        differs = self._differs(ours, theirs)
        self._here.see(ours, theirs, differs=differs)
        if ours is None:
            return
        self._rows += 1
        if theirs is None:
            self._blank_there += 1
        else:
            self._recogniser.see(theirs, ours)
        if differs:
            self._differing += 1
            # Only their numbers matter, and a text may have a million characters.
            value = hash(ours) if isinstance(ours, str) and len(ours) > _LONGEST_KNOWN else ours
            if value in self._values or len(self._values) < _MOST_VALUES:
                self._values[value] += 1
            for name, value in there.items():
                if value == ours and name != self._field and type(value) is type(ours):
                    self._others[name] += 1

    def see_in_order_there(self, here: Values, there: Values) -> None:
        """Take a row, in the order of the sheet there."""
        ours, theirs = here.get(self._field), there.get(self._field)
        self._there.see(ours, theirs, differs=self._differs(ours, theirs))

    def _differs(self, ours: object, theirs: object) -> bool:
        return ours is not None and not same(self._field, ours, theirs)

    def found(self, *, are_columns_known: bool) -> Systematic | None:
        """Return the cause of nearly all differences."""
        if self._cleared >= _LEAST_CLEARED and nearly_all(self._cleared, self._filled_there):
            return Systematic(Pattern.CLEARED, self._field, self._cleared, self._filled_there)
        blank = self._blank_there
        if are_columns_known and blank >= LEAST and not self._filled_there:
            return Systematic(Pattern.BLANK_THERE, self._field, blank, self._rows)
        return self._recogniser.found(self._field) or self._moved() or self._from_other()

    def _moved(self) -> Systematic | None:
        """Return that the column moved by a row in the sheet in whose order that shows."""
        sides = (("here", self._here), ("there", self._there))
        found = {
            (side, moved): rows
            for side, moves in sides
            for moved, rows in (("down", moves.down), ("up", moves.up))
            # The row at the end of what moved has no neighbour.
            if rows >= _LEAST_MOVED
            and (rows >= self._differing - 1 or nearly_all(rows, self._differing))
            and self._is_beyond_chance(rows)
        }
        if not found:
            return None
        (side, moved), rows = max(found.items(), key=lambda one: one[1])
        if len({each for each, _ in found}) > 1:
            side = "either"
        elif side == "there":
            # Here is the value of the row above there, because the column there moved up.
            moved = "up" if moved == "down" else "down"
        return Systematic(
            Pattern.SHIFTED, self._field, rows, self._differing, {"in": side, "moved": moved}
        )

    def _from_other(self) -> Systematic | None:
        other = self.other_column()
        if other is None:
            return None
        return Systematic(
            Pattern.OTHER_COLUMN, self._field, self._others[other], self._rows, {"with": other}
        )

    def other_column(self) -> str | None:
        """Return the column there that has the values of this one."""
        for name, rows in self._others.most_common(1):
            if (
                rows >= _LEAST_MOVED
                and nearly_all(rows, self._differing)
                and most(rows, self._rows)
                and self._is_beyond_chance(rows)
            ):
                return name
        return None

    def swapped_with(self, other: str) -> Systematic:
        """Return the finding for two columns in each other's place."""
        rows = self._others[other]
        return Systematic(Pattern.SWAPPED, self._field, rows, self._rows, {"with": other})

    def _is_beyond_chance(self, rows: int) -> bool:
        """Return whether so many values that repeat as these do can't agree by chance.

        Two values agree at most as often as the most frequent one occurs.
        """
        share = self._values.most_common(1)[0][1] / self._values.total()
        return share**rows < _LIKELIHOOD


class _Moves:
    """Counts values here that are those of a neighbouring row there."""

    def __init__(self) -> None:
        self.down = self.up = 0
        self._ours: object = None
        self._theirs: object = None
        self._differed = False

    def see(self, ours: object, theirs: object, *, differs: bool) -> None:
        """Take the next row."""
        self.down += differs and _is_value(self._theirs, ours)
        self.up += self._differed and _is_value(theirs, self._ours)
        self._ours, self._theirs, self._differed = ours, theirs, differs


def _is_value(one: object, other: object) -> bool:
    return one is not None and one == other and type(one) is type(other)


def _swapped(columns: Mapping[str, _Column]) -> dict[str, Systematic]:
    """Return the findings on columns of which each has the values of the other."""
    others = {field: column.other_column() for field, column in columns.items()}
    return {
        field: columns[field].swapped_with(other)
        for field, other in others.items()
        if other is not None and others.get(other) == field
    }


# Keys


_ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
_DECIMAL = re.compile(r"(?<=[0-9])\.0+$")


def loose_key(key: str) -> str:
    """Return a key without what programs lose of it or add to it.

    Those are case, blanks, punctuation, leading zeros of numbers, and the `.0` of a decimal.
    """
    number = _ZEROS.sub("", _DECIMAL.sub("", key.strip()))
    return "".join(one for one in number.casefold() if one.isalnum())


def key_findings(of: int, pairs: Iterable[tuple[str, str]]) -> tuple[Systematic, ...]:
    """Return a finding for each form in which keys (here, there) differ, the most frequent first.

    `of` is the smaller number of keys that only one of the sheets has.
    """
    counts: Counter[str] = Counter()
    first: dict[str, tuple[str, str]] = {}
    for here, there in pairs:
        form = _form_of_key(here, there)
        counts[form] += 1
        first.setdefault(form, (here, there))
    found = []
    for form, rows in counts.most_common():
        here, there = first[form]
        facts: dict[str, Fact] = {"form": form, "here": here, "there": there}
        found.append(Systematic(Pattern.KEY_FORM, KEY_COLUMN, rows, of, facts))
    return tuple(found)


def no_common_key(here: str, there: str) -> Systematic:
    """Return the finding for sheets without a common showing, with a key of each."""
    facts: dict[str, Fact] = {"here": here, "there": there}
    return Systematic(Pattern.NO_COMMON_KEY, KEY_COLUMN, 0, 0, facts)


def _form_of_key(here: str, there: str) -> str:
    """Return what is different about two keys that are loosely the same."""
    if _ZEROS.sub("", here) == _ZEROS.sub("", there):
        return "zeros_there" if len(here) < len(there) else "zeros_here"
    if _DECIMAL.sub("", here) == _DECIMAL.sub("", there):
        return "decimal"
    return "case" if here.casefold() == there.casefold() else "punctuation"

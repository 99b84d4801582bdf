"""Compare the values of a showing in two sheets, or in three.

A blank cell here changes nothing in North, so it is no difference; a blank cell there is a field
without a value. Values are compared as they would be sent: trimmed texts, instants, numbers. Texts
that differ only in what nobody sees, line ends (CRLF, LF) or the Unicode form of the same letters
(canonical equivalence, Unicode Standard Annex #15), are equal: programs change both when they save
a file, and North may, so that such a difference would be sent every night.

With a base, the sheet that both sides were edited from, each difference has an author:

    there = base, here another value     here   to be sent
    here = base, there another value     there  a change in North, which must not be undone
    three values, or base unknown        both   a conflict
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from msgspec import Struct

from bulk_sync.check.patches import same
from bulk_sync.check.showing import KEY_COLUMN
from bulk_sync.model.comparison import Author, Difference

Values = Mapping[str, object]


class Side(Struct, frozen=True):
    """The values of a showing in a sheet.

    Fields of `columns` without a value are blank, other fields are unknown. With None for `columns`
    only the values are known, as in the ledger.
    """

    values: Values
    columns: frozenset[str] | None


def compare(here: Side, there: Side, base: Side | None = None) -> list[Difference]:
    """Return the fields that differ, in the order of `here`.

    A field without a column there can't differ; a field that the ledger does not know does.
    """
    found = []
    for field, value in here.values.items():
        known, other = _value(there, field)
        if known and _equal(field, value, other):
            continue
        if not known and there.columns is not None:
            continue
        if base is None:
            found.append(Difference(field, other, value, None, None))
            continue
        _, before = _value(base, field)
        found.append(Difference(field, other, value, before, _author(field, value, other, base)))
    return found


def unseen(here: Side, there: Side) -> int:
    """Count the texts that differ only in what nobody sees."""
    return sum(
        1
        for field, value in here.values.items()
        if not same(field, value, other := there.values.get(field)) and _equal(field, value, other)
    )


def blank_here(here: Side, other: Side) -> int:
    """Count the cells that are blank here and filled in the other sheet."""
    blank = (here.columns or frozenset()) - here.values.keys() - {KEY_COLUMN}
    return sum(1 for name in blank if other.values.get(name) is not None)


def _value(side: Side, field: str) -> tuple[bool, object]:
    """Return whether a field's value is known, and the value; None for a blank one."""
    if field in side.values:
        return True, side.values[field]
    return side.columns is not None and field in side.columns, None


def _author(field: str, here: object, there: object, base: Side) -> Author:
    known, before = _value(base, field)
    if known and _equal(field, there, before):
        return Author.HERE
    if known and _equal(field, here, before):
        return Author.THERE
    return Author.BOTH


def _equal(field: str, one: object, other: object) -> bool:
    if same(field, one, other):
        return True
    return isinstance(one, str) and isinstance(other, str) and _seen(one) == _seen(other)


def _seen(text: str) -> str:
    """Return a text as it is seen: one line end, composed letters."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))

"""Values whose number format shows another text: a field of text takes the text, one of numbers
the number.

A sheet says what it shows. So a number counts only if its digits are those that are shown, and a
text only if it is known for certain.
"""

from __future__ import annotations

import re
from decimal import Decimal

from bulk_sync.check.cells import BadCell
from bulk_sync.model.problems import LONGEST_VALUE, Expected, Fact, Remedy
from bulk_sync.model.rows import Cell, Formatted, text_of

# A number as the English version shows it.
_SHOWN_NUMBER = re.compile(r"(?:\d+|\d{1,3}(?:,\d{3})+)(?:\.\d+)?")


def content_of(cell: Formatted, *, is_number: bool) -> Cell:
    """Return what a cell says: a blank one if it shows nothing.

    Raises BadCell, with the cell, for a text that isn't certain.
    """
    if cell.text is not None and not cell.text.strip():
        return ""
    if is_number and isinstance(cell.value, int | float):
        return cell.value if cell.text is None or _shows(cell.text, cell.value) else cell.text
    if cell.text is None:
        unknown = BadCell(Expected.CERTAIN_TEXT, Remedy.TYPE_AS_TEXT, **facts_of(cell))
        raise unknown.in_cell(cell.value)
    return cell.text


def facts_of(cell: Formatted) -> dict[str, Fact]:
    """Return the facts of a cell: its value and its format; ODS has the shown text, not a code."""
    code = repr(cell.code[:LONGEST_VALUE]) if cell.code else "its format"
    return {"number": text_of(cell.value), "format": code}


def _shows(text: str, value: float) -> bool:
    """Return whether a text has the digits of a number, and no other."""
    numbers = _SHOWN_NUMBER.findall(text)
    if len(numbers) != 1:
        return False
    return Decimal(numbers[0].replace(",", "")) == abs(Decimal(format(value, ".15g")))

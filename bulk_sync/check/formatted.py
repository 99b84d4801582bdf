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
_SHOWN_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


def content_of(cell: Formatted, *, is_number: bool) -> Cell:
    """Return what a cell says: a blank one if it shows nothing.

    Raises BadCell, with the cell, for a text that isn't certain, or that shows another number.
    """
    if cell.text is not None and not cell.text.strip():
        return ""
    if is_number and isinstance(cell.value, int | float):
        return _number(cell, cell.value)
    if cell.text is None:
        unknown = BadCell(Expected.CERTAIN_TEXT, Remedy.TYPE_AS_TEXT, **facts_of(cell))
        raise unknown.in_cell(cell.value)
    return cell.text


def _number(cell: Formatted, value: float) -> Cell:
    """Return a number that is shown, in whatever form; a text without one, such as Yes, itself."""
    numbers = [] if cell.text is None else _SHOWN_NUMBER.findall(cell.text)
    if cell.text is None or (len(numbers) == 1 and _is(numbers[0], value)):
        return value
    if cell.is_local and _has_digits_of(cell.text, value):
        return value
    # 4 of 5 is for the field to read.
    if not numbers or any(_is(number, value) for number in numbers):
        return cell.text
    other = BadCell(Expected.NUMBER_BEHIND, Remedy.TYPE_AS_TEXT, **facts_of(cell))
    raise other.in_cell(cell.text)


def _is(shown: str, value: float) -> bool:
    return Decimal(shown.replace(",", "")) == abs(Decimal(format(value, ".15g")))


def _has_digits_of(text: str, value: float) -> bool:
    """Return whether a text has the digits of a number, and zeros after them: `1.200,00`."""
    digits, those = re.sub(r"\D", "", text), re.sub(r"\D", "", format(value, ".15g"))
    return digits.startswith(those) and not digits.removeprefix(those).strip("0")


def facts_of(cell: Formatted) -> dict[str, Fact]:
    """Return the facts of a cell: its value and its format; ODS has the shown text, not a code."""
    code = repr(cell.code[:LONGEST_VALUE]) if cell.code else "its format"
    return {"number": text_of(cell.value), "format": code}

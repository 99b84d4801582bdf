"""Reading references to cells, such as `B2` (ECMA-376 part 1, 18.18.62). Pure; counts from 0.

`model.places` writes them.
"""

from __future__ import annotations

from functools import lru_cache

from bulk_sync.read.books.interface import MAX_COLUMNS, MAX_ROWS, BadWorkbook

AGAIN = "Open the workbook in a spreadsheet program and save it again."
"""The remedy for a part that no spreadsheet program would write."""
# More than any number of a place has.
_MOST_DIGITS = 11


@lru_cache(maxsize=1024)
def column_of(letters: str) -> int:
    """Return the column with these letters; raises BadWorkbook."""
    number = 0
    for letter in letters.upper():
        if not "A" <= letter <= "Z":
            raise BadWorkbook(f"{letters[:20]!r} is not the name of a column. {AGAIN}")
        number = number * 26 + ord(letter) - 64
        if number > MAX_COLUMNS:
            raise BadWorkbook(f"a cell is outside of any sheet, in column {letters[:20]}. {AGAIN}")
    if number == 0:
        raise BadWorkbook(f"a cell has no column in its name. {AGAIN}")
    return number - 1


def place_of(reference: str) -> tuple[int, int]:
    """Return a cell's row and column; raises BadWorkbook."""
    letters = reference.rstrip("0123456789")
    return row_of(reference[len(letters) :]), column_of(letters)


def row_of(text: str) -> int:
    """Return the row with a number as text; raises BadWorkbook."""
    row = whole(text) - 1
    if not 0 <= row < MAX_ROWS:
        raise BadWorkbook(f"a cell is outside of any sheet, in row {text}. {AGAIN}")
    return row


def whole(text: str) -> int:
    """Return a text of ASCII digits as a number; raises BadWorkbook."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise BadWorkbook(f"{text[:20]!r} is not a whole number. {AGAIN}")
    return int(text)

"""Read the value that the API takes from a cell; dates and times are in `moments`.

Every reader takes a cell that is trimmed and not blank. It returns the value or raises `BadCell`,
which says as data what was expected. An ambiguous cell is refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time, timedelta
from functools import lru_cache

from bulk_sync.check.memory import MOST_REMEMBERED
from bulk_sync.model.problems import LONGEST_VALUE, Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import Cell, CellError, text_of
from bulk_sync.quantities import Scale

LONGEST_TEXT = 1_000_000
"""Characters in a cell. A longer one is the rest of a file behind a quote that never closes."""


class BadCell(ValueError):
    """A cell that can't be used: what was expected, how to correct it, and the facts of that."""

    def __init__(self, expected: Expected, remedy: Remedy | None = None, **facts: Fact) -> None:
        super().__init__(expected)
        self.expected = expected
        self._remedy = remedy
        self._facts = facts
        self.content: Cell = ""
        """The cell without what surrounds its value; its column's reader sets it."""

    def in_cell(self, content: Cell) -> BadCell:
        """Set the cell's content, and return the problem."""
        self.content = content
        return self

    def reason(self, field: str) -> Reason:
        """Return the reason that its row is not sent."""
        return Reason(self.expected, field, excerpt(self.content), self._remedy, self._facts)


def excerpt(cell: Cell) -> str:
    """Return the text of a cell, cut to what a reason keeps."""
    text = text_of(cell)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


# What spreadsheet programs show, and export, where a formula failed (Microsoft Support,
# "ERROR.TYPE function"; LibreOffice Help, "Error Codes in LibreOffice Calc").
_EXCEL_ERRORS = (
    "#N/A #REF! #VALUE! #DIV/0! #NAME? #NUM! #NULL! #SPILL! #CALC! #FIELD! #BLOCKED! #UNKNOWN! "
    "#CONNECT! #BUSY! #GETTING_DATA #ERROR!"
)
_CALC_ERRORS = "Err:502 Err:504 Err:508 Err:522"
ERROR_TEXTS = frozenset(f"{_EXCEL_ERRORS} {_CALC_ERRORS}".split())


def failed_formula(cell: Cell) -> BadCell | None:
    """Return what is wrong with the value of a formula that failed; None for any other cell."""
    if (cell in ERROR_TEXTS) if isinstance(cell, str) else isinstance(cell, CellError):
        return BadCell(Expected.NO_ERROR, Remedy.CORRECT_FORMULA)
    return None


# What Excel shows of a long number; its digits are lost.
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[Ee]\+\d{1,3}", re.ASCII)


def plain_text(cell: Cell) -> str:
    """Return a text as it is, and a number as a spreadsheet program shows it."""
    if isinstance(cell, str):
        if cell in ERROR_TEXTS:
            raise BadCell(Expected.NO_ERROR, Remedy.CORRECT_FORMULA)
        if len(cell) > LONGEST_TEXT:
            raise BadCell(Expected.SHORT_TEXT, Remedy.CLOSE_QUOTE, most=LONGEST_TEXT)
        return cell
    if isinstance(cell, CellError):
        raise BadCell(Expected.NO_ERROR, Remedy.CORRECT_FORMULA)
    # Spreadsheet programs keep 15 digits of a number.
    if isinstance(cell, int | float) and abs(cell) >= 1e15:
        raise BadCell(Expected.TEXT_FOR_NUMBER, Remedy.TYPE_AS_TEXT)
    if isinstance(cell, date | time | timedelta):
        raise BadCell(Expected.TEXT_FOR_DATE, Remedy.TYPE_AS_TEXT)
    return text_of(cell)


_DECIMAL_PHONE = re.compile(r"[+-]?\d{4,17}\.0", re.ASCII)


def phone_number(cell: Cell) -> str:
    """Return a phone number as it is, unless a program has made 1.555E+10 or 5550100.0 of it."""
    text = plain_text(cell)
    if ("E" in text or "e" in text) and (
        is_scientific(text) or re.fullmatch(r"\d\.\d+[Ee]\d{1,2}", text, re.ASCII)
    ):
        raise BadCell(Expected.PHONE_NUMBER, Remedy.TYPE_AS_TEXT)
    # Table libraries write whole numbers so if a cell of the column is blank.
    if text.endswith(".0") and _DECIMAL_PHONE.fullmatch(text):
        raise BadCell(Expected.WHOLE_PHONE_NUMBER, Remedy.TYPE_AS_TEXT)
    return text


def is_scientific(text: str) -> bool:
    """Return True for `1.23457E+17`: a long number as Excel shows it, its last digits lost."""
    return _SCIENTIFIC.fullmatch(text) is not None


# A point before a group of three digits: a thousand in German, Italian and Spanish sheets.
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}", re.ASCII)


def whole_number(low: int, high: int) -> Callable[[Cell], int]:
    """Make a reader of whole numbers in a range, both ends included; `4.0` is 4.

    `1.000` is refused: it is a thousand where the point separates groups of digits.
    """

    def read(cell: Cell) -> int:
        number: float
        if isinstance(cell, float | int) and not isinstance(cell, bool):
            number = cell
        elif isinstance(cell, str) and re.fullmatch(r"[+-]?\d{1,9}(?:\.0{1,9})?", cell, re.ASCII):
            number = float(cell)
        else:
            raise BadCell(Expected.WHOLE_NUMBER, low=low, high=high)
        if isinstance(cell, str) and _GROUPED.fullmatch(cell):
            raise BadCell(Expected.WHOLE_NUMBER, Remedy.WITHOUT_SEPARATOR, low=low, high=high)
        if number != number // 1 or not low <= number <= high:
            raise BadCell(Expected.WHOLE_NUMBER, low=low, high=high)
        return int(number)

    return read


HIGHEST_RATING = 5

# The comma is Europe's decimal one; three zeros after it would be thousands elsewhere.
_RATING = re.compile(
    r"0{0,2}([1-5])(?:\.0{1,9}|,00?)?(?:\s*(?:/|out of|of)\s*5(?:\.0{1,9})?)?"
    r"(?:\s*(?:stars?|★|\*))?",
    re.ASCII,
)
# `8/10`, `90 of 100`: refused with a remedy of its own.
_OTHER_SCALE = re.compile(r"\d{1,3}(?:\.\d{1,9})?\s*(?:/|out of|of)\s*\d{1,3}", re.ASCII)
# Filled stars, then empty ones; with empty ones there have to be five in all.
_STARS = re.compile("[★⭐]{1,5}☆{0,4}")
# More than five, or with their scale; a few bare ones may be out of five on any scale.
_OTHER_STARS = re.compile("[★⭐]{6,99}|[★⭐]{1,99}☆{1,99}")


def rating(cell: Cell) -> int:
    """Return 1 to 5 of `4`, `4.0`, `4/5`, `4 stars`, `★★★★`.

    A rating on another scale, such as 8/10, is refused: `rating_on` reads it if the user says so.
    """
    if not isinstance(cell, str):
        try:
            return whole_number(1, 5)(cell)
        except BadCell:
            raise BadCell(Expected.RATING) from None
    text = cell.lower()
    if match := _RATING.fullmatch(text):
        return int(match[1])
    bare = text.replace(" ", "")
    if _STARS.fullmatch(bare) and ("☆" not in bare or len(bare) == 5):
        return bare.count("★") + bare.count("⭐")
    if _OTHER_SCALE.fullmatch(text):
        raise BadCell(Expected.RATING, Remedy.CONVERT_RATING)
    raise BadCell(Expected.RATING)


# A number as ratings are written, and the scale that it names.
_NUMBER = re.compile(
    r"([+-]?\d{1,6}(?:[.,]\d{1,6})?)\s*(?:(%)|(?:/|out of|of)\s*(\d{1,3})(?:\.0{1,9})?)?"
    r"(?:\s*(?:stars?|★|\*|points?|pts?))?",
    re.ASCII,
)


def number_in(cell: Cell) -> tuple[float, int | None] | None:
    """Return the number of a cell, and the highest one that it names: (8, 10) of `8/10`.

    Stars count as a number. None if it holds no number, or another text with it.
    """
    if not isinstance(cell, str):
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            return None
        return float(cell), None
    match = _NUMBER.fullmatch(cell.lower())
    if match is None:
        return _number_of_stars(cell.replace(" ", ""))
    highest = int(match[3]) if match[3] else 100 if match[2] else None
    return float(match[1].replace(",", ".")), highest


def _number_of_stars(text: str) -> tuple[float, int | None] | None:
    if _OTHER_STARS.fullmatch(text) is None:
        return None
    return float(len(text.rstrip("☆"))), len(text) if "☆" in text else None


def rating_on(scale: Scale) -> Callable[[Cell], int]:
    """Make a reader of ratings on another scale, which it converts to 1 to 5.

    The ends become the ends, and what is between them the nearest whole number, the upper one of
    two. A number that names another scale than this one is refused.
    """

    def read(cell: Cell) -> int:
        found = number_in(cell)
        if found is None:
            raise BadCell(Expected.RATING_ON_SCALE, low=scale.low, high=scale.high)
        number, highest = found
        if (
            number % 1
            or highest not in {None, scale.high}
            or not (scale.low <= number <= scale.high)
        ):
            raise BadCell(Expected.RATING_ON_SCALE, low=scale.low, high=scale.high)
        return converted(int(number), scale)

    return read


def converted(number: int, scale: Scale) -> int:
    """Return a rating of a scale as one from 1 to 5."""
    steps = scale.high - scale.low
    # In whole numbers, because halves have to be rounded up on every machine.
    return 1 + (8 * (number - scale.low) + steps) // (2 * steps)


_TRUE = frozenset({"true", "yes", "y", "1", "1.0", "x", "✓", "✔", "interested"})
_FALSE = frozenset({"false", "no", "n", "0", "0.0", "not interested", "not-interested"})


def boolean(cell: Cell) -> bool:
    """Return the truth of a checkbox, or of a text such as yes, n, TRUE, 0, ✓ or Interested."""
    if isinstance(cell, bool):
        return cell
    text = " ".join(text_of(cell).lower().split())
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadCell(Expected.YES_OR_NO)


# By the text without blanks, hyphens and underscores.
_KINDS = {
    "showing": "showing",
    "privateshowing": "showing",
    "openhouse": "open_house",
}


def kind_of_event(cell: Cell) -> str:
    """Return `showing` (also of private showing) or `open_house` (of Open House, open-house)."""
    kind = _KINDS.get(re.sub(r"[\s_-]+", "", cell.lower())) if isinstance(cell, str) else None
    if kind is None:
        raise BadCell(Expected.EVENT_TYPE)
    return kind


# Addresses that the full check is certain to accept; it takes 50 times as long. At most 64
# characters before the @ and 63 in a label (RFC 5321, section 4.5.3.1), and no label with a hyphen
# at an end or in third place. The two sides of the @ don't depend on each other.
_PLAIN_LOCAL_PART = re.compile(r"[\w+]{1,30}(?:[.-][\w+]{1,15}){0,2}", re.ASCII)
_PLAIN_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9]{1,40}(?:-[A-Za-z0-9]{3,20})?\.){1,3}([A-Za-z]{2,12})", re.ASCII
)
# RFC 3696, erratum 1690: a path of SMTP has room for no more.
_LONGEST_ADDRESS = 254
# The ends of email-validator's SPECIAL_USE_DOMAIN_NAMES. Importing them would cost a sheet of plain
# addresses the time that this saves.
_SPECIAL_ENDS = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})


def mail_address(cell: Cell) -> str:
    """Return a mail address, unchanged: the API's format (RFC 5321) takes ASCII only."""
    if not isinstance(cell, str):
        raise BadCell(Expected.EMAIL)
    local, _, domain = cell.partition("@")
    if len(cell) > _LONGEST_ADDRESS:
        raise BadCell(Expected.EMAIL)
    if _PLAIN_LOCAL_PART.fullmatch(local) and _is_plain_domain(domain):
        return cell
    return _checked_address(cell)


@lru_cache(maxsize=MOST_REMEMBERED)
def _is_plain_domain(domain: str) -> bool:
    match = _PLAIN_DOMAIN.fullmatch(domain)
    return match is not None and match[1].lower() not in _SPECIAL_ENDS


@lru_cache(maxsize=MOST_REMEMBERED)
def _checked_address(text: str) -> str:
    if not text.isascii():
        raise BadCell(Expected.ASCII_EMAIL)
    # The library refuses it too, and takes as long for it as reading a row.
    if "@" not in text:
        raise BadCell(Expected.EMAIL)
    # Here, because its import takes longer than a small sheet, and few addresses need it.
    from email_validator import EmailNotValidError, validate_email

    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise BadCell(Expected.EMAIL) from None
    return text


_TEXT_FORMULA = re.compile(r'="([^"]*)"')


def text_of_formula(text: str) -> str:
    """Return `00123` of `="00123"`, and any other text as it is.

    Programs write it into CSV so that Excel doesn't take the text for a number.
    """
    match = _TEXT_FORMULA.fullmatch(text)
    return text if match is None else match[1].strip()

"""From a cell to the value that the API takes; dates and times are in `moments`.

Every reader takes a cell that is not blank, its text trimmed, and returns the value or
raises `BadCell`, whose text completes "VALUE is not ...". What could mean two things is
refused, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, time, timedelta
from functools import lru_cache

from bulk_sync.model.rows import Cell, CellError, text_of

LONGEST_TEXT = 1_000_000
"""Characters in a cell: a longer one is the rest of a file behind a quote that never closes, not
somebody's words.
"""


class BadCell(ValueError):
    """A cell that can't be used; the text says what would be. `cell` is its content."""

    def __init__(self, expected: str, cell: Cell = "") -> None:
        super().__init__(expected)
        self.cell = cell


ERROR_TEXTS = frozenset(
    {
        *(
            "#N/A",
            "#REF!",
            "#VALUE!",
            "#DIV/0!",
            "#NAME?",
            "#NUM!",
            "#NULL!",
            "#SPILL!",
            "#CALC!",
            "#FIELD!",
        ),
        *("#BLOCKED!", "#UNKNOWN!", "#CONNECT!", "#BUSY!", "#GETTING_DATA", "#ERROR!"),
        *("Err:502", "Err:504", "Err:508", "Err:522"),
    }
)
"""What spreadsheet programs show, and export, where a formula failed (Microsoft Support,
"ERROR.TYPE function").
"""

# What Excel shows of a long number; its digits are lost.
_SCIENTIFIC = re.compile(r"[+-]?\d(?:[.,]\d+)?[Ee]\+\d{1,3}", re.ASCII)


def plain_text(cell: Cell) -> str:
    """Text as it stands; numbers as a spreadsheet program shows them."""
    if isinstance(cell, str):
        if cell in ERROR_TEXTS:
            raise BadCell("text")
        if len(cell) > LONGEST_TEXT:
            raise BadCell(f"text of at most {LONGEST_TEXT:,} characters; is a quote missing?")
        return cell
    if isinstance(cell, int | float) and abs(cell) >= 1e15:
        raise BadCell(
            "text but a number of more than 15 digits, which a spreadsheet program rounds; type it as text"
        )
    if isinstance(cell, date | time | timedelta):
        raise BadCell("text but a date or time cell; type it as text (with a leading apostrophe)")
    if isinstance(cell, CellError):
        raise BadCell("text")
    return text_of(cell)


def phone_number(cell: Cell) -> str:
    """A phone number as it stands; one that a spreadsheet program has turned into 1.555E+10 is
    refused.
    """
    text = plain_text(cell)
    if "E" in text.upper() and (
        is_scientific(text) or re.fullmatch(r"\d\.\d+E\d{1,2}", text, re.ASCII)
    ):
        raise BadCell(
            "a phone number but a rounded one; format its cells as text and enter it again"
        )
    return text


def is_scientific(text: str) -> bool:
    """True for `1.23457E+17`: a long number as Excel shows it, its last digits lost."""
    return _SCIENTIFIC.fullmatch(text) is not None


def is_rounded(text: str) -> bool:
    """True for a number of more than 15 digits with zeros from the 16th on: a spreadsheet program
    keeps no more.
    """
    return (
        len(text) > 15
        and text[15:].strip("0") == ""
        and text.isascii()
        and text.isdigit()
        and text.strip("0") != ""
    )


def whole_number(low: int, high: int) -> Callable[[Cell], int]:
    """A reader of whole numbers in a range, both ends included; `4.0` is 4."""
    expected = f"a whole number from {low:,} to {high:,}"

    def read(cell: Cell) -> int:
        if isinstance(cell, float | int) and not isinstance(cell, bool):
            number = cell
        elif isinstance(cell, str) and re.fullmatch(r"[+-]?\d{1,9}(?:\.0{1,9})?", cell, re.ASCII):
            number = float(cell)
        else:
            raise BadCell(expected)
        if number != number // 1 or not low <= number <= high:
            raise BadCell(expected)
        return int(number)

    return read


_RATING_EXPECTED = "a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★"
# The comma is the decimal one of Europe; three zeros behind it would be thousands elsewhere.
_RATING = re.compile(
    r"0{0,2}([1-5])(?:\.0{1,9}|,00?)?(?:\s*(?:/|out of|of)\s*5(?:\.0{1,9})?)?(?:\s*(?:stars?|★|\*))?",
    re.ASCII,
)
_OTHER_SCALE = re.compile(r"\d{1,3}(?:\.\d{1,9})?\s*(?:/|out of|of)\s*\d{1,3}", re.ASCII)
_STARS = re.compile("[★⭐]{1,5}☆{0,4}")


def rating(cell: Cell) -> int:
    """1 to 5: `4`, `4.0`, `4/5`, `4 stars`, `★★★★`. Another scale, such as 8/10, is refused, not
    converted.
    """
    if not isinstance(cell, str):
        try:
            return whole_number(1, 5)(cell)
        except BadCell:
            raise BadCell(_RATING_EXPECTED) from None
    text = cell.lower().replace("\ufe0f", "").replace("\xa0", " ")
    if match := _RATING.fullmatch(text):
        return int(match[1])
    bare = text.replace(" ", "")
    if _STARS.fullmatch(bare) and ("☆" not in bare or len(bare) == 5):
        return bare.count("★") + bare.count("⭐")
    if _OTHER_SCALE.fullmatch(text):
        raise BadCell(
            f"{_RATING_EXPECTED}; a rating on another scale is not converted: decide what it is out of 5"
        )
    raise BadCell(_RATING_EXPECTED)


_TRUE = frozenset({"true", "yes", "y", "1", "1.0", "x", "✓", "✔", "interested"})
_FALSE = frozenset({"false", "no", "n", "0", "0.0", "not interested", "not-interested"})


def boolean(cell: Cell) -> bool:
    """yes/no, y/n, true/false, 1/0, x, ✓, interested/not interested, in any case; a checkbox's own
    value.
    """
    if isinstance(cell, bool):
        return cell
    text = " ".join(text_of(cell).lower().replace("\ufe0f", "").split())
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise BadCell("yes or no (also y/n, true/false, 1/0, x, interested/not interested)")


_KINDS = {
    "showing": "showing",
    "privateshowing": "showing",
    "openhouse": "open_house",
}


def kind_of_event(cell: Cell) -> str:
    """`showing` (also private showing) or `open_house` (Open House, open-house)."""
    kind = _KINDS.get(re.sub(r"[\s_-]+", "", cell.lower())) if isinstance(cell, str) else None
    if kind is None:
        raise BadCell("showing, private showing or open house")
    return kind


# Addresses that the full check is certain to accept; it takes 50 times as long. At most 64
# characters before the @ and 63 in a label (RFC 5321, section 4.5.3.1), and no label with a hyphen
# at an end or in third place. The two sides of the @ don't depend on each other.
_PLAIN_LOCAL_PART = re.compile(r"[\w+]{1,30}(?:[.-][\w+]{1,15}){0,2}", re.ASCII)
_PLAIN_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9]{1,40}(?:-[A-Za-z0-9]{3,20})?\.){1,3}([A-Za-z]{2,12})", re.ASCII
)
_SPECIAL_ENDS = frozenset({"arpa", "invalid", "local", "localhost", "onion", "test"})
"""The ends of email-validator's SPECIAL_USE_DOMAIN_NAMES; it takes long to import, and plain
addresses do without.
"""


def mail_address(cell: Cell) -> str:
    """Return a mail address, unchanged: the API's format (RFC 5321) takes ASCII only."""
    if not isinstance(cell, str):
        raise BadCell("a mail address, such as ana@example.com")
    local, _, domain = cell.partition("@")
    if _PLAIN_LOCAL_PART.fullmatch(local) and _is_plain_domain(domain):
        return cell
    return _checked_address(cell)


@lru_cache(maxsize=4096)
def _is_plain_domain(domain: str) -> bool:
    match = _PLAIN_DOMAIN.fullmatch(domain)
    return match is not None and match[1].lower() not in _SPECIAL_ENDS


@lru_cache(maxsize=4096)
def _checked_address(text: str) -> str:
    from email_validator import EmailNotValidError, validate_email

    if not text.isascii():
        raise BadCell("a mail address in plain letters, such as ana@example.com")
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise BadCell("a mail address, such as ana@example.com") from None
    return text


_TEXT_FORMULA = re.compile(r'="([^"]*)"')


def text_of_formula(text: str) -> str:
    """`00123` of `="00123"`: how programs write text into CSV that Excel would take for a number."""
    match = _TEXT_FORMULA.fullmatch(text)
    return text if match is None else match[1].strip()


def failed_formula(cell: Cell) -> str | None:
    """Return what is wrong with the value of a formula that failed; None for any other cell."""
    if (cell in ERROR_TEXTS) if isinstance(cell, str) else isinstance(cell, CellError):
        return "a value: a formula failed here. Mend it, or blank the cell"
    return None


def shown(cell: Cell) -> str:
    """A cell's text in a sentence: quoted, controls escaped, cut at 40 characters."""
    text = text_of(cell)
    return repr(text if len(text) <= 40 else text[:37] + "...")

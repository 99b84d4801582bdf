"""From the text of a cell to the value that the API takes.

Every function takes a trimmed, non-empty text and returns the value, or raises a
`bad_value` whose text completes "expected ...". Nothing is guessed: what could mean two
things is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email
from pydantic_core import PydanticCustomError

# RFC 3339, section 5.6, with the blank for "T" that its note allows. Offsets carry no seconds.
_DATE_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,6})0*)?)?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


def _bad_value(expected: str) -> PydanticCustomError:
    return PydanticCustomError("bad_value", "{expected}", {"expected": expected})


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range, both ends included."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII) or not low <= int(text) <= high:
            raise _bad_value(f"a whole number from {low} to {high}")
        return int(text)

    return read


def boolean(text: str) -> bool:
    """`true` or `false`, in any case."""
    match text.lower():
        case "true":
            return True
        case "false":
            return False
        case _:
            raise _bad_value("true or false")


@lru_cache(maxsize=4096)
def instant(text: str) -> str:
    """A date and time with its offset, in RFC 3339; UTC is written as `Z`."""
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise _bad_value("a date and time with its offset, such as 2026-03-14T16:30:00-05:00 or 2026-03-14T21:30:00Z")
    day, minute, second, fraction, offset = match.groups()
    written = f"{day}T{minute}:{second or '00'}" + (f".{fraction.ljust(6, '0')}" if fraction else "")
    written += "+00:00" if offset in "Zz" else offset
    try:
        moment = datetime.fromisoformat(written)
    except ValueError as error:
        raise _bad_value(f"a date and time that exists ({error})") from None
    return moment.isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=4096)
def mail_address(text: str) -> str:
    """A mail address, unchanged: the API's format (RFC 5321) takes ASCII only."""
    if not text.isascii():
        raise _bad_value("a mail address in plain letters, such as ana@example.com")
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError:
        raise _bad_value("a mail address, such as ana@example.com") from None
    return text


def kind_of_event(text: str) -> str:
    """One of the two kinds of event that the contract knows."""
    if text not in {"showing", "open_house"}:
        raise _bad_value("showing or open_house")
    return text

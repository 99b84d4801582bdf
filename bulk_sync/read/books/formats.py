"""Number formats: which values they show as a date, a time or a duration.

Pure: the code of a format in, its kind out. The grammar is that of ECMA-376 part 1, 18.8.31;
[MS-XLS] 2.4.126 and [MS-XLSB] 2.4.660 have the same codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum


class FormatKind(Enum):
    """The kind of value that a number format shows."""

    NUMBER = "number"
    DATE = "date"
    TIME = "time"
    DURATION = "duration"


# Literal text, an escaped character, a space as wide as a character, a fill, AM and PM, and the
# exponent of a number, whose E is no year of an era.
_LITERAL = re.compile(r'"[^"]*"?|\\.|_.|\*.|am/pm|a/p|e[+-]', re.IGNORECASE | re.DOTALL)
_HALF_DAY = re.compile(r"am/pm|a/p", re.IGNORECASE)
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BRACKETS = re.compile(r"\[[^\]]*\]?")
_PARTS = re.compile(r"y+|m+|d+|h+|s+|e+|g+|b+")

# Names of the format without a code, also by writers that translate it.
_GENERAL = re.compile(r"general|standard")

# ECMA-376 part 1, 18.8.30: 14 to 22 and 45 to 47 everywhere, 27 to 36 and 50 to 58 in East Asian
# programs, of which 32 and 33 are times in all of them. They count only for ids that the file
# doesn't define.
_BUILT_IN: Mapping[int, FormatKind] = {
    **dict.fromkeys((*range(14, 18), 22, *range(27, 37), *range(50, 59)), FormatKind.DATE),
    **dict.fromkeys((18, 19, 20, 21, 32, 33, 45, 47), FormatKind.TIME),
    46: FormatKind.DURATION,
}


def kind_of_format(code: str) -> FormatKind:
    """Return the kind of value that a code shows, by its first section, which is for positive
    numbers.
    """
    # Cut, because a code has at most 255 characters and a damaged file may claim more.
    bare = _LITERAL.sub(_half_day_or_nothing, code[:1000])
    section = bare.partition(";")[0].lower()
    if _GENERAL.search(section):
        return FormatKind.NUMBER
    is_elapsed = _ELAPSED.search(section) is not None
    parts = _PARTS.findall(_BRACKETS.sub("", section))
    has_date = has_time = False
    for index, part in enumerate(parts):
        if part[0] in "hs":
            has_time = True
        elif part[0] != "m":
            has_date = True
        elif _is_minutes(parts, index, is_elapsed=is_elapsed):
            has_time = True
        else:
            has_date = True
    if has_date:
        return FormatKind.DATE
    if is_elapsed:
        return FormatKind.DURATION
    return FormatKind.TIME if has_time else FormatKind.NUMBER


def kind_of_built_in(number: int) -> FormatKind:
    """Return the kind of a format that the file doesn't define, by its id."""
    return _BUILT_IN.get(number, FormatKind.NUMBER)


def _half_day_or_nothing(match: re.Match[str]) -> str:
    # A clock of twelve hours shows a time even without an `h` in the same section.
    return "h" if _HALF_DAY.fullmatch(match[0]) else ""


def _is_minutes(parts: list[str], index: int, *, is_elapsed: bool) -> bool:
    """Return whether an `m` is minutes: after hours or before seconds, and at most two letters."""
    if len(parts[index]) > 2:
        return False
    after_hours = parts[index - 1][0] == "h" if index else is_elapsed
    before_seconds = index + 1 < len(parts) and parts[index + 1][0] == "s"
    return after_hours or before_seconds

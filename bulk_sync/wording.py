"""Counts and lists as English has them: plurals, verbs, and lists that end in "and 7 more". Pure.

Every layer writes sentences about counts; these are the only places where they are put into words.
"""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """Return `1 row`, `1,200 rows`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def were(count: int) -> str:
    """Return "was" or "were"."""
    return "was" if count == 1 else "were"


def are(count: int, total: int | None = None) -> str:
    """Return "is" or "are" for a count, or for a count of a total: 0 of 1 row is, 1 of 2 is."""
    if total == 1:
        return "is"
    return "is" if count == 1 else "are"


def and_more(rest: int, noun: str | None = None) -> str:
    """Return `and 7 more`, or `and 7 more rows`: the end of a list; "" if nothing is left out."""
    if rest <= 0:
        return ""
    return f"and {counted(rest, f'more {noun}')}" if noun else f"and {rest:,} more"


def listed(
    items: Sequence[str],
    most: int,
    total: int | None = None,
    *,
    separator: str = ", ",
) -> str:
    """Return at most `most` items and how many are left out: `2, 3, 4 and 7 more`.

    `total` is the length of the whole list where `items` are only its beginning.
    """
    shown = items[:most]
    end = and_more(max(len(items), total or 0) - len(shown))
    text = separator.join(shown)
    if not (text and end):
        return text or end.removeprefix("and ")
    # After items that hold commas of their own, "and" would seem to belong to the last one.
    return f"{text} {end}" if separator == ", " else f"{text}{separator}{end}"


def enumerated(parts: Sequence[str], rest: int = 0) -> str:
    """Return `a`, `a and b`, `a, b and c`; with a `rest`, as many more at the end."""
    *others, last = [*parts, f"{rest:,} more"] if rest > 0 else parts
    return f"{', '.join(others)} and {last}" if others else last

"""Cells from their types and texts (ECMA-376 part 1, 18.18.11, ST_CellType).

A converter takes the texts of many cells of one type and style at once, because a list costs Python
much less than its items one by one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import date, datetime, time

from bulk_sync.model.rows import Cell, CellError
from bulk_sync.read.books.mixed import NotPlainError
from bulk_sync.read.books.numbers import Converter
from bulk_sync.read.books.styles import TextConverter
from bulk_sync.read.bounds import LONGEST_NUMBER, MOST_KNOWN

Convert = Callable[[Sequence[str]], Sequence[Cell]]
"""Returns the cells for texts, none of them empty; raises ValueError if one isn't of the type."""
Style = tuple[Converter | None, TextConverter | None]
"""A number format's converters of numbers and of texts; None if it shows each as it is."""

# A character that XML doesn't allow, by its code (18.18.83, ST_Xstring, 22.9.2.19).
_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")
# What `float` would take besides: spaces, underscores, other digits, words for infinity.
_NUMBERS = re.compile(r"[-+.0-9eE,]*+")
_BOOLEANS = {"1": True, "0": False, "true": True, "false": False}


class Values:
    """The converters of a workbook, given its shared strings and the formats of its styles."""

    def __init__(self, strings: Sequence[str], styles: Sequence[Style]) -> None:
        self._strings = strings
        self._styles = styles
        # Numbers as their styles show them, and how many there are.
        self._known: list[dict[str, Cell]] = []
        self._count = 0

    def converter(self, kind: str, style: str) -> Convert | None:
        """Return the converter for cells of a type and a style; None for an unknown type."""
        match kind:
            case "s":
                return self._texts(self._shared, style)
            case "n":
                return self._numbers(style)
            case "str" | "inlineStr":
                return self._texts(unescaped, style)
            case "b":
                return _booleans
            case "e":
                return _errors
            case "d":
                return _moments
            case _:
                return None

    def _shared(self, texts: Sequence[str]) -> list[Cell]:
        if not _is_digits("".join(texts)):
            raise NotPlainError
        try:
            return list(map(self._strings.__getitem__, map(int, texts)))
        except IndexError:
            raise NotPlainError from None

    def _style(self, style: str) -> Style:
        # The first one is the default. A value with a style that isn't there is shown as it is.
        index = int(style or "0") if _is_digits(style or "0") else len(self._styles)
        return self._styles[index] if index < len(self._styles) else (None, None)

    def _texts(self, read: Callable[[Sequence[str]], Sequence[Cell]], style: str) -> Convert:
        _, of_text = self._style(style)
        if of_text is None:
            return read
        return lambda texts: [
            of_text(cell) if isinstance(cell, str) else cell for cell in read(texts)
        ]

    def _numbers(self, style: str) -> Convert:
        of_number, _ = self._style(style)
        if of_number is None:
            return _plain_numbers
        # The same date, or the same number of stars, is in many rows.
        known: dict[str, Cell] = {}
        self._known.append(known)

        def convert(texts: Sequence[str]) -> list[Cell]:
            new = [text for text in texts if text not in known]
            if new:
                self._count += len(new)
                # Of all styles, because a workbook may have thousands.
                if self._count > MOST_KNOWN:
                    for each in self._known:
                        each.clear()
                    new = list(texts)
                    self._count = len(new)
                known.update(zip(new, map(of_number, _plain_numbers(new)), strict=True))
            return list(map(known.__getitem__, texts))

        return convert


def unescaped(texts: Sequence[str]) -> Sequence[str]:
    """Return texts with their escaped characters (`_x000D_`) replaced."""
    if "_x" not in "".join(texts):
        return texts
    return [_ESCAPED.sub(lambda match: chr(int(match[1], 16)), text) for text in texts]


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _plain_numbers(texts: Sequence[str]) -> list[float]:
    joined = ",".join(texts)
    if _NUMBERS.fullmatch(joined) is None:
        raise NotPlainError
    # Longer ones are read for their length only if there can be one.
    if len(joined) > LONGEST_NUMBER and max(map(len, texts)) > LONGEST_NUMBER:
        raise NotPlainError
    numbers = list(map(float, texts))
    if math.inf in numbers or -math.inf in numbers:
        raise NotPlainError
    return numbers


def _booleans(texts: Sequence[str]) -> list[Cell]:
    try:
        return [_BOOLEANS[text] for text in texts]
    except KeyError:
        raise NotPlainError from None


def _errors(texts: Sequence[str]) -> list[Cell]:
    return [CellError(text) for text in texts]


def _moments(texts: Sequence[str]) -> list[Cell]:
    return [_moment(text) for text in texts]


def _moment(text: str) -> Cell:
    """Return a date, a time, or both, in ISO 8601 (18.17.4.1)."""
    for read in (date.fromisoformat, datetime.fromisoformat, time.fromisoformat):
        try:
            return read(text)
        except ValueError:
            continue
    raise NotPlainError

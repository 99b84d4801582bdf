"""Rows of a text file whose cells are in doubt: shifted by a separator, or with rows inside a cell.

Pure. Quotes and separators of such a row are well-formed, so that only its form gives it away.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from bulk_sync.model.problems import LONGEST_VALUE, Expected, Fact, Reason, Remedy

# Excel writes the separators of blank cells at the end of rows by blocks of so many rows, so the
# last block may be a single row (Microsoft Support, KB 77295: "Column delimiters are missing in an
# Excel spreadsheet that is saved as text").
_EXCEL_BLOCK = 16

# Rows of the header's width that make another one odd.
_ENOUGH_FULL_ROWS = 3
# One short row of so many is odd where others write their blank cells at the end.
_MOST_SHORT = 20


@dataclass(slots=True)
class Widths:
    """The numbers of cells of a file's rows, counted once; bounded by the widest row.

    `columns` is the width of the header, `named` that of its last column with a name, `cut` has the
    numbers of rows that a line break has cut.
    """

    columns: int
    named: int
    cut: frozenset[int] = frozenset()
    _rows: int = 0
    _counts: Counter[int] = field(default_factory=Counter)
    _repeated: Counter[int] = field(default_factory=Counter)
    _padded: int = 0
    _last: tuple[int, int] = (0, 0)

    def count(self, rows: Iterable[tuple[int, Sequence[str]]]) -> None:
        """Count the rows that are not blank, given with their numbers."""
        before = 0
        cut = CutRows(self.columns, self.named)
        for number, cells in rows:
            cut.count(number, cells)
            width = len(cells)
            self._rows += 1
            self._counts[width] += 1
            self._repeated[width] += width == before
            self._padded += width >= self.named and not cells[self.named - 1].strip()
            before = width
            self._last = (number, width)
        self.cut = cut.numbers(self._last[0])

    def is_odd(self, width: int) -> bool:
        """Return whether a row of this width has cells or separators that the others don't have.

        Separators after the last column in most rows are a habit of the program that wrote them;
        so are rows that end with their last value. A missing separator makes a row shorter by one.
        """
        if width > self.columns:
            return self._counts[width] * 2 <= self._rows
        usual = max(self._counts, key=lambda one: self._counts[one])
        if (
            width != usual - 1
            or self._repeated[width]
            or self._counts[usual] < _ENOUGH_FULL_ROWS
            or self._ends_block(width)
        ):
            return False
        short = sum(count for one, count in self._counts.items() if one < usual)
        return short == 1 or (self._padded > 0 and short * _MOST_SHORT <= self._rows)

    def _ends_block(self, width: int) -> bool:
        number, last = self._last
        return self._padded > 0 and last == width and number % _EXCEL_BLOCK == 1


# Bounds on what is kept; a file with more of either is not judged by it.
_MOST_FORMS = 1_000
_MOST_CUT = 10_000
_MOST_PIECES = 50


class _Piece(NamedTuple):
    """A row that may be a piece of one: its number, and the form of its first cell."""

    number: int
    form: str
    is_whole: bool


@dataclass(slots=True)
class CutRows:
    """Rows that a line break without quotes has cut, counted together with `Widths`.

    The pieces of one row follow each other and have the separators of one row. The first one begins
    with what has the form of the keys of whole rows, the later ones with anything else. `columns`
    and `named` are those of `Widths`.
    """

    columns: int
    named: int
    _forms: set[str] = field(default_factory=set)
    _found: list[list[_Piece]] = field(default_factory=list)
    _pieces: list[_Piece] = field(default_factory=list)
    _separators: int = 0
    _has_headings: bool | None = None

    def count(self, number: int, cells: Sequence[str]) -> None:
        """Count a row that is not blank."""
        is_whole = len(cells) >= self.named
        piece = _Piece(number, _shape(cells[0])[0], is_whole)
        separators = len(cells) - 1
        # A line above the first rows is the heading of a group, and so are those that follow.
        if self._has_headings is None:
            self._has_headings = separators == 0
        follows = bool(self._pieces) and number == self._pieces[-1].number + 1
        fits = self._separators + separators < self.columns and len(self._pieces) < _MOST_PIECES
        if follows and fits and not is_whole:
            self._pieces.append(piece)
            self._separators += separators
            is_row = self._separators >= self.named - 1
            is_new = not self._found or self._found[-1] is not self._pieces
            if is_row and is_new and len(self._found) < _MOST_CUT:
                self._found.append(self._pieces)
            return
        if is_whole and len(self._forms) < _MOST_FORMS:
            self._forms.add(piece.form)
        self._pieces, self._separators = [piece], separators

    def numbers(self, last: int) -> frozenset[int]:
        """Return the numbers of the rows, once all were counted up to the `last` one."""
        if len(self._forms) >= _MOST_FORMS:
            return frozenset()
        return frozenset(
            piece.number
            for pieces in self._found
            if pieces[0].form in self._forms
            and not any(piece.form in self._forms for piece in pieces[1:])
            and not self._is_remark(pieces, last)
            for piece in pieces
        )

    def _is_remark(self, pieces: Sequence[_Piece], last: int) -> bool:
        """Return whether a line after a whole row may be a heading, or the file's last remark."""
        follows_whole = len(pieces) == 2 and pieces[0].is_whole
        return follows_whole and (self._has_headings is True or pieces[-1].number == last)


def cut_row() -> Reason:
    """Return the reason of a row that a line break has cut."""
    return Reason(Expected.WHOLE_ROW, "", None, Remedy.QUOTE_LINE_BREAK)


def odd_width(cells: Sequence[str], widths: Widths, delimiter: str, separator: str) -> Reason:
    """Return the reason of a row with an odd number of cells; `separator` is the delimiter's name.

    The likely cause is a separator inside a cell without quotes: the next cell begins with a blank.
    """
    facts: dict[str, Fact] = {
        "cells": len(cells),
        "columns": widths.columns,
        "separator": separator,
    }
    if len(cells) < widths.columns:
        return Reason(Expected.ENOUGH_CELLS, "", None, Remedy.ADD_SEPARATORS, facts)
    for first, second in itertools.pairwise(cells):
        if first.strip() and second[:1] == " " and second.strip():
            text = f"{first.strip()}{delimiter}{second.rstrip()}"
            return Reason(Expected.QUOTED_SEPARATOR, "", text[:LONGEST_VALUE], None, facts)
    return Reason(Expected.NO_MORE_CELLS, "", None, Remedy.QUOTE_SEPARATOR, facts)


def swallowed(cells: Sequence[str], delimiter: str, width: int, line_end: str) -> Reason | None:
    """Return a reason when a cell spans rows: a quote opened in one and closed in a later one.

    Such a cell's first line has the remaining separators of its row, its last line those before the
    closing quote, and lines in between all of a row. Each but the first begins as rows do, and they
    end as rows do. Line breaks in quotes are data otherwise (RFC 4180, section 2, rule 6).
    """
    if width < 2:
        return None
    shape = _shape(cells[0].splitlines()[0]) if cells[0].strip() else None
    blanks = any(cell[:1] == " " for cell in cells)
    for place, cell in enumerate(cells[:width]):
        first, *others = cell.splitlines() or [""]
        if not others or first.count(delimiter) != width - 1 - place:
            continue
        # Spreadsheet programs end rows by CRLF, and lines of a cell by LF.
        if line_end == "\r\n" and "\r" not in cell:
            continue
        # A comma and a blank are of a sentence, unless the file has them between cells, too.
        if not blanks and any(f"{delimiter} " in line for line in others):
            continue
        *between, last = others
        separators_before_quote = place + width - len(cells)
        are_rows = all(line.count(delimiter) == width - 1 for line in between if line.strip())
        begin_as_rows = all(
            _are_alike(_shape(line.partition(delimiter)[0]), shape)
            for line in others
            if line.strip()
        )
        if last.count(delimiter) == separators_before_quote and are_rows and begin_as_rows:
            return Reason(
                Expected.SINGLE_ROW, value=last[:LONGEST_VALUE], remedy=Remedy.CLOSE_QUOTE_OR_KEEP
            )
    return None


_Shape = tuple[str, int]


def _shape(text: str) -> _Shape:
    """Return the shape that keys of one kind share: letters, digits and signs, and the length."""
    text = text.strip()
    form = re.sub(r"\d+", "9", re.sub(r"[^\W\d_]+", "a", text))
    return form, len(text)


def _are_alike(one: _Shape, other: _Shape | None) -> bool:
    # EXT-99 is followed by EXT-100.
    return other is not None and one[0] == other[0] and abs(one[1] - other[1]) <= 1

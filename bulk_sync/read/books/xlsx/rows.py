"""Rows in the plain form: one pattern takes a whole row, and columns are converted as lists."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from bulk_sync.model.places import column_letters
from bulk_sync.model.rows import Cell, CellError
from bulk_sync.read.books.interface import MAX_ROWS, NO_VALUE
from bulk_sync.read.books.mixed import NotPlainError, attributes_of, is_allowed, resolved
from bulk_sync.read.books.xlsx.places import column_of
from bulk_sync.read.books.xlsx.sink import Sink, hides
from bulk_sync.read.books.xlsx.values import Convert, Values
from bulk_sync.read.bounds import remember

# Wider rows are read exactly, because the pattern grows with them.
_MOST_COLUMNS = 512
# Rows that are converted at once.
_MOST_ROWS = 4096

# A formula with the attributes that programs write, in their order. Its text doesn't matter, but
# has to be well formed.
_FORMULA = (
    r'<{p}f(?: t="(?:shared|array|normal)")?+(?: ref="[A-Z0-9:$]*+")?+(?: si="\d*+")?+(?:/>|>'
    r"[^<&]*+(?:&(?:amp|lt|gt|quot|apos);[^<&]*+)*+</{p}f>)"
)
# A cell, perhaps none. Its groups: further attributes, value, text in line, value of a formula.
# What else XML doesn't allow in them is looked for in all rows at once.
_CELL = (
    r"(?:<{p}c{reference}([^>]*+)>(?:(?<=/>)|"
    r"<{p}v>([^<]*+)</{p}v></{p}c>|"
    r'<{p}is><{p}t(?: xml:space="preserve")?+>([^<]*+)</{p}t></{p}is></{p}c>|'
    r"{formula}<{p}v>([^<]*+)</{p}v></{p}c>|"
    r"(?:<{p}v/>)?+</{p}c>)|)"
)
_GROUPS = 4
# Groups of its own: number, further attributes.
_ROW = r"\s*+<{p}row{number}([^>]*+)>(?:(?<=/>)|{cells}</{p}row>)"
_NUMBER = r' r="([1-9]\d{0,6}+)"'
# Any cell's start, with the letters of its reference.
_START = r'<{p}c(?: r="([A-Z]{{1,3}})\d|[ />])'

_Found = Sequence[str | None]
"""A group's text in each row."""


class _Kind(Struct, frozen=True):
    """The conversion of cells with certain attributes."""

    convert: Convert
    is_in_line: bool
    may_be_empty: bool


class PlainRows:
    """Takes the rows that a pattern matches; see `Take`.

    The pattern has an optional place for each column, and grows with the widest row. Its cells have
    references, or none has, as in the sheet's first row.
    """

    def __init__(self, sink: Sink, values: Values) -> None:
        self._sink = sink
        self._values = values
        self._columns = 0
        self._has_references = True
        self._match = re.compile("(?!)").match
        # Grows from one after a row that can't be converted, so that the rows after it are not
        # matched over and over.
        self._batch = _MOST_ROWS
        self._kinds: dict[str, _Kind] = {}
        self._hidden: dict[str, bool] = {}

    def __call__(self, text: str, at: int, prefix: str) -> int:
        """Take rows from `text[at:]`; return where they end."""
        while True:
            begin, found = at, list[_Found]()
            while len(found) < self._batch and (match := self._match(text, at)) is not None:
                found.append(match.groups())
                at = match.end()
            if found:
                try:
                    _require_allowed(text[begin:at])
                    self._add(found)
                except ValueError:  # a NotPlainError, or a text that is no number
                    at = begin
                    if len(found) == 1:
                        return at
                    self._batch = 1
                else:
                    self._batch = min(2 * self._batch, _MOST_ROWS)
            elif not self._widen(text, at, prefix):
                return at

    def _widen(self, text: str, at: int, prefix: str) -> bool:
        """Extend the pattern to a row that it doesn't match; return False if it has the width."""
        end = text.find(f"</{prefix}row>", at)
        letters = re.findall(_START.format(p=prefix), text[at:end]) if end > 0 else []
        if self._columns == 0 and letters:
            self._has_references = letters[0] != ""
        columns = len(letters)
        if self._has_references:
            columns = max((column_of(each) for each in letters if each), default=-1) + 1
        if not self._columns < columns <= _MOST_COLUMNS:
            return False
        self._columns = columns
        self._match = re.compile(self._pattern(prefix)).match
        return True

    def _pattern(self, prefix: str) -> str:
        p = re.escape(prefix)
        formula = _FORMULA.format(p=p)
        cells = "".join(
            _CELL.format(
                p=p,
                reference=rf' r="{column_letters(each)}\1"' if self._has_references else "",
                formula=formula,
            )
            for each in range(self._columns)
        )
        number = _NUMBER if self._has_references else f"(?:{_NUMBER})?+"
        return _ROW.format(p=p, number=number, cells=cells)

    def _add(self, found: Sequence[_Found]) -> None:
        """Add rows to the sink; raises NotPlainError, and adds none, if one isn't plain."""
        numbers, attributes, *groups = zip(*found, strict=True)
        hidden = [self._is_hidden(each) for each in attributes]
        rows = self._places(numbers)
        cells = [self._column(*groups[at : at + _GROUPS]) for at in range(0, len(groups), _GROUPS)]
        add = self._sink.add
        for row, each, is_hidden in zip(rows, zip(*cells, strict=True), hidden, strict=True):
            add(row, each, hidden=is_hidden)

    def _places(self, numbers: _Found) -> list[int]:
        rows = []
        row = self._sink.last
        for number in numbers:
            row = row + 1 if number is None else int(number) - 1
            rows.append(row)
        if max(rows) >= MAX_ROWS:
            raise NotPlainError
        return rows

    def _column(
        self, attributes: _Found, values: _Found, in_line: _Found, calculated: _Found
    ) -> Sequence[Cell]:
        """Return a column's cells."""
        first = attributes[0]
        if first is not None and attributes.count(first) == len(attributes):
            kind = self._kind(first)
            texts = in_line if kind.is_in_line else values
            if all(texts):
                return kind.convert(texts)  # type: ignore[arg-type]  # none of them is None
        cells: list[Cell] = [""] * len(attributes)
        # Kinds, places and texts by their cells' attributes.
        mixed: dict[str, tuple[_Kind, list[int], list[str]]] = {}
        for at, (each, value, text, result) in enumerate(
            zip(attributes, values, in_line, calculated, strict=True)
        ):
            if each is None:
                continue
            kind = self._kind(each)
            shown = value or text or result
            if shown:
                if kind.is_in_line != (text is not None):
                    raise NotPlainError
                _, places, texts_of = mixed.setdefault(each, (kind, [], []))
                places.append(at)
                texts_of.append(shown)
            elif result is not None and not kind.may_be_empty:
                cells[at] = CellError(NO_VALUE)
        for kind, places, texts_of in mixed.values():
            for at, cell in zip(places, kind.convert(texts_of), strict=True):
                cells[at] = cell
        return cells

    def _kind(self, attributes: str) -> _Kind:
        """Return the kind of cells with these attributes; raises NotPlainError."""
        kind = self._kinds.get(attributes)
        if kind is None:
            found = attributes_of(attributes)
            name = found.get("t", "n")
            convert = self._values.converter(name, found.get("s", ""))
            if "r" in found or convert is None:
                raise NotPlainError
            if name in {"str", "inlineStr", "e"}:
                convert = _resolving(convert)
            kind = _Kind(convert, is_in_line=name == "inlineStr", may_be_empty=name == "str")
            remember(self._kinds, attributes, kind)
        return kind

    def _is_hidden(self, attributes: str) -> bool:
        hidden = self._hidden.get(attributes)
        if hidden is None:
            found = attributes_of(attributes)
            if "r" in found:
                raise NotPlainError
            hidden = hides(found, "ht")
            remember(self._hidden, attributes, hidden)
        return hidden


def _require_allowed(text: str) -> None:
    """Raise NotPlainError for rows with characters that XML doesn't allow."""
    if not is_allowed(text):
        raise NotPlainError


def _resolving(convert: Convert) -> Convert:
    """Return a converter of texts that may have references."""

    def converted(texts: Sequence[str]) -> Sequence[Cell]:
        if "&" in "".join(texts):
            texts = [resolved(text) for text in texts]
        return convert(texts)

    return converted

"""The dialect of a delimited file, and its header row.

Every usual dialect is tried on the beginning of the file. The best one has the header row with the
most known columns, and rows that fit under it.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.read.interface import HEADER_WITHIN_ROWS, Recognise, likely_header

LONGEST_CELL = 10_000_000
"""Characters in a cell, which bounds memory; a longer one is behind a quote that never closes."""


def _load_parser() -> Any:  # noqa: ANN401 - a module
    """Load the parser behind the csv module once more, for a limit on cells that is ours alone.

    `csv.field_size_limit` is one number for the whole interpreter, which belongs to the program
    that uses this library. The parser keeps its limit in the state of its module (PEP 489), so a
    second instance has a second limit.
    """
    spec = importlib.util.find_spec("_csv")
    assert spec is not None  # noqa: S101 - the csv module needs it
    assert spec.loader is not None  # noqa: S101 - same
    parser = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parser)
    parser.field_size_limit(LONGEST_CELL)
    return parser


_PARSER = _load_parser()
NotWellFormed: type[Exception] = _PARSER.Error
"""Raised by a reader of records for text that is not well-formed."""

DELIMITERS = (",", ";", "\t", "|")


class Records(Protocol):
    """A `csv.reader`; `line_num` counts the lines read so far."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class Dialect(Struct, frozen=True):
    """The separator and quotes of cells; `escape` may precede a quote instead of doubling it."""

    delimiter: str = ","
    quote: str | None = '"'
    skip_blanks: bool = False
    escape: str | None = None

    def reader(self, lines: Iterable[str], *, strict: bool = True) -> Records:
        """Return a reader of records; a strict one raises NotWellFormed for a stray quote."""
        records: Records = _PARSER.reader(
            lines,
            delimiter=self.delimiter,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            doublequote=True,
            escapechar=self.escape,
            skipinitialspace=self.skip_blanks,
            strict=strict,
        )
        return records

    @property
    def quoting(self) -> str:
        """The way of quoting, for people."""
        if self.quote is None:
            return "none"
        inside = f"escaped with {self.escape}" if self.escape else "doubled inside"
        return f"{self.quote}, {inside}"


class Layout(Struct, frozen=True):
    """A dialect and its header row, counted from 1; `score` is from `Recognise`.

    `rivals` are rows above it that could be the header too, with fewer known columns.
    """

    dialect: Dialect
    header_row: int
    score: int
    rivals: tuple[int, ...] = ()


def find_layout(
    lines: Sequence[str],
    recognise: Recognise,
    *,
    delimiter: str | None = None,
    header_row: int | None = None,
) -> Layout:
    """Return the likeliest layout of a file with these first lines."""
    delimiters = DELIMITERS if delimiter is None else (delimiter,)
    tried = list(differing(delimiters, lines))

    def best(quote: str) -> tuple[Layout, list[str]]:
        dialects = (Dialect(mark, quote, skip) for mark, skip in tried)
        rated = [_rate(dialect, lines, recognise, header_row) for dialect in dialects]
        _, found = max(rated, key=lambda each: each[0])
        return found

    layout, header = best('"')
    # Some exports of databases use single quotes, which a reader of double ones leaves in place.
    if all(_is_quoted(cell, "'") for cell in header if cell.strip()):
        return best("'")[0]
    return layout


def differing(delimiters: Sequence[str], lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield each delimiter, with and without skipping blanks, unless an earlier pair is the same.

    All delimiters that are in no line separate nothing, and without a blank behind one, or at the
    beginning of a line, there is none to skip.
    """
    text = "\n".join(("", *lines))
    absent = False
    for mark in delimiters:
        if mark not in text:
            if absent:
                continue
            absent = True
        yield mark, False
        if "\n " in text or f"{mark} " in text:
            yield mark, True


def first_rows(layout: Layout, lines: Sequence[str]) -> list[list[str]]:
    """Return the first rows of a file in a layout that are not blank, from the header on."""
    rows = _beginning(layout.dialect, lines, HEADER_WITHIN_ROWS)
    return [cells for number, cells in rows if number >= layout.header_row]


def with_other_quotes(layout: Layout, *, backslashes: bool) -> Iterator[Layout]:
    """Yield layouts in which quotes are escaped or, with tabs, plain characters."""
    if backslashes:
        yield replace(layout, dialect=replace(layout.dialect, escape="\\"))
    if layout.dialect.delimiter == "\t":
        yield replace(layout, dialect=replace(layout.dialect, quote=None))


# See `_rate`; a dialect with a greater one fits better.
_Merit = tuple[int, bool, int, bool, int]


def _rate(
    dialect: Dialect, lines: Sequence[str], recognise: Recognise, header_row: int | None
) -> tuple[_Merit, tuple[Layout, list[str]]]:
    """Return a layout's merit, and the layout with its header.

    The merit: known columns, whether anything is separated, rows that fit, plainness.
    """
    records = _beginning(dialect, lines, HEADER_WITHIN_ROWS + (header_row or 0))
    # Negative numbers, so that the first of rows with one score is the greatest.
    scored = [(recognise([cell.strip() for cell in cells]), -number) for number, cells in records]
    if header_row is not None:
        scored = [found for found in scored if found[1] == -header_row]
    score, place = max(scored, default=(0, -1 if header_row is None else -header_row))
    number = -place
    if score == 0 and header_row is None and records:
        # the error names the columns that this row has
        number = records[likely_header([_width(cells) for _, cells in records])][0]
    under = [cells for row, cells in records if row >= number]
    width = _width(under[0]) if under else 0
    misfits = alike = 0
    if width > 1:  # without any separator the first dialect is as good as others
        misfits = sum(
            _width(cells) > width or any(_is_quoted(cell, '"') for cell in cells) for cells in under
        )
        alike = 0 if score else sum(_width(cells) == width for cells in under)
    merit = (score, width > 1, -misfits, not dialect.skip_blanks, alike)
    candidates = {-place for score, place in scored if score > 0}
    rivals = tuple(
        row for row, cells in records if row < number and row in candidates and _width(cells) > 1
    )
    return merit, (Layout(dialect, number, score, rivals), under[0] if under else [])


def _beginning(dialect: Dialect, lines: Sequence[str], most: int) -> list[tuple[int, list[str]]]:
    """Return the first records that are not blank, numbered from 1."""
    found: list[tuple[int, list[str]]] = []
    try:
        for number, cells in enumerate(dialect.reader(lines, strict=False), start=1):
            if any(cell.strip() for cell in cells):
                found.append((number, cells))
            if len(found) == most:
                break
    except NotWellFormed:
        pass  # rate it by the records before
    return found


def _width(cells: Sequence[str]) -> int:
    return max((place for place, cell in enumerate(cells, start=1) if cell.strip()), default=0)


def _is_quoted(cell: str, quote: str) -> bool:
    """Return whether a cell still has its quotes, which another dialect would remove."""
    bare = cell.strip()
    return len(bare) > 1 and bare[0] == bare[-1] == quote

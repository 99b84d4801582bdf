"""Comma-separated text and its kin; encoding and dialect are detected, or given as options.

Row numbers are those of a spreadsheet program: a record with line breaks inside quotes is one row,
and a blank line is a row too. Nothing is repaired: a stray quote, a NUL or an undecodable byte ends
the reading with an error that names its line.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.own import MARK
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Row, text_of
from bulk_sync.model.summaries import Understood
from bulk_sync.read.bounds import MAX_COLUMNS, MAX_ROW_CHARACTERS, excess
from bulk_sync.read.dialect import (
    LONGEST_CELL,
    Layout,
    NotWellFormed,
    find_layout,
    first_rows,
    with_other_quotes,
)
from bulk_sync.read.encoding import find_encoding
from bulk_sync.read.interface import ReadOptions, above_note, on_its_side, two_headers
from bulk_sync.read.opened import changed, fingerprint, open_input, refuse_if_changed
from bulk_sync.read.suspicion import Widths, cut_row, odd_width, swallowed

# Enough for the rows that may have the header, even with a paragraph in every cell.
_SAMPLE_CHARACTERS = 1 << 17
# Lines that are read at once; fewer cost more time, more more memory.
_BLOCK_CHARACTERS = 1 << 16
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe", " ": "blank"}
# Too rare to be tried on every file: they separate parts of a cell more often than cells.
_ODD_DELIMITERS = ("^", "~", ":", "#", "*", "/", "\u00a6", "\u00a7", "\x1f", "\x01", "\xfe")
_NAMED_DELIMITERS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}


# What the csv module says, in words about the file (CPython's Modules/_csv.c).
_CSV_WORDS = {
    "unexpected end of data": "a quote opens here and never closes",
}


class DelimitedTable:
    """An open text file; `file` is read from its beginning, several times."""

    def __init__(self, file: io.BufferedReader, path: Path, options: ReadOptions) -> None:
        self._file = file
        self._path = path
        self._stat = fingerprint(file)
        self._encoding = find_encoding(file, path, options.encoding)
        self.digest = self._encoding.digest
        file.seek(0)
        # Kept, because a wrapper that is garbage-collected closes the file.
        self._text = io.TextIOWrapper(file, encoding=self._encoding.codec, newline="")
        self._separator_line = False
        self._line_end = "\n"
        self._multiline_cells = options.multiline_cells
        self._above: list[str] = []
        self._layout = self._find_layout(options)
        self.headers = self._read_header(options)
        self._widths: Widths | None = None
        # Our own files have rows of other widths; they are compared with what was written.
        self._is_own = any(header.startswith(MARK) for header in self.headers)
        self.understood = self._understood()

    def rows(self) -> Iterator[Row]:
        """Yield the rows below the header; see `Table`."""
        records = self._records(width=len(self.headers))
        header_row = self._layout.header_row
        rows = itertools.dropwhile(lambda row: row.number <= header_row, records)
        previous: Row | None = None
        # Only the row after it shows that a whole row was cut in its last cell.
        for row in rows:
            if previous is not None:
                yield self._held_if_cut(previous)
            previous = row
        if previous is not None:
            yield self._held_if_cut(previous)
        refuse_if_changed(self._file, self._path, self._stat, self.digest)

    def _held_if_cut(self, row: Row) -> Row:
        if self._widths is None or row.number not in self._widths.cut:
            return row
        return row._replace(fault=cut_row())

    # Layout

    def _find_layout(self, options: ReadOptions) -> Layout:
        delimiter = options.delimiter
        if delimiter is not None:
            delimiter = _NAMED_DELIMITERS.get(delimiter.lower(), delimiter)
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise UsageError(
                    f"--delimiter {options.delimiter!r}: expected one character, or tab, comma, "
                    "semicolon, pipe"
                )
        self._rewind()
        text = self._text.read(_SAMPLE_CHARACTERS).removeprefix("\ufeff")
        if not text.strip():
            raise InputError(
                f"{self._path}: the file is empty; expected a header row with a column "
                "unique_showing_key."
            )
        # Excel's own way to name the separator. It doesn't show the line or count it as a row.
        match = re.match(r'"?sep=([^\r\n])"?(?:\r\n|\r|\n)', text)
        if match is not None:
            self._separator_line = True
            delimiter, text = delimiter or match[1], text[match.end() :]
        lines = list(io.StringIO(text, newline=""))
        self._line_end = "\r\n" if lines[0].endswith("\r\n") else lines[0][-1:]
        # The sample got shorter by the mark and by Excel's line, so it may lack some characters.
        if len(text) >= _SAMPLE_CHARACTERS - 100 and len(lines) > 1:
            lines.pop()  # perhaps incomplete
        layout = find_layout(
            lines, options.recognise, delimiter=delimiter, header_row=options.header_row
        )
        if layout.score < 2 and options.header_row is None:
            self._refuse_odd_layout(layout, lines, options)
        if layout.rivals:
            raise InputError(f"{self._path}: {two_headers(layout.rivals[0], layout.header_row)}.")
        return self._with_fitting_quotes(layout)

    def _refuse_odd_layout(
        self, layout: Layout, lines: Sequence[str], options: ReadOptions
    ) -> None:
        """Raise InputError if the columns would be found with another separator, or in rows."""
        beginning = [[cell.strip() for cell in row] for row in first_rows(layout, lines)]
        header = beginning[0] if beginning else []
        sentence = on_its_side(options.recognise, header, [row[0] for row in beginning if row])
        if sentence is not None:
            raise InputError(f"{self._path}: {sentence}.")
        if options.delimiter is not None:
            return
        for mark in _ODD_DELIMITERS:
            if find_layout(lines, options.recognise, delimiter=mark).score > 1:
                raise InputError(
                    f"{self._path}: its cells seem to be separated by {mark!r}. If they are, add "
                    f"--delimiter {_in_quotes(mark)}."
                )

    def _with_fitting_quotes(self, layout: Layout) -> Layout:
        """Return the layout, or one with other quotes when usual ones don't fit the whole file."""
        # MySQL escapes quotes with a backslash; tabbed exports often have plain ones.
        doubtful = self._encoding.backslash_quotes or (
            self._encoding.quotes and layout.dialect.delimiter == "\t"
        )
        if not doubtful or self._fits(layout):
            return layout
        others = with_other_quotes(layout, backslashes=self._encoding.backslash_quotes)
        return next((other for other in others if self._fits(other)), layout)

    def _fits(self, layout: Layout) -> bool:
        """Return whether the file is well-formed in a layout, with no row wider than its header."""
        width = 0  # of the header, once it is read
        try:
            parsed = _Parsed()
            for number, cells in enumerate(layout.dialect.reader(self._lines(parsed)), start=1):
                parsed.rows = number
                if number == layout.header_row:
                    width = len(cells)
                elif number > layout.header_row and any(cell.strip() for cell in cells[width:]):
                    return False
        except (NotWellFormed, _RowTooLongError):
            return False
        return True

    def _read_header(self, options: ReadOptions) -> tuple[str, ...]:
        for number, cells, _ in self._records():
            if number < self._layout.header_row:
                self._above.append(next(text for cell in cells if (text := text_of(cell).strip())))
                continue
            if options.header_row not in {None, number}:
                break
            return tuple(text_of(cell).strip() for cell in cells)
        raise InputError(
            f"{self._path}: --header-row {options.header_row}: that row is blank, or beyond the "
            "end."
        )

    def _understood(self) -> Understood:
        delimiter = self._layout.dialect.delimiter
        notes = [] if self._encoding.note is None else [self._encoding.note]
        notes += above_note(self._above)
        if self._layout.dialect.quote is None:
            notes.append(
                "Quotes are read as plain characters: they don't enclose cells in this file."
            )
        return Understood(
            format="TSV" if delimiter == "\t" else "CSV",
            header_row=self._layout.header_row,
            encoding=self._encoding.title,
            delimiter=_DELIMITER_NAMES.get(delimiter, delimiter),
            quoting=self._layout.dialect.quoting,
            notes=tuple(notes),
        )

    # Records

    def _rewind(self) -> None:
        self._text.seek(0)

    def _lines(self, parsed: _Parsed) -> Iterator[str]:
        """Return the lines without byte order mark and without Excel's line on separators."""
        self._rewind()
        return self._lines_of(self._text, parsed)

    def _lines_of(self, text: TextIO, parsed: _Parsed) -> Iterator[str]:
        first = text.readline().removeprefix("\ufeff")
        rest = itertools.chain.from_iterable(_blocks(text, parsed))
        return rest if self._separator_line else itertools.chain((first,), rest)

    def _records(self, width: int = 0) -> Iterator[Row]:
        """Yield the records that are not blank, with a fault where one swallowed others.

        `width` is the number of columns; 0 looks for no faults.
        """
        number = 0
        parsed = _Parsed()
        reader = self._layout.dialect.reader(self._lines(parsed))
        delimiter = self._layout.dialect.delimiter
        line = 0
        try:
            for number, cells in enumerate(reader, start=1):
                begins_after, line, parsed.rows = line, reader.line_num, number
                if len(cells) > MAX_COLUMNS:
                    raise InputError(
                        f"{self._path}: row {number} {excess(cells)}. Check its separators and "
                        "quotes"
                    )
                # The first cell alone nearly always shows that a row is not blank.
                if cells and ((cells[0] and not cells[0].isspace()) or any(map(str.strip, cells))):
                    fault = None
                    # Only a record of several lines can have swallowed another one.
                    if line - begins_after > 1 and not self._multiline_cells:
                        fault = swallowed(cells, delimiter, width, self._line_end)
                    is_below = width and number > self._layout.header_row
                    if len(cells) != width and is_below and fault is None:
                        fault = self._odd_width(cells)
                    yield Row(number, tuple(cells), fault)
        except _RowTooLongError:
            raise InputError(
                f"{self._path}: row {number + 1} (from line {line + 1 + self._separator_line} of "
                f"the file) has more than {MAX_ROW_CHARACTERS:,} characters: check for a quote "
                "that opens and never closes"
            ) from None
        except NotWellFormed as error:
            if fingerprint(self._file) != self._stat:
                raise changed(self._path) from None
            raise InputError(
                self._not_well_formed(number + 1, line + 1 + self._separator_line, error)
            ) from None
        except UnicodeDecodeError:
            # The whole file was valid in this encoding when it was opened.
            raise changed(self._path) from None

    def _odd_width(self, cells: list[str]) -> Reason | None:
        """Return the reason of a row that has another number of cells than the others."""
        width = len(self.headers)
        if self._is_own or (len(cells) > width and any(map(str.strip, cells[width:]))):
            return None  # the check names the value without a column
        if self._widths is None:
            self._widths = self._counted_widths()
        if not self._widths.is_odd(len(cells)):
            return None
        delimiter = self._layout.dialect.delimiter
        name = _DELIMITER_NAMES.get(delimiter, repr(delimiter))
        return odd_width(cells, self._widths, delimiter, name)

    def _counted_widths(self) -> Widths:
        """Count by a second reading of the file, because the first one goes on.

        That the path still names this file is checked at the end (`refuse_if_changed`).
        """
        named = max(place for place, name in enumerate(self.headers, start=1) if name or place == 1)
        widths = Widths(len(self.headers), named)
        try:
            with io.TextIOWrapper(
                open_input(self._path), encoding=self._encoding.codec, newline=""
            ) as text:
                parsed = _Parsed()
                reader = self._layout.dialect.reader(self._lines_of(text, parsed))
                widths.count(
                    (number, cells)
                    for number, cells in enumerate(parsed.counted(reader), start=1)
                    if number > self._layout.header_row and any(map(str.strip, cells))
                )
        except OSError:
            raise changed(self._path) from None
        except (NotWellFormed, _RowTooLongError):
            pass  # the first reading gets there, and names the row
        return widths

    def _not_well_formed(self, row: int, line: int, error: Exception) -> str:
        where = f"{self._path}: row {row} (from line {line} of the file)"
        if "field larger than" in str(error):
            return (
                f"{where} has a cell of over {LONGEST_CELL:,} characters: a quote opens and never "
                "closes"
            )
        kind = "TSV" if self._layout.dialect.delimiter == "\t" else "CSV"
        why = _CSV_WORDS.get(str(error), str(error))
        return (
            f"{where} is not well-formed {kind}: {why}. A quote inside a quoted cell is written "
            "twice, and every quote that opens must close"
        )


class _RowTooLongError(ValueError):
    """A row has more characters than are held of one."""


@dataclass(slots=True)
class _Parsed:
    """The number of rows that a reading has parsed; its reader keeps that up to date."""

    rows: int = 0

    def counted(self, records: Iterable[list[str]]) -> Iterator[list[str]]:
        """Yield records, and count them."""
        for cells in records:
            self.rows += 1
            yield cells


def _blocks(text: TextIO, parsed: _Parsed) -> Iterator[list[str]]:
    """Yield lines in blocks; raises _RowTooLongError when a row goes on for too many of them.

    The parser keeps the cells of a row until its last line. It takes a block only when it has
    parsed the one before, so there is no need to count in each line.
    """
    rows, held = parsed.rows, 0
    while lines := text.readlines(_BLOCK_CHARACTERS):
        yield lines
        if parsed.rows != rows:
            rows, held = parsed.rows, 0
        else:
            held += sum(map(len, lines))
        if held > MAX_ROW_CHARACTERS:
            raise _RowTooLongError


def _in_quotes(mark: str) -> str:
    """Return a character as a shell takes it."""
    return f"'{mark}'" if mark.isprintable() else f"$'\\x{ord(mark):02x}'"

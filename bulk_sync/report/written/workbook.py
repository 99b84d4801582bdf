"""`*.results.xlsx`: the results as a workbook, with a second sheet for the summary.

Texts are written as strings, so that none becomes a formula or a link; those that look like a
formula are marked as text (quotePrefix), so that editing the cell makes none of it either. Rows are
collected in a private temporary folder, so that memory doesn't grow with their number.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from bulk_sync.model.inert import is_like_a_formula
from bulk_sync.recognise import Output
from bulk_sync.report.words import CLASSES, STATES, Look
from bulk_sync.report.written.atomic import replacing_bytes
from bulk_sync.scratch import scratch_folder

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

MOST_ROWS = 1_048_575
"""The maximum of rows below the header (Microsoft, "Excel specifications and limits")."""

MOST_COLUMNS = 16_384
"""The maximum of columns (same source)."""

LONGEST_TEXT = 32_767
"""The maximum of characters in a cell (same source)."""

WIDTHS = {
    "row": 7,
    "unique_showing_key": 28,
    "state": 12,
    "message": 60,
    "fields": 30,
    "showing_id": 38,
    "updated_at": 22,
    "sent_at": 22,
}
"""The widths of columns that aren't 13 characters wide."""

LOOKS: dict[str, Look] = {str(name): look for name, look in (*STATES.items(), *CLASSES.items())}
"""The colours of states and classes, by their names."""


def write_workbook(
    path: Path,
    kind: Output,
    columns: Sequence[str],
    lines: Iterable[Sequence[Any]],
    facts: Iterable[tuple[str, object]] = (),
    before: Callable[[str], None] | None = None,
    *,
    coloured: str | None = None,
) -> None:
    """Write lines under a header, and facts (name, value), if any, on a second sheet.

    The values of a line are texts, whole numbers or None; `coloured` is the column of states or
    classes. `before` is called with the digest just before the file replaces the older one. Raises
    OutputError.
    """
    with writing_workbook(path, kind, before) as book:
        _write_lines(book, columns, lines, coloured)
        write_facts(book, facts)


@contextmanager
def writing_workbook(
    path: Path, kind: Output, before: Callable[[str], None] | None = None
) -> Iterator[Workbook]:
    """Yield a workbook that replaces `path` if the block ends without an error.

    Rows have to be written from top to bottom. `before` is called with the digest just before the
    file replaces the older one. Raises OutputError.
    """
    from xlsxwriter import Workbook
    from xlsxwriter.exceptions import FileCreateError

    with (
        replacing_bytes(path, kind, before) as file,
        # Beside the file: a container may have no other folder that can be written.
        scratch_folder(path.parent) as folder,
        _detachable(file) as target,
    ):
        book = Workbook(target, {"constant_memory": True, "tmpdir": str(folder), "use_zip64": True})
        yield book
        try:
            book.close()
        except FileCreateError as error:  # wraps the OSError
            raise error.args[0] from None


class _Detachable(io.RawIOBase):
    """A file that can be detached from its writer."""

    # After an error, ZipFile writes the archive's directory when it is garbage collected. By then
    # the file is closed, and the write would raise.

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self._at = 0

    def write(self, data: Any) -> int:  # noqa: ANN401 - bytes or a buffer
        if self._file is not None:
            self._file.write(data)
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        if self._file is not None:
            self._file.seek(offset, whence)
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Do nothing: there is no buffer, and IOBase.flush raises once this object is finalized,
        which may be before ZipFile is.
        """

    def detach(self) -> None:
        """Discard all further writes."""
        self._file = None


@contextmanager
def _detachable(file: BinaryIO) -> Iterator[Any]:
    target = _Detachable(file)
    try:
        yield target
    finally:
        target.detach()


def _write_lines(
    book: Workbook, columns: Sequence[str], lines: Iterable[Sequence[Any]], coloured: str | None
) -> None:
    sheet = book.add_worksheet("Results" if coloured else None)
    bold = book.add_format({"bold": True, "bottom": 1})
    as_text = book.add_format({"quote_prefix": True})
    colours = {
        name: book.add_format({"bg_color": look.ground, "font_color": look.letters})
        for name, look in LOOKS.items()
    }
    for place, name in enumerate(columns):
        sheet.set_column(place, place, WIDTHS.get(name, 13))
        sheet.write_string(0, place, name, bold)
    sheet.freeze_panes(1, 2)  # the header, and the row number and key
    count = 0
    for count, line in enumerate(lines, start=1):
        for place, value in enumerate(line):
            _write(
                sheet,
                count,
                place,
                value,
                colours.get(value) if columns[place] == coloured else None,
                as_text,
            )
    sheet.autofilter(0, 0, count, len(columns) - 1)


def write_facts(book: Workbook, facts: Iterable[tuple[str, object]]) -> None:
    """Add a sheet with the facts, if there are any."""
    listed = list(facts)
    if not listed:
        return
    sheet = book.add_worksheet("Summary")
    bold = book.add_format({"bold": True})
    as_text = book.add_format({"quote_prefix": True})
    sheet.set_column(0, 0, 28)
    sheet.set_column(1, 1, 70)
    for number, (name, value) in enumerate(listed):
        sheet.write_string(number, 0, name, bold)
        _write(sheet, number, 1, value, None, as_text)


def _write(
    sheet: Worksheet, row: int, column: int, value: object, look: Format | None, as_text: Format
) -> None:
    if isinstance(value, int | float):
        sheet.write_number(row, column, value, look)
    elif value:
        text = (
            value.isoformat(sep=" ", timespec="seconds")
            if isinstance(value, datetime)
            else str(value)
        )
        sheet.write_string(
            row,
            column,
            text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "...",
            as_text if is_like_a_formula(text) else look,
        )

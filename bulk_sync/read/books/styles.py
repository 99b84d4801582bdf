"""Converters of a workbook's cells to the values shown, by the ids of their number formats.

The built-in ones are those of ECMA-376 part 1, 18.8.30, which XLS and XLSB share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from bulk_sync.model.rows import Cell, Formatted, text_of
from bulk_sync.read.books.formats import FormatKind, kind_of_built_in, kind_of_format
from bulk_sync.read.books.numbers import Converter, Number, converter_for, plain_number
from bulk_sync.read.number_format import GENERAL, changes_texts, is_plain, shown, shown_of_text

# The ids that are the same in every language; those of currencies (5 to 8, 41 to 44) and of East
# Asia are not. Programs show `General` for ids that they don't know.
_BUILT_IN = {
    0: GENERAL,
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    37: "#,##0 ;(#,##0)",
    38: "#,##0 ;[Red](#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;[Red](#,##0.00)",
    48: "##0.0E+0",
    49: "@",
}
_FIRST_OWN_ID = 164
_MOST_REMEMBERED = 16_384


TextConverter = Callable[[str], Cell]
"""Turns a cell's text into the cell that its number format shows."""


def code_of(format_id: int, own: Mapping[int, str]) -> str:
    """Return the code of a format; one that the file defines counts, whatever its id.

    A built-in one that depends on the language is a code that nobody can be certain of.
    """
    code = own.get(format_id)
    if code is None:
        unknown = GENERAL if format_id >= _FIRST_OWN_ID else f"[built-in format {format_id}]"
        code = _BUILT_IN.get(format_id, unknown)
    return code


def _kind_of(format_id: int, own: Mapping[int, str]) -> FormatKind:
    code = own.get(format_id)
    return kind_of_built_in(format_id) if code is None else kind_of_format(code)


def number_converter(format_id: int, own: Mapping[int, str], *, is_1904: bool) -> Converter | None:
    """Return the converter of numbers in a format; None if it shows each as it is."""
    kind = _kind_of(format_id, own)
    if kind is not FormatKind.NUMBER:
        return converter_for(kind, is_1904=is_1904)
    code = code_of(format_id, own)
    if is_plain(code):
        return None
    return partial(number_as_shown, code=code)


def text_converter(format_id: int, own: Mapping[int, str]) -> TextConverter | None:
    """Return the converter of texts in a format; None if it shows each as it is."""
    code = code_of(format_id, own)
    return (lambda text: text_as_shown(text, code)) if changes_texts(code) else None


# Most formatted numbers repeat, and rendering one costs as much as reading a row. One memory for
# all formats, because a workbook may have thousands.
@lru_cache(_MOST_REMEMBERED)
def number_as_shown(number: Number, code: str) -> Cell:
    """Return a number with the text that a format shows of it; alone if that is the number."""
    cell = plain_number(number)
    if not isinstance(cell, int | float):
        return cell
    result = shown(number, code)
    if result is None:
        return Formatted(number, code, None)
    text = result.text.strip()
    if text == text_of(number) and not result.is_local:
        return number
    return Formatted(number, code, text, result.is_local)


def text_as_shown(text: str, code: str) -> Cell:
    """Return a text with the one that a format shows of it; alone if they are the same."""
    if not text.strip():
        return text
    result = shown_of_text(text, code)
    if result is None:
        return Formatted(text, code, None)
    # The ends are no part of a cell, and formats of accounting add blanks there.
    return text if result.strip() == text.strip() else Formatted(text, code, result.strip())

"""Cell styles: what their number formats show (ECMA-376 part 1, 18.8)."""

from __future__ import annotations

import re
from collections.abc import Callable

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.formats import FormatKind, kind_of_built_in, kind_of_format
from bulk_sync.read.books.numbers import converter_for
from bulk_sync.read.survey.markup import local

# Literal text, zeros for digits, literal text (18.8.31).
_PADDED = re.compile(r"""((?:"[^"]*"|\\.|[-() /])*)(0{1,15})((?:"[^"]*"|\\.|[-() /])*)""")


class Styles:
    """The number formats of a workbook's styles, by the index of a cell's style."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}
        self._formats: list[str] = []
        self._in_cells = False

    def converters(self, *, is_1904: bool) -> list[Callable[[float], Cell] | None]:
        """Return what each style shows for a number; None for the number itself."""
        known: dict[str, Callable[[float], Cell] | None] = {}
        for each in self._formats:
            if each not in known:
                known[each] = self._converter(each, is_1904=is_1904)
        return [known[each] for each in self._formats]

    def _converter(self, format_id: str, *, is_1904: bool) -> Callable[[float], Cell] | None:
        code = self._codes.get(format_id)
        if code is None:
            is_number = format_id.isascii() and format_id.isdigit() and len(format_id) < 6
            kind = kind_of_built_in(int(format_id)) if is_number else FormatKind.NUMBER
        else:
            kind = kind_of_format(code)
        if kind is not FormatKind.NUMBER:
            return converter_for(kind, is_1904=is_1904)
        return _padding(code or "")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Receive the start of an element."""
        match local(name):
            case "numFmt":
                # Cut, because a long code could make the pattern slow.
                self._codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")[:200]
            case "cellXfs":  # apart from `cellStyleXfs`, whose elements have the same name
                self._in_cells = True
            case "xf" if self._in_cells:
                self._formats.append(attributes.get("numFmtId", ""))
            case _:
                pass

    def end(self, name: str) -> None:
        """Receive the end of an element."""
        if local(name) == "cellXfs":
            self._in_cells = False

    def text(self, text: str) -> None:
        """Receive characters."""


def _padding(code: str) -> Callable[[float], Cell] | None:
    """Return how a format pads or frames a whole number, such as `00000` or `"SH-"0000`."""
    # The first section of a format is that of positive numbers.
    match = _PADDED.fullmatch(code.partition(";")[0])
    if match is None or not (len(match[2]) > 1 or match[1] or match[3]):
        return None
    prefix, digits, suffix = _bare(match[1]), len(match[2]), _bare(match[3])

    def padded(number: float) -> Cell:
        if not (0 <= number < 1e15 and number.is_integer()):
            return number
        return f"{prefix}{int(number):0{digits}}{suffix}"

    return padded


def _bare(literal: str) -> str:
    """Return a number format's literal text without its quotes and backslashes."""
    return re.sub(r'"([^"]*)"|\\(.)', lambda match: match[1] or match[2] or "", literal)

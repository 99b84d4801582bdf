"""Cell styles and their number formats (ECMA-376 part 1, 18.8)."""

from __future__ import annotations

from bulk_sync.read.books.markup import local
from bulk_sync.read.books.numbers import Converter
from bulk_sync.read.books.styles import TextConverter, number_converter, text_converter


class Styles:
    """The number formats of a workbook's styles, by the index of a cell's style."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._formats: list[int] = []
        self._in_cells = False

    def converters(self, *, is_1904: bool) -> list[tuple[Converter | None, TextConverter | None]]:
        """Return each style's converters of numbers and of texts; None if all stay as they are."""
        known = {
            each: (
                number_converter(each, self._codes, is_1904=is_1904),
                text_converter(each, self._codes),
            )
            for each in set(self._formats)
        }
        return [known[each] for each in self._formats]

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Receive the start of an element."""
        match local(name):
            case "numFmt":
                self._codes[_id(attributes)] = attributes.get("formatCode", "")
            case "cellXfs":  # apart from `cellStyleXfs`, whose elements have the same name
                self._in_cells = True
            case "xf" if self._in_cells:
                self._formats.append(_id(attributes))
            case _:
                pass

    def end(self, name: str) -> None:
        """Receive the end of an element."""
        if local(name) == "cellXfs":
            self._in_cells = False

    def text(self, text: str) -> None:
        """Receive characters."""


def _id(attributes: dict[str, str]) -> int:
    """Return the id of a number format; programs show `General` for one that is no number."""
    text = attributes.get("numFmtId", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

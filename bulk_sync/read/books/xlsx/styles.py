"""Cell styles and their number formats (ECMA-376 part 1, 18.8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bulk_sync.read.books.markup import local
from bulk_sync.read.books.styles import number_converter, text_converter
from bulk_sync.read.books.xlsx.values import Style


class Styles:
    """The number formats of a workbook's styles, by the index of a cell's style."""

    def __init__(self) -> None:
        self._codes: dict[int, str] = {}
        self._formats: list[int] = []
        self._in_cells = False

    def converters(self, *, is_1904: bool) -> Converters:
        """Return each style's converters."""
        return Converters(self._formats, self._codes, is_1904=is_1904)

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


class Converters(Sequence[Style]):
    """The converters of numbers and of texts of each style; None for one that shows all as it is.

    Made when a cell has the style, because a file may define hundreds of thousands.
    """

    def __init__(self, formats: Sequence[int], codes: Mapping[int, str], *, is_1904: bool) -> None:
        self._formats = formats
        self._codes = codes
        self._is_1904 = is_1904
        self._known: dict[int, Style] = {}

    def __len__(self) -> int:
        return len(self._formats)

    def __getitem__(self, index: int) -> Style:  # type: ignore[override]  # no slices
        format_id = self._formats[index]
        known = self._known.get(format_id)
        if known is None:
            known = self._known[format_id] = (
                number_converter(format_id, self._codes, is_1904=self._is_1904),
                text_converter(format_id, self._codes),
            )
        return known


def _id(attributes: dict[str, str]) -> int:
    """Return the id of a number format; programs show `General` for one that is no number."""
    text = attributes.get("numFmtId", "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

"""A table of jobs that fits any width: columns give way, words are never broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from rich.text import Text

_GAP = 2
_ELLIPSIS = "…"


class Column(NamedTuple):
    """A column: numbers to the right, texts to the left.

    One with `least` may be cut down to that width. Of the others, those with the highest `rank`
    are left out first on a narrow terminal; rank 0 never is.
    """

    heading: str
    rank: int = 0
    right: bool = False
    least: int = 0


class Cell(NamedTuple):
    """The text of a cell, its style, and another text for where the first one does not fit."""

    text: str = ""
    style: str = ""
    short: str = ""


Row = Sequence[Cell]


def table_lines(columns: Sequence[Column], rows: Sequence[Row], width: int | None) -> list[Text]:
    """Return the header and a line for each row, of at most `width` characters if given.

    Columns without a text in any row are left out.
    """
    from rich.text import Text

    kept = [n for n, _ in enumerate(columns) if any(row[n].text for row in rows)]
    natural = {n: max(_length(row[n].text) for row in rows) for n in kept}
    natural = {n: max(most, len(columns[n].heading)) for n, most in natural.items()}
    widths = natural if width is None else _fitted(columns, natural, width)
    header = [Cell(column.heading, "bold") for column in columns]
    lines = []
    for row in (header, *rows):
        line = Text(no_wrap=True, overflow="ellipsis")
        for place, (n, room) in enumerate(widths.items()):
            text = _text(row[n], room)
            space = " " * (room - _length(text))
            last = place == len(widths) - 1
            line.append(" " * _GAP if place else "")
            line.append(space if columns[n].right else "")
            line.append(text, row[n].style)
            line.append("" if columns[n].right or last else space)
        lines.append(line)
    return lines


def _fitted(columns: Sequence[Column], natural: dict[int, int], width: int) -> dict[int, int]:
    """Return the widths of the columns that fit, in their order."""
    least = {n: min(most, columns[n].least or most) for n, most in natural.items()}
    for n in sorted(natural, key=lambda n: -columns[n].rank):
        if _total(least) <= width or not columns[n].rank:
            break
        del least[n]
    while len(least) > 1 and len(least) + _GAP * (len(least) - 1) > width:
        least.popitem()
    if _total(least) > width:  # not even the least of them fit
        rooms = max(1, (width - _GAP * (len(least) - 1)) // len(least))
        return {n: min(room, rooms) for n, room in least.items()}
    for n, room in least.items():
        least[n] = min(natural[n], room + width - _total(least))
    return least


def _total(widths: dict[int, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def _text(cell: Cell, width: int) -> str:
    fits = not cell.short or _length(cell.text) <= width
    return shortened(cell.text if fits else cell.short, width)


def shortened(text: str, width: int) -> str:
    """Return a text of at most `width` characters, cut after a word where it has several."""
    if _length(text) <= width:
        return text
    if width < 1:
        return ""
    kept = ""
    for word in _words(text):
        if _length(kept + word) > width - 1:
            break
        kept += word
    if not kept.strip():  # the first word alone is too long
        for character in text:
            if _length(kept + character) > width - 1:
                break
            kept += character
    return kept.rstrip(" ,:;") + _ELLIPSIS


def _words(text: str) -> Iterator[str]:
    """Yield the words, each with the blank before it."""
    first, *others = text.split(" ")
    yield first
    for word in others:
        yield f" {word}"


def _length(text: str) -> int:
    """Return the columns that a text takes: two for each wide character."""
    from rich.cells import cell_len

    return cell_len(text)

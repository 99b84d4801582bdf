"""Markdown on a terminal of any width: words and commands are never broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, TableElement
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

# Between the cells of two columns: a blank on each side of the divider.
_GAP = 3
# rich's own theme puts code on black, which hurts on a light terminal.
_THEME = Theme({"markdown.code": "cyan", "markdown.h2": "bold underline"})
# A column of sentences is not narrower than this.
_SENTENCE = 18


def show_markdown(console: Console, text: str) -> None:
    """Print a page."""
    # Not cropped, because the lines of code may be longer than the terminal is wide.
    with console.use_theme(_THEME):
        console.print(_Page(text, hyperlinks=False), crop=False)


class _Code(CodeBlock):
    """A block of code that can be copied: without frame and background, its lines unwrapped."""

    def __rich_console__(self, *_: object) -> Iterator[Segment]:
        for line in str(self.text).rstrip().split("\n"):
            yield Segment(f"    {line}", Style(color="cyan"))
            yield Segment.line()


class _Table(TableElement):
    """A table whose columns hold their longest words, or a list where there is no room."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [*self._rows()]
        columns = [*zip(*rows, strict=True)]
        sizes = [[Measurement.get(console, options, cell) for cell in column] for column in columns]
        widths = _widths(
            [
                max(max(size.minimum, min(size.maximum, _SENTENCE)) for size in column)
                for column in sizes
            ],
            [max(size.maximum for size in column) for column in sizes],
            options.max_width - _GAP * (len(columns) - 1),
        )
        yield _list_of(rows) if widths is None else _table_of(rows, widths)

    def _rows(self) -> Iterator[Sequence[Text]]:
        """Yield the header, then the rows."""
        if self.header is not None and self.header.row is not None:
            yield [cell.content for cell in self.header.row.cells]
        for row in self.body.rows if self.body is not None else ():
            yield [cell.content for cell in row.cells]


class _Page(Markdown):
    elements: ClassVar[dict[str, Any]] = {
        **Markdown.elements,
        "fence": _Code,
        "table_open": _Table,
    }


def _widths(least: Sequence[int], most: Sequence[int], available: int) -> list[int] | None:
    """Return the widths of columns, None if the least ones are too wide together.

    What the least ones leave is shared in proportion to what each column would like.
    """
    spare = available - sum(least)
    if spare < 0:
        return None
    wanted = sum(most) - sum(least)
    if wanted <= spare:
        return [*most]
    return [low + spare * (high - low) // wanted for low, high in zip(least, most, strict=True)]


def _table_of(rows: Sequence[Sequence[Text]], widths: Sequence[int]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for cell, width in zip(rows[0], widths, strict=True):
        table.add_column(cell, width=width)
    for row in rows[1:]:
        table.add_row(*row)
    return table


def _list_of(rows: Sequence[Sequence[Text]]) -> Table:
    """Return rows as `first cell: second; third`, the header without its bullet."""
    table = Table.grid()
    table.add_column(width=3)
    table.add_column()
    for number, row in enumerate(rows):
        first, *rest = row
        text = Text("; ").join(cell for cell in rest if cell.plain)
        item = Text(": ").join([first, text]) if text.plain else first
        table.add_row(" • " if number else "", item)
    return table

"""A bounded memory of the values of texts.

It holds nothing that depends on more than the text and the rules, so a cell means the same with and
without it (tests/unit/test_check_memory.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bulk_sync.model.rows import Cell

MOST_REMEMBERED: Final = 4096
"""Texts remembered of one kind; columns with more different ones gain little from it."""


LONGEST_REMEMBERED: Final = 200
"""Characters of a text that is remembered."""


class Memory(dict[Cell, object]):
    """The values of cells whose texts repeat; `memory[cell]` reads a new one with `read`.

    A known text costs one look-up in a dictionary. Raises what `read` raises, each time anew.
    """

    __slots__ = ("_numbers", "_read")

    def __init__(self, read: Callable[[Cell], object]) -> None:
        super().__init__()
        self._read = read
        # Apart from texts and from each other's types, because cells of different types are equal
        # where their meaning is not: 1, 1.0 and True are one key.
        self._numbers: dict[float, object] = {}

    def __missing__(self, cell: Cell) -> object:
        if cell.__class__ is float:
            return self._of_number(cell)
        value = self._read(cell)
        # Long texts would let the memory grow without bounds. Others than ASCII may have invisible
        # characters, and each of these is evidence about the column.
        if isinstance(cell, str) and len(cell) <= LONGEST_REMEMBERED and cell.isascii():
            # All at once, because keeping track of use would cost more than reading again.
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[cell] = value
        return value

    def _of_number(self, number: float) -> object:
        try:
            return self._numbers[number]
        except KeyError:
            value = self._read(number)
        if len(self._numbers) >= MOST_REMEMBERED:
            self._numbers.clear()
        self._numbers[number] = value
        return value

"""A bounded memory of what texts mean.

It may hold only what depends on the text and the sheet's rules: with or without it, a cell
means the same (tests/unit/test_check_memory.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bulk_sync.model.rows import Cell

MOST_REMEMBERED: Final = 4096
"""Texts that are remembered of a kind; columns with more different ones gain little from it."""


class Memory(dict[Cell, object]):
    """The values of cells whose texts repeat; a cell that is new is read with `read`.

    `memory[cell]` costs one look-up in a dictionary. Raises what `read` raises, each time anew.
    """

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[Cell], object]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, cell: Cell) -> object:
        value = self._read(cell)
        # Other types are equal where their meaning is not: 1, 1.0 and True are one key.
        if isinstance(cell, str):
            if len(self) >= MOST_REMEMBERED:
                self.clear()
            self[cell] = value
        return value

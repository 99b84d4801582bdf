"""The columns of a sheet, compiled once: a reader for each, made of its field and the rules."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from bulk_sync.check.cells import BadCell, failed_formula, plain_text, text_of_formula
from bulk_sync.check.formatted import content_of
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.memory import Memory
from bulk_sync.check.moments import read_moment
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, NUMBERS, READERS, REPEATING, Reader
from bulk_sync.model.rows import Cell, Formatted, text_of


class Blank(Enum):
    """The value of a blank cell: the showing keeps the value it has."""

    BLANK = "blank"


BLANK: Final = Blank.BLANK


class Column(NamedTuple):
    """A column that fills a field, and its place in a row.

    `read` takes the cell as it is. It returns the value to send, None to clear the field, or BLANK;
    a moment may be a `Written`, which needs its neighbours. Raises BadCell with the cell's content.
    """

    field: str
    place: int
    read: Reader


def columns_of(mapping: HeaderMap, rules: Rules) -> tuple[Column, ...]:
    """Return the columns of a sheet that fill fields, in the contract's order."""
    return tuple(
        Column(field, place, _reader_of(field, rules))
        for field in FIELDS
        if (place := mapping.index_of(field)) is not None
    )


def _reader_of(field: str, rules: Rules) -> Reader:
    value_of = READERS[field] or partial(read_moment, rules.order)
    # In a column of free text `="00123"` may be what somebody typed.
    formulas = value_of is not plain_text
    is_number = field in NUMBERS
    token = rules.clear.get(field)  # the text that clears the field
    if_blank = None if field in rules.blank_clears else BLANK

    def read(cell: Cell) -> object:
        if isinstance(cell, Formatted):
            cell = content_of(cell, is_number=is_number)
        if isinstance(cell, str):
            cell = cell.strip()
            if formulas and cell[:1] == "=":
                cell = text_of_formula(cell)
            if not cell:
                return if_blank
        if token is not None and text_of(cell) == token:
            return None
        try:
            return value_of(cell)
        except BadCell as problem:
            # A formula that failed is the cause of whatever else is wrong with its text.
            raise (failed_formula(cell) or problem).in_cell(cell) from None

    return Memory(read).__getitem__ if field in REPEATING else read

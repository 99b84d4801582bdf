"""The meaning of a cell, defined once for every field.

`columns_of` compiles the columns of a sheet from their fields and the rules: a reader for each.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from bulk_sync.check.cells import (
    BadCell,
    boolean,
    failed_formula,
    kind_of_event,
    mail_address,
    phone_number,
    plain_text,
    rating,
    text_of_formula,
    whole_number,
)
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.memory import Memory
from bulk_sync.check.moments import read_moment
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, INSTANTS
from bulk_sync.model.rows import Cell, text_of


class Blank(Enum):
    """The value of a blank cell: the showing keeps the value it has."""

    BLANK = "blank"


BLANK: Final = Blank.BLANK

Reader = Callable[[Cell], object]

READERS: dict[str, Reader] = {
    "attendee_name": plain_text,
    "attendee_email": mail_address,
    "attendee_phone": phone_number,
    "agent_name": plain_text,
    "feedback": plain_text,
    "rating": rating,
    "interested": boolean,
    "event_type": kind_of_event,
    "title": plain_text,
    # The contract sets no bounds; an event with a negative number of people, or with millions, is
    # a typing error.
    "attendees_count": whole_number(0, 1_000_000),
}
"""The reader of each field that takes no date or time.

It takes a cell that is trimmed and not blank, and returns a value that `ShowingPatch` allows.
"""

_FREE_TEXTS = frozenset(field for field, reader in READERS.items() if reader is plain_text)

# A memory of names or remarks would fill up in vain: nearly every one is different.
_REPEATING = frozenset({"rating", "interested", "event_type", "attendees_count"})


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
    value_of = partial(read_moment, rules.order) if field in INSTANTS else READERS[field]
    # In a column of free text `="00123"` may be what somebody typed.
    formulas = value_of is not plain_text
    token = rules.clear.get(field)
    if_blank = None if field in rules.blank_clears else BLANK

    def read(cell: Cell) -> object:
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
            raise (failed_formula(cell) or problem).about(cell) from None

    return Memory(read).__getitem__ if field in _REPEATING else read

"""The description of a field for the person who fills in its column."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Shape(StrEnum):
    """The shape of the cells of a column."""

    TEXT = "text"
    MOMENT = "a date with a time"
    CHOICE = "one of a few values"
    NUMBER = "a whole number"


class Described(Struct, frozen=True):
    """A field as people know it.

    `title` is its header, which names the field without an alias. `meaning` says what it is in
    North, `accepts` which cells are read, as sentences. `example` is a cell of the written form.
    A CHOICE has `choices`, a NUMBER `low` and `high`, both included. `width` is that of the column,
    in characters.
    """

    field: str
    title: str
    meaning: str
    accepts: str
    example: str | int
    shape: Shape = Shape.TEXT
    choices: tuple[str | int, ...] = ()
    low: int = 0
    high: int = 0
    width: int = 18

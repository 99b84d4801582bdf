"""The columns of a sheet, compiled once: a reader for each, made of its field and the rules."""

from __future__ import annotations

from enum import Enum
from functools import partial
from typing import Final, NamedTuple

from bulk_sync.check.cells import (
    ERROR_TEXTS,
    HIGHEST_RATING,
    BadCell,
    failed_formula,
    number_in,
    plain_text,
    rating_on,
    text_of_formula,
)
from bulk_sync.check.damage import NULL_WORDS, SHORTEST_CUT, look_for_damage, look_for_escapes
from bulk_sync.check.evidence import Evidence, Sign
from bulk_sync.check.formatted import content_of
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.invisible import as_seen, invisible_in, shows_nothing
from bulk_sync.check.memory import Memory
from bulk_sync.check.moments import read_moment, read_start
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import FIELDS, NAMES, NUMBERS, READERS, REPEATING, STARTS, Reader
from bulk_sync.model.rows import Cell, Cleared, Formatted, text_of


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


def columns_of(mapping: HeaderMap, rules: Rules, evidence: Evidence) -> tuple[Column, ...]:
    """Return the columns of a sheet that fill fields, in the contract's order.

    Their readers report to `evidence` what is odd.
    """
    return tuple(
        Column(field, place, _or_cleared(_reader_of(field, rules, evidence), rules))
        for field in FIELDS
        if (place := mapping.index_of(field)) is not None
    )


def kinds_of(mapping: HeaderMap, rules: Rules) -> tuple[tuple[str, int, Reader], ...]:
    """Return field, place and reader of the columns of values, without any evidence."""
    return tuple(
        (field, place, _value_of(field, rules))
        for field in FIELDS
        if READERS[field] is not plain_text
        and field != "attendee_phone"
        and (place := mapping.index_of(field)) is not None
        and place < len(mapping.columns)  # what a profile makes is next to no column
    )


def _or_cleared(read: Reader, rules: Rules) -> Reader:
    """Return a reader that takes the cells of our own files, too."""
    if not rules.own:  # a call for each cell is not for nothing
        return read
    return lambda cell: None if isinstance(cell, Cleared) else read(cell)


def _reader_of(field: str, rules: Rules, evidence: Evidence) -> Reader:
    if READERS[field] is plain_text:
        return _text_reader(field, rules, evidence)
    read = _value_reader(field, rules, evidence)
    return Memory(read).__getitem__ if field in REPEATING else read


def _text_reader(field: str, rules: Rules, evidence: Evidence) -> Reader:
    """Return the reader of free text, which is sent as it is."""
    tokens = rules.clear.get(field)  # the texts that clear the field
    is_name = field in NAMES

    def read(cell: Cell) -> object:
        if isinstance(cell, Formatted):
            cell = content_of(cell, is_number=False)
        raw, odd = cell, False
        if isinstance(cell, str):
            cell = cell.strip()
            # Tests that cost little, because they are for every cell. A text that begins with what
            # sorts below "!" is blank, or begins with a control character.
            if cell.isascii():
                if cell < "!" and shows_nothing(cell):
                    return BLANK
                odd = (
                    "&" in cell
                    or len(cell) >= SHORTEST_CUT
                    or cell in NULL_WORDS
                    or "_x00" in cell
                    or (is_name and "?" in cell)
                    or cell[0] in "'="
                    or "\\" in cell
                    or "<" in cell
                )
            elif shows_nothing(cell):
                return BLANK
            else:
                odd = True
        if tokens is not None and text_of(cell) in tokens:
            return None
        if odd:
            look_for_damage(evidence, field, str(raw), str(cell), is_name=is_name)
        elif cell.__class__ is str and cell not in ERROR_TEXTS:  # as nearly all are
            return cell
        try:
            return plain_text(cell)
        except BadCell as problem:
            raise problem.in_cell(cell) from None

    return read


def _value_reader(field: str, rules: Rules, evidence: Evidence) -> Reader:
    """Return the reader of a value, in which characters that nobody sees are left out."""
    value_of = _value_of(field, rules)
    tokens = rules.clear.get(field)
    note = _NOTES.get(field)
    is_number = field in NUMBERS

    def read(cell: Cell) -> object:
        if isinstance(cell, Formatted):
            cell = content_of(cell, is_number=is_number)
        if isinstance(cell, str):
            cell = cell.strip()
            if not cell.isascii() or cell < "!":
                cell = _without_invisible(evidence, field, cell)
            if cell[:1] == "=":
                cell = text_of_formula(cell)
            if not cell:
                return BLANK
        if tokens is not None and text_of(cell) in tokens:
            return None
        if note is not None:
            note(evidence, field, cell)
        try:
            return value_of(cell)
        except BadCell as problem:
            # A formula that failed is the cause of whatever else is wrong with its text.
            if cell in NULL_WORDS and field != "attendee_phone":
                evidence.saw(field, Sign.NULL_WORD, cell)
            raise (failed_formula(cell) or problem).in_cell(cell) from None

    return read


def _value_of(field: str, rules: Rules) -> Reader:
    if field == "rating" and rules.scale is not None:
        return rating_on(rules.scale)
    read = read_start if field in STARTS else read_moment
    return READERS[field] or partial(read, rules.order)


def _without_invisible(evidence: Evidence, field: str, text: str) -> str:
    if shows_nothing(text):
        return ""
    seen = as_seen(text)
    character = invisible_in(text)
    if character is not None and seen != text:
        evidence.saw(field, Sign.INVISIBLE, text, facts={"character": character})
    return seen


# What cells show about their column by their numbers and texts, apart from their own value.


def _note_rating(evidence: Evidence, field: str, cell: Cell) -> None:
    found = number_in(cell)
    if found is None:
        return
    number, highest = found
    if highest is not None and highest != HIGHEST_RATING:
        evidence.saw(field, Sign.BEYOND_SCALE, cell, highest)
    elif number > HIGHEST_RATING:
        evidence.saw(field, Sign.BEYOND_SCALE, cell, number)
    elif number == 0:
        evidence.saw(field, Sign.ZERO, cell)
    elif 0 < number < 1:
        evidence.saw(field, Sign.FRACTION, cell, number)


def _note_level(evidence: Evidence, field: str, cell: Cell) -> None:
    found = number_in(cell)
    if found is None:
        return
    number, highest = found
    if number in {0, 1} and highest is None:
        evidence.saw(field, Sign.ZERO_OR_ONE, cell)
    else:
        evidence.saw(field, Sign.OTHER_NUMBER, cell, highest or number)
        if highest is not None:
            evidence.saw(field, Sign.NAMED_LEVEL, cell, highest)


def _note_phone(evidence: Evidence, field: str, cell: Cell) -> None:
    if cell in NULL_WORDS:
        evidence.saw(field, Sign.NULL_WORD, cell)
    elif isinstance(cell, str) and not cell[:1].isdigit():
        look_for_escapes(evidence, field, cell)


_NOTES = {"rating": _note_rating, "interested": _note_level, "attendee_phone": _note_phone}

"""A profile's rules for making cells: values, constants, and texts of several columns. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from bulk_sync.check.invisible import as_seen
from bulk_sync.model.rows import Cell
from bulk_sync.wording import listed


class Part(Struct, frozen=True):
    """A column in a template, the text before it, and the form of its date if it has one."""

    before: str
    column: str
    form: str = ""


class Template(Struct, frozen=True):
    """A text made of columns: `{MLS}-{Date:YYYY-MM-DD}`."""

    text: str
    parts: tuple[Part, ...]
    after: str = ""


# Characters of a date's form.
_LONGEST_FORM = 60
# The parts of a date's form.
_DATE_PART = re.compile("YYYY|YY|MM|DD|HH|mm")
_PIECE = re.compile(r"\{([^{}]*)\}")


def parse_template(text: str) -> Template:
    """Return the template of a text; raises ValueError with the right form."""
    parts, end = [], 0
    for match in _PIECE.finditer(text):
        column, form = _column_and_form(match[1])
        if not column.strip():
            raise ValueError("{} names no column: write its header, such as {First Name}")
        parts.append(Part(text[end : match.start()], column.strip(), form))
        end = match.end()
    template = Template(text, tuple(parts), text[end:])
    if not parts or any("{" in one or "}" in one for one in _literals(template)):
        raise ValueError(
            f"{text!r} is not made of columns: write their headers in braces, such as "
            "{First} {Last} or {MLS}-{Date:YYYY-MM-DD}"
        )
    return template


def _literals(template: Template) -> tuple[str, ...]:
    return (*(part.before for part in template.parts), template.after)


def _column_and_form(text: str) -> tuple[str, str]:
    """Return a header, which may have colons, and the form of a date after it, which may, too."""
    for place in range(max(0, len(text) - _LONGEST_FORM - 1), len(text)):
        if text[place] == ":" and _is_date_form(text[place + 1 :]):
            return text[:place], text[place + 1 :]
    return text, ""


def _is_date_form(form: str) -> bool:
    rest = _DATE_PART.sub("", form)
    return rest != form and not any(character.isalnum() for character in rest)


def in_date_form(form: str, parts: Mapping[str, str]) -> str | None:
    """Return a date in a form such as `YYYY-MM-DD`; None when it has not all of its parts."""
    if not set(_DATE_PART.findall(form)) <= parts.keys():
        return None
    return _DATE_PART.sub(lambda match: parts[match[0]], form)


class Derivations(Struct, frozen=True):
    """The cells that a profile makes, by field.

    `values` has the text that a cell shows, in the form of `comparable`, with the text as the
    profile has it and the cell that takes its place. `constants` fill all rows, `templates` make a
    text of columns.
    """

    values: Mapping[str, Mapping[str, tuple[str, Cell]]] = {}
    constants: Mapping[str, Cell] = {}
    templates: Mapping[str, Template] = {}


def comparable(text: str) -> str:
    """Return a text as a person reads it, without regard to case."""
    return as_seen(text).casefold()


def known_values(texts: Sequence[str]) -> str:
    """Return the texts that a profile knows, as a message lists them: at most twelve."""
    return listed([*map(repr, texts)], 12)

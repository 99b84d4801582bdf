"""The cells that a profile makes, from its rules: see `check.derived`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from bulk_sync.check.cells import BadCell, plain_text, rating_on
from bulk_sync.check.moments import read_moment
from bulk_sync.check.naming import existing_field
from bulk_sync.check.rules import DateOrder
from bulk_sync.check.showing import FIELDS, ID_COLUMN, KEY_COLUMN, READERS, REPORT_COLUMN, Reader
from bulk_sync.check.templates import Derivations, Template, comparable, parse_template
from bulk_sync.errors import UsageError
from bulk_sync.model.rows import Cell
from bulk_sync.report.problems import message_of
from bulk_sync.settings.meaning import Meaning


def derivations_of(meaning: Meaning) -> Derivations | None:
    """Return the cells that a profile makes; None if it makes none.

    Raises UsageError with the profile, the key and what would be right.
    """
    if not (meaning.values or meaning.constants or meaning.templates):
        return None
    with _about(meaning):
        values = {
            _field(name, "values"): _values(name, texts, meaning)
            for name, texts in meaning.values.items()
        }
        constants = {
            _field(name, "constant"): _checked(f"fields.{name}.constant", name, value, meaning)
            for name, value in meaning.constants.items()
        }
        templates = {
            _built(name): _template(name, text) for name, text in meaning.templates.items()
        }
        if both := constants.keys() & templates.keys():
            raise UsageError(f"fields.{min(both)} has a constant and from: keep one of them")
    return Derivations(values, constants, templates)


def key_columns(meaning: Meaning) -> dict[str, str]:
    """Return the first column that the key is made of, as `--map` has it, to find the header by.

    Raises UsageError.
    """
    with _about(meaning):
        templates = [
            _template(name, text)
            for name, text in meaning.templates.items()
            if _built(name) == KEY_COLUMN
        ]
    return {template.parts[0].column: KEY_COLUMN for template in templates}


@contextmanager
def _about(meaning: Meaning) -> Iterator[None]:
    try:
        yield
    except UsageError as error:
        where = "the settings" if meaning.profile is None else f"--profile {meaning.profile}"
        raise UsageError(f"{where}: {error}") from None


def _field(name: str, rule: str) -> str:
    field = _existing(name)
    if field not in FIELDS:
        way = ' It can be made of columns: from = "{MLS}-{Date:YYYY-MM-DD}"' * (field == KEY_COLUMN)
        raise UsageError(
            f"fields.{name}.{rule}: {field} names the showing or its report, so it has no {rule}."
            f"{way}"
        )
    return field


def _existing(name: str) -> str:
    try:
        return existing_field(name)
    except UsageError as error:
        raise UsageError(f"fields.{name}: {error}") from None


def _built(name: str) -> str:
    field = _existing(name)
    texts = [KEY_COLUMN, *(one for one in FIELDS if READERS[one] is plain_text)]
    if field not in texts or field in {ID_COLUMN, REPORT_COLUMN}:
        raise UsageError(
            f"fields.{name}.from: only a text can be made of columns: {', '.join(texts)}"
        )
    return field


def _template(name: str, text: str) -> Template:
    try:
        return parse_template(text)
    except ValueError as error:
        raise UsageError(f"fields.{name}.from: {error}") from None


def _values(name: str, texts: Mapping[str, Cell], meaning: Meaning) -> dict[str, tuple[str, Cell]]:
    values: dict[str, tuple[str, Cell]] = {}
    for text, value in texts.items():
        key = f"fields.{name}.values: {text!r}"
        shown = comparable(text)
        if not shown:
            raise UsageError(f'{key} is blank. For blank cells there is blank = "clear"')
        if shown in values:
            raise UsageError(
                f"{key} and {values[shown][0]!r} are the same text: upper and lower case don't "
                "count. Keep one of them"
            )
        values[shown] = (text, _checked(key, name, value, meaning))
    return values


def _checked(key: str, name: str, value: Cell, meaning: Meaning) -> Cell:
    """Return a value that its field takes; a blank text stands for a blank cell."""
    if value == "":
        return value
    field = _existing(name)
    try:
        _reader(field, meaning)(value)
    except BadCell as problem:
        words = message_of((problem.in_cell(value).reason(field),))
        raise UsageError(f"{key}: {words}") from None
    return value


def _reader(field: str, meaning: Meaning) -> Reader:
    if field == "rating" and meaning.scale is not None:
        return rating_on(meaning.scale)
    order: DateOrder = meaning.date_order or "mdy"
    return READERS[field] or partial(read_moment, order)

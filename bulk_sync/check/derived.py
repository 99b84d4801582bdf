"""Cells that a profile makes: values as a team writes them, constants, texts of several columns.

All are made before a cell is read, so that a sheet means what it would with these cells typed by
hand. Nothing here reads a cell's meaning, apart from dates that become part of a text. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from bulk_sync.check.address import Bad, bad_key, key_text
from bulk_sync.check.cells import BadCell, excerpt
from bulk_sync.check.formatted import content_of
from bulk_sync.check.headers import Column, HeaderMap
from bulk_sync.check.invisible import as_seen, shows_nothing
from bulk_sync.check.moments import Written, read_moment, written
from bulk_sync.check.naming import column_named
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import KEY_COLUMN
from bulk_sync.check.templates import Derivations, Template, comparable, in_date_form
from bulk_sync.errors import UsageError
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import Cell, CellError, Formatted, text_of

MADE = "profile"
"""Why a column that is in no sheet fills a field."""

PART = "part"
"""Why a column that fills no field is not ignored: a text is made of it."""


def with_derived(mapping: HeaderMap, derivations: Derivations) -> HeaderMap:
    """Return a mapping with columns for the cells that are made, after those of the sheet.

    Raises UsageError when a column of the sheet fills such a field, or is missing.
    """
    made: list[Column] = []
    used: set[int] = set()
    headers = [column.header for column in mapping.columns]
    for field in (*derivations.constants, *derivations.templates):
        template = derivations.templates.get(field)
        rule = "constant" if template is None else "from"
        if mapping.index_of(field) is not None:
            header = mapping.reference(mapping.column_of(field))
            raise UsageError(
                f"the profile's fields.{field}.{rule}: column {header!r} fills {field}, too. "
                f'Ignore that column, with "{header}" = "" under [map], or leave out the rule'
            )
        for part in template.parts if template else ():
            used.add(column_named(headers, part.column, f"the profile's fields.{field}.from:"))
        name = repr(derivations.constants[field]) if template is None else template.text
        made.append(Column(len(headers) + len(made), name, field, MADE))
    columns = tuple(
        Column(one.index, one.header, None, PART)
        if one.index in used and one.why in {"unknown", "ambiguous"}
        else one
        for one in mapping.columns
    )
    return HeaderMap(columns, tuple(made))


class Deriver:
    """Makes the cells of rows."""

    def __init__(self, mapping: HeaderMap, derivations: Derivations, rules: Rules) -> None:
        # The texts that no cell showed so far, by field.
        self._left = {
            field: dict.fromkeys(text for text, _ in values.values())
            for field, values in derivations.values.items()
        }
        self._width = len(mapping.columns)
        headers = [column.header for column in mapping.columns]
        self._values = [
            (place, field, derivations.values[field])
            for field in derivations.values
            if (place := mapping.index_of(field)) is not None and place < self._width
        ]
        self._made = [
            (derivations.constants.get(field, ""), derivations.templates.get(field), field)
            for field in (*derivations.constants, *derivations.templates)
        ]
        self._places = {
            part.column: column_named(headers, part.column, "from")
            for template in derivations.templates.values()
            for part in template.parts
        }
        self._rules = rules

    def cells(self, cells: Sequence[Cell]) -> tuple[tuple[Cell, ...], Bad | None]:
        """Return the cells of a row with those that are made, and what is wrong with its key."""
        given = list(cells[: self._width])
        found: list[Cell] = list(given)
        for place, field, values in self._values:
            cell = given[place]
            if isinstance(cell, CellError):
                continue
            text = comparable(text_of(cell))
            if text in values:
                written_as, found[place] = values[text]
                self._left[field].pop(written_as, None)
        problem: Bad | None = None
        for constant, template, field in self._made:
            if template is None:
                found.append(constant)
            elif field == KEY_COLUMN:
                key, problem = self._key(given, template)
                found.append(key)
            else:
                found.append(self._text(given, template))
        return tuple(found), problem

    @property
    def unused(self) -> tuple[str, ...]:
        """The texts that no cell showed so far, as `field: text`."""
        return tuple(f"{field}: {text}" for field, texts in self._left.items() for text in texts)

    def _text(self, cells: Sequence[Cell], template: Template) -> Cell:
        """Return a text of several columns, or the first cell that can't be part of one.

        A blank cell is left out, with what separates it from the one before.
        """
        text = ""
        for part in template.parts:
            cell = cells[self._places[part.column]]
            try:
                content = content_of(cell, is_number=False) if isinstance(cell, Formatted) else cell
                shown = self._in_form(content, part.form) if part.form else text_of(content)
            except BadCell:
                return cell  # the reader of the field says what is wrong with it
            if isinstance(cell, CellError):
                return cell
            if not shows_nothing(shown):
                text += (part.before if text else "") + shown.strip()
        return template.parts[0].before + text + template.after if text else ""

    def _key(self, cells: Sequence[Cell], template: Template) -> tuple[str, Bad | None]:
        key = ""
        for part in template.parts:
            cell = cells[self._places[part.column]]
            text = key_text(cell)
            facts = {"column": part.column, "template": template.text}
            if shows_nothing(text):
                blank = Reason(Expected.KEY_PART, KEY_COLUMN, None, Remedy.FILL_IN_PART, facts)
                return "", ("missing_key", blank)
            if part.form:
                try:
                    text = self._in_form(cell, part.form)
                except BadCell:
                    reason = Reason(
                        Expected.KEY_DATE, KEY_COLUMN, excerpt(cell), Remedy.CORRECT_KEY_DATE, facts
                    )
                    return "", ("bad_key", reason)
            elif (bad := bad_key(cell, text)) is not None:
                code, reason = bad
                if reason.expected is Expected.KEY_AS_TEXT:
                    reason = replace(reason, remedy=Remedy.NAME_DATE_FORM, facts=facts)
                return "", (code, reason)
            key += part.before + text
        return key + template.after, None

    def _in_form(self, cell: Cell, form: str) -> str:
        """Return a date in a form, as the cell has it; raises BadCell.

        The offset of a time is not applied: the day is the one that a person reads.
        """
        if isinstance(cell, Formatted):
            cell = content_of(cell, is_number=False)
        if isinstance(cell, str):
            cell = as_seen(cell)
            if not cell:
                return ""
        moment = read_moment(self._rules.order, cell)
        moment = written(moment) if isinstance(moment, str) else moment
        if moment.ordered and not self._rules.order_given:
            raise BadCell(Expected.DATE_ORDER, Remedy.SET_DATE_ORDER, order=self._rules.order)
        return _formatted(moment, form)


def _formatted(moment: Written, form: str) -> str:
    parts = {}
    if moment.day is not None:
        day = moment.day
        parts = {"YYYY": f"{day:%Y}", "YY": f"{day:%y}", "MM": f"{day:%m}", "DD": f"{day:%d}"}
    if moment.time is not None:
        parts |= {"HH": f"{moment.time:%H}", "mm": f"{moment.time:%M}"}
    if (text := in_date_form(form, parts)) is None:
        raise BadCell(Expected.DATE_AND_TIME)
    return text

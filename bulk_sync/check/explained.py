"""Explain what each cell of a row was read as, and why. Pure.

A row is read once more for that, by the same readers, with findings of its own. So the explanation
costs nothing where nobody asks for it, and can't differ from what is sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bulk_sync.check.findings import RowFindings
from bulk_sync.check.headers import Column, HeaderMap, Names
from bulk_sync.check.invisible import shows_nothing
from bulk_sync.check.rows import Checker, RowRead
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import ID_COLUMN, KEY_COLUMN, REPORT_COLUMN
from bulk_sync.check.verdicts import findings_about
from bulk_sync.model.explained import CellRead, ReadAs
from bulk_sync.model.findings import ColumnFinding
from bulk_sync.model.places import cell_reference
from bulk_sync.model.problems import Reason
from bulk_sync.model.rows import Cell, CellError, Cleared, Row, text_of

_ADDRESS = frozenset({KEY_COLUMN, ID_COLUMN, REPORT_COLUMN})


class RowReader:
    """Explains rows of one sheet; `places` has the number of each column in the file, from 0."""

    def __init__(
        self, mapping: HeaderMap, rules: Rules, names: Names | None, places: Sequence[int]
    ) -> None:
        self._mapping = mapping
        self._rules = rules
        self._names = names
        self._places = places

    def explain(self, row: Row, reasons: Sequence[Reason]) -> tuple[CellRead, ...]:
        """Return the cells of a row; `reasons` are why it is not sent, if it isn't."""
        findings = RowFindings()
        read = Checker(self._mapping, self._rules, self._names, findings).read(row)
        noted = findings_about(findings.evidence, self._mapping, {}, self._rules)
        return tuple(self._cells(row, read, findings.kinds, noted, reasons))

    def _cells(
        self,
        row: Row,
        read: RowRead,
        kinds: Mapping[str, Sequence[str]],
        noted: Sequence[ColumnFinding],
        reasons: Sequence[Reason],
    ) -> Iterator[CellRead]:
        width = len(self._mapping.columns)
        for column in (*self._mapping.columns, *self._mapping.added):
            is_added = column.index >= width
            cell = read.cells[column.index]
            made = None
            if not is_added:
                given = row.cells[column.index] if column.index < len(row.cells) else ""
                made = cell if cell is not given and cell != given else None
                cell = given
            place = None if is_added else cell_reference(row.number - 1, self._place(column))
            if column.field is None:
                yield CellRead(place, column.header, cell, None, column.why, ReadAs.IGNORED)
                continue
            bad = tuple(one for one in (*reasons, *read.bad) if one.field == column.field)
            read_as, value = self._read_as(column.field, cell if made is None else made, read, bad)
            yield CellRead(
                place,
                column.header,
                cell,
                column.field,
                column.why,
                read_as,
                value,
                made,
                self._kinds(column.field, kinds, value),
                tuple(one for one in noted if one.header == column.name and not one.kind.stops),
                tuple(one for place, one in enumerate(bad) if one not in bad[:place]),
            )
        for index in range(width, len(row.cells)):
            if not _is_blank(row.cells[index]):
                reference = cell_reference(row.number - 1, index)
                yield CellRead(reference, "", row.cells[index], None, "blank", ReadAs.IGNORED)

    def _kinds(
        self, field: str, kinds: Mapping[str, Sequence[str]], value: object
    ) -> tuple[str, ...]:
        """Return what was assumed of a field, each kind once, and whether --scale converted it."""
        is_converted = field == "rating" and value is not None and self._rules.scale is not None
        return tuple(dict.fromkeys((*kinds.get(field, ()), *(["scale"] if is_converted else []))))

    def _place(self, column: Column) -> int:
        return self._places[column.index]

    def _read_as(
        self, field: str, cell: Cell, read: RowRead, bad: Sequence[Reason]
    ) -> tuple[ReadAs, Any]:
        if bad:
            return ReadAs.UNUSABLE, None
        value = read.values.get(field)
        if field in _ADDRESS:
            return (ReadAs.VALUE, value) if value else (ReadAs.BLANK, None)
        if field in read.values:
            return (ReadAs.CLEARED, None) if value is None else (ReadAs.VALUE, value)
        return (ReadAs.BLANK if _is_blank(cell) else ReadAs.UNUSABLE), None


def _is_blank(cell: Cell) -> bool:
    if isinstance(cell, Cleared | CellError):
        return False
    return shows_nothing(text_of(cell).strip())

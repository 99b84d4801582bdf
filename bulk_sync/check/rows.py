"""Turn a row into a record or a problem.

A record depends on the row and the rules only, never on the rows before it. The meaning of cells is
defined in `columns`, and in `instants` for dates and times that complete each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from bulk_sync.check.address import AddressReader, Bad
from bulk_sync.check.cells import BadCell, excerpt
from bulk_sync.check.columns import BLANK, columns_of, kinds_of
from bulk_sync.check.derived import Deriver
from bulk_sync.check.evidence import Sign
from bulk_sync.check.findings import Findings
from bulk_sync.check.headers import HeaderMap, Names
from bulk_sync.check.instants import InstantReader
from bulk_sync.check.keys import twin_of
from bulk_sync.check.patches import encoded, with_key
from bulk_sync.check.rules import Rules
from bulk_sync.check.shifted import ShiftReader
from bulk_sync.check.showing import (
    FIELDS,
    ID_COLUMN,
    INSTANTS,
    KEY_COLUMN,
    REPORT_COLUMN,
    Reader,
)
from bulk_sync.check.summaries import is_summary
from bulk_sync.check.templates import known_values
from bulk_sync.model.places import cell_reference
from bulk_sync.model.problems import Expected, Fact, Reason, Remedy
from bulk_sync.model.rows import Cell, Problem, Record, Row, text_of

_Columns = tuple[tuple[str, int, Reader], ...]


# Cells beyond the last column that a reason names.
_MOST_CELLS_NAMED = 5


class RowRead(NamedTuple):
    """The cells of a row as they are read.

    `cells` are those of the sheet, and behind them those that a profile makes. `values` are by
    field: what would be sent, None to clear it; a field that keeps its value has none, and so has
    one whose cell is `bad`. The key, the id and the report are among them ("" or None for none).
    """

    cells: tuple[Cell, ...]
    values: dict[str, object]
    bad: tuple[Reason, ...]


class Checker:
    """Makes patches of the rows of one sheet; `findings` grow on the way, from those given on."""

    def __init__(
        self,
        mapping: HeaderMap,
        rules: Rules,
        names: Names | None = None,
        findings: Findings | None = None,
    ) -> None:
        self.findings = findings or Findings()
        self._names = names or Names()
        self._width = len(mapping.columns)
        self._grid = rules.grid
        self._headers = tuple(column.header for column in mapping.columns)
        self._address = AddressReader(mapping, self.findings.keys)
        made = rules.derivations
        # None for most sheets, so that these cost nothing.
        self._deriver = None if made is None else Deriver(mapping, made, rules)
        values = made.values if made else {}
        self._known = {
            field: known_values([text for text, _ in texts.values()])
            for field, texts in values.items()
        }
        columns = columns_of(mapping, rules, self.findings.evidence)
        # Plain tuples: for each cell, Python 3.11 takes them apart twice as fast as named ones.
        self._columns = tuple((column.field, column.place, column.read) for column in columns)
        self._blank_clears = rules.blank_clears
        self._dates = tuple(column for column in self._columns if column[0] in INSTANTS)
        self._instants = InstantReader(columns, rules, self.findings)
        self._shifts = ShiftReader(kinds_of(mapping, rules))

    def check(self, row: Row) -> Record | Problem:
        """Make a patch of a row, or say why it can't be one."""
        cells = row.cells
        self.findings.evidence.row = row.number
        if len(cells) < self._width:
            cells = (*cells, *("",) * (self._width - len(cells)))
        fits, unmade = len(cells) == self._width, None
        if self._deriver is not None:
            cells, unmade = self._deriver.cells(cells)
        key, uuid = self._address.read(cells)
        bad: list[Reason] = []
        fault = self._fault(row, key) or unmade or self._address.problem(cells, key, uuid)
        if fault is not None:
            if row.fault is None and fits:
                # Its dates are evidence of their order; numbers may be sums and averages.
                self._values(row.number, cells, bad, self._dates)
            code, reason = fault
            # A key that can't be seen in full may be that of another row.
            is_twin = reason.expected is Expected.VISIBLE_KEY and not uuid
            return Problem(row, "", code, (reason,), key, twin_of(key) if is_twin else None)
        target, twin = uuid or key, None if uuid else twin_of(key)
        values = self._values(row.number, cells, bad, self._columns)
        names = tuple(values)
        report = self._address.report(cells)
        if isinstance(report, Reason):
            bad.append(report)
            report = None
        self.findings.count_row(names, values, key, uuid, report)
        if bad:
            reasons = tuple(sorted(bad, key=_contract_order))
            if (shifted := self._shifts.reason(cells, reasons)) is not None:
                reasons = (shifted, *reasons)
            return Problem(row, target, "bad_value", reasons, key, twin)
        if not values:
            blank = Reason(Expected.CHANGE, remedy=Remedy.FILL_IN)
            return Problem(row, target, "nothing_to_send", (blank,), key, twin)
        if uuid and key:
            values = with_key(values, key)
            names = tuple(values)
        body, digest = encoded(values)
        by_blank = self._cleared_by_blank(values, cells) if self._blank_clears else ()
        return Record(row, target, body, digest, names, key, report, twin, by_blank)

    def _cleared_by_blank(
        self, values: dict[str, object], cells: Sequence[Cell]
    ) -> tuple[str, ...]:
        """Return the fields that a row clears by a blank cell, not by a text."""
        return tuple(
            field
            for field, place, read in self._columns
            if field in self._blank_clears and field in values and read(cells[place]) is BLANK
        )

    def meaning_of(self, row: Row) -> dict[str, object]:
        """Return what the columns of a row say, by their fields; None where that is unusable."""
        read = self.read(row)
        return {**read.values, **dict.fromkeys(reason.field for reason in read.bad)}

    def read(self, row: Row) -> RowRead:
        """Read the cells of a row, whether or not it can be a patch."""
        cells = (*row.cells, *("",) * (self._width - len(row.cells)))
        if self._deriver is not None:
            cells, _ = self._deriver.cells(cells)
        key, uuid = self._address.read(cells)
        report = self._address.report(cells)
        bad: list[Reason] = []
        self.findings.evidence.row = row.number
        values = self._values(row.number, cells, bad, self._columns)
        address = {KEY_COLUMN: key, ID_COLUMN: uuid, REPORT_COLUMN: report}
        return RowRead(cells, {**values, **address}, tuple(bad))

    def _values(
        self, row: int, cells: Sequence[Cell], bad: list[Reason], columns: _Columns
    ) -> dict[str, object]:
        """Return the values of a row in the contract's order; bad cells go to `bad`."""
        values: dict[str, object] = {}
        for field, place, read in columns:
            try:
                value = read(cells[place])
            except BadCell as problem:
                bad.append(self._reason(problem, field))
            else:
                if value is not BLANK:
                    values[field] = value
                elif field in self._blank_clears:
                    values[field] = None
        if self._dates:
            self._instants.complete(row, cells, values, bad)
        return values

    def _reason(self, problem: BadCell, field: str) -> Reason:
        reason = problem.reason(field)
        known = self._known.get(field)
        return reason if known is None else replace(reason, facts={**reason.facts, "known": known})

    @property
    def unused_values(self) -> tuple[str, ...]:
        """The values of the profile that no cell showed so far, as `field: text`."""
        return () if self._deriver is None else self._deriver.unused

    def _fault(self, row: Row, key: str) -> Bad | None:
        """Return what is wrong with the row as such."""
        if row.fault is not None:
            return "bad_value", row.fault
        cells = row.cells
        if len(cells) > self._width and (beyond := _beyond(cells, self._width)):
            return "bad_value", self._without_column(row, beyond)
        # The first cell is compared first, because this runs for every row.
        if cells[0] == self._headers[0] and self._is_header(cells):
            return "bad_key", Reason(Expected.NO_SECOND_HEADER, remedy=Remedy.LEAVE_OUT)
        if key and not key[-1].isdigit():
            if self._names_columns(key, cells):
                self.findings.evidence.saw("", Sign.OTHER_HEADER, key)
                return "bad_key", Reason(Expected.ONE_TABLE, remedy=Remedy.SPLIT_TABLES)
            if is_summary(key):
                return _no_summary(key)
        # Below a column of keys programs write their number.
        elif key.isdigit() and isinstance(cells[0], str) and is_summary(cells[0].strip()):
            return _no_summary(key)
        return None

    def _without_column(self, row: Row, places: Sequence[int]) -> Reason:
        first = excerpt(row.cells[places[0]])
        if not self._grid:
            counts = {"cells": len(row.cells), "columns": self._width}
            return Reason(Expected.CELLS_IN_COLUMNS, "", first, Remedy.QUOTE_SEPARATOR, counts)
        named = [cell_reference(row.number - 1, place) for place in places[:_MOST_CELLS_NAMED]]
        texts = [excerpt(row.cells[place]) for place in places[:_MOST_CELLS_NAMED]]
        facts: dict[str, Fact] = {"places": named, "texts": texts, "more": len(places) - len(named)}
        return Reason(Expected.CELLS_BELOW_HEADERS, "", first, Remedy.ADD_HEADER, facts)

    def _names_columns(self, key: str, cells: tuple[Cell, ...]) -> bool:
        """Return True for a header row that names columns in another order than the sheet's.

        The rows below it would fill the wrong fields.
        """
        if self._names.field_of(key) is None:
            return False
        named = {
            self._names.field_of(cell)
            for cell in cells
            if isinstance(cell, str) and cell and len(cell) < 60
        }
        return len(named - {None}) > 1 and not named.isdisjoint({KEY_COLUMN, ID_COLUMN})

    def _is_header(self, cells: tuple[Cell, ...]) -> bool:
        return all(
            text_of(cell).strip() == header
            for cell, header in zip(cells, self._headers, strict=False)
        )


def _no_summary(key: str) -> Bad:
    reason = Reason(Expected.NO_SUMMARY, KEY_COLUMN, excerpt(key), Remedy.LEAVE_OUT)
    return "bad_key", reason


_PLACE = {field: place for place, field in enumerate((*FIELDS, REPORT_COLUMN))}


def _contract_order(reason: Reason) -> int:
    return _PLACE[reason.field]


def _beyond(cells: tuple[Cell, ...], width: int) -> list[int]:
    """Return the places of the cells beyond the last column that are not blank."""
    return [
        place
        for place, cell in enumerate(cells[width:], start=width)
        if not isinstance(cell, str) or cell.strip()
    ]

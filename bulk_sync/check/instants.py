"""The dates and times of one row, which complete each other: a bare time has its day from the date
beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, tzinfo

from bulk_sync.check.cells import BadCell, refuse_error, shown
from bulk_sync.check.findings import Findings
from bulk_sync.check.moments import EXPECTED, Written, exact, resolve, written
from bulk_sync.check.rules import Rules
from bulk_sync.model.rows import Cell, text_of

ORDERS = {"mdy": "month, day, year", "dmy": "day, month, year", "ymd": "year, month, day"}
"""The orders of `--date-order` in words."""

BadCells = list[tuple[str, Cell, BadCell]]
"""Field, cell and what is wrong, of cells that can't be used."""

_DAYS = ("showing_date", "scheduled_date", "showing_time_start")


class InstantReader:
    """Reads the instants of rows; what it assumes goes to `findings`. `headers` are by field."""

    def __init__(self, rules: Rules, headers: dict[str, str], findings: Findings) -> None:
        self._rules = rules
        self._headers = headers
        self._findings = findings

    def read(
        self, row: int, cells: Sequence[tuple[str, Cell]], bad: BadCells
    ) -> dict[str, datetime]:
        """The instants by field; `cells` are trimmed and not blank. What can't be used goes to
        `bad`.
        """
        instants: dict[str, datetime] = {}
        for field, cell in cells:
            instant = exact(cell) if isinstance(cell, str) else None
            if instant is None:
                instants = self._read_slowly(row, cells, bad)
                break
            instants[field] = instant
        if len(instants) > 1:
            _check_order(instants, dict(cells), bad)
        return instants

    def _read_slowly(
        self, row: int, cells: Sequence[tuple[str, Cell]], bad: BadCells
    ) -> dict[str, datetime]:
        found: dict[str, Written] = {}
        for field, cell in cells:
            try:
                found[field] = self._written(row, field, cell)
            except BadCell as problem:
                bad.append((field, cell, problem))
        if bad:
            return {}  # what hangs on a cell that can't be read says nothing new
        instants = {}
        for field, cell in cells:
            try:
                instants[field] = resolve(
                    self._completed(row, field, cell, found), self._rules.timezone
                )
            except BadCell as problem:
                bad.append((field, cell, problem))
            except OverflowError:
                bad.append((field, cell, BadCell("a date in our age")))
        return instants

    def _written(self, row: int, field: str, cell: Cell) -> Written:
        refuse_error(cell)
        rules, text = self._rules, text_of(cell)
        moment = written(cell, rules.order)
        if moment.against and not rules.order_told:
            self._findings.speaks_against_order(self._headers[field], row, text)
        if moment.against and moment.day is None:
            raise BadCell(f"a date in the order {ORDERS[rules.order]} (--date-order)")
        if moment.ordered:
            self._findings.assume("order", row, text)
        if moment.early:
            self._findings.assume("early", row, text)
        return moment

    def _completed(self, row: int, field: str, cell: Cell, found: dict[str, Written]) -> Written:
        """A moment with what its neighbours say: the day of a bare time, the time of a bare date."""
        moment, text = found[field], text_of(cell)
        if moment.day is None:
            self._findings.assume("day", row, text)
            moment = moment._replace(day=self._day_beside(field, moment.zone, found))
        if moment.time is None:
            start = _start_beside(field, moment, found)
            if start is not None:
                self._findings.assume("time", row, text)
                moment = moment._replace(time=start.time, zone=moment.zone or start.zone)
            else:
                moment = moment._replace(time=self._default_time(row, text))
        if moment.zone is None:
            self._findings.assume("timezone", row, text)
        return moment

    def _day_beside(self, field: str, zone: tzinfo | None, found: dict[str, Written]) -> date:
        """The day of a bare time; a neighbour in another zone may have another day there."""
        for other in _DAYS:
            if other == field or other not in found or found[other].day is None:
                continue
            beside = found[other]
            here = zone or self._rules.timezone
            if beside.zone is not None and beside.time is not None and here is not None:
                return resolve(beside, here).astimezone(here).date()
            if beside.day is not None:
                return beside.day
        raise BadCell(f"{EXPECTED}; it has no date, and there is none in the row's showing_date")

    def _default_time(self, row: int, text: str) -> time:
        if self._rules.default_time is None:
            raise BadCell(f"{EXPECTED}; it has no time (--default-time 09:00 would give it one)")
        self._findings.assume("default_time", row, text)
        return self._rules.default_time


def _start_beside(field: str, moment: Written, found: dict[str, Written]) -> Written | None:
    """The start, when it tells the time of a showing_date that has none."""
    start = found.get("showing_time_start") if field == "showing_date" else None
    return (
        start
        if start is not None and start.time is not None and start.day in {None, moment.day}
        else None
    )


def _check_order(instants: dict[str, datetime], cells: dict[str, Cell], bad: BadCells) -> None:
    start, end = instants.get("showing_time_start"), instants.get("showing_time_end")
    if start is not None and end is not None and end < start:
        late = BadCell(f"at or after showing_time_start, {shown(cells['showing_time_start'])}")
        bad.append(("showing_time_end", cells["showing_time_end"], late))

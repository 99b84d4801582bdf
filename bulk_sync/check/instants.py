"""Complete the dates and times of one row from each other.

A bare time takes its day from the date in its row, a bare showing_date its time from the start.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta, tzinfo

from bulk_sync.check.abbreviations import contradiction
from bulk_sync.check.ages import ACCESS_ZERO
from bulk_sync.check.cells import BadCell, excerpt, text_of_formula
from bulk_sync.check.columns import Column
from bulk_sync.check.evidence import Evidence, Sign
from bulk_sync.check.findings import Findings
from bulk_sync.check.moments import Written, instant_of, resolve, written
from bulk_sync.check.patches import is_before
from bulk_sync.check.rules import Rules
from bulk_sync.check.showing import INSTANTS
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import Cell, text_of

Moment = str | Written
"""An instant as it is sent, or what a cell says of one."""

MONTHS = 12
_DAY = timedelta(days=1)

# A date that may begin with its year: 26-03-14.
_SHORT_YEAR = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.]\d\d", re.ASCII)
_FIRST_NUMBER = re.compile(r"\d{1,2}", re.ASCII)

# Where a bare time looks for its day, in this order.
_DAYS = ("showing_date", "scheduled_date", "showing_time_start")


class InstantReader:
    """Completes the instants of rows; what it assumes goes to `findings`."""

    def __init__(self, columns: Sequence[Column], rules: Rules, findings: Findings) -> None:
        self._columns = [column for column in columns if column.field in INSTANTS]
        self._fields = tuple(column.field for column in self._columns)
        # Plain tuples, as in `rows`.
        self._places = tuple((column.field, column.place) for column in self._columns)
        self._has_span = {"showing_time_start", "showing_time_end"} <= {*self._fields}
        self._has_day = {"showing_date", "showing_time_start"} <= {*self._fields}
        self._rules = rules
        self._findings = findings
        self._evidence = findings.evidence

    def complete(
        self, row: int, cells: Sequence[Cell], values: dict[str, object], bad: list[Reason]
    ) -> None:
        """Turn what cells say of moments into instants as they are sent.

        Cells that can't be used go to `bad`, and their values are removed.
        """
        # Most sheets have instants in ISO 8601 only, which are complete.
        for field in self._fields:
            if isinstance(values.get(field), Written):
                self._complete(row, cells, values, bad)
                break
        if self._has_day:
            self._compare_days(cells, values)
        if not self._has_span:
            return
        start, end = values.get("showing_time_start"), values.get("showing_time_end")
        if isinstance(start, str) and isinstance(end, str) and is_before(end, start):
            contents = {column.field: _content(cells[column.place]) for column in self._columns}
            late = BadCell(Expected.END_AFTER_START, start=excerpt(contents["showing_time_start"]))
            bad.append(late.in_cell(contents["showing_time_end"]).reason("showing_time_end"))

    def _compare_days(self, cells: Sequence[Cell], values: Mapping[str, object]) -> None:
        """Report a start that is a day or more from showing_date."""
        day, start = values.get("showing_date"), values.get("showing_time_start")
        # Most are on one day as they are written, whatever their offsets.
        if not isinstance(day, str) or not isinstance(start, str) or day[:10] == start[:10]:
            return
        if abs(datetime.fromisoformat(day) - datetime.fromisoformat(start)) >= _DAY:
            place = next(each.place for each in self._columns if each.field == "showing_time_start")
            self._evidence.saw(
                "showing_time_start", Sign.OTHER_DAY, _content(cells[place]), facts={"day": day}
            )

    def _complete(
        self, row: int, cells: Sequence[Cell], values: dict[str, object], bad: list[Reason]
    ) -> None:
        moments: dict[str, Moment] = {}
        incomplete: list[tuple[str, Cell, Written]] = []
        for field, place in self._places:
            moment = values.get(field)
            if isinstance(moment, str):
                moments[field] = moment
            elif isinstance(moment, Written):
                cell = _content(cells[place])
                if moment.day == ACCESS_ZERO:
                    moment = self._without_zero(row, field, cell, moment)
                moments[field] = moment
                incomplete.append((field, cell, moment))
                _note_form(self._evidence, field, cell, moment)
                if moment.span:
                    self._findings.assume("span", row, text_of(cell), field)
                if moment.against or moment.ordered or moment.early:
                    self._record_assumptions(row, field, cell, moment, bad)
        # A moment that depends on one that can't be read would only repeat its problem.
        usable = not bad or not any(reason.field in INSTANTS for reason in bad)
        for field, cell, moment in incomplete:
            instant = self._instant(row, field, cell, moment, moments, bad) if usable else None
            if instant is None:
                del values[field]
            else:
                values[field] = instant

    def _without_zero(self, row: int, field: str, cell: Cell, moment: Written) -> Written:
        """Return a time of Access without the day that it writes for none, which it has."""
        if not moment.time or moment.time == time(0):
            return moment
        self._findings.assume("access", row, cell, field)
        return moment._replace(day=None)

    def _record_assumptions(
        self, row: int, field: str, cell: Cell, moment: Written, bad: list[Reason]
    ) -> None:
        """Count what was assumed to read a cell; refuse a date of another order."""
        if moment.against and not self._rules.order_given:
            short = _SHORT_YEAR.fullmatch(text_of(cell).partition(" ")[0]) is not None
            self._evidence.saw(field, Sign.AGAINST_ORDER, cell, facts={"short_year": int(short)})
        if moment.against and moment.day is None:
            order = BadCell(Expected.DATE_ORDER, Remedy.SET_DATE_ORDER, order=self._rules.order)
            bad.append(order.in_cell(cell).reason(field))
            return
        if moment.ordered:
            self._findings.assume("order", row, cell, field)
        if moment.early:
            self._findings.assume("early", row, cell, field)

    def _instant(
        self,
        row: int,
        field: str,
        cell: Cell,
        moment: Written,
        moments: Mapping[str, Moment],
        bad: list[Reason],
    ) -> str | None:
        """Return an instant as it is sent, completed by its neighbours; None when it is bad."""
        try:
            if moment.day is None or moment.time is None:
                moment = self._completed(row, field, cell, moments)
            if moment.zone is None:
                self._findings.assume("timezone", row, cell, field)
            instant = instant_of(moment, self._rules.timezone)
        except BadCell as problem:
            bad.append(problem.in_cell(cell).reason(field))
            return None
        if moment.zone is not None and moment.day is not None and moment.time is not None:
            at = datetime.combine(moment.day, moment.time, moment.zone)
            if facts := contradiction(at, self._rules.timezone):
                self._evidence.saw(field, Sign.ZONE, cell, facts=facts)
        return instant

    def _completed(
        self, row: int, field: str, cell: Cell, moments: Mapping[str, Moment]
    ) -> Written:
        """Take the day of a bare time, or the time of a bare date, from the row."""
        moment = _written(moments[field])
        if moment.day is None:
            self._findings.assume("day", row, cell, field)
            moment = moment._replace(day=self._day_of_row(field, moment.zone, moments))
        if moment.time is None:
            start = _start_of_row(field, moment, moments)
            if start is not None:
                self._findings.assume("time", row, cell, field)
                return moment._replace(time=start.time, zone=moment.zone or start.zone)
            return moment._replace(time=self._default_time(row, field, cell))
        return moment

    def _day_of_row(self, field: str, zone: tzinfo | None, moments: Mapping[str, Moment]) -> date:
        """Return the day for a bare time."""
        for other in _DAYS:
            if other == field or other not in moments:
                continue
            neighbour = _written(moments[other])
            here = zone or self._rules.timezone
            if neighbour.day is None:
                continue
            # In its own zone a neighbour may have another day than here.
            if neighbour.zone is not None and neighbour.time is not None and here is not None:
                return resolve(neighbour, here).astimezone(here).date()
            return neighbour.day
        raise BadCell(Expected.DATE_AND_TIME, Remedy.ADD_DATE)

    def _default_time(self, row: int, field: str, cell: Cell) -> time:
        if self._rules.default_time is None:
            raise BadCell(Expected.DATE_AND_TIME, Remedy.ADD_TIME)
        self._findings.assume("default_time", row, cell, field)
        return self._rules.default_time


def _start_of_row(field: str, moment: Written, moments: Mapping[str, Moment]) -> Written | None:
    """Return the start when it has the time for a showing_date without one."""
    if field != "showing_date" or "showing_time_start" not in moments:
        return None
    start = _written(moments["showing_time_start"])
    return start if start.time is not None and start.day in {None, moment.day} else None


def _note_form(evidence: Evidence, field: str, cell: Cell, moment: Written) -> None:
    """Report the form of a date: whether a program converted it, and could swap its parts."""
    if moment.numeric:
        if moment.ordered:
            evidence.saw(field, Sign.SWAPPABLE_TEXT, cell)
        elif moment.day is None or moment.day.day != moment.day.month:
            first = _FIRST_NUMBER.search(text_of(cell))
            evidence.saw(field, Sign.UNSWAPPABLE_TEXT, cell, float(first[0]) if first else 0.0)
    elif moment.day is None:
        return
    elif not isinstance(cell, str):
        early = moment.day.day <= MONTHS
        evidence.saw(field, Sign.EARLY_DAY if early else Sign.LATE_DAY, cell)
    # Spreadsheet programs write no T, so a date with one was never converted.
    elif cell[4:5] == "-" and cell[10:11] not in {"T", "t"} and moment.zone is None:
        early = moment.day.day <= MONTHS
        evidence.saw(field, Sign.EARLY_ISO_DAY if early else Sign.LATE_ISO_DAY, cell)


def _written(moment: Moment) -> Written:
    return written(moment) if isinstance(moment, str) else moment


def _content(cell: Cell) -> Cell:
    return text_of_formula(cell.strip()) if isinstance(cell, str) else cell

"""The rows of our own files: read as they were written, and refused until somebody changes them.

Invariants, for a row with a mark, whatever the settings of the run are:

1. A row that was refused and has all its cells as they were written is refused again, for the same
   reasons. One that is refused because of its twins is left to the decision about these, which is
   the same as long as they are all in the file.
2. In a row that was edited, a cell that was refused stays refused until it changes itself, or one
   that is read together with it.
3. A cell that nobody changed has the type and value that it was written with.
4. A cell that a spreadsheet program may have converted counts as unchanged. If its row would mean
   something else with the cell as it is now, the row is refused, because only a person knows:
   the reason says how to go on, and the cell stays as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto

from msgspec import Struct

from bulk_sync.check.cells import excerpt
from bulk_sync.check.conversions import may_be_converted
from bulk_sync.check.headers import HeaderMap
from bulk_sync.check.rows import Checker
from bulk_sync.check.showing import INSTANTS
from bulk_sync.model.inert import exact
from bulk_sync.model.own import DamagedMark, LongText, Mark, Original, digest_of_text, read_mark
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import Cell, Problem, Record, Row, text_of

# Reasons that other rows of the file decide; see `plan`.
_ABOUT_TWINS = frozenset(
    {
        Expected.ONE_ROW_A_SHOWING,
        Expected.ONE_SPELLING_A_KEY,
        Expected.ONE_ID_A_KEY,
        Expected.ONE_ROW_BY_KEY_OR_ID,
        Expected.USABLE_TWIN,
    }
)

# The names of facts: some of the rows that a reason is about are in no file of failed rows.
ELSEWHERE = ("files", "left_out")


class Places(Struct, frozen=True):
    """The places of the cells of one of our files.

    `mark` is the place of the marks. `kept` are the places of the columns that are the sheet's own,
    and `written` the numbers that these columns had when the file was written; None for a column
    that was added since. `columns` counts those that were written. `escaped` is as in
    `model.own.Source`.
    """

    mark: int
    width: int
    kept: tuple[int, ...]
    written: tuple[int | None, ...]
    columns: int
    escaped: bool = False


class _Change(Enum):
    NONE = auto()
    CONVERTED = auto()
    EDITED = auto()


class OwnRows:
    """Checks the rows of one of our files.

    `trial` reads a row a second time, as it is now; its findings don't count.
    """

    def __init__(
        self, places: Places, mapping: HeaderMap, checker: Checker, trial: Checker
    ) -> None:
        self._places = places
        self._checker = checker
        self._trial = trial
        self._at = {column.field: column.index for column in mapping.columns if column.field}

    def check(self, row: Row) -> Record | Problem:
        """Make a patch of a row, or say why it can't be one."""
        places = self._places
        cells = (*row.cells, *("",) * (places.width - len(row.cells)))
        own = tuple(cells[place] for place in places.kept)
        beyond = _without_blank_end(cells[places.width :])
        text = text_of(cells[places.mark]).strip()
        try:
            mark = read_mark(text) if text else None
        except DamagedMark:
            mark = None
        if places.escaped:
            own, beyond = self._unescaped(own, mark), _unescaped(beyond)
        literal = Row(row.number, (*own, *beyond), row.fault)
        if not text:  # the user's own row
            return self._checker.check(literal)
        if mark is None:
            found = self._checker.check(literal)
            reason = Reason(Expected.OWN_MARK, "", excerpt(text), Remedy.BLANK_MARK)
            return Problem(literal, found.target, "bad_value", (reason,), found.key, found.twin)
        return self._as_written(literal, beyond, mark)

    def _unescaped(self, cells: Sequence[Cell], mark: Mark | None) -> tuple[Cell, ...]:
        """Return cells without the apostrophes before what looks like a formula."""
        plain = _unescaped(cells)
        if mark is None:
            return plain
        # A spreadsheet program drops the apostrophe of a cell that is entered again.
        was = (*mark.cells, *("",) * (self._places.columns - len(mark.cells)))
        return tuple(
            raw if number is not None and _change(was[number], raw) is _Change.NONE else cell
            for raw, cell, number in zip(cells, plain, self._places.written, strict=True)
        )

    def _as_written(self, literal: Row, beyond: Sequence[Cell], mark: Mark) -> Record | Problem:
        columns = self._places.columns
        was = (*mark.cells, *("",) * (columns - len(mark.cells)))
        cells: list[Cell] = []
        changes: list[_Change] = []
        wanted = self._wanted(mark)
        for place, (cell, number) in enumerate(
            zip(literal.cells, self._places.written, strict=False)
        ):
            original: Original = "" if number is None else was[number]
            change = _change(original, cell)
            # A person entered it as an earlier refusal asked for.
            if change is _Change.CONVERTED and text_of(cell).strip() == wanted.get(place):
                change = _Change.EDITED
            changes.append(change)
            cells.append(_restored(original, cell, change))
        left_out = set(range(columns)) - set(self._places.written)
        edited = (
            _Change.EDITED in changes
            or any(not _is_blank(was[number]) for number in left_out)
            or not _same_cells(was[columns:], beyond)
        )
        # What looked like two rows in one cell is as we wrote it.
        fault = literal.fault if edited else None
        restored = Row(literal.number, (*cells, *beyond), fault)
        found = self._checker.check(restored)
        if not edited:
            found = _refused_again(found, mark)
        else:
            found = self._with_unchanged(found, mark, changes, cells)
        if _Change.CONVERTED in changes:
            return self._or_converted(found, literal, restored, changes)
        return found

    def _wanted(self, mark: Mark) -> dict[int, str]:
        """Return the texts that are asked for in place of converted cells, by their places."""
        return {
            self._at[reason.field]: str(reason.facts["was"])
            for reason in mark.why
            if reason.expected is Expected.AS_WRITTEN and reason.field in self._at
        }

    def _with_unchanged(
        self,
        found: Record | Problem,
        mark: Mark,
        changes: Sequence[_Change],
        cells: Sequence[Cell],
    ) -> Record | Problem:
        """Add the reasons about cells of an edited row that are as they were."""
        known = found.reasons if isinstance(found, Problem) else ()
        fields = {reason.field for reason in known}
        kept = tuple(
            reason
            for reason in mark.why
            if reason.field not in fields and self._is_kept(reason, changes, cells)
        )
        if not kept:
            return found
        code = found.code if isinstance(found, Problem) else mark.code or "bad_value"
        return Problem(found.row, found.target, code, (*known, *kept), found.key, found.twin)

    def _is_kept(self, reason: Reason, changes: Sequence[_Change], cells: Sequence[Cell]) -> bool:
        if reason.expected is Expected.SINGLE_ROW:
            return any(
                change is not _Change.EDITED and isinstance(cell, str) and "\n" in cell
                for change, cell in zip(changes, cells, strict=True)
            )
        place = self._at.get(reason.field)
        if place is None or place >= len(changes):
            return False
        places = [self._at[field] for field in _read_with(reason.field) if field in self._at]
        return all(changes[one] is not _Change.EDITED for one in places if one < len(changes))

    def _or_converted(
        self, found: Record | Problem, literal: Row, restored: Row, changes: Sequence[_Change]
    ) -> Record | Problem:
        """Return what was found, or refuse the row if it means something else as it is now."""
        now = self._trial.check(literal)
        if isinstance(found, Record) and isinstance(now, Record) and _means(found) == _means(now):
            return found
        converted = self._converted(changes)
        places = self._doubtful(converted, literal, restored)
        if isinstance(found, Record):  # perhaps a type that no field takes
            places = places or converted
        known = found.reasons if isinstance(found, Problem) else ()
        # An earlier refusal names the cell as it was at first.
        named = {one.field for one in known if one.expected is Expected.AS_WRITTEN}
        reasons = tuple(
            Reason(
                Expected.AS_WRITTEN,
                field,
                excerpt(literal.cells[place]),
                Remedy.RESTORE_CELL,
                {"was": excerpt(restored.cells[place])},
            )
            for place, field in places.items()
            if field not in named
        )
        if isinstance(found, Problem) and not reasons:
            return found
        code = found.code if isinstance(found, Problem) else "bad_value"
        cells = tuple(
            literal.cells[place] if places.get(place, "") not in {"", *named} else cell
            for place, cell in enumerate(restored.cells)
        )
        row = Row(restored.number, cells, restored.fault)
        return Problem(row, found.target, code, (*known, *reasons), found.key, found.twin)

    def _converted(self, changes: Sequence[_Change]) -> dict[int, str]:
        """Return the places and fields of converted cells."""
        return {
            place: field
            for field, place in self._at.items()
            if place < len(changes) and changes[place] is _Change.CONVERTED
        }

    def _doubtful(
        self, converted: Mapping[int, str], literal: Row, restored: Row
    ) -> dict[int, str]:
        """Return the converted cells that say something else now."""
        now, before = self._trial.meaning_of(literal), self._trial.meaning_of(restored)
        other = {
            one
            for field in now.keys() | before.keys()
            if now.get(field) != before.get(field)
            for one in _read_with(field)
        }
        return {place: field for place, field in converted.items() if field in other}


def _read_with(field: str) -> tuple[str, ...]:
    """Return the fields that are read together: dates and times of a row complete each other."""
    return INSTANTS if field in INSTANTS else (field,)


def _refused_again(found: Record | Problem, mark: Mark) -> Record | Problem:
    """Return the refusal of a row that nobody changed; a row that was not refused as it is."""
    why = tuple(reason for reason in mark.why if not _is_about_twins(reason))
    if mark.code is None or not why:
        return found
    return Problem(found.row, found.target, mark.code, why, found.key, found.twin)


def _is_about_twins(reason: Reason) -> bool:
    return reason.expected in _ABOUT_TWINS and not any(name in reason.facts for name in ELSEWHERE)


def _means(record: Record) -> tuple[object, ...]:
    return record.target, record.key, record.digest, record.report_id


def _change(original: Original, now: Cell) -> _Change:
    if isinstance(original, LongText):
        same = isinstance(now, str) and digest_of_text(now) == original.digest
        return _Change.NONE if same else _Change.EDITED
    if original == now and type(original) is type(now):
        return _Change.NONE
    if isinstance(now, str) and _plain(now) == _plain(text_of(original)):
        return _Change.NONE
    return _Change.CONVERTED if may_be_converted(original, now) else _Change.EDITED


def _restored(original: Original, now: Cell, change: _Change) -> Cell:
    if change is _Change.EDITED or isinstance(original, LongText):
        return now
    # A text is taken as it is now, so that what ends its lines is what the file has.
    if change is _Change.NONE and isinstance(original, str):
        return now
    return original


def _plain(text: str) -> str:
    return "\n".join(text.strip().splitlines())


def _unescaped(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    return tuple(exact(cell) if isinstance(cell, str) else cell for cell in cells)


def _same_cells(was: Sequence[Original], now: Sequence[Cell]) -> bool:
    return len(was) == len(now) and all(
        _change(original, cell) is not _Change.EDITED
        for original, cell in zip(was, now, strict=True)
    )


def _is_blank(cell: Original) -> bool:
    return isinstance(cell, str) and not cell.strip()


def _without_blank_end(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    kept = list(cells)
    while kept and isinstance(kept[-1], str) and not kept[-1].strip():
        kept.pop()
    return tuple(kept)

"""The findings in a sheet, worded by `report`, and the reasons to refuse it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from bulk_sync.check.cells import converted
from bulk_sync.check.naming import header_list, map_option
from bulk_sync.check.showing import FIELDS
from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import ColumnSeen, ProblemGroup
from bulk_sync.quantities import Share
from bulk_sync.report.causes import problems_of
from bulk_sync.report.columns import column_notes, comparison_notes, refusal_text
from bulk_sync.report.findings import (
    Assumed,
    RulesUsed,
    assumption_lines,
    sheet_notes,
    unused_values,
)
from bulk_sync.report.problems import ORDERS
from bulk_sync.run.sheet import Sheet
from bulk_sync.wording import counted


class Role(Enum):
    """The role of a sheet: sent, only compared, or what it is compared with (an export)."""

    SENT = "sent"
    COMPARED = "compared"
    OTHER = "other"


def notes_on(sheet: Sheet, *, role: Role = Role.SENT) -> tuple[str, ...]:
    """Return notes that a person should read before the sheet is sent, or compared."""
    understood, mapping = sheet.table.understood, sheet.mapping
    hidden = [
        (sheet.number_of(column), mapping.reference(column))
        for column in mapping.columns
        if column.field is not None and sheet.number_of(column) in understood.hidden_columns
    ]
    ambiguous = [
        map_option(mapping.reference(column), column.may_be) for column in mapping.ambiguous
    ]
    suffix = sheet.reading.input.suffix
    notes = sheet_notes(understood, suffix, mapping.ignored, hidden, ambiguous)
    about = sheet.about_columns()
    notes = (*sheet.notes, *notes, *unused_values(sheet.unused_values))
    return (*notes, *(() if role is Role.SENT else comparison_notes(about)), *column_notes(about))


def warnings_on(sheet: Sheet) -> tuple[str, ...]:
    """Return the notes about damaged values, to be shown before anything is sent."""
    return column_notes(sheet.about_columns())


def assumptions_of(sheet: Sheet) -> tuple[str, ...]:
    """Return the assumptions about cells, how often each was made and where first."""
    assumed = {
        kind: Assumed(seen.count, seen.row, seen.value)
        for kind, seen in sheet.findings.assumed.items()
    }
    return assumption_lines(assumed, rules_used(sheet))


def rules_used(sheet: Sheet) -> RulesUsed:
    """Return the rules for cells of a sheet, for the words of what they make of cells."""
    return RulesUsed(
        zone_name=sheet.zone_name,
        zone_given=sheet.meaning.timezone is not None,
        order=ORDERS[sheet.rules.order],
        order_given=sheet.rules.order_given,
        default_time=sheet.rules.default_time,
        converted=_conversion(sheet),
    )


def _conversion(sheet: Sheet) -> tuple[tuple[int, int], ...]:
    """Return the ratings of the sheet's scale, and what each becomes."""
    scale = sheet.rules.scale
    if scale is None or sheet.mapping.index_of("rating") is None:
        return ()
    return tuple((number, converted(number, scale)) for number in range(scale.low, scale.high + 1))


def columns_of(sheet: Sheet) -> tuple[ColumnSeen, ...]:
    """Return how each column was understood; columns without header and cells are left out."""
    findings = sheet.findings
    return tuple(
        ColumnSeen(
            header=column.name,
            field=column.field,
            why=column.why,
            example=findings.examples.get(column.field or ""),
            filled=findings.filled[column.field or ""],
        )
        for column in (*sheet.mapping.columns, *sheet.mapping.added)
        if column.why != "blank"
    )


def refusal_of(
    sheet: Sheet,
    store: Store,
    generation: int | None,
    max_problems: Share,
    *,
    listed_in: Path | None = None,
    role: Role = Role.SENT,
) -> InputError | None:
    """Return the reason why a staged sheet can't be sent, or compared; None if it can.

    `listed_in` is the file of failed rows, if one is written.
    """
    return refusal_by_columns(sheet, role=role) or _too_many_problems(
        sheet, store, generation, max_problems, listed_in, role
    )


def many_changes(source: Path, changes: int, rows: int, most: Share | None) -> InputError | None:
    """Return the error when more rows would be sent than --max-changes allows."""
    if most is None or not most.exceeded_by(changes, rows):
        return None
    return InputError(
        f"{source}: {changes:,} of {counted(rows, 'row')} would be sent, more than --max-changes "
        f"allows ({most}), so nothing is sent. Look whether the sheet is the right one, then raise "
        "--max-changes"
    )


def refusal_by_columns(sheet: Sheet, *, role: Role = Role.SENT) -> InputError | None:
    """Return the question about a column that keeps a sheet from being sent; None without any."""
    # A file of ours may have no field: that of an undo which restores nothing.
    fills_none = not sheet.rules.own and not any(
        one.field in FIELDS for one in sheet.mapping.filling
    )
    if role is Role.SENT and fills_none:
        return InputError(_nothing_to_change(sheet))
    zones, assumed = sheet.mapping.zones, sheet.findings.assumed.get("timezone")
    if zones and assumed is not None:
        header = sheet.mapping.reference(zones[0])
        return InputError(
            f"{sheet.reading.input}: the column {header!r} may say in which zone the times of a "
            f"row are, such as {assumed.value!r} in row {assumed.row}, and it is not read. Write "
            f"zone or offset into the times; or ignore the column with {map_option(header)}, so "
            f"that all of them are in {sheet.zone_name or 'the zone of --timezone'}"
        )
    text = refusal_text(
        sheet.about_columns(),
        str(sheet.reading.input),
        header_row=sheet.table.understood.header_row,
        order=ORDERS[sheet.rules.order],
        compared=role is not Role.SENT,
    )
    return None if text is None else InputError(text)


def _nothing_to_change(sheet: Sheet) -> str:
    headers = [column.header for column in sheet.mapping.columns]
    other = next((one for one in sheet.mapping.ignored), None)
    way_out = "name a column after one"
    if other is not None:
        way_out += f", or map one: {map_option(other, 'feedback')}"
    return (
        f"{sheet.reading.input}: no column holds a field to change; the header row has "
        f"{header_list(headers)}. The fields are {', '.join(FIELDS)}: {way_out}"
    )


def _too_many_problems(
    sheet: Sheet,
    store: Store,
    generation: int | None,
    max_problems: Share,
    listed_in: Path | None,
    role: Role,
) -> InputError | None:
    source = sheet.reading.input
    counts = store.views.counts(generation)
    invalid, total = counts.get(State.INVALID, 0), sum(counts.values())
    if not max_problems.exceeded_by(invalid, total):
        return None
    groups, _ = problems_of(store.views.bad_rows(generation))
    first = "; ".join(
        f"row {number}: {text}" for group in groups for number, text in group.examples[:1]
    )
    if role is not Role.SENT:
        return InputError(
            f"{source}: {invalid:,} of {counted(total, 'row')} can't be compared, more than "
            f"--max-problems allows ({max_problems}). {first}. "
            f"{_compared_way_out(groups, role)}, or raise --max-problems"
        )
    lists = f" ({listed_in} lists what is wrong)" if listed_in else ""
    return InputError(
        f"{source}: {invalid:,} of {counted(total, 'row')} can't be sent, more than --max-problems "
        f"allows ({max_problems}), so nothing is sent. {first}. Fix {source} and push it again"
        f"{lists}, or raise --max-problems"
    )


def _compared_way_out(groups: Sequence[ProblemGroup], role: Role) -> str:
    ways = ["Correct the sheet" if role is Role.COMPARED else "Export it again"]
    if any(group.code == "duplicate_key" for group in groups):
        option = "--on-duplicate" if role is Role.COMPARED else "--with-on-duplicate"
        ways.append(f"let {option} last decide between rows of one showing")
    return ", or ".join(ways)

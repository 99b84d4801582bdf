"""The findings in a sheet, worded by `report`, and the reasons to refuse it."""

from __future__ import annotations

from pathlib import Path

from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import ColumnSeen
from bulk_sync.quantities import Share
from bulk_sync.report.causes import problems_of
from bulk_sync.report.findings import Assumed, RulesUsed, assumption_lines, sheet_notes
from bulk_sync.report.problems import ORDERS
from bulk_sync.run.sheet import Sheet


def notes_on(sheet: Sheet) -> tuple[str, ...]:
    """Return notes that a person should read before the sheet is sent."""
    understood, mapping = sheet.table.understood, sheet.mapping
    hidden = [
        (column.index + 1, mapping.reference(column))
        for column in mapping.columns
        if column.field is not None and column.index + 1 in understood.hidden_columns
    ]
    return sheet_notes(understood, sheet.reading.input.suffix, mapping.ignored, hidden)


def assumptions_of(sheet: Sheet) -> tuple[str, ...]:
    """Return the assumptions about cells, how often each was made and where first."""
    rules = RulesUsed(
        zone_name=sheet.zone_name,
        zone_given=sheet.meaning.timezone is not None,
        order=ORDERS[sheet.rules.order],
        order_given=sheet.rules.order_given,
        default_time=sheet.rules.default_time,
    )
    assumed = {
        kind: Assumed(seen.count, seen.row, seen.value)
        for kind, seen in sheet.findings.assumed.items()
    }
    return assumption_lines(assumed, rules)


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
        for column in sheet.mapping.columns
        if column.why != "blank"
    )


def refusal_of(
    sheet: Sheet,
    store: Store,
    generation: int | None,
    max_problems: Share,
    *,
    listed_in: Path | None = None,
) -> InputError | None:
    """Return the reason why a staged sheet must not be sent, None if it may.

    `listed_in` is the file of failed rows, if one is written.
    """
    return (
        _second_table(sheet)
        or _contradicted_order(sheet)
        or _too_many_problems(sheet, store, generation, max_problems, listed_in)
    )


def _second_table(sheet: Sheet) -> InputError | None:
    other = sheet.findings.other_headers
    if not other:
        return None
    return InputError(
        f"{sheet.reading.input}: row {other[0]} has column names, as row "
        f"{sheet.table.understood.header_row} has: another table begins there, so nothing is sent. "
        "Save each table as its own file, or name the header with --header-row"
    )


def _contradicted_order(sheet: Sheet) -> InputError | None:
    against = sheet.findings.against_order
    if not against or sheet.meaning.date_order is not None:
        return None
    header, seen = next(iter(against.items()))
    return InputError(
        f"{sheet.reading.input}: row {seen.row}: {header!r} is {seen.value!r}, which contradicts "
        f"the order {ORDERS[sheet.rules.order]} of dates such as 02/03/2026, so nothing is sent. "
        "Give the order with --date-order dmy; or with --date-order mdy, if that row is wrong"
    )


def _too_many_problems(
    sheet: Sheet,
    store: Store,
    generation: int | None,
    max_problems: Share,
    listed_in: Path | None,
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
    lists = f" ({listed_in} lists what is wrong)" if listed_in else ""
    return InputError(
        f"{source}: {invalid} of {total} rows can't be sent, more than --max-problems allows "
        f"({max_problems}), so nothing is sent. {first}. Fix {source} and push it again{lists}, "
        "or raise --max-problems"
    )

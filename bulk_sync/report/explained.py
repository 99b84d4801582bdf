"""Word the explanation of a row: its cells, attempts and outcome, and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from bulk_sync.model.attempts import Attempt
from bulk_sync.model.explained import CellRead, Explanation, KeptRow, ReadAs, RowExplained
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.rows import Cell, CellError, Cleared, Formatted, State, text_of
from bulk_sync.report.columns import column_notes
from bulk_sync.report.problems import full_message_of, message_of
from bulk_sync.report.words import (
    STATES,
    local_second,
    milliseconds,
    span,
)
from bulk_sync.similar import closest

# Rows and keys that a message about a missing one names.
_NAMED = 3

# Why a column fills its field, or none, by `Column.why`.
_MAPPED: Mapping[str, str] = {
    "name": "the header is the field's name",
    "alias": "the header is a usual name of the field",
    "--map": "mapped by --map or a profile",
    "profile": "made by the profile",
}
_IGNORED: Mapping[str, str] = {
    "--map": "ignored, as --map or a profile says",
    "ambiguous": "ignored: it may be the agent's; --map says whose it is",
    "blank": "ignored: the column has no header",
    "ours": "ignored: bulk-sync adds this column to its own files",
    "part": "fills no field by itself: the profile makes a text of it",
    "unknown": "ignored: no field has this name",
}

# The type of a workbook's cell; a text needs no word.
_TYPES: Mapping[type, str] = {
    bool: "a checkbox",
    int: "a number",
    float: "a number",
    datetime: "a date with a time",
    date: "a date",
    time: "a time",
    timedelta: "a duration",
    CellError: "a formula that failed",
}


def no_such_row(source: str, number: int, numbers: Sequence[int]) -> str:
    """Return why a sheet has no row with a number; `numbers` are those of its rows."""
    if not numbers:
        return f"{source}: it has no rows below its header"
    before = max((one for one in numbers if one < number), default=None)
    after = min((one for one in numbers if one > number), default=None)
    near = " and ".join(str(one) for one in (before, after) if one is not None)
    what = "is blank" if before is not None and after is not None else "is not in the sheet"
    return (
        f"{source}: row {number} {what}. The numbers are those that the spreadsheet program shows; "
        f"next to it there {'is row' if None in {before, after} else 'are rows'} {near}"
    )


def no_such_key(source: str, key: str, keys: Sequence[str]) -> str:
    """Return why a sheet has no row with a key; `keys` are those that its rows have."""
    folded = {one.casefold(): one for one in keys}
    near = [folded[one] for one in closest(key.casefold(), folded, _NAMED)]
    hint = f" Close to it: {', '.join(near)}" if near else ""
    if not near and keys:
        hint = f" The first ones are {', '.join(keys[:_NAMED])}"
    return f"{source}: no row has the key or id {key!r}.{hint}"


# Cells


def cell_text(cell: Cell) -> str:
    """Return a cell as a sheet shows it, in quotes, with its type and format if it is no text."""
    if isinstance(cell, Cleared):
        return "cleared"
    shown = repr(text_of(cell))
    if isinstance(cell, Formatted):
        inner = _TYPES.get(type(cell.value), "a text")
        code = f" as {cell.code!r}" if cell.code else ""
        return f"{shown} ({inner}, {text_of(cell.value)!r}, shown{code})"
    kind = _TYPES.get(type(cell))
    return shown if kind is None else f"{shown} ({kind})"


def read_text(read: CellRead) -> str:
    """Return what a cell was read as: field and value, or why it fills none."""
    if read.field is None:
        return _IGNORED.get(read.why or "", "fills no field")
    match read.read_as:
        case ReadAs.VALUE:
            return f"{read.field} {json.dumps(read.value, ensure_ascii=False)}"
        case ReadAs.CLEARED:
            return f"{read.field} null: the field is cleared"
        case ReadAs.BLANK:
            return f"{read.field}, blank: North keeps what it has"
        case ReadAs.UNUSABLE if not read.bad:
            return f"{read.field}, not read: another date or time of the row can't be used"
        case ReadAs.UNUSABLE:
            return f"{read.field}, can't be used"
        case _:
            return read.field


def mapped_text(read: CellRead) -> str | None:
    """Return why the column fills its field; None if that is unknown, or it fills none."""
    return None if read.field is None else _MAPPED.get(read.why or "")


def reasons_of(read: CellRead, assumptions: Mapping[str, str]) -> Iterator[str]:
    """Yield why a cell was read so: a sentence each, without a full stop."""
    if read.made is not None:
        yield f"the profile's value for it is {text_of(read.made)!r}"
    if read.read_as is ReadAs.CLEARED:
        yield (
            "a blank cell clears the field, as the profile says"
            if not text_of(read.cell).strip() and not isinstance(read.cell, Cleared)
            else "the cell's text clears the field (--clear or a profile)"
        )
    for kind in read.assumed:
        yield assumptions.get(kind, "times without an offset are in this machine's time zone")
    yield from (note.removesuffix(".") for note in column_notes(read.noted))


def problems_of_cell(read: CellRead) -> list[str]:
    """Return what is wrong with a cell, with its remedy."""
    return [text for one in read.bad if (text := message_of((one,)))]


# The row


def state_text(row: RowExplained, *, is_refused: bool = False) -> str:
    """Return what becomes of a row, or became of it; `is_refused` if its sheet is not sent."""
    kept = row.kept if row.is_same else None
    found = kept or row.row
    state = found.result.state
    left_out = row.staged.left_out if row.staged is not None else found.left_out
    if left_out and (kept is None or state is State.PENDING):
        return str(message_of((Reason(Expected.LEFT_OUT),)))
    if kept is None and state is State.PENDING:
        would = "a push refuses the sheet" if is_refused else "a push would send it"
        return f"not pushed yet: {would}"
    return f"{STATES[state].name}, {STATES[state].meaning}"


def problems_of_row(row: RowExplained) -> list[str]:
    """Return why a row is not sent, except for what is wrong with single cells."""
    shown = [one for cell in row.cells for one in cell.bad]
    others = [one for one in row.row.result.reasons if one not in shown]
    return [text for one in others if (text := message_of((one,)))]


def outcome_text(kept: KeptRow) -> str:
    """Return the outcome of a row of a job, with the API's words."""
    result = kept.result
    parts = [f"{STATES[result.state].name}, {STATES[result.state].meaning}"]
    if kept.in_flight:
        parts = ["in flight, or it was when a run was cut off"]
    if result.http_status is not None:
        parts[0] += f" (status {result.http_status})"
    message = None if kept.in_flight else full_message_of(result)
    return "; ".join([*parts, *([message] if message else [])])


def all_attempts(kept: KeptRow) -> tuple[Attempt, ...]:
    """Return the attempts of a row that are kept, the last one among them."""
    result, kept_before = kept.result, kept.attempts
    has_last = result.sent_at is not None and (
        not kept_before or kept_before[-1].number < result.attempts
    )
    if not has_last or not result.attempts:
        return kept_before
    last = Attempt(
        result.attempts,
        result.sent_at or "",
        result.duration_ms,
        result.http_status,
        result.error if result.http_status is None else None,
    )
    return (*kept_before, last)


def attempt_lines(kept: KeptRow) -> Iterator[str]:
    """Yield a line for each attempt, and for those that are not kept."""
    expected = 1
    for one in all_attempts(kept):
        if one.number > expected:
            yield f"{_numbers(expected, one.number - 1)}: not kept"
        expected = one.number + 1
        yield f"{one.number}: {_attempt(one)}"
    if expected <= kept.result.attempts:
        yield f"{_numbers(expected, kept.result.attempts)}: not kept"


def _numbers(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} to {last}"


def _attempt(one: Attempt) -> str:
    status = one.http_status if one.http_status is not None else one.error
    said = "" if status is None else str(status)
    if one.why and not one.why.startswith(said):
        said = f"{said}: {one.why}" if said else one.why
    elif one.why:
        said = one.why
    parts = [moment(one.sent_at), said or "no reply is known"]
    if one.duration_ms is not None:
        parts.append(f"after {milliseconds(one.duration_ms)}")
    if one.wait_ms is not None:
        parts.append(f"then a wait of {span(one.wait_ms / 1000)}")
    return ", ".join(parts)


def moment(text: str | None) -> str:
    """Return a time in UTC as this machine's time of day, to the second."""
    if text is None:
        return "at an unknown time"
    try:
        return local_second(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return text


def known_lines(row: RowExplained) -> Iterator[str]:
    """Yield each value that North acknowledged last, when, and whether the sheet has another."""
    patch = patch_of(row.row.body) or {}
    for field, known in row.known.items():
        text = f"{field} {json.dumps(known.value, ensure_ascii=False)}, {moment(known.at)}"
        if field in patch and patch[field] != known.value:
            text += "; the sheet has another value"
        yield text


def patch_of(body: str | None) -> dict[str, Any] | None:
    """Return a patch as an object."""
    found: dict[str, Any] | None = None if body is None else json.loads(body)
    return found


# JSON


def explanation_json(explanation: Explanation) -> dict[str, Any]:
    """Return the object that `explain --json` prints."""
    return {
        "input": explanation.input,
        "checkpoint": explanation.checkpoint if explanation.has_job else None,
        "ledger": explanation.ledger,
        "running": explanation.running,
        "stopped": None if explanation.stopped is None else str(explanation.stopped),
        "rows": [_row_json(row, explanation.assumptions) for row in explanation.rows],
    }


def _row_json(row: RowExplained, assumptions: Mapping[str, str]) -> dict[str, Any]:
    found, kept = row.row, row.kept
    result = (kept if kept is not None and row.is_same else found).result
    return {
        "row": row.number,
        "unique_showing_key": found.result.key,
        "target": found.result.target,
        "state": result.state.value,
        "left_out": found.left_out,
        "cells": [_cell_json(cell, assumptions) for cell in row.cells],
        "patch": patch_of(found.body),
        "problems": [text for one in found.result.reasons if (text := message_of((one,)))],
        "job": None if kept is None else _kept_json(kept, is_same=row.is_same),
        "acknowledged": {
            field: {"value": known.value, "at": known.at} for field, known in row.known.items()
        },
    }


def _cell_json(read: CellRead, assumptions: Mapping[str, str]) -> dict[str, Any]:
    cell = read.cell
    return {
        "cell": read.place,
        "header": read.header,
        "text": text_of(cell),
        "type": _TYPES.get(type(cell.value if isinstance(cell, Formatted) else cell), "a text"),
        "format": cell.code or None if isinstance(cell, Formatted) else None,
        "field": read.field,
        "read_as": read.read_as.value,
        "value": read.value,
        "mapped": read_text(read) if read.field is None else mapped_text(read),
        "why": [*reasons_of(read, assumptions)],
        "problems": problems_of_cell(read),
    }


def _kept_json(kept: KeptRow, *, is_same: bool) -> dict[str, Any]:
    result = kept.result
    return {
        "row": result.number,
        "same_content": is_same,
        "state": result.state.value,
        "in_flight": kept.in_flight,
        "left_out": kept.left_out,
        "patch": patch_of(kept.body),
        "http_status": result.http_status,
        "attempts": result.attempts,
        "requests": [_attempt_json(one) for one in all_attempts(kept)],
        "error": result.error,
        "message": full_message_of(result),
        "may_have_been_applied": result.may_have_been_applied,
        "showing_id": result.showing_id,
        "updated_at": result.updated_at,
        "sent_at": result.sent_at,
        "duration_ms": result.duration_ms,
    }


def _attempt_json(one: Attempt) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__struct_fields__}

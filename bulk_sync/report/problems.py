"""Turn reasons into sentences about rows that are not sent; nothing else does.

`message_of` is about one row, `cause_of` about all rows with the same reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from bulk_sync.model.comparison import Compared
from bulk_sync.model.problems import Expected, Reason, Remedy
from bulk_sync.model.rows import Echo, GivenUp, Result, State
from bulk_sync.wording import are, counted, enumerated

ORDERS = {"mdy": "month, day, year", "dmy": "day, month, year", "ymd": "year, month, day"}
"""The orders of `--date-order` in words."""

# The expected cell, as it follows "is not" and "expected". Facts fill the braces.
_CELLS: Mapping[Expected, str] = {
    Expected.NO_ERROR: "a value: a formula failed here",
    Expected.SHORT_TEXT: "text of at most {most:,} characters",
    Expected.TEXT_FOR_NUMBER: "text: spreadsheet programs round numbers of more than 15 digits",
    Expected.TEXT_FOR_DATE: "text: the cell holds a date or time",
    Expected.NUMBER_BEHIND: "the number behind it: the number format shows another one",
    Expected.CERTAIN_TEXT: "text: what a number format shows can differ between programs",
    Expected.PHONE_NUMBER: "a phone number: a spreadsheet program rounded it",
    Expected.WHOLE_PHONE_NUMBER: "a phone number: another program made a decimal of it",
    Expected.WHOLE_NUMBER: "a whole number from {low:,} to {high:,}",
    Expected.RATING: "a rating from 1 to 5, such as 4, 4/5, 4 stars or ★★★★",
    Expected.RATING_ON_SCALE: "a whole number from {low} to {high}, the scale that --scale names",
    Expected.YES_OR_NO: "yes or no (also y/n, true/false, 1/0, x, interested/not interested)",
    Expected.EVENT_TYPE: "showing, private showing or open house",
    Expected.EMAIL: "an email address, such as ana@example.com",
    Expected.ASCII_EMAIL: "an email address in ASCII characters, such as ana@example.com",
    Expected.MOMENT: (
        "a date and time, such as 2026-03-14 16:30, 3/14/2026 4:30 PM or 2026-03-14T21:30:00Z"
    ),
    Expected.KNOWN_ZONE: "a time in a known zone",
    Expected.DATE_ORDER: "a date in the order {order}",
    Expected.SINGLE_TIME: "a single time: it reads as from-to",
    Expected.DAY_THAT_EXISTS: "a day that exists",
    Expected.TIME_THAT_EXISTS: "a time that exists",
    Expected.OFFSET_THAT_EXISTS: "a time with an offset that exists",
    Expected.MATCHING_WEEKDAY: "a date on its weekday",
    Expected.TWELVE_HOUR_TIME: "a time: only 1:00 to 12:59 have AM and PM",
    Expected.DATE_AND_TIME: "a date and a time",
    Expected.OFFSET: "a time with an offset: this machine's time zone has no name",
    Expected.OUR_AGE: "a date from 2000 to 2099",
    Expected.DAY_OF_SHOWING: "the day of a showing: the cell holds {origin}",
    Expected.TIME_NOT_SKIPPED: "a time that exists in its zone: clocks go forward over it",
    Expected.TIME_NOT_REPEATED: "a unique time in its zone: clocks go back, and it occurs twice",
    Expected.END_AFTER_START: "at or after showing_time_start",
    Expected.ID: "an id of North's (a UUID)",
    Expected.REPORT_ID: "the id of a report of North's (a UUID)",
    Expected.SAFE_KEY: "a key that can be part of a URL",
    Expected.PRINTABLE_KEY: "a key without control characters, such as line breaks and tabs",
    Expected.SHORT_KEY: "a key that fits into a URL",
    Expected.UNCONVERTED_KEY: "a key: a spreadsheet program made a date of it",
    Expected.UNDAMAGED_KEY: "a key: characters of it were lost, escaped or misread",
    Expected.BARE_KEY: "a key: another program has put quotes around it, or one before it",
    Expected.KEY_NOT_NULL: "a key: programs write this word for a missing one",
    Expected.KEY_WITHOUT_POINT: (
        "a key: all numbers of the column end in .0, as programs write whole numbers next to a "
        "blank cell"
    ),
    Expected.KEY_AS_NORTH_HAS_IT: (
        "the key that North has: it looks the same, with other characters that nobody can see, or "
        "accents in another form"
    ),
    Expected.UNROUNDED_KEY: "a key with all its digits: a spreadsheet program rounded it",
    Expected.AS_WRITTEN: "as it was written: a spreadsheet program may have converted it",
    Expected.KEY_DATE: "a date for the key, which is made as {template!r}",
    Expected.KEY_AS_TEXT: "a key: the cell holds a date, time or checkbox",
    Expected.CERTAIN_KEY: "a certain key: what its number format shows can differ between programs",
    Expected.KEY_WITHOUT_SEPARATORS: (
        "a certain key: the separators that its number format shows depend on the language"
    ),
}

# Additions in the message about a single cell.
_DETAILS: Mapping[Expected, str] = {
    Expected.KNOWN_ZONE: " ({zone!r} is not one)",
    Expected.DAY_THAT_EXISTS: " ({day} does not)",
    Expected.TIME_THAT_EXISTS: " ({time} does not)",
    Expected.OFFSET_THAT_EXISTS: " ({offset} does not)",
    Expected.MATCHING_WEEKDAY: " ({day} is a {weekday})",
    Expected.TWELVE_HOUR_TIME: " ({time} has no {half})",
    Expected.TIME_NOT_SKIPPED: " ({zone})",
    Expected.TIME_NOT_REPEATED: " ({zone})",
    Expected.END_AFTER_START: ", {start!r}",
    Expected.AS_WRITTEN: " (it was {was!r})",
    Expected.SHORT_KEY: " ({characters:,} characters are too many)",
    Expected.KEY_AS_NORTH_HAS_IT: " ({here} here, {there} there)",
    Expected.NUMBER_BEHIND: " (the cell holds {number} as {format})",
    Expected.CERTAIN_TEXT: " (the cell holds {number} as {format})",
    Expected.CERTAIN_KEY: " (the cell holds {number} as {format})",
    Expected.KEY_WITHOUT_SEPARATORS: " (the cell holds {number} as {format})",
}


# The days that programs write for no date, by the names that `check.ages` gives them.
_ORIGINS = {
    "dotnet": "the first day of .NET, which means none",
    "filetime": "the first day of Windows, which means none",
    "sql_server_first": "the first day of SQL Server, which means none",
    "access": "the day 0 of Access and Google Sheets, which means no date",
    "excel_1904": "the day 0 of workbooks made on a Mac, which means no date",
    "excel_hours": "a first day of Excel, which means a time of 24 hours or more, or none",
    "unix": "the first day of Unix, which means none",
    "dos": "the first day of DOS and of ZIP archives, which means none",
    "unix_last": "the last day of Unix in 32 bits, which means none",
    "sql_server_last": "the last day of SQL Server, which means none",
    "outlook": "Outlook's day for none",
    "maximum": "the last day of many programs, which means none",
}


class _Statement(NamedTuple):
    """A statement about one row, with its facts, and one about all such rows."""

    one: str
    all: str


_ROWS: Mapping[Expected, _Statement] = {
    Expected.KEY: _Statement("{field} is blank", "{field} is blank"),
    Expected.KEY_PART: _Statement(
        "{column} is blank, and {field} is made of it ({template})",
        "{column} is blank, and {field} is made of it ({template})",
    ),
    Expected.SINGLE_ROW: _Statement(
        "a cell holds what looks like the next row, {value!r}",
        "a cell holds what looks like the next row",
    ),
    Expected.CELLS_IN_COLUMNS: _Statement(
        "{value!r} is beyond the last column, because the row has {cells} and the header {columns}",
        "cells beyond the last column",
    ),
    Expected.CELLS_BELOW_HEADERS: _Statement(
        "{beyond} beyond the last column with a header",
        "cells beyond the last column with a header",
    ),
    Expected.QUOTED_SEPARATOR: _Statement(
        "the row has {cells}, the header has {columns}; is the {separator} in {value!r} "
        "missing its quotes?",
        "more cells than the header has: a separator may be missing its quotes",
    ),
    Expected.NO_MORE_CELLS: _Statement(
        "the row has {cells}, the header has {columns}, and most other rows have no cell "
        "beyond it, so its cells may be in the wrong columns",
        "more cells than the header and most other rows have",
    ),
    Expected.WHOLE_ROW: _Statement(
        "this row and its neighbour are pieces of one row that a line break without quotes has cut",
        "rows that line breaks without quotes have cut",
    ),
    Expected.ENOUGH_CELLS: _Statement(
        "the row has {cells}, the header and the other rows have {columns}, so its cells may "
        "be in the wrong columns",
        "fewer cells than the header and the other rows have",
    ),
    Expected.CELLS_IN_PLACE: _Statement(
        "{value!r} in {column} fits {other}: cells of this row are one column too far to the "
        "{side}",
        "cells are one column too far to the {side}: values in {column} fit {other}",
    ),
    Expected.NO_SECOND_HEADER: _Statement("this row repeats the header", "rows repeat the header"),
    Expected.ONE_TABLE: _Statement(
        "this row is the header of another table", "headers of other tables"
    ),
    Expected.NO_SUMMARY: _Statement(
        "{value!r} is no key: this row sums up others", "a summary of other rows"
    ),
    Expected.CHANGE: _Statement(
        "every field of this row is blank, so there is nothing to change", "every field is blank"
    ),
    Expected.ONE_ROW_A_SHOWING: _Statement(
        "{rows} {have} the same showing with different values",
        "several rows have the same showing with different values",
    ),
    Expected.VISIBLE_KEY: _Statement(
        "{field}: {value!r} has a character that nobody can see, {character} in place {place}",
        "keys have characters that nobody can see",
    ),
    Expected.ONE_SPELLING_A_KEY: _Statement(
        "{rows} {have} a key that looks the same, with characters that nobody can see, or accents "
        "in another form",
        "several rows have keys that look the same but differ in characters that nobody can see",
    ),
    Expected.ONE_ID_A_KEY: _Statement(
        "{rows} {have} the same key with a different showing_id",
        "several rows have the same key with different showing_ids",
    ),
    Expected.ONE_ROW_BY_KEY_OR_ID: _Statement(
        "{rows} are one showing, by key and by id", "two rows are one showing, by key and by id"
    ),
    Expected.USABLE_TWIN: _Statement(
        "{rows} {have} the same showing and is invalid",
        "another row has the same showing and is invalid",
    ),
    Expected.FIRST_OF_EQUALS: _Statement(
        "the same as {rows}, which is sent for both", "the same as an earlier row"
    ),
    Expected.LAST_ROW: _Statement(
        "{rows} has the same showing and comes later (--on-duplicate last)",
        "a later row has the same showing",
    ),
    Expected.USABLE_LAST_ROW: _Statement(
        "{rows} has the same showing and comes later, but is invalid (--on-duplicate last)",
        "a later row has the same showing",
    ),
    Expected.MERGED_ROW: _Statement(
        "merged into {rows}, which has the same showing", "merged into a later row"
    ),
    Expected.OWN_MARK: _Statement(
        "the column bulk_sync of this row is damaged, {value!r}",
        "the column bulk_sync is damaged",
    ),
    Expected.EARLIER_TEXT: _Statement("{text}", "{text}"),
    Expected.LEFT_OUT: _Statement(
        "left out by choice (--rows, --where, --limit): a push without the option sends it",
        "rows were left out by choice (--rows, --where, --limit)",
    ),
    Expected.PURGED: _Statement("Message removed by --purge", "Message removed by --purge"),
}

_REMEDIES: Mapping[Remedy, str] = {
    Remedy.CORRECT_FORMULA: "correct it, or blank the cell",
    Remedy.CLOSE_QUOTE: "check for a missing quote",
    Remedy.CLOSE_QUOTE_OR_KEEP: (
        "check for a missing quote, or if the cell does have these lines, say --multiline-cells"
    ),
    Remedy.QUOTE_LINE_BREAK: (
        "put quotes around the cell with the line break, or export the sheet again, as XLSX for one"
    ),
    Remedy.ADD_SEPARATORS: (
        "check for a missing separator between two cells; if the last cells are blank, write their "
        "separators as in the other rows"
    ),
    Remedy.ADD_HEADER: "give the column a header, or clear the cells",
    Remedy.QUOTE_SEPARATOR: "check for missing quotes around a cell with a separator",
    Remedy.TYPE_AS_TEXT: "format the cells as text and enter it again",
    Remedy.TYPE_KEYS_AS_TEXT: "format the column as text and enter the keys again",
    Remedy.FORMAT_AS_DATE: "format the cell as a date",
    Remedy.CONVERT_RATING: (
        "write it out of 5, or name the scale of the column, such as --scale 10"
    ),
    Remedy.WITHOUT_SEPARATOR: (
        "write it without a point, because 1.000 is a thousand in many countries"
    ),
    Remedy.ADD_DATE: "add its date, here or in showing_date",
    Remedy.ADD_TIME: "add its time, or give one for all rows with --default-time 09:00",
    Remedy.ADD_OFFSET: "write its offset, such as -06:00",
    Remedy.SET_TIMEZONE: "name the zone with --timezone Area/City",
    Remedy.SET_DATE_ORDER: "or name another order with --date-order",
    Remedy.SPLIT_SPAN: (
        "give the end a column of its own (showing_time_end), or if it is an offset, write "
        "seconds before it"
    ),
    Remedy.ENTER_KEY: "enter the showing's key, or leave the row out",
    Remedy.CORRECT_KEY: "enter the showing's key as North has it",
    Remedy.TYPE_KEY_ANEW: "delete it, or type the key anew",
    Remedy.CHECK_SEPARATORS: "move them back; a separator may be missing, or one too many",
    Remedy.CONFIRM_QUOTES: (
        "enter the showing's key as North has it; if it begins with an apostrophe there, in the "
        'form ="\'A-1"'
    ),
    Remedy.CONFIRM_KEYS: (
        "format the column as text and enter the keys again; if they are right as they are, write "
        'them in the form ="1000"'
    ),
    Remedy.REMOVE_POINT_ZERO: (
        "write the keys as text there, or remove the .0 from all of them; if they are right as "
        'they are, write them in the form ="1000.0"'
    ),
    Remedy.SAVE_AS_UTF_8: "export the sheet again as UTF-8, or enter the key as North has it",
    Remedy.KEEP_NORTHS_SPELLING: "keep the one that North has",
    Remedy.MAP_ID: (
        "blank it, leave the column out with {leave_out}, or if it holds the showing's key, "
        "say {map_as_key}"
    ),
    Remedy.FILL_IN: "fill in what is to change, or leave the row out",
    Remedy.LEAVE_OUT: "leave it out",
    Remedy.SPLIT_TABLES: "make a file of each table",
    Remedy.KEEP_ONE: "keep one of them",
    Remedy.KEEP_ONE_OF_THE_RUN: (
        "keep one of them, or take the one of the later file with --on-duplicate last"
    ),
    Remedy.CORRECT_TWIN: "correct it, so that they can be merged",
    Remedy.BLANK_MARK: "restore it, or blank it if all cells of the row are as they should be",
    Remedy.FILL_IN_PART: "fill it in, or leave the row out",
    Remedy.CORRECT_KEY_DATE: (
        "correct the cell of {column}; numeric dates such as 02/03/2026 need --date-order"
    ),
    Remedy.NAME_DATE_FORM: (
        "write in the profile how the key has it, such as {{{column}:YYYY-MM-DD}}"
    ),
    Remedy.RESTORE_CELL: (
        "enter it as it was; or to send the row as it is, blank its cell in the column bulk_sync"
    ),
}

# More precise remedies in the message about a single cell.
_PRECISE: Mapping[Expected, str] = {
    Expected.TIME_NOT_REPEATED: "write its offset: {first} or {second}",
}


def full_message(
    state: str,
    message: str | None,
    reasons: Sequence[Reason],
    given_up: GivenUp | None,
    attempts: int,
    *,
    may_have_been_applied: bool,
    echoes: Sequence[Echo] = (),
) -> str | None:
    """Return the complete message about a row, as one sentence."""
    if reasons:
        return message_of(reasons)
    parts = [] if message is None else [message]
    if given_up is not None:
        parts.append(_GIVEN_UP[given_up].format(attempts=attempts))
    if echoes:
        parts.append(echo_note(echoes))
    if may_have_been_applied and message is None:
        parts.append(
            "In flight when a run was cut off or a response was lost: it may have been applied; "
            "run again"
        )
    elif may_have_been_applied:
        which = "an earlier attempt" if state == State.REJECTED else "it"
        parts.append(f"{which} may have been applied")
    return "; ".join(parts) or None


def full_message_of(result: Result, *, in_doubt: bool = True) -> str | None:
    """Return the complete message; with `in_doubt` it includes that it may have been applied."""
    return full_message(
        result.state,
        result.message,
        result.reasons,
        result.given_up,
        result.attempts,
        may_have_been_applied=in_doubt and result.may_have_been_applied,
        echoes=result.echoes,
    )


def echo_note(echoes: Sequence[Echo]) -> str:
    """Return `the API's reply has another feedback and rating than was sent`."""
    *others, last = (echo.field for echo in echoes)
    fields = f"{', '.join(others)} and {last}" if others else last
    return f"the API's reply has another {fields} than was sent"


_GIVEN_UP = {
    GivenUp.ATTEMPTS: "given up after {attempts} attempts",
    GivenUp.TIME: "given up after {attempts} attempts, because the time of --retry-for is used up",
    GivenUp.AMBIGUOUS: "not sent again, as --ambiguous stop says: --ambiguous retry sends it",
}


def compared_message(row: Compared) -> str | None:
    """Return why a row of a comparison can't be compared; None when it can."""
    message = message_of(row.reasons)
    return f"there: {message}" if message and row.reasons_are_there else message


def message_of(reasons: Sequence[Reason]) -> str | None:
    """Return what is wrong with a row and how to correct it; None without a reason."""
    return "; ".join(map(_sentence, reasons)) or None


def _sentence(reason: Reason) -> str:
    facts = _facts(reason)
    if reason.expected in _CELLS:
        expected = _CELLS[reason.expected] + _DETAILS.get(reason.expected, "")
        statement = f"{reason.field}: {reason.value!r} is not " + expected.format(**facts)
        if "known" in facts:
            statement += f", nor one of the profile's values: {facts['known']}"
        separator = "; "
    else:
        statement = _ROWS[reason.expected].one.format(**facts)
        separator = ": "
    remedy = _PRECISE.get(reason.expected) or (_REMEDIES[reason.remedy] if reason.remedy else "")
    return statement + (separator + remedy.format(**facts) if remedy else "")


def cause_of(reason: Reason, values: str, otherwise: str) -> tuple[str, str]:
    """Return cause and remedy of rows with the same reason.

    `values` is the text of their cells' values; `otherwise` is the remedy if the reason has none.
    """
    facts = _facts(reason)
    remedy = _REMEDIES[reason.remedy].format(**facts) if reason.remedy else None
    if reason.expected in _CELLS:
        expected = "expected " + _CELLS[reason.expected].format(**facts)
        cause = f"{reason.field} {values}".strip()
        if "known" in facts:
            expected += f", or one of the profile's values: {facts['known']}"
        return cause, expected if remedy is None else f"{expected}; {remedy}"
    return _ROWS[reason.expected].all.format(**facts) + _in_files(reason), remedy or otherwise


def _facts(reason: Reason) -> dict[str, object]:
    facts: dict[str, object] = {"field": reason.field, "value": reason.value, **reason.facts}
    if reason.expected is Expected.DAY_OF_SHOWING:
        facts["origin"] = _ORIGINS.get(str(reason.facts.get("origin")), "a day that means none")
    if isinstance(cells := reason.facts.get("cells"), int):
        facts["cells"] = counted(cells, "cell")
    if reason.expected is Expected.DATE_ORDER:
        facts["order"] = ORDERS.get(str(reason.facts.get("order")), "of --date-order")
    if reason.expected is Expected.CELLS_BELOW_HEADERS:
        facts["beyond"] = _cells_beyond(reason)
    if rows := _numbers(reason):
        more = reason.facts.get("more")
        listed = _listed(rows, _files(reason, len(rows)), more if isinstance(more, int) else 0)
        if "left_out" in reason.facts:
            listed += f" ({'' if len(rows) == 1 else 'some of them '}left out by choice)"
        facts["rows"] = listed
        facts["have"] = "has" if len(rows) == 1 else "have"
    return facts


def _cells_beyond(reason: Reason) -> str:
    """Return `C3 'see' and D3 'note' are`."""
    places, texts, more = (reason.facts.get(name) for name in ("places", "texts", "more"))
    if not (isinstance(places, list) and isinstance(texts, list)):
        return f"{reason.value!r} is"
    cells = [f"{place} {text!r}" for place, text in zip(places, texts, strict=False)]
    return f"{enumerated(cells, more if isinstance(more, int) else 0)} {are(len(texts))}"


def _numbers(reason: Reason) -> list[int]:
    rows = reason.facts.get("rows")
    return [row for row in rows if isinstance(row, int)] if isinstance(rows, list) else []


def _files(reason: Reason, rows: int) -> list[str]:
    """Return the file of each row, "" for the row's own."""
    files = reason.facts.get("files")
    return list(map(str, files)) if isinstance(files, list) and len(files) == rows else [""] * rows


def _in_files(reason: Reason) -> str:
    """Return `, also in b.csv` where a reason is about rows of other files, else nothing."""
    files = dict.fromkeys(filter(None, _files(reason, len(_numbers(reason)))))
    return f", also in {enumerated([*files])}" if files else ""


def _listed(rows: Sequence[int], files: Sequence[str], more: int) -> str:
    """Return `row 3`, `rows 3, 5, 7 and 12 more` or `row 3 and rows 2 and 4 of b.csv`."""
    if not any(files):
        return f"row{'' if len(rows) == 1 else 's'} {enumerated([*map(str, rows)], more)}"
    by_file = groupby(zip(rows, files, strict=True), key=lambda pair: pair[1])
    return enumerated([_rows_of(file, [row for row, _ in of]) for file, of in by_file], more)


def _rows_of(file: str, rows: Sequence[int]) -> str:
    listed = f"row{'' if len(rows) == 1 else 's'} {enumerated(list(map(str, rows)))}"
    return f"{listed} of {file}" if file else listed

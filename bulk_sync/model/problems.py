"""Why a row is not sent, as data: field, value, expectation and remedy.

The checkpoint keeps these; sentences are made of them in `report.problems` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

import msgspec
from msgspec import Struct


class Expected(StrEnum):
    """Expectations that a cell, a key or a row failed; comments list the facts of a reason.

    Checkpoints keep these names: add to them, don't rename.
    """

    # A cell
    NO_ERROR = "no_error"
    SHORT_TEXT = "short_text"  # most
    TEXT_FOR_NUMBER = "text_for_number"
    TEXT_FOR_DATE = "text_for_date"
    CERTAIN_TEXT = "certain_text"  # number, format
    NUMBER_BEHIND = "number_behind"  # number, format
    PHONE_NUMBER = "phone_number"
    WHOLE_PHONE_NUMBER = "whole_phone_number"
    WHOLE_NUMBER = "whole_number"  # low, high
    RATING = "rating"
    RATING_ON_SCALE = "rating_on_scale"  # low, high
    YES_OR_NO = "yes_or_no"
    EVENT_TYPE = "event_type"
    EMAIL = "email"
    ASCII_EMAIL = "ascii_email"

    # A date or time
    MOMENT = "moment"
    KNOWN_ZONE = "known_zone"  # zone
    DATE_ORDER = "date_order"  # order, as in --date-order
    SINGLE_TIME = "single_time"
    DAY_THAT_EXISTS = "day_that_exists"  # day
    TIME_THAT_EXISTS = "time_that_exists"  # time
    OFFSET_THAT_EXISTS = "offset_that_exists"  # offset
    MATCHING_WEEKDAY = "matching_weekday"  # day, weekday
    TWELVE_HOUR_TIME = "twelve_hour_time"  # time, half
    DATE_AND_TIME = "date_and_time"
    OFFSET = "offset"
    OUR_AGE = "our_age"
    DAY_OF_SHOWING = "day_of_showing"  # day, origin: see `report.problems`
    TIME_NOT_SKIPPED = "time_not_skipped"  # zone
    TIME_NOT_REPEATED = "time_not_repeated"  # zone, first, second
    END_AFTER_START = "end_after_start"  # start

    # A key or an id
    KEY = "key"
    ID = "id"  # leave_out, map_as_key: options
    SAFE_KEY = "safe_key"
    PRINTABLE_KEY = "printable_key"
    SHORT_KEY = "short_key"  # characters
    VISIBLE_KEY = "visible_key"  # character, place
    UNROUNDED_KEY = "unrounded_key"
    UNCONVERTED_KEY = "unconverted_key"
    UNDAMAGED_KEY = "undamaged_key"
    BARE_KEY = "bare_key"
    KEY_NOT_NULL = "key_not_null"
    KEY_WITHOUT_POINT = "key_without_point"
    KEY_AS_NORTH_HAS_IT = "key_as_north_has_it"  # here, there: spelt in ASCII
    KEY_PART = "key_part"  # column, template
    KEY_DATE = "key_date"  # column, template
    KEY_AS_TEXT = "key_as_text"
    CERTAIN_KEY = "certain_key"  # number, format
    KEY_WITHOUT_SEPARATORS = "key_without_separators"  # number, format
    REPORT_ID = "report_id"

    # A row
    SINGLE_ROW = "single_row"
    CELLS_IN_COLUMNS = "cells_in_columns"  # cells, columns
    CELLS_BELOW_HEADERS = "cells_below_headers"  # places, texts, more
    QUOTED_SEPARATOR = "quoted_separator"  # cells, columns, separator: its name
    NO_MORE_CELLS = "no_more_cells"  # cells, columns, separator
    WHOLE_ROW = "whole_row"
    ENOUGH_CELLS = "enough_cells"  # cells, columns, separator
    CELLS_IN_PLACE = "cells_in_place"  # column, other: fields; side
    NO_SECOND_HEADER = "no_second_header"
    ONE_TABLE = "one_table"
    NO_SUMMARY = "no_summary"
    CHANGE = "change"

    # A row of one of our own files
    OWN_MARK = "own_mark"
    AS_WRITTEN = "as_written"  # was

    # A row among others; `rows` has at most five numbers, and `more` counts the rest. `files` has
    # the files of these rows if any is in another file of the run, "" for the row's own. `left_out`
    # is 1 if --limit, --rows or --where left out any of them.
    ONE_ROW_A_SHOWING = "one_row_a_showing"  # rows
    ONE_SPELLING_A_KEY = "one_spelling_a_key"  # rows
    ONE_ID_A_KEY = "one_id_a_key"  # rows
    ONE_ROW_BY_KEY_OR_ID = "one_row_by_key_or_id"  # rows
    USABLE_TWIN = "usable_twin"  # rows
    FIRST_OF_EQUALS = "first_of_equals"  # rows
    LAST_ROW = "last_row"  # rows
    USABLE_LAST_ROW = "usable_last_row"  # rows
    MERGED_ROW = "merged_row"  # rows

    # Not from a check
    LEFT_OUT = "left_out"
    EARLIER_TEXT = "earlier_text"  # text
    PURGED = "purged"


class Remedy(StrEnum):
    """Ways to correct a row, where the expectation alone doesn't say it.

    Checkpoints keep these names: add to them, don't rename.
    """

    CORRECT_FORMULA = "correct_formula"
    CLOSE_QUOTE = "close_quote"
    CLOSE_QUOTE_OR_KEEP = "close_quote_or_keep"
    QUOTE_LINE_BREAK = "quote_line_break"
    ADD_SEPARATORS = "add_separators"
    QUOTE_SEPARATOR = "quote_separator"
    ADD_HEADER = "add_header"
    TYPE_AS_TEXT = "type_as_text"
    TYPE_KEYS_AS_TEXT = "type_keys_as_text"
    FORMAT_AS_DATE = "format_as_date"
    CONVERT_RATING = "convert_rating"
    WITHOUT_SEPARATOR = "without_separator"
    ADD_DATE = "add_date"
    ADD_TIME = "add_time"
    ADD_OFFSET = "add_offset"
    SET_TIMEZONE = "set_timezone"
    SET_DATE_ORDER = "set_date_order"
    SPLIT_SPAN = "split_span"
    ENTER_KEY = "enter_key"
    CORRECT_KEY = "correct_key"
    TYPE_KEY_ANEW = "type_key_anew"
    CHECK_SEPARATORS = "check_separators"
    CONFIRM_QUOTES = "confirm_quotes"
    CONFIRM_KEYS = "confirm_keys"
    REMOVE_POINT_ZERO = "remove_point_zero"
    SAVE_AS_UTF_8 = "save_as_utf_8"
    KEEP_NORTHS_SPELLING = "keep_norths_spelling"
    MAP_ID = "map_id"
    FILL_IN = "fill_in"
    LEAVE_OUT = "leave_out"
    SPLIT_TABLES = "split_tables"
    KEEP_ONE = "keep_one"
    KEEP_ONE_OF_THE_RUN = "keep_one_of_the_run"
    CORRECT_TWIN = "correct_twin"
    BLANK_MARK = "blank_mark"
    RESTORE_CELL = "restore_cell"
    FILL_IN_PART = "fill_in_part"
    CORRECT_KEY_DATE = "correct_key_date"
    NAME_DATE_FORM = "name_date_form"


Fact = str | int | Sequence[int | str]


class Reason(Struct, frozen=True, omit_defaults=True):
    """One thing that keeps a row from being sent.

    `field` is empty when it is about the row; `value` is the text of the cell, at most
    `LONGEST_VALUE` characters of it. `facts` are by name, as `Expected` lists them; `known` has the
    values that a profile knows for the field.
    """

    expected: Expected
    field: str = ""
    value: str | None = None
    remedy: Remedy | None = None
    facts: Mapping[str, Fact] = {}


LONGEST_VALUE = 40
"""Characters of a cell that a reason keeps: enough to find it."""


class DamagedReasons(ValueError):
    """A text that no version of the program writes."""


_DECODER = msgspec.json.Decoder(tuple[Reason, ...])


def encoded(reasons: Sequence[Reason]) -> str:
    """Return reasons as the checkpoint keeps them: a JSON list."""
    return msgspec.json.encode(reasons).decode()


def decoded(text: str) -> tuple[Reason, ...]:
    """Return the reasons of a JSON list; raises DamagedReasons for a text that isn't one."""
    try:
        return _DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise DamagedReasons(str(error)) from None

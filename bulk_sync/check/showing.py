"""The patch of a showing, as in the contract (schema `ShowingPatch`), and how cells fill it.

Each field is declared once: its type, the reader of its cells, and the headers that real exports
use for it. The order of the fields is that of the JSON that is sent, so that equal patches are
equal texts and have equal digests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from bulk_sync.check import cells
from bulk_sync.model.rows import Cell

Reader = Callable[[Cell], object]


class Cells:
    """The reader of a field's cells, and the usual headers of its column.

    `reader` takes a cell that is trimmed and not blank, and returns a value that the field allows;
    None where the cell is read together with its neighbours. `headers` are separated by commas.
    They are compared without case, blanks and punctuation, so `Buyer's Agent`, `buyers_agent` and
    `BUYERS AGENT` are one name. A profile adds names (`[aliases]`), and `--map` decides for one
    header. Ambiguous names are left out on purpose: `Name` (whose?), `Notes` (often not for the
    client), `Listing agent` (the other side). `anyones` are headers that don't say whose the column
    is: next to an agent and no attendee they name no field.

    Names in exports: `Start Date`, `Start Time`, `End Time` (Outlook and Google Calendar; Mozilla
    wiki, "Calendar: CSV Field Mapping"), `Meeting start time`, `Meeting end time`, `Meeting title`
    (HubSpot, "CRM API: Meetings", properties hs_meeting_...), `Appt` for appointment (ShowingTime,
    knowledge base). ShowingTime, BrokerBay and Showing Suite publish no list of the columns of
    their exports, and those of Airtable are named by its users. HubSpot's `Record ID` is its own
    id, not North's, so it names no field. `repeats` says that few values fill the
    column, so that it pays to remember them.
    """

    def __init__(
        self, reader: Reader | None, headers: str, *, anyones: str = "", repeats: bool = False
    ) -> None:
        self.reader = reader
        self.anyones = _names(anyones)
        self.headers = (*self.anyones, *_names(headers))
        self.repeats = repeats


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


# The contract sets no bounds; an event with a negative number of people, or with millions, is a
# typing error.
HIGHEST_COUNT = 1_000_000
"""The highest number of attendees."""


class ShowingPatch(BaseModel):
    """The changes of a row: a field that is not set keeps its value in North, None clears it.

    Instants are texts in RFC 3339, with seconds and offset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    showing_date: Annotated[
        str | None,
        Cells(
            None,
            "date, date time, date and time, date of showing, showing date time, showing date "
            "and time, date of visit, visit date, appointment date, appt date, event date, start "
            "date, shown on",
        ),
    ] = None
    scheduled_date: Annotated[
        str | None,
        Cells(
            None,
            "scheduled, scheduled at, scheduled for, scheduled on, scheduled date time, date "
            "scheduled",
        ),
    ] = None
    attendee_name: Annotated[
        str | None,
        Cells(
            cells.plain_text,
            "attendee, buyer, buyer name, buyers name, visitor, visitor name, guest, guest "
            "name, client, client name, prospect, prospect name",
        ),
    ] = None
    attendee_email: Annotated[
        str | None,
        Cells(
            cells.mail_address,
            "buyer email, visitor email, guest email, client email, prospect email, attendee email "
            "address",
            anyones="email, mail, email address",
        ),
    ] = None
    attendee_phone: Annotated[
        str | None,
        Cells(
            cells.phone_number,
            "buyer phone, visitor phone, guest phone, client phone, prospect phone, attendee phone "
            "number",
            anyones="phone, phone number, phone no, telephone, telephone number, tel, mobile, "
            "mobile phone, mobile number, cell, cell phone",
        ),
    ] = None
    agent_name: Annotated[
        str | None,
        Cells(
            cells.plain_text,
            "agent, buyer agent, buyers agent, buyers agent name, buyer agent name, showing "
            "agent, showing agent name, agent showing, visiting agent, cooperating agent",
        ),
    ] = None
    feedback: Annotated[
        str | None,
        Cells(
            cells.plain_text,
            "comment, comments, feedback notes, feedback comments, feedback text, buyer "
            "feedback, visitor feedback, showing feedback, buyer comments, visitor comments, "
            "remarks",
        ),
    ] = None
    rating: Annotated[
        Annotated[int, Field(ge=1, le=5)] | None,
        Cells(
            cells.rating,
            "stars, star rating, score, overall rating, showing rating, feedback rating, rating "
            "1 5",
            repeats=True,
        ),
    ] = None
    interested: Annotated[
        bool | None,
        Cells(
            cells.boolean,
            "interest, interest level, level of interest, is interested, buyer interest, buyer "
            "interested",
            repeats=True,
        ),
    ] = None
    event_type: Annotated[
        Literal["showing", "open_house"] | None,
        Cells(
            cells.kind_of_event,
            "type of event, event, type, showing type, type of showing, appointment type",
            repeats=True,
        ),
    ] = None
    title: Annotated[
        str | None,
        Cells(
            cells.plain_text,
            "event title, event name, showing title, meeting title, meeting name",
        ),
    ] = None
    attendees_count: Annotated[
        int | None,
        Cells(
            cells.whole_number(0, HIGHEST_COUNT),
            "attendees, attendee count, number of attendees, no of attendees, people, people "
            "count, number of people, no of people, party size, group size, headcount, "
            "visitors, visitor count, number of visitors, guests, guest count, number of guests",
            repeats=True,
        ),
    ] = None
    unique_showing_key: Annotated[
        str | None,
        Cells(
            None,
            "showing key, unique key, showing number, showing reference, external id, external "
            "key, external reference, confirmation, confirmation number, confirmation no, "
            "confirmation code, appointment id, appointment number, event key, booking number, "
            "booking reference",
        ),
    ] = None
    showing_time_start: Annotated[
        str | None,
        Cells(
            None,
            "start, start time, starts, starts at, start date time, begin, begins, begin time, "
            "time start, time, showing time, time of showing, appointment time, showing start, "
            "showing start time, appt time, meeting start time",
        ),
    ] = None
    showing_time_end: Annotated[
        str | None,
        Cells(
            None,
            "end, end time, ends, ends at, end date time, finish, finish time, time end, "
            "showing end, showing end time, meeting end time",
        ),
    ] = None


KEY_COLUMN = "unique_showing_key"
"""The column that addresses the showing; in a row with an id it is part of the patch instead."""

ID_COLUMN = "showing_id"
"""The optional column of North's own id of the showing, a UUID."""

REPORT_COLUMN = "report_id"
"""The optional column of the report that a showing belongs to, a UUID.

It is no field of a patch: only a showing that is created gets it.
"""

_DECLARED = {
    name: next(one for one in field.metadata if isinstance(one, Cells))
    for name, field in ShowingPatch.model_fields.items()
}

FIELDS = tuple(name for name in _DECLARED if name != KEY_COLUMN)
"""The fields of a patch without its key, in the contract's order."""

READERS = {name: _DECLARED[name].reader for name in FIELDS}
"""The reader of each field, None for a date with a time."""

INSTANTS = tuple(name for name, reader in READERS.items() if reader is None)
"""The fields that take a date with a time."""

STARTS = frozenset({"showing_time_start"})
"""The fields that take the start of a range of times, such as a column `Showing Time` has."""

NUMBERS = frozenset({"rating", "interested", "attendees_count"})
"""The fields whose cells may be numbers, however they are shown: 1 is a yes."""

REPEATING = frozenset(name for name in FIELDS if _DECLARED[name].repeats)
"""The fields whose values repeat from row to row."""

NAMES = frozenset({"attendee_name", "agent_name"})
"""The fields that take a person's name."""

ALIASES = {
    **{name: cells_of.headers for name, cells_of in _DECLARED.items()},
    ID_COLUMN: ("id", "north id", "north showing id"),
    REPORT_COLUMN: ("north report id",),
}
"""Usual headers by the field that they name."""

ANYONES = tuple(name for cells_of in _DECLARED.values() for name in cells_of.anyones)
"""Usual headers that don't say whose phone or address the column has."""

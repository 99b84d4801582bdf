"""The headers that real exports use, by field.

Headers are compared without case, blanks and punctuation, so `Buyer's Agent`, `buyers_agent` and
`BUYERS AGENT` are one name. A profile adds names (`[aliases]`), and `--map` decides for one header.
Ambiguous names are left out on purpose: `Name` (whose?), `Notes` (often not for the client),
`Listing agent` (the other side).
"""

from __future__ import annotations

ALIASES: dict[str, tuple[str, ...]] = {
    "unique_showing_key": (
        "showing key", "unique key", "showing number", "showing reference", "external id",
        "external key", "external reference", "confirmation", "confirmation number",
        "confirmation no", "confirmation code", "appointment id", "appointment number", "event key",
        "booking number", "booking reference",
    ),
    "showing_id": ("id", "north id", "north showing id"),
    "showing_date": (
        "date", "date time", "date and time", "date of showing", "showing date time",
        "showing date and time", "date of visit", "visit date", "appointment date", "event date",
        "shown on",
    ),
    "scheduled_date": (
        "scheduled", "scheduled at", "scheduled for", "scheduled on", "scheduled date time",
        "date scheduled",
    ),
    "attendee_name": (
        "attendee", "buyer", "buyer name", "buyers name", "visitor", "visitor name", "guest",
        "guest name", "client", "client name", "prospect", "prospect name",
    ),
    "attendee_email": (
        "email", "mail", "email address", "buyer email", "visitor email", "guest email",
        "client email", "prospect email", "attendee email address",
    ),
    "attendee_phone": (
        "phone", "phone number", "phone no", "telephone", "telephone number", "tel", "mobile",
        "mobile phone", "mobile number", "cell", "cell phone", "buyer phone", "visitor phone",
        "guest phone", "client phone", "prospect phone", "attendee phone number",
    ),
    "agent_name": (
        "agent", "buyer agent", "buyers agent", "buyers agent name", "buyer agent name",
        "showing agent", "showing agent name", "agent showing", "visiting agent",
        "cooperating agent",
    ),
    "feedback": (
        "comment", "comments", "feedback notes", "feedback comments", "feedback text",
        "buyer feedback", "visitor feedback", "showing feedback", "buyer comments",
        "visitor comments", "remarks",
    ),
    "rating": (
        "stars", "star rating", "score", "overall rating", "showing rating", "feedback rating",
        "rating 1 5",
    ),
    "interested": (
        "interest", "interest level", "level of interest", "is interested", "buyer interest",
        "buyer interested",
    ),
    "event_type": (
        "type of event", "event", "type", "showing type", "type of showing", "appointment type",
    ),
    "title": ("event title", "event name", "showing title"),
    "attendees_count": (
        "attendees", "attendee count", "number of attendees", "no of attendees", "people",
        "people count", "number of people", "no of people", "party size", "group size", "headcount",
        "visitors", "visitor count", "number of visitors", "guests", "guest count",
        "number of guests",
    ),
    "showing_time_start": (
        "start", "start time", "starts", "starts at", "start date time", "begin", "begins",
        "begin time", "time start", "time", "showing time", "time of showing", "appointment time",
        "showing start", "showing start time",
    ),
    "showing_time_end": (
        "end", "end time", "ends", "ends at", "end date time", "finish", "finish time", "time end",
        "showing end", "showing end time",
    ),
}  # fmt: skip

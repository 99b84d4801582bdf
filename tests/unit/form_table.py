"""One table of showings, and what North is to get of it, whatever its form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

HEADERS = (
    "Showing Key",
    "Date",
    "Scheduled at",
    "Attendee",
    "Phone",
    "Email",
    "Party size",
    "Rating",
    "Interested",
    "Feedback",
    "Title",
)


@dataclass(frozen=True)
class Showing:
    """A row by its values: text where a sheet has text, None where its cell is blank."""

    key: str
    date: datetime
    scheduled: str | None
    attendee: str | None
    phone: str | None
    email: str | None
    party: int | None
    rating: int | None
    interested: bool | None
    feedback: str | None
    title: str | None

    def values(self) -> tuple[Any, ...]:
        return (
            self.key,
            self.date,
            self.scheduled,
            self.attendee,
            self.phone,
            self.email,
            self.party,
            self.rating,
            self.interested,
            self.feedback,
            self.title,
        )


SHOWINGS = (
    Showing(
        "00123",
        datetime(2026, 3, 14, 16, 30),  # noqa: DTZ001 - the sheet's clock
        "2026-03-02T09:00:00-05:00",
        "José García",
        "+1 (312) 555-0100",
        "jose@example.com",
        2,
        5,
        True,
        "Loved it.\nWould come back",
        "Open, sunny; 2 beds",
    ),
    Showing(
        "2026031400000017",
        datetime(2026, 3, 8, 1, 5),  # noqa: DTZ001 - before clocks go forward
        "2026-03-02 18:15Z",
        "Zoë O’Neil",
        "312-555-0101",
        None,
        1,
        1,
        False,
        "“Too dark” — she’d pay 72 € less",
        None,
    ),
    Showing(
        "MLS-77/B #4",
        datetime(2026, 12, 25, 9, 0),  # noqa: DTZ001 - same
        None,
        "Smith, John",
        None,
        "j.smith+tour@example.com",
        None,
        4,
        None,
        'The "den"\tis | small; see 3/4',
        "=SUM of all",
    ),
    Showing(
        "0007",
        datetime(2026, 7, 4, 23, 59),  # noqa: DTZ001 - same
        None,
        None,
        "3125550102",
        None,
        12,
        None,
        True,
        None,
        "naïve façade",
    ),
)

EXPECTED: dict[str, dict[str, object]] = {
    "00123": {
        "showing_date": "2026-03-14T16:30:00-05:00",
        "scheduled_date": "2026-03-02T09:00:00-05:00",
        "attendee_name": "José García",
        "attendee_phone": "+1 (312) 555-0100",
        "attendee_email": "jose@example.com",
        "attendees_count": 2,
        "rating": 5,
        "interested": True,
        "feedback": "Loved it.\nWould come back",
        "title": "Open, sunny; 2 beds",
    },
    "2026031400000017": {
        "showing_date": "2026-03-08T01:05:00-06:00",
        "scheduled_date": "2026-03-02T18:15:00Z",
        "attendee_name": "Zoë O’Neil",
        "attendee_phone": "312-555-0101",
        "attendees_count": 1,
        "rating": 1,
        "interested": False,
        "feedback": "“Too dark” — she’d pay 72 € less",
    },
    "MLS-77/B #4": {
        "showing_date": "2026-12-25T09:00:00-06:00",
        "attendee_name": "Smith, John",
        "attendee_email": "j.smith+tour@example.com",
        "rating": 4,
        "feedback": 'The "den"\tis | small; see 3/4',
        "title": "=SUM of all",
    },
    "0007": {
        "showing_date": "2026-07-04T23:59:00-05:00",
        "attendee_phone": "3125550102",
        "attendees_count": 12,
        "interested": True,
        "title": "naïve façade",
    },
}


@dataclass(frozen=True)
class Form:
    """The table in one form, and what is right for it.

    It gives the `patches`, and `invalid` rows that are no showings; or, with `refused`, nothing but
    a sentence that has this text; `may_be_read` allows both. `options` are the user's.
    """

    content: bytes
    ending: str = ".csv"
    options: Mapping[str, str] = field(default_factory=dict)
    patches: Mapping[str, Mapping[str, object]] = field(default_factory=lambda: EXPECTED)
    invalid: int = 0
    refused: str = ""
    may_be_read: bool = False


def as_texts(showing: Showing) -> list[str]:
    """A row as a CSV export writes it."""
    texts = []
    for value in showing.values():
        if isinstance(value, datetime):
            texts.append(value.strftime("%Y-%m-%d %H:%M"))
        elif isinstance(value, bool):
            texts.append("TRUE" if value else "FALSE")
        else:
            texts.append("" if value is None else str(value))
    return texts


def matrix() -> list[list[str]]:
    """The header and the rows as a CSV export writes them."""
    return [list(HEADERS), *map(as_texts, SHOWINGS)]


def in_words(change: Callable[[str], str]) -> dict[str, dict[str, object]]:
    """The patches when a form changes texts, as one without curly quotes has to."""
    return {
        key: {
            name: change(value) if isinstance(value, str) else value
            for name, value in patch.items()
        }
        for key, patch in EXPECTED.items()
    }

"""The fields as people know them: title, meaning, accepted cells, an example.

The notes of an empty sheet and the table in `docs/reference.md` are made from it.
"""

from __future__ import annotations

from bulk_sync.check.showing import HIGHEST_COUNT
from bulk_sync.model.described import Described, Shape

_MOMENT = (
    "A date with a time, such as 2026-03-14 16:30 or 3/14/2026 4:30 PM. Without an offset it is in "
    "the zone of --timezone."
)
_TEXT = "Any text; it is sent as it is."
_UUID = "550e8400-e29b-41d4-a716-446655440000"

DESCRIBED: tuple[Described, ...] = (
    Described(
        "unique_showing_key",
        "Unique showing key",
        "The key of the showing in North. It says which showing a row changes.",
        "The key as text; leading zeros stay. Each key once.",
        "SH-1001",
        width=24,
    ),
    Described(
        "showing_id",
        "Showing ID",
        "North's own id of the showing. It addresses the showing in place of the key, which is "
        "then changed like any other field.",
        "A UUID.",
        _UUID,
        width=38,
    ),
    Described(
        "showing_date",
        "Showing date",
        "When the showing was or will be.",
        _MOMENT,
        "2026-03-14 16:30",
        Shape.MOMENT,
    ),
    Described(
        "scheduled_date",
        "Scheduled date",
        "The time for which the showing is scheduled.",
        _MOMENT,
        "2026-03-14 16:30",
        Shape.MOMENT,
    ),
    Described(
        "attendee_name",
        "Attendee name",
        "The name of the buyer or visitor.",
        _TEXT,
        "Ana Abara",
        width=24,
    ),
    Described(
        "attendee_email",
        "Attendee email",
        "The mail address of the buyer or visitor.",
        "One mail address, in ASCII.",
        "ana.abara@example.com",
        width=30,
    ),
    Described(
        "attendee_phone",
        "Attendee phone",
        "The phone number of the buyer or visitor.",
        "A phone number as text; it is sent as it is.",
        "(312) 555-0108",
    ),
    Described(
        "agent_name",
        "Agent name",
        "The agent who came with the buyer.",
        _TEXT,
        "Casey Thorn",
        width=24,
    ),
    Described(
        "feedback",
        "Feedback",
        "The visitor's comments on the property.",
        _TEXT,
        "Loved the kitchen",
        width=50,
    ),
    Described(
        "rating",
        "Rating",
        "The visitor's rating, 5 is best.",
        "1 to 5; also 4/5, 4 stars and ★★★★. Another scale, such as 8/10, with --scale 10.",
        4,
        Shape.CHOICE,
        (1, 2, 3, 4, 5),
        width=9,
    ),
    Described(
        "interested",
        "Interested",
        "Is the visitor interested?",
        "yes or no; also y, n, true, false, 1, 0, x, interested, not interested.",
        "yes",
        Shape.CHOICE,
        ("yes", "no"),
        width=12,
    ),
    Described(
        "event_type",
        "Event type",
        "The type of the event.",
        "showing or open house; also private showing and open_house.",
        "showing",
        Shape.CHOICE,
        ("showing", "open house"),
        width=14,
    ),
    Described("title", "Title", "The title of the event.", _TEXT, "933 Alder Lane", width=30),
    Described(
        "attendees_count",
        "Attendees count",
        "The number of people who came.",
        f"A whole number from 0 to {HIGHEST_COUNT:,}, without separators.",
        2,
        Shape.NUMBER,
        low=0,
        high=HIGHEST_COUNT,
        width=16,
    ),
    Described(
        "showing_time_start",
        "Showing time start",
        "When the showing starts.",
        _MOMENT,
        "2026-03-14 16:30",
        Shape.MOMENT,
        width=20,
    ),
    Described(
        "showing_time_end",
        "Showing time end",
        "When the showing ends.",
        _MOMENT,
        "2026-03-14 17:00",
        Shape.MOMENT,
        width=20,
    ),
    Described(
        "report_id",
        "Report ID",
        "The report to which a showing belongs that --create-missing creates.",
        "A UUID.",
        _UUID,
        width=38,
    ),
)
"""All fields that a column can fill, in the order of `naming.TARGETS`."""

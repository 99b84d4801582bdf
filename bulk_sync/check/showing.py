"""The patch of a showing, as the contract has it (schema `ShowingPatch`).

The order of the fields is the order in the JSON that is sent, so that equal patches are
equal texts and their digests meet.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from bulk_sync.check.cells import boolean, instant, kind_of_event, mail_address, whole_number

Instant = Annotated[str, AfterValidator(instant)]
Rating = Annotated[int, BeforeValidator(whole_number(1, 5))]
# The contract bounds nothing; an event with a negative number of people, or with millions, is a slip.
Headcount = Annotated[int, BeforeValidator(whole_number(0, 1_000_000))]


class ShowingPatch(BaseModel):
    """What a row changes; a field that is not set keeps its value in North."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    showing_date: Instant | None = None
    scheduled_date: Instant | None = None
    attendee_name: str | None = None
    attendee_email: Annotated[str, AfterValidator(mail_address)] | None = None
    attendee_phone: str | None = None
    agent_name: str | None = None
    feedback: str | None = None
    rating: Rating | None = None
    interested: Annotated[bool, BeforeValidator(boolean)] | None = None
    event_type: Annotated[str, AfterValidator(kind_of_event)] | None = None
    title: str | None = None
    attendees_count: Headcount | None = None
    showing_time_start: Instant | None = None
    showing_time_end: Instant | None = None


KEY_COLUMN = "unique_showing_key"
"""The column whose cell addresses the showing; it is the target, and so not part of the patch."""

FIELDS = frozenset(ShowingPatch.model_fields)
"""The columns that make a patch."""

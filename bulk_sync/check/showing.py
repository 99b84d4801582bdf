"""The patch of a showing, as in the contract (schema `ShowingPatch`).

The order of the fields is that of the JSON that is sent, so that equal patches are equal texts and
have equal digests.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ShowingPatch(BaseModel):
    """The changes of a row: a field that is not set keeps its value in North, None clears it.

    Instants are texts in RFC 3339, with seconds and offset.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    showing_date: str | None = None
    scheduled_date: str | None = None
    attendee_name: str | None = None
    attendee_email: str | None = None
    attendee_phone: str | None = None
    agent_name: str | None = None
    feedback: str | None = None
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    interested: bool | None = None
    event_type: Literal["showing", "open_house"] | None = None
    title: str | None = None
    attendees_count: int | None = None
    unique_showing_key: str | None = None
    showing_time_start: str | None = None
    showing_time_end: str | None = None


KEY_COLUMN = "unique_showing_key"
"""The column that addresses the showing; in a row with an id it is part of the patch instead."""

ID_COLUMN = "showing_id"
"""The optional column of North's own id of the showing, a UUID."""

FIELDS = tuple(name for name in ShowingPatch.model_fields if name != KEY_COLUMN)
"""The fields of a patch without its key, in the contract's order."""

INSTANTS = ("showing_date", "scheduled_date", "showing_time_start", "showing_time_end")
"""The fields that take a date with a time."""

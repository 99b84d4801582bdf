"""The patch of a showing, as the contract has it (schema `ShowingPatch`).

The order of the fields is the order in the JSON that is sent, so that equal patches are
equal texts and their digests meet. Texts of cells are read in `cells` and `moments`; what
stands here is the shape that is sent, and the last check before it is.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class ShowingPatch(BaseModel):
    """What a row changes; a field that is not set keeps its value in North, one that is None is
    cleared.

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
"""The column whose cell addresses the showing, unless its row has an id; then it is part of the
patch.
"""

ID_COLUMN = "showing_id"
"""The column that may hold North's own id of the showing, a UUID."""

FIELDS = tuple(name for name in ShowingPatch.model_fields if name != KEY_COLUMN)
"""The columns that make a patch, in the contract's order."""

INSTANTS = ("showing_date", "scheduled_date", "showing_time_start", "showing_time_end")
"""The fields that take a date with its time."""

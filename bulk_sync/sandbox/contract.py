"""Strict models of the request bodies that the contract allows."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal, Self, TypeVar
from uuid import UUID

from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _date_time(text: str) -> str:
    # `fromisoformat` also takes dates alone and week dates; RFC 3339 (section 5.6) doesn't.
    if not _RFC_3339.fullmatch(text):
        raise ValueError("must be a date-time of RFC 3339")
    # Python keeps six digits of a second at most, RFC 3339 any number: the fraction is left out.
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", text).upper())
    except ValueError as error:
        raise ValueError(f"must be a date-time of RFC 3339: {error}") from None
    return text


def _email(text: str) -> str:
    try:
        validate_email(text, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError(f"must be a mail address: {error}") from None
    return text


_DateTime = Annotated[str, AfterValidator(_date_time)]
_Email = Annotated[str, AfterValidator(_email)]


class PatchBody(BaseModel):
    """Schema `ShowingPatch`: no other fields, no nulls, no other types, at least one field."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # None means "not sent": pydantic doesn't validate a default, and refuses a null that was sent.
    showing_date: _DateTime = Field(default=None)  # type: ignore[assignment]
    scheduled_date: _DateTime = Field(default=None)  # type: ignore[assignment]
    attendee_name: str = Field(default=None)  # type: ignore[assignment]
    attendee_email: _Email = Field(default=None)  # type: ignore[assignment]
    attendee_phone: str = Field(default=None)  # type: ignore[assignment]
    agent_name: str = Field(default=None)  # type: ignore[assignment]
    feedback: str = Field(default=None)  # type: ignore[assignment]
    rating: Annotated[int, Field(ge=1, le=5)] = Field(default=None)  # type: ignore[assignment]
    interested: bool = Field(default=None)  # type: ignore[assignment]
    event_type: Literal["showing", "open_house"] = Field(default=None)  # type: ignore[arg-type]
    title: str = Field(default=None)  # type: ignore[assignment]
    attendees_count: int = Field(default=None)  # type: ignore[assignment]
    unique_showing_key: str = Field(default=None)  # type: ignore[assignment]
    showing_time_start: _DateTime = Field(default=None)  # type: ignore[assignment]
    showing_time_end: _DateTime = Field(default=None)  # type: ignore[assignment]

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("at least one field is required")
        return self


class CreateBody(PatchBody):
    """Body of `createShowing`: a patch and the report that the showing belongs to."""

    report_id: Annotated[UUID, Field(strict=False)]


Body = TypeVar("Body", bound=PatchBody)


def read_body(kind: type[Body], text: bytes) -> Body | str:
    """Return the body, or the reasons why the contract refuses it."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False, include_context=False)
        return "; ".join(
            ": ".join([*map(str, detail["loc"]), detail["msg"]]) for detail in details[:5]
        )

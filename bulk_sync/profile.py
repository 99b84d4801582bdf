"""Profiles: TOML files with the settings for reading the sheets of one source.

on_duplicate = "last"
scale = "0-10"             # of the ratings

[read]
delimiter = ";"
encoding = "cp1252"
sheet = "March"
header_row = 3

[map]                      # header = field; "" ignores the column
"Buyer's Agent" = "agent_name"
"Internal note" = ""
"column 7" = "feedback"

[headers]                  # the header that a column mapped by its place must have
"column 7" = "Comments"

[aliases]                  # further names of fields, for all sheets
rating = ["Satisfaction"]

[dates]
timezone = "America/Chicago"
order = "dmy"
default_time = "09:00"

[fields.feedback]          # the cells that clear one field
clear = "n/a"
blank = "clear"            # a blank cell clears too; else "keep"

[fields.rating.values]     # a cell that shows this text counts as one with that value
Hot = 5
"Not for us" = 1

[fields.event_type]        # the same value in all rows
constant = "open house"

[fields.attendee_name]     # a text of several columns
from = "{First} {Last}"

[fields.unique_showing_key]
from = "{MLS}-{Date:YYYY-MM-DD}"
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from bulk_sync import platforms
from bulk_sync.errors import OutputError, UsageError, not_toml
from bulk_sync.platforms import why_refused
from bulk_sync.similar import closest
from bulk_sync.small_file import NoSmallFile, parse_toml, read_small_file
from bulk_sync.validation import explain


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Read(_Part):
    """The layout of the file; None is detected."""

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | int | None = None
    header_row: int | None = Field(default=None, ge=1)


class Dates(_Part):
    """The rules for dates."""

    timezone: str | None = None
    order: Literal["mdy", "dmy", "ymd"] | None = None
    default_time: str | None = None


def _value(given: object) -> object:
    if isinstance(given, (str, bool, int, float)):
        return given
    raise ValueError("a value is a text in quotes, a number, or true or false")


Value = Annotated[str | bool | int | float, PlainValidator(_value)]
"""A cell's value in a profile."""


class FieldRule(_Part):
    """The cells of one field: those that clear it, and those that the profile makes."""

    clear: str | None = None
    blank: Literal["keep", "clear"] = "keep"
    values: dict[str, Value] = {}
    constant: Value | None = None
    template: str | None = Field(default=None, alias="from")


class Profile(_Part):
    """A profile, in the shape of its file."""

    on_duplicate: Literal["error", "last", "merge"] | None = None
    strict: bool | None = None
    clear: str | None = None
    scale: str | int | None = None
    read: Read = Read()
    map: dict[str, str] = {}
    headers: dict[str, str] = {}
    aliases: dict[str, list[str]] = {}
    dates: Dates = Dates()
    fields: dict[str, FieldRule] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a profile; raises UsageError with the file, the key and the right form."""
        try:
            text = read_small_file(path)[0].decode("utf-8-sig")
            return cls.model_validate(parse_toml(text))
        except NoSmallFile as error:
            raise UsageError(f"--profile {path}: {error}, so it is no profile") from None
        except OSError as error:
            raise UsageError(f"--profile {path}: {why_refused(error)}") from None
        except RecursionError:
            raise UsageError(f"--profile {path}: nested too deeply for a profile") from None
        except UnicodeDecodeError:
            raise UsageError(f"--profile {path}: not UTF-8 text") from None
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"--profile {path}: {not_toml(error)}") from None
        except ValidationError as error:
            raise UsageError(f"--profile {path}: {_sentences(error)}") from None

    def save(self, path: Path) -> None:
        """Write the profile; raises OutputError, also if the file exists."""
        text = (
            "# How bulk-sync reads this kind of sheet: use it with --profile. An empty field "
            "ignores the column.\n"
        )
        text += tomli_w.dumps(
            self.model_dump(exclude_none=True, exclude_defaults=True, by_alias=True)
        )
        try:
            # Exclusive creation: an existing profile may have been edited.
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise OutputError(
                f"{path} exists already; name another file for the profile."
            ) from None
        except OSError as error:
            raise OutputError(
                f"{path}: can't be written: {platforms.why_refused(error)}."
            ) from None


def _sentences(error: ValidationError) -> str:
    return "; ".join(
        _unknown(detail["loc"])
        if detail["type"] == "extra_forbidden"
        else f"{'.'.join(map(str, detail['loc']))}: {explain(detail)}"
        for detail in error.errors(include_url=False)
    )


def _unknown(place: tuple[str | int, ...]) -> str:
    parts: dict[str, type[BaseModel]] = {"read": Read, "dates": Dates, "fields": FieldRule}
    model = Profile if len(place) == 1 else parts.get(str(place[0]), Profile)
    name = str(place[-1])
    known = [field.alias or one for one, field in model.model_fields.items()]
    close = closest(name, known)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"{'.'.join(map(str, place))} is not known: {hint}"

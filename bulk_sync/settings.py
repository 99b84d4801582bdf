"""What a run is told: one model, checked before anything is touched.

Texts such as `50/s`, `15m` and `10%` become numbers here, and the API key becomes a
`SecretStr` that prints as stars.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import time
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)

from bulk_sync.address import DEFAULT_BASE_URL, check_base_url
from bulk_sync.errors import UsageError
from bulk_sync.profile import Profile
from bulk_sync.quantities import Rate, Share, parse_clock_time
from bulk_sync.secret import check_key


def check_timezone(name: str) -> str:
    """The name of a time zone; ValueError with the closest names when there is none such."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        names = sorted(available_timezones())
        close = [
            zone
            for zone in names
            if zone.rpartition("/")[2].lower() == name.replace(" ", "_").lower()
        ]
        close = close or difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else "write it as America/Chicago"
        raise ValueError(f"{name!r} is not a time zone: {hint}") from None
    return name


class _Settings(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True
    )

    @classmethod
    def checked(cls, **values: object) -> Self:
        """Build the settings; raises UsageError with a sentence for each wrong one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UsageError(_sentences(error)) from None


class SheetSettings(_Settings):
    """What `check` is told, and `push` too: the sheet, how it is read and mapped.

    `map` is header to field, "" leaves a column out; `map_hints` is the same, and may speak of
    columns that the sheet has not; `aliases` are further names of fields;
    `clear` is the text that clears a field, by field or, under "", for all; `timezone` None is
    the machine's own.
    """

    input: Path
    limit: int | None = Field(default=None, ge=1)
    max_problems: Share = Share(percent=50)
    rate: Rate | None = None

    delimiter: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    header_row: int | None = Field(default=None, ge=1)

    map: dict[str, str] = {}
    map_hints: dict[str, str] = {}
    aliases: dict[str, list[str]] = {}
    strict: bool = False
    timezone: Annotated[str, AfterValidator(check_timezone)] | None = None
    date_order: Literal["mdy", "dmy", "ymd"] | None = None
    default_time: time | None = None
    clear: dict[str, str] = {}
    blank_clears: tuple[str, ...] = ()
    on_duplicate: Literal["error", "last", "merge"] = "error"

    @property
    def read_from_standard_input(self) -> bool:
        """True when the sheet comes over standard input."""
        return str(self.input) == "-"


class PushSettings(SheetSettings):
    """All that `push` is told.

    Times are in seconds; `finish_by` is a time of the day on this machine. `base_url` is `sandbox:`
    when the run starts a sandbox of its own. `state_folder` is where runs on this host share what
    they know of the API's limit; None for the user's own.
    """

    base_url: Annotated[str, AfterValidator(check_base_url)] = DEFAULT_BASE_URL
    key: Annotated[SecretStr, AfterValidator(check_key)]
    workers: int = Field(default=16, ge=1, le=500)
    transport: Literal["auto", "httptools", "httpx"] = "auto"
    timeout_seconds: float = Field(default=30.0, ge=0.1, le=3600)
    max_attempts: int = Field(default=5, ge=1, le=100)
    retry_for_seconds: float = Field(default=900.0, ge=0, le=7 * 86400)
    ambiguous: Literal["retry", "stop"] = "retry"
    max_failures: Share | None = None
    deadline_seconds: float | None = Field(default=None, gt=0)
    finish_by: time | None = None
    state_folder: Path | None = None
    out: Path | None = None
    results: Path | None = None
    page: Path | None = None
    checkpoint: Path | None = None
    fresh: bool = False
    new_key: bool = False
    purge: bool = False
    only_changed: bool = False
    ledger: Path | None = None
    undo_file: Path | None = None

    @model_validator(mode="after")
    def _name_files_of_a_stream(self) -> Self:
        if self.read_from_standard_input and (self.results is None or self.checkpoint is None):
            raise ValueError(
                "a sheet from standard input has no name: give --checkpoint and --results"
            )
        return self

    @property
    def files(self) -> Files:
        """Where this run's files go."""
        return Files.of(
            self.input,
            out=self.out,
            results=self.results,
            checkpoint=self.checkpoint,
            page=self.page,
        )


class ReconcileSettings(_Settings):
    """What `reconcile` is told: the sheet here, the one there, and the one that both come from.

    `there` None is the ledger: that of `checkpoint`, or the shared one, which needs `base_url`.
    `changes` is where the sheet of what may be sent goes; None writes none.
    """

    here: SheetSettings
    there: SheetSettings | None
    base: SheetSettings | None = None
    checkpoint: Path
    ledger: Path | None = None
    base_url: Annotated[str, AfterValidator(check_base_url)] = DEFAULT_BASE_URL
    prefer_here: bool = False
    one_way: bool = False
    results: Path | None = None
    page: Path | None = None
    template: Path | None = None
    changes: Path | None = None


def sheet_values(
    profile: Profile | None, given: Mapping[str, object], pairs: Sequence[str] = ()
) -> dict[str, object]:
    """The values of `SheetSettings` from a profile and from options; an option wins over the
    profile.

    `given` are options by their settings' names, None where there is none; `pairs` are
    `Header=field`. Raises UsageError.
    """
    known = Profile() if profile is None else profile
    read, dates = known.read, known.dates
    values: dict[str, object] = {
        "delimiter": read.delimiter,
        "encoding": read.encoding,
        "sheet": None if read.sheet is None else str(read.sheet),
        "header_row": read.header_row,
        "strict": known.strict,
        "timezone": dates.timezone,
        "date_order": dates.order,
        "default_time": _told_time(dates.default_time),
        "on_duplicate": known.on_duplicate,
        "aliases": known.aliases,
        "blank_clears": tuple(name for name, rule in known.fields.items() if rule.blank == "clear"),
    }
    values |= {name: value for name, value in given.items() if value is not None}
    clear = {name: rule.clear for name, rule in known.fields.items() if rule.clear is not None}
    token = values.pop("clear", None)
    if token == "":
        raise UsageError(
            '--clear: a blank cell clears nothing; a profile can say so of a field: blank = "clear"'
        )
    token = token or known.clear
    values["clear"] = {"": token, **clear} if token else clear
    values["map_hints"] = known.map
    values["map"] = dict(map(parse_pair, pairs))
    return {name: value for name, value in values.items() if value is not None}


def _told_time(text: str | None) -> time | None:
    try:
        return None if text is None else parse_clock_time(text)
    except ValueError as error:
        raise UsageError(f"default_time of the profile: {error}") from None


def parse_pair(text: str) -> tuple[str, str]:
    """`Header=field` as both; raises UsageError without an equals sign."""
    header, equals, field = text.rpartition("=")
    if not equals or not header.strip():
        raise UsageError(
            f"--map {text!r}: write it as 'Header=field', or 'Header=' to leave the column out"
        )
    return header.strip(), field.strip()


_OPTIONS = {"timeout_seconds": "--timeout", "retry_for_seconds": "--retry-for", "key": "API key"}


def _sentences(error: ValidationError) -> str:
    parts = []
    for detail in error.errors(include_input=False, include_url=False):
        text = detail["msg"].removeprefix("Value error, ")
        name = str(detail["loc"][0]) if detail["loc"] else None
        parts.append(
            text if name is None else f"{_OPTIONS.get(name, '--' + name.replace('_', '-'))}: {text}"
        )
    return "; ".join(parts) + "."


class Files(Struct, frozen=True):
    """The files of a job, named after its input; `page` None writes none."""

    results: Path
    failed: Path
    checkpoint: Path
    page: Path | None = None

    @staticmethod
    def beside(source: Path, ending: str, *, out: Path | None = None) -> Path:
        """Where a file named after the input goes, that ends so."""
        # Only .csv gives way, so that x.csv, x.tsv and x.xlsx in one folder are three jobs.
        stem = source.stem if source.suffix.lower() == ".csv" else source.name
        return (source.parent if out is None else out) / f"{stem}.{ending}"

    @classmethod
    def of(
        cls,
        source: Path,
        *,
        out: Path | None = None,
        results: Path | None = None,
        checkpoint: Path | None = None,
        page: Path | None = None,
    ) -> Files:
        """Beside the input, or all in `out`; `results`, `checkpoint` and `page` name theirs
        outright.
        """
        if str(source) == "-" and results is not None:
            source, out = results.with_name(f"{results.stem.removesuffix('.results')}.csv"), None
        return cls(
            results=results or cls.beside(source, "results.csv", out=out),
            failed=cls.beside(source, "failed.csv", out=out),
            checkpoint=checkpoint or cls.beside(source, "checkpoint.sqlite", out=out),
            page=page,
        )

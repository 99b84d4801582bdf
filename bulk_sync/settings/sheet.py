"""The settings of a check: a sheet, its layout, and the meaning of its cells."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from bulk_sync.errors import UsageError
from bulk_sync.model.places import column_number
from bulk_sync.profile import Profile
from bulk_sync.quantities import parse_clock_time, parse_scale
from bulk_sync.settings.composed import Composed, names_of, part
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.pacing import Pacing
from bulk_sync.settings.reading import Reading
from bulk_sync.settings.stopping import Stopping


class SheetSettings(Composed):
    """The settings of `check`; those of `push` include them.

    The values of a profile (`profile="agency.toml"`) hold where no option is given.
    """

    reading: Reading
    meaning: Meaning = Meaning()
    pacing: Pacing = Pacing()
    stopping: Stopping = Stopping()
    creating: Creating = Creating()

    def __init__(self, **values: object) -> None:  # so that type checkers take flat arguments
        super().__init__(**values)

    @property
    def own_folder(self) -> Path:
        """The folder of the run's own files, for temporary ones where the system keeps none."""
        return self.reading.input.parent

    @classmethod
    def sorted_into_parts(cls, values: Mapping[str, object]) -> dict[str, Any]:
        """Group the values of each part under its name, including those of the profile."""
        found = super().sorted_into_parts(values)
        meaning: dict[str, Any] = found["meaning"]
        if meaning.get("profile") is not None:
            profile = profile_values(Path(meaning["profile"]))
            hints = {**profile.get("map_hints", {}), **meaning.get("map_hints", {})}
            for of, kind in (("reading", Reading), ("meaning", Meaning)):
                known = {name: value for name, value in profile.items() if name in names_of(kind)}
                if kind is Reading:
                    unnamed = known.keys() - found[of].keys()
                    found[of]["for_all_sheets"] = unnamed | found[of].get("for_all_sheets", set())
                found[of] = known | found[of]  # options take precedence over the profile
            found["meaning"]["map_hints"] = hints
        return found


def not_typed(values: Mapping[str, Any], typed: Collection[str] = ()) -> dict[str, Any]:
    """Return values of which only the `typed` ones must concern the sheet.

    A misspelt header of an option would go unnoticed if it need not fit. The others are of a
    settings file, for those of many sheets that they fit. Raises UsageError.
    """
    found = dict(values)
    if found.get("map") and "map" not in typed:
        mapped = part(Meaning, {"map": found.pop("map")}).map
        found["map_hints"] = {**found.get("map_hints", {}), **mapped}
    if unnamed := names_of(Reading).keys() & found.keys() - set(typed):
        found["for_all_sheets"] = frozenset(unnamed)
    return found


def profile_values(path: Path) -> dict[str, Any]:
    """Return the values of the fields of `Reading` and `Meaning` that a profile sets.

    Raises UsageError.
    """
    profile = Profile.load(path)
    read, dates, fields = profile.read, profile.dates, profile.fields
    values = {
        "delimiter": read.delimiter,
        "encoding": read.encoding,
        "sheet": None if read.sheet is None else str(read.sheet),
        "header_row": read.header_row,
        "strict": profile.strict,
        "timezone": dates.timezone,
        "date_order": dates.order,
        "default_time": dates.default_time,
        "on_duplicate": profile.on_duplicate,
        "clear": profile.clear,
        "scale": None if profile.scale is None else str(profile.scale),
        "map_hints": profile.map,
        "headers_seen": profile.headers,
        "aliases": profile.aliases,
        "field_clears": {
            name: rule.clear for name, rule in fields.items() if rule.clear is not None
        },
        "values": {name: rule.values for name, rule in fields.items() if rule.values},
        "constants": {
            name: rule.constant for name, rule in fields.items() if rule.constant is not None
        },
        "templates": {
            name: rule.template for name, rule in fields.items() if rule.template is not None
        },
        "blank_clears": tuple(name for name, rule in fields.items() if rule.blank == "clear"),
    }
    for name in profile.headers:
        if column_number(name) is None:
            raise UsageError(
                f"--profile {path}: headers: {name!r} is no place: write it as 'column 3'"
            )
    _check(path, "dates.default_time", dates.default_time, parse_clock_time)
    _check(path, "scale", values["scale"], parse_scale)
    return {name: value for name, value in values.items() if value is not None}


def _check(path: Path, key: str, text: object, parse: Callable[[str], object]) -> None:
    try:
        if text is not None:
            parse(str(text))
    except ValueError as error:
        raise UsageError(f"--profile {path}: {key}: {error}") from None

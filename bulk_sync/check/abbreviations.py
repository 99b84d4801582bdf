"""Zones by their short names, and where a short name contradicts its date. Pure.

People write EST all year and mean local time. RFC 5322, section 4.3, gives EST as -0500, so a time
in July is an hour off. Only the zone and the date can show that.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

# RFC 5322, section 4.3, and the European zones whose short names mean one thing only.
_HOURS_EAST: Final = {
    "Z": 0, "UTC": 0, "GMT": 0, "UT": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7,
    "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9, "AKDT": -8, "HST": -10, "WET": 0, "WEST": 1,
    "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
}  # fmt: skip

# A place whose clocks have these names, each in its half of the year.
_PLACES: Final = {
    "EST": "America/New_York", "EDT": "America/New_York", "CST": "America/Chicago",
    "CDT": "America/Chicago", "MST": "America/Denver", "MDT": "America/Denver",
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "AKST": "America/Anchorage",
    "AKDT": "America/Anchorage", "WET": "Europe/Lisbon", "WEST": "Europe/Lisbon",
    "CET": "Europe/Paris", "CEST": "Europe/Paris", "EET": "Europe/Athens", "EEST": "Europe/Athens",
}  # fmt: skip


def zone_of_abbreviation(text: str) -> timezone | None:
    """Return the zone of EST, CEST or Z in any case, with that name; None for other texts."""
    name = text.upper()
    hours = _HOURS_EAST.get(name)
    return None if hours is None else timezone(timedelta(hours=hours), name)


def contradiction(instant: datetime, local: tzinfo | None) -> dict[str, str] | None:
    """Return how the short name of an instant's zone contradicts its date, None if it doesn't.

    `local` is the user's zone; its names count before those of other places. The facts: `zone` is
    on `there` (`offset_there`) at that time, and the cell says `said` (`offset_said`).
    """
    zone = instant.tzinfo
    said = zone.tzname(None) if isinstance(zone, timezone) else None
    if said is None or said not in _HOURS_EAST:
        return None
    if local is not None and said in _names(local, instant.year):
        place: tzinfo = local
    elif said in _PLACES:
        place = ZoneInfo(_PLACES[said])
    else:
        return None
    there = instant.replace(tzinfo=place)
    if there.utcoffset() == instant.utcoffset():
        return None
    return {
        "zone": str(place),
        "there": there.tzname() or "",
        "offset_there": there.isoformat()[-6:],
        "said": said,
        "offset_said": instant.isoformat()[-6:],
    }


@lru_cache(maxsize=64)
def _names(zone: tzinfo, year: int) -> frozenset[str | None]:
    """Return the short names of a zone in winter and in summer."""
    days = (datetime(year, month, 1, tzinfo=zone) for month in (1, 7))
    return frozenset(day.tzname() for day in days)

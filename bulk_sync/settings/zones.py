"""The names of time zones."""

from __future__ import annotations

from bulk_sync.similar import closest

_AREAS = {
    "E": ("America/New_York", "US Eastern"),
    "C": ("America/Chicago", "US Central"),
    "M": ("America/Denver", "US Mountain"),
    "P": ("America/Los_Angeles", "US Pacific"),
}
_ABBREVIATIONS = {
    f"{letter}{rest}": area for letter, area in _AREAS.items() for rest in ("ST", "DT", "T")
}
# Abbreviations that the time zone database has as zones, an hour off for most of the year.
_WITHOUT_DAYLIGHT_SAVING = {"EST": "America/Panama", "MST": "America/Phoenix"}

# Characters of a name; the time zone database has names of up to 32.
_LONGEST_ZONE = 60


def check_timezone(name: str) -> str:
    """Return the name of a time zone; raises ValueError, with the area or the closest names.

    An abbreviation such as CST is refused: people mean the area by it, daylight saving time
    included.
    """
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    if len(name) > _LONGEST_ZONE:  # before the library looks for it in each folder that it names
        raise ValueError(
            f"{name[:_LONGEST_ZONE]!r}... is not a time zone: write it as America/Chicago"
        )
    if name.upper() in _ABBREVIATIONS:
        area, words = _ABBREVIATIONS[name.upper()]
        fixed = _WITHOUT_DAYLIGHT_SAVING.get(name.upper())
        note = f"; without daylight saving time it is {fixed}" if fixed else ""
        raise ValueError(f"{name!r} is an abbreviation; name the area: {area} ({words}){note}")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a time zone: {_closest(name)}") from None
    return name


def _closest(name: str) -> str:
    from zoneinfo import available_timezones

    names = sorted(available_timezones())
    if not names:
        return "this machine has no time zones; add them with: pip install tzdata"
    city = name.replace(" ", "_").lower()
    close = [zone for zone in names if zone.rpartition("/")[2].lower() == city]
    close = close or closest(name, names, 3)
    return f"did you mean {' or '.join(close)}?" if close else "write it as America/Chicago"

"""Days on which no showing can be: the zeros and the last days of programs, other ages. Pure."""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from typing import Final

from bulk_sync.check.cells import BadCell
from bulk_sync.check.memory import MOST_REMEMBERED
from bulk_sync.model.problems import Expected

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2099

ACCESS_ZERO: Final = date(1899, 12, 30)
"""The day of a time without a date in Access, OLE Automation and Google Sheets."""

# The names are those of the words in `report.problems`.
_ORIGINS = {
    date(1, 1, 1): "dotnet",  # DateTime.MinValue
    date(1601, 1, 1): "filetime",
    date(1753, 1, 1): "sql_server_first",  # datetime
    ACCESS_ZERO: "access",
    date(1904, 1, 1): "excel_1904",
    date(1969, 12, 31): "unix",  # west of Greenwich
    date(1970, 1, 1): "unix",
    date(1980, 1, 1): "dos",
    date(2038, 1, 19): "unix_last",  # 2**31 seconds
    date(2079, 6, 6): "sql_server_last",  # smalldatetime
    date(2099, 12, 31): "maximum",
    date(4501, 1, 1): "outlook",
    date(9999, 12, 31): "maximum",
}
# Excel's days 0 to 31: 24 hours and more in a cell that is formatted as a time.
_EXCEL_HOURS = (date(1899, 12, 31), date(1900, 1, 31))


@lru_cache(maxsize=MOST_REMEMBERED)
def _origin(day: date) -> str | None:
    """Return where a day comes from that no showing has: "" for another age; None for the rest."""
    if day in _ORIGINS:
        return _ORIGINS[day]
    if _EXCEL_HOURS[0] <= day <= _EXCEL_HOURS[1]:
        return "excel_hours"
    return None if FIRST_YEAR <= day.year <= LAST_YEAR else ""


def refuse_other_ages(day: date) -> None:
    """Raise BadCell for a day on which no showing can be."""
    origin = _origin(day)
    if origin is None:
        return
    if origin:
        raise BadCell(Expected.DAY_OF_SHOWING, day=day.isoformat(), origin=origin)
    raise BadCell(Expected.OUR_AGE)

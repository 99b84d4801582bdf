"""Headers of a sheet's own columns next to those of the results. Pure: names in, names out.

One rule for all formats, so that no two columns of a file have one name: a header that another
column has before it, or the results have, gets the first free number, as in `Notes (2)`; one
without a name is called by its place in the sheet, as in `column 3`. Case makes no difference,
because databases and spreadsheet programs don't tell such names apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.model.places import column_name


class Headings:
    """The headers of a sheet's columns; `columns` are those that it has a header row for."""

    def __init__(self, headers: Sequence[str], taken: Sequence[str] = RESULT_COLUMNS) -> None:
        self._taken = {name.casefold() for name in taken}
        # The next number to try, by header: many equal headers would take quadratic time.
        self._numbers: dict[str, Iterator[int]] = {}
        self.columns: list[str] = []
        for header in headers:
            self.columns.append(self._named(header, len(self.columns)))
        self._further = list(self.columns)

    def of(self, width: int) -> list[str]:
        """Return the headers of a row this wide: cells beyond the header row have places."""
        while len(self._further) < width:
            self._further.append(self._named("", len(self._further)))
        return self._further[:width]

    def _named(self, header: str, place: int) -> str:
        wanted = name = header if header.strip() else column_name(place)
        while name.casefold() in self._taken:
            numbers = self._numbers.setdefault(wanted.casefold(), count(2))
            name = f"{wanted} ({next(numbers)})"
        self._taken.add(name.casefold())
        return name

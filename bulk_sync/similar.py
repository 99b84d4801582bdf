"""Suggest names that are nearly a given one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

LONGEST_NAME: Final = 60
"""Characters of a name that is compared; difflib's time grows with the cube of it."""
MOST_NAMES: Final = 1000
"""Names that are compared, the first ones."""


def closest(name: str, among: Iterable[str], most: int = 1, cutoff: float = 0.5) -> list[str]:
    """Return the names that are most like one, the best first; none for one that is too long."""
    if len(name) > LONGEST_NAME:
        return []
    # Here, because its import takes longer than most commands that have nothing to suggest.
    from difflib import get_close_matches

    named = (each for each in among if len(each) <= LONGEST_NAME)
    return get_close_matches(name, [*islice(named, MOST_NAMES)], n=most, cutoff=cutoff)

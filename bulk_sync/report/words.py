"""Words that reports share."""

from __future__ import annotations


def rows_of(count: int) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} row{'s' * (count != 1)}"

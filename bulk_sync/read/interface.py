"""What every reader offers, whatever the file's format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from bulk_sync.model import Row


class Table(Protocol):
    """A sheet that is open for reading."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file's bytes, in hex: two readings with one digest hold the same rows."""
        ...

    @property
    def headers(self) -> tuple[str, ...]:
        """The cells of the header row, trimmed."""
        ...

    def rows(self) -> Iterator[Row]:
        """The rows below the header, once, blank ones left out.

        Raises InputError, with the line, when the file can't be read on, or changed meanwhile.
        """
        ...

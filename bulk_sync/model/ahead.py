"""The first changes that a push is about to send."""

from __future__ import annotations

from msgspec import Struct


class FieldChange(Struct, frozen=True):
    """A field's new value, and the one that the API acknowledged last if the ledger knows it."""

    field: str
    new: object
    old: object = None
    is_known: bool = False

    @property
    def is_as_before(self) -> bool:
        """True if the API acknowledged this very value last."""
        return self.is_known and self.old == self.new


class FirstChange(Struct, frozen=True):
    """One of the first rows that will be sent: its number, its key or id, its fields."""

    number: int
    key: str
    fields: tuple[FieldChange, ...]

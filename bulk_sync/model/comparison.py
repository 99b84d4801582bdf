"""Values of a comparison of two sheets."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from msgspec import Struct


class Standing(StrEnum):
    """How a showing of one sheet stands to the other; each row is in exactly one."""

    SAME = "same"
    DIFFERS = "differs"
    CONFLICT = "conflict"
    ONLY_HERE = "only_here"
    ONLY_THERE = "only_there"
    PROBLEM = "problem"


class Author(StrEnum):
    """Which sheet changed a value since the base that both come from."""

    HERE = "here"
    THERE = "there"
    BOTH = "both"


class Difference(Struct, frozen=True):
    """A field with another value here than there, as JSON has them; None is a blank one.

    `base` is the value that both started from, and `author` who changed it; None without a base.
    """

    field: str
    there: Any
    here: Any
    base: Any
    author: Author | None

    def sendable(self, *, prefer_here: bool) -> bool:
        """True when the value here may take the place of the one there."""
        return self.author in {None, Author.HERE} or (self.author is Author.BOTH and prefer_here)


class Compared(Struct, frozen=True):
    """A showing that is not the same in both sheets.

    `number` is its row here and `number_there` its row there, None where it has none (in the ledger
    nothing has a row). `target` is what addresses it here; `showing_id` is "" when no sheet names
    one.
    """

    standing: Standing
    number: int | None
    number_there: int | None
    target: str
    key: str
    showing_id: str
    message: str | None
    differences: tuple[Difference, ...]


class Reconciliation(Struct, frozen=True):
    """What a comparison of two sheets came to.

    `other` None is the ledger. `standings` counts showings, `superseded` rows here that another row
    stands for. `fields` counts values that differ, by field, and `first` has the first showings
    with each, that difference alone. `listed` are the first showings of the other standings.
    `conflicts` and `stale` count values that both sides, or only the other side, changed since the
    base. `to_send` counts the rows of `changes`. `one_way` says that rows only there are no
    difference.
    """

    input: str
    other: str | None
    base: str | None
    standings: dict[Standing, int]
    superseded: int
    fields: dict[str, int]
    first: tuple[tuple[str, tuple[Compared, ...]], ...]
    listed: tuple[Compared, ...]
    conflicts: int
    stale: int
    to_send: int
    cleared: str | None
    one_way: bool
    prefer_here: bool
    notes: tuple[str, ...]
    results: str | None
    page: str | None
    template: str | None
    changes: str | None

    @property
    def rows(self) -> int:
        """Rows of the sheet."""
        there = self.standings[Standing.ONLY_THERE]
        return sum(self.standings.values()) - there + self.superseded

    @property
    def exit_code(self) -> int:
        """0 without a difference, else 3."""
        equal = {Standing.SAME} | ({Standing.ONLY_THERE} if self.one_way else set())
        return (
            3
            if any(count for standing, count in self.standings.items() if standing not in equal)
            else 0
        )

    @property
    def left_to_decide(self) -> bool:
        """True when a push of the changes leaves something that a person must look at."""
        open_ones = (Standing.PROBLEM, Standing.ONLY_HERE)
        return any(self.standings[one] for one in open_ones) or (
            self.conflicts > 0 and not self.prefer_here
        )

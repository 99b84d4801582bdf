"""The counts of `crashes`, and a checkpoint's rows read without the program."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory


@dataclass
class Findings:
    """Counts of a run of this benchmark; those below the blank line must be 0.

    A strike is a kill or a failed system call.
    """

    rounds: int = 0
    strikes: int = 0
    stopped_with_8: int = 0
    strikes_while_sending: int = 0
    most_in_flight_at_a_strike: int = 0
    rows: int = 0
    requests: int = 0
    rows_sent_twice: int = 0

    acknowledged_and_lost: int = 0
    acknowledged_and_sent_again: int = 0
    updated_and_not_applied: int = 0
    sent_and_not_said_to_be_in_doubt: int = 0
    sent_twice_and_not_in_flight_at_a_strike: int = 0
    not_created_exactly_once: int = 0
    wrong_results: int = 0
    wrong_exit_code: int = 0
    files_missing_or_left_over: int = 0

    notes: list[str] = field(default_factory=list)

    def must_not_be(self) -> dict[str, int]:
        """Return the counts that must be 0."""
        names = [item.name for item in fields(self)]
        return {
            name: getattr(self, name) for name in names[names.index("acknowledged_and_lost") : -1]
        }

    def table(self) -> str:
        """Return the counts, one to a line."""
        bad = self.must_not_be()
        return "\n".join(
            f"{item.name.replace('_', ' '):40} {getattr(self, item.name):9,}"
            f"{'  must be 0' * (item.name in bad)}"
            for item in fields(self)
            if item.name != "notes"
        )


@dataclass(frozen=True)
class Kept:
    """A row of a checkpoint."""

    state: str
    in_flight: bool
    in_doubt: bool


def rows_of(checkpoint: Path) -> dict[str, Kept]:
    """Return the rows of a checkpoint's job by target.

    They are read from a copy, because opening a checkpoint repairs what a crash left.
    """
    with TemporaryDirectory() as folder:
        copy = Path(folder, "copy.sqlite")
        for ending in ("", "-wal", "-journal"):
            source = checkpoint.with_name(checkpoint.name + ending)
            if source.exists():
                shutil.copyfile(source, copy.with_name(copy.name + ending))
        if not copy.exists():
            return {}
        with closing(sqlite3.connect(copy)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'row'").fetchone():
                return {}
            found = db.execute(
                "SELECT target, state, in_flight, may_have_been_applied FROM row "
                "WHERE generation = (SELECT generation FROM job)"
            )
            return {row[0]: Kept(row[1], bool(row[2]), bool(row[2] or row[3])) for row in found}

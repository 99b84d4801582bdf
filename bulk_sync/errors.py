"""The tree of errors, split by what the caller should do.

    BulkSyncError             1  the root: never raised itself
    ├── UsageError            2  correct the command or the settings
    ├── InputError            4  correct the file; nothing was sent
    │   └── CheckpointError   4  the checkpoint can't be read: name another
    │       └── CheckpointDamaged 4  --fresh keeps it under another name and starts over
    ├── KeyRefused            5  correct the key, run again
    │   └── WrongTeam         5  use the key of the right team, run again
    ├── Outage                6  run again: the API was down, or asked for a longer wait
    ├── StoppedEarly          6  run again, the rest is pending: --deadline, --max-failures
    ├── CheckpointBusy        7  wait for the other run
    ├── OutputError           8  make room, or grant permission, then run again
    │   ├── CheckpointLocked  8  another program has it open: end that, then run again
    │   └── NameTaken         8  another file has the output's name: it was written to a free one
    ├── Declined            130  push again: the question before the first row was not answered yes
    └── Interrupted 129/130/143  run again: a closed terminal, Ctrl-C, SIGTERM

The class decides the exit code. What goes wrong with one row is a value (`model.rows.Problem`,
`model.rows.Outcome`), never an exception: an exception ends the run. One outside this tree is a bug
in bulk-sync, with exit code 1.
"""

from __future__ import annotations

import re
from typing import Final

_TOML_PLACE: Final = re.compile(r"\(at (line \d+, column \d+|end of document)\)$")


def not_toml(error: Exception) -> str:
    """Return what is wrong with a text that tomllib refused, and the right form."""
    found = _TOML_PLACE.search(str(error))
    place = "" if found is None else f" ({found[1]})"
    return f'this is not TOML{place}: write name = value, and texts in quotes: rate = "10/s"'


def install_with(extra: str) -> str:
    """Return what to do about packages that are missing, without a name to look up in an index."""
    return f'install bulk-sync with its extra "{extra}" (see: bulk-sync help installing)'


class BulkSyncError(Exception):
    """The root of the tree; the message is a sentence for the user."""

    exit_code: int = 1


class UsageError(BulkSyncError):
    """The command line or a setting is wrong; nothing was done."""

    exit_code = 2


class InputError(BulkSyncError):
    """The input can't be used; nothing was sent."""

    exit_code = 4


class CheckpointError(InputError):
    """The checkpoint is damaged, too new, or not from bulk-sync; it is left as it is."""


class CheckpointDamaged(CheckpointError):
    """The checkpoint is damaged; it is left as it is until --fresh keeps it under another name."""


class KeyRefused(BulkSyncError):
    """The API refused the key; unsent rows stay pending."""

    exit_code = 5


class WrongTeam(KeyRefused):
    """The key acts for another team than the job or --team says; nothing was sent."""


class Outage(BulkSyncError):
    """The API can't be reached or can't serve; unsent rows stay pending."""

    exit_code = 6


class StoppedEarly(BulkSyncError):
    """The run reached a bound that the user set; unsent rows stay pending."""

    exit_code = 6


class CheckpointBusy(BulkSyncError):
    """Another run holds this checkpoint."""

    exit_code = 7


class OutputError(BulkSyncError):
    """An output can't be written."""

    exit_code = 8


class CheckpointLocked(OutputError):
    """Another program keeps SQLite's lock on a checkpoint, or the folder has no locks."""


class NameTaken(OutputError):
    """A file that isn't ours took an output's name during the run; it was left as it is."""


class Declined(BulkSyncError):
    """The user was asked before the first row and did not answer yes; nothing was sent."""

    exit_code = 130


_SIGNALS = {1: "SIGHUP: the terminal was closed", 2: "Ctrl-C", 15: "SIGTERM"}


class Interrupted(BulkSyncError):
    """A signal stopped the run; the exit code is 128 plus its number, as in shells."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"Stopped by {_SIGNALS.get(signal_number, f'signal {signal_number}')}.")
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int]]:
        """Let a copy, or a pickle, be made from the number."""
        return type(self), (self.exit_code - 128,)

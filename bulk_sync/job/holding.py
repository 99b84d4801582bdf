"""Two holders of one checkpoint are noticed, where each host keeps locks for itself.

Some network folders keep a lock only on the host that took it, so that two hosts get it. Therefore
the holder names itself in a note next to the lock file, with a random token, and renews the note
every few seconds. Whoever takes the lock waits if a note may be of a run that lives elsewhere: one
that is renewed belongs to one. Whoever holds the lock and finds another's note, or none, stops.

Invariant: of two holders that run, at most one goes on for longer than `RENEWAL_SECONDS`, because
one note has one token, and each looks at it that often. A holder that did not run (stopped, or on a
suspended machine) looks at it that soon after it runs again. One that is alone never stops: nobody
else writes its note.

Where hosts share a lock, nothing of this is needed, and nothing is waited for: after a crash the
note is of this boot, and of a process that is gone.

Pure: the note is read and written by functions, time is an argument.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace

RENEWAL_SECONDS = 5.0
"""How often a holder renews its note."""

SILENCE_SECONDS = 4 * RENEWAL_SECONDS
"""How long a note is not renewed before its holder counts as gone."""


class Holder(Struct, frozen=True, forbid_unknown_fields=True):
    """The process that holds a checkpoint.

    `started` distinguishes it from a later process with the same number; None where unknown. `boot`
    is that of its machine, `token` random, and `renewals` counts up. A note of an earlier version
    has none of these three.
    """

    pid: int
    host: str
    since: str
    started: str | None
    boot: str | None = None
    token: str = ""
    renewals: int = 0

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


class Found(Enum):
    """The meaning of a note, for a process that has the lock."""

    FREE = auto()
    HELD = auto()
    NOT_YET_KNOWN = auto()


class Watch:
    """Finds out whether the holder that a note names still runs.

    `is_gone` returns True for one that certainly doesn't.
    """

    def __init__(self, is_gone: Callable[[Holder], bool]) -> None:
        self._is_gone = is_gone
        self._first: Holder | None = None
        self._since = 0.0

    def look(self, note: Holder | None, now: float) -> Found:
        """Return what is known after another look at the note, at an instant in seconds."""
        if note is None or self._is_gone(note):
            return Found.FREE
        if self._first is None:
            self._first, self._since = note, now
        if note != self._first:
            return Found.HELD
        return Found.FREE if now - self._since >= SILENCE_SECONDS else Found.NOT_YET_KNOWN


class Claim:
    """A holder's side of its note.

    `read` returns the note, None without one; it raises OSError when that can't be known now. So
    may `write`.
    """

    def __init__(
        self, own: Holder, read: Callable[[], Holder | None], write: Callable[[Holder], None]
    ) -> None:
        self._own = own
        self._read = read
        self._write = write

    def is_own(self) -> bool:
        """Return False once the note is another's or is gone; True while that is not known."""
        try:
            note = self._read()
        except OSError:
            return True
        return note is not None and note.token == self._own.token

    def renew(self) -> bool:
        """Renew the note if it is ours, and return whether it is."""
        if not self.is_own():
            return False
        self._own = replace(self._own, renewals=self._own.renewals + 1)
        try:
            self._write(self._own)
        except OSError:
            return True
        return True

"""One run at a time holds a checkpoint.

The kernel keeps the lock (flock, or its Windows counterpart), so that a crash frees it.
The lock file stays: removing it would let two runs hold locks on two files of one name.

Who holds it stands in a note beside it, written once the lock is taken and removed before
it is given back. A crash leaves its note behind, so a note is believed only while the lock
is held and its process lives.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from msgspec import Struct
from msgspec.structs import asdict

from bulk_sync.clock import SystemClock, utc_text
from bulk_sync.errors import CheckpointBusy, OutputError

PATIENCE_SECONDS = 0.5
"""Longer than the moment for which a `status` may hold the lock to try it."""

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What a filesystem says that keeps no locks, such as NFS without its lock service."""


class Holder(Struct, frozen=True):
    """The process that holds a checkpoint; `started` tells it from a later one with its number,
    where that is known.
    """

    pid: int
    host: str
    since: str
    started: str | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def lock_path(checkpoint: Path) -> Path:
    """Where the lock of a checkpoint lives."""
    return checkpoint.with_name(checkpoint.name + ".lock")


def note_path(checkpoint: Path) -> Path:
    """Where the note on its holder lives."""
    return checkpoint.with_name(checkpoint.name + ".holder")


@contextmanager
def held(checkpoint: Path) -> Iterator[None]:
    """Hold the checkpoint; raises CheckpointBusy when another run does, OutputError when it can't
    be held.
    """
    lock = _lock(checkpoint, PATIENCE_SECONDS)
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = read_holder(checkpoint)
        who = "another run holds this checkpoint" + (f": {holder}" if holder else "")
        raise CheckpointBusy(f"{checkpoint}: {who}. Wait until it ends.") from None
    except OSError as error:
        if error.errno in _NO_LOCKS:
            raise OutputError(
                f"{checkpoint}: this filesystem keeps no locks ({error.strerror}), so two runs could use one "
                "checkpoint at once. Put it on a local disk with --checkpoint."
            ) from None
        raise OutputError(
            f"{checkpoint}: no checkpoint can be made here: {error.strerror}."
        ) from None
    try:
        _write_note(checkpoint)
        yield
    finally:
        with suppress(OSError):
            note_path(checkpoint).unlink(missing_ok=True)
        lock.release()


def is_held(checkpoint: Path) -> bool:
    """True while a run holds the checkpoint."""
    if not lock_path(checkpoint).exists():
        return False
    try:
        with _lock(checkpoint, 0):
            return False
    except Timeout:
        return True
    except OSError:  # a lock that we may not try: its note is all there is
        return read_holder(checkpoint) is not None


def read_holder(checkpoint: Path) -> Holder | None:
    """Who holds a checkpoint that is held; None when nobody left a note, or the one who did is
    gone.
    """
    try:
        holder = Holder(**json.loads(note_path(checkpoint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return holder if _lives(holder) else None


def _lock(checkpoint: Path, timeout: float) -> FileLock:
    # Without a kernel's lock a crash would leave the checkpoint held for ever.
    return FileLock(lock_path(checkpoint), timeout=timeout, mode=0o600, fallback_to_soft=False)


def _write_note(checkpoint: Path) -> None:
    """A courtesy: a disk without room for it does not end the run, but an older note must not speak
    for this one.
    """
    note, pid = note_path(checkpoint), os.getpid()
    holder = Holder(pid, socket.gethostname(), utc_text(SystemClock().now()), _started(pid))
    with suppress(OSError):
        note.unlink(missing_ok=True)
        with os.fdopen(
            os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(asdict(holder), file)


def _lives(holder: Holder) -> bool:
    if holder.host != socket.gethostname() or os.name != "posix":
        return True  # can't be looked at from here
    try:
        os.kill(holder.pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError, TypeError):
        return False
    return _started(holder.pid) == holder.started


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's own count; None where /proc is not."""
    with suppress(OSError, IndexError):
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    return None

"""The lock on a checkpoint: one run at a time holds it.

The kernel keeps the lock (flock, or its Windows counterpart), so a crash frees it. The lock file
stays, because removing it would let two runs hold locks on two files of one name.

A note next to the lock file names the holder. It is written after the lock is taken, and removed
before the lock is released. A crash leaves its note behind, so a note counts only while the lock is
held and its process lives.
"""

from __future__ import annotations

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
from bulk_sync.folders import NO_LOCKS

LOCK_TIMEOUT_SECONDS = 0.5
"""Timeout for the lock: longer than a `status` holds it to test it."""


class Holder(Struct, frozen=True):
    """The process that holds a checkpoint.

    `started` distinguishes it from a later process with the same number; None where unknown.
    """

    pid: int
    host: str
    since: str
    started: str | None

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}, since {self.since}"


def lock_path(checkpoint: Path) -> Path:
    """Return the path of a checkpoint's lock file."""
    return checkpoint.with_name(checkpoint.name + ".lock")


def note_path(checkpoint: Path) -> Path:
    """Return the path of the note that names a checkpoint's holder."""
    return checkpoint.with_name(checkpoint.name + ".holder")


@contextmanager
def held(checkpoint: Path) -> Iterator[None]:
    """Hold the checkpoint's lock.

    Raises CheckpointBusy when another run holds it, OutputError when the file system is in the way.
    """
    lock = _lock(checkpoint, LOCK_TIMEOUT_SECONDS)
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        holder = read_holder(checkpoint)
        named = f": {holder}" if holder else ""
        raise CheckpointBusy(
            f"{checkpoint}: another run holds this checkpoint{named}. Wait until it ends."
        ) from None
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise OutputError(
                f"{checkpoint}: this file system keeps no locks ({error.strerror}), so two runs "
                "could use one checkpoint at once. Put it on a local disk with --checkpoint."
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
    """Return whether a run holds the checkpoint."""
    if not lock_path(checkpoint).exists():
        return False
    try:
        with _lock(checkpoint, 0):
            return False
    except Timeout:
        return True
    except OSError:
        # Without permission to try the lock, its note is the only evidence.
        return read_holder(checkpoint) is not None


def read_holder(checkpoint: Path) -> Holder | None:
    """Return who holds a locked checkpoint; None without a note, or when its process is gone."""
    try:
        holder = Holder(**json.loads(note_path(checkpoint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return holder if _lives(holder) else None


def _lock(checkpoint: Path, timeout: float) -> FileLock:
    # A lock that isn't the kernel's would outlive a crash.
    return FileLock(lock_path(checkpoint), timeout=timeout, mode=0o600, fallback_to_soft=False)


def _write_note(checkpoint: Path) -> None:
    """Name this process as the holder.

    The note is a courtesy, so a full disk doesn't end the run; but an older note must not stay.
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
        return True  # its processes can't be seen from here
    try:
        os.kill(holder.pid, 0)  # signal 0 only checks that the process exists
    except PermissionError:
        return True  # it exists, and is another user's
    except (OSError, OverflowError, TypeError):
        return False
    return _started(holder.pid) == holder.started


def _started(pid: int) -> str | None:
    """Return when a process began, in the kernel's clock ticks; None without /proc."""
    with suppress(OSError, IndexError):
        # Field 22; the second one, the program's name, may contain blanks (proc_pid_stat(5)).
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    return None

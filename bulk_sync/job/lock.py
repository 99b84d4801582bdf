"""One run at a time holds a checkpoint.

The kernel keeps the lock (flock, or its Windows counterpart), so that a crash frees it.
The lock file stays: removing it would let two runs hold locks on two files of one name.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bulk_sync.errors import CheckpointBusy, OutputError

PATIENCE_SECONDS = 0.5
"""Longer than the moment for which a `status` may hold the lock to try it."""


def lock_path(checkpoint: Path) -> Path:
    """Where the lock of a checkpoint lives."""
    return checkpoint.with_name(checkpoint.name + ".lock")


@contextmanager
def held(checkpoint: Path) -> Iterator[None]:
    """Hold the checkpoint; raises CheckpointBusy when another run does."""
    lock = FileLock(lock_path(checkpoint), timeout=PATIENCE_SECONDS, mode=0o600)
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise CheckpointBusy(f"{checkpoint}: another run holds this checkpoint. Wait until it ends.") from None
    except OSError as error:
        raise OutputError(f"{checkpoint}: no checkpoint can be made here: {error.strerror}.") from None
    try:
        yield
    finally:
        lock.release()


def is_held(checkpoint: Path) -> bool:
    """True while a run holds the checkpoint."""
    if not lock_path(checkpoint).exists():
        return False
    try:
        with FileLock(lock_path(checkpoint), timeout=0, mode=0o600):
            return False
    except (Timeout, OSError):
        return True

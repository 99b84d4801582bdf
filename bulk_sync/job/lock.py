"""The lock on a checkpoint: one run at a time holds it.

The kernel keeps the lock (flock, or its Windows counterpart), so a crash frees it. The lock file
stays, because removing it would let two runs hold locks on two files of one name.

A note next to the lock file names the holder. It is written after the lock is taken, renewed while
it is held, and removed before the lock is released. A crash leaves its note behind, so a note
counts only while the lock is held and its process lives. `holding` says what else it is for.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from filelock import FileLock, Timeout
from msgspec.structs import asdict

from bulk_sync import platforms
from bulk_sync.clock import SystemClock, utc_text
from bulk_sync.errors import CheckpointBusy, OutputError
from bulk_sync.folders import NO_LOCKS
from bulk_sync.host import boot_id
from bulk_sync.job.holding import RENEWAL_SECONDS, Claim, Found, Holder, Watch
from bulk_sync.platforms import why_refused
from bulk_sync.small_file import read_small_file

LOCK_TIMEOUT_SECONDS = 0.5
"""Timeout for the lock: longer than a `status` holds it to test it."""

# How often a note is looked at that may be of a run on another host.
_LOOK_SECONDS = 1.0

# A note is written in one piece of this size, over the one before, so that no reader sees half.
_NOTE_BYTES = 512

# A broken disk or connection.
_BROKEN = frozenset({errno.EIO, errno.ESTALE})


def lock_path(checkpoint: Path) -> Path:
    """Return the path of a checkpoint's lock file."""
    return checkpoint.with_name(checkpoint.name + ".lock")


def note_path(checkpoint: Path) -> Path:
    """Return the path of the note that names a checkpoint's holder."""
    return checkpoint.with_name(checkpoint.name + ".holder")


class Holding(Protocol):
    """A right to a checkpoint that may be lost: a lock, or a lease of a cluster."""

    on_loss: Callable[[CheckpointBusy], None]
    """Called once when it is lost, in any thread."""

    @property
    def is_lost(self) -> bool:
        """True once another was found to have it."""
        ...

    def error(self) -> CheckpointBusy:
        """Return the error for a run that has lost it."""
        ...

    def check(self) -> None:
        """Raise CheckpointBusy if it is lost."""
        ...


class Hold:
    """A held lock; lost when another host has taken it, too."""

    def __init__(self, checkpoint: Path, claim: Claim | None) -> None:
        self._checkpoint = checkpoint
        self._claim = claim
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self.is_lost = False
        """True once another holder was found. As of the last look."""
        self.on_loss: Callable[[CheckpointBusy], None] = lambda _: None
        """Called once when another holder is found, also in the thread that renews the note."""

    def error(self) -> CheckpointBusy:
        """Return the error for a run that has lost its lock."""
        return _busy(
            self._checkpoint,
            "took this checkpoint while this one had it",
            read_holder(self._checkpoint),
            "The folder's locks hold on one host only: push from one host at a time, or put the "
            "checkpoint on a local disk.",
        )

    def check(self) -> None:
        """Raise CheckpointBusy if another host has taken the lock."""
        self._renew()
        if self.is_lost:
            raise self.error()

    def keep(self) -> None:
        """Renew the note until `end`, for a thread."""
        while not self._ended.wait(RENEWAL_SECONDS) and not self.is_lost:
            self._renew()

    def end(self) -> None:
        """Stop renewing, and remove the note if it is ours."""
        self._ended.set()
        with self._turn, suppress(OSError):
            if self._claim is None or self._claim.is_own():
                _remove_note(self._checkpoint)

    def _renew(self) -> None:
        with self._turn:
            if self._claim is None or self.is_lost or self._ended.is_set():
                return
            if not self._claim.renew():
                self.is_lost = True
                self.on_loss(self.error())


@contextmanager
def held(checkpoint: Path, option: str = "--checkpoint") -> Iterator[Hold]:
    """Hold the lock of a checkpoint, or of a ledger; `option` is the one that names the file.

    Raises CheckpointBusy when another run holds it, OutputError when the file system is in the way.
    """
    lock = _lock(checkpoint, LOCK_TIMEOUT_SECONDS)
    try:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        if (refused := _no_lock_file(checkpoint)) is not None:
            raise OutputError(
                f"{checkpoint}: no checkpoint can be made here: {refused}. Name one in another "
                f"folder with {option}."
            ) from None
        raise _busy(checkpoint, "holds this checkpoint", read_holder(checkpoint)) from None
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise OutputError(
                f"{checkpoint}: this file system keeps no locks ({why_refused(error)}), so two "
                f"runs could use one checkpoint at once. Put it on a local disk with {option}."
            ) from None
        if error.errno in _BROKEN:
            raise OutputError(
                f"{checkpoint}: it can't be locked ({why_refused(error)}). Check the disk, or the "
                f"connection to the file server, or name a file elsewhere with {option}."
            ) from None
        raise OutputError(
            f"{checkpoint}: no checkpoint can be made here: {why_refused(error)}."
        ) from None
    try:
        _wait_for_silence(checkpoint)
        hold = Hold(checkpoint, _claim(checkpoint))
        thread = threading.Thread(target=hold.keep, name="renew the note", daemon=True)
        thread.start()
        try:
            yield hold
        finally:
            hold.end()
            thread.join()
    finally:
        # On a disk that fails, unlocking may fail, too. The run has ended well all the same, and
        # the kernel releases the lock when the process ends.
        with suppress(OSError):
            lock.release()


def _no_lock_file(checkpoint: Path) -> str | None:
    """Return why the folder takes no lock file; None if it does.

    filelock waits for a file that vanishes, so that a folder in which none can be made, such as
    /proc, looks to it like a lock that is held.
    """
    try:
        os.close(os.open(lock_path(checkpoint), os.O_RDWR | os.O_CREAT, 0o600))
    except FileNotFoundError:
        return "its folder takes no files"
    except OSError as error:
        return why_refused(error)
    return None


def _wait_for_silence(checkpoint: Path) -> None:
    """Wait while a note may be of a run on another host; raises CheckpointBusy if it is."""
    watch, clock, pause = Watch(_is_gone), SystemClock(), threading.Event()
    while True:
        note = None
        with suppress(OSError):
            note = _read_note(checkpoint)
        found = watch.look(note, clock.monotonic())
        if found is Found.FREE:
            return
        if found is Found.HELD:
            raise _busy(checkpoint, "holds this checkpoint", note)
        pause.wait(_LOOK_SECONDS)


def _busy(
    checkpoint: Path, does: str, holder: Holder | None, then: str = "Wait until it ends."
) -> CheckpointBusy:
    named = f": {holder}" if holder else ""
    return CheckpointBusy(f"{checkpoint}: another run {does}{named}. {then}")


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
        holder = _read_note(checkpoint)
    except OSError:
        return None
    return holder if holder is not None and _lives(holder) else None


def _read_note(checkpoint: Path) -> Holder | None:
    """Return the note, None without one; raises OSError for one that can't be read."""
    try:
        # Anybody may have put a pipe or a device under its name, which would be read for ever.
        content, _ = read_small_file(note_path(checkpoint))
        return msgspec.json.decode(content, type=Holder)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        raise OSError(errno.EIO, "the note can't be read") from None


def _lock(checkpoint: Path, timeout: float) -> FileLock:
    # A lock that isn't the kernel's would outlive a crash.
    return FileLock(lock_path(checkpoint), timeout=timeout, mode=0o600, fallback_to_soft=False)


def _claim(checkpoint: Path) -> Claim | None:
    """Name this process as the holder; None when that can't be written.

    The note is a courtesy where locks work, so a full disk doesn't end the run; but an older note
    must not stay.
    """
    note, pid = note_path(checkpoint), os.getpid()
    holder = Holder(
        pid,
        socket.gethostname(),
        utc_text(SystemClock().now()),
        platforms.started(pid),
        boot_id(),
        secrets.token_hex(8),
    )
    try:
        _remove_note(checkpoint)
        os.close(os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        _write_note(checkpoint, holder)
    except OSError:
        return None
    return Claim(holder, partial(_read_note, checkpoint), partial(_write_note, checkpoint))


def _write_note(checkpoint: Path, holder: Holder) -> None:
    """Write the note over the one that is there: a network folder shows others an opened file's
    newest content (close-to-open consistency, nfs(5)), but may remember a name for a minute.
    """
    content = json.dumps(asdict(holder)).encode().ljust(_NOTE_BYTES)
    opened = os.open(note_path(checkpoint), os.O_WRONLY | platforms.NO_SYMLINK | platforms.BINARY)
    try:
        os.write(opened, content)
    finally:
        os.close(opened)


def _is_gone(holder: Holder) -> bool:
    """Return True for a process that has certainly ended, and for this one."""
    own = boot_id()
    if own is None or holder.boot is None:
        is_here = holder.host == socket.gethostname()
    else:
        # The kernel is this one's, and keeps the lock for all of its processes, also for those that
        # a container can't see.
        is_here = holder.boot == own
    return is_here and (holder.pid == os.getpid() or not _runs(holder))


def _remove_note(checkpoint: Path) -> None:
    """Remove a note of ours, also a damaged one; a foreign file under its name stays."""
    note = note_path(checkpoint)
    with suppress(OSError):
        if note.is_symlink() or (note.is_file() and _first_bytes(note) in {b"", b'{"pid":'}):
            note.unlink()


def _first_bytes(note: Path) -> bytes:
    with note.open("rb") as file:
        return file.read(7)


def _lives(holder: Holder) -> bool:
    # The processes of another host can't be seen from here, nor those of Windows.
    return (
        holder.host != socket.gethostname() or platforms.exists(holder.pid) is None or _runs(holder)
    )


def _runs(holder: Holder) -> bool:
    """Return whether a process of this host runs; False where that can't be asked.

    The locks of such a system hold between hosts.
    """
    return bool(platforms.exists(holder.pid)) and platforms.started(holder.pid) == holder.started

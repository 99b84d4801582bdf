"""The one place for what Windows and macOS have otherwise than Linux.

Functions and flags of `os` that a system lacks, locks, and what can be done with an open file.
`clock` and `host` have the clocks and the names of machines, `quoting` the words of shells.

On Windows
- an open file can be neither removed nor replaced nor renamed, and folders can't be opened;
- locks are mandatory: nobody else reads or writes what is locked. So one byte far behind the
  content of a file stands for the whole file;
- files have no owners and modes: folders of users are private there by themselves;
- descriptors translate line ends unless they are opened as binary.

Flags that do not exist are 0: handles of Windows are not inherited by child processes.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

CLOSE_ON_EXEC: int = getattr(os, "O_CLOEXEC", 0)
FOLDER_ONLY: int = getattr(os, "O_DIRECTORY", 0)
NO_SYMLINK: int = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
BINARY: int = getattr(os, "O_BINARY", 0)

HAS_OWNERS = hasattr(os, "geteuid")
"""Whether files have owners, and modes that keep others out."""


def _module(name: str) -> Any:  # noqa: ANN401 - a module that mypy may not find
    """Import a module of the standard library; None on a system without it."""
    try:
        return import_module(name)
    except ImportError:
        return None


_fcntl = _module("fcntl")
_msvcrt: Any = _module("msvcrt") if _fcntl is None else None
_resource = _module("resource")
_pwd = _module("pwd")

# Locks

OPEN_FILES_MOVE = _fcntl is not None
"""Whether open files, and open folders, can be locked, and removed and renamed meanwhile."""

HAS_LOCKS = _fcntl is not None or _msvcrt is not None
"""Whether `lock` works here at all; a file system may still refuse it."""

# Far behind the content of any file that is locked, and within the 31 bits of `_locking`.
_LOCKED_BYTE = 1 << 30


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock an open file for this descriptor alone; its position is undefined afterwards.

    Raises BlockingIOError if another one holds it and `wait` is False, OSError where the file
    system has no locks.
    """
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX if wait else _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    elif _msvcrt is not None:
        while not _lock_byte(descriptor, wait=wait):
            pass
    else:
        raise OSError("files can't be locked on this system")


def _lock_byte(descriptor: int, *, wait: bool) -> bool:
    """Return False when ten seconds have passed in vain; raises as `lock`."""
    os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
    try:
        _msvcrt.locking(descriptor, _msvcrt.LK_LOCK if wait else _msvcrt.LK_NBLCK, 1)
    except OSError as error:
        # As Microsoft's reference of _locking has them.
        if error.errno == errno.EACCES:
            raise BlockingIOError(error.errno, "another process holds the lock") from None
        if wait and error.errno == errno.EDEADLK:
            return False
        raise
    return True


def unlock(descriptor: int) -> None:
    """Release a lock; raises OSError."""
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)
    elif _msvcrt is not None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        _msvcrt.locking(descriptor, _msvcrt.LK_UNLCK, 1)


# Files


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return the bytes at an offset; the position of the descriptor is undefined afterwards."""
    pread: Any = getattr(os, "pread", None)
    if pread is None:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)
    data: bytes = pread(descriptor, size, offset)
    return data


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write bytes at an offset; the position of the descriptor is undefined afterwards."""
    pwrite: Any = getattr(os, "pwrite", None)
    if pwrite is None:
        os.lseek(descriptor, offset, os.SEEK_SET)
        os.write(descriptor, data)
    else:
        pwrite(descriptor, data, offset)


def sync(descriptor: int) -> None:
    """Let what was written to a file survive a power cut; raises OSError.

    On macOS fsync leaves it in the drive's own memory (fsync(2) there, F_FULLFSYNC).
    """
    full: int | None = getattr(_fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with suppress(OSError):  # a file system that doesn't know it, as of a network
            _fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def is_on_own_disk(path: Path) -> bool:
    """Return whether a file is on a disk of this host; False where that isn't known.

    Network folders, FUSE and memory have no device of their own, and the number 0 stands for its
    kind (Linux, devices.txt: "Unnamed devices"). So it does for Btrfs, and in layers of containers.
    """
    major: Callable[[int], int] | None = getattr(os, "major", None)
    if major is None or sys.platform != "linux":
        return False
    try:
        return major(path.stat().st_dev) != 0
    except OSError:
        return False


def sync_folder(folder: Path) -> None:
    """Let new names of a folder survive a power cut; raises OSError.

    Systems whose folders can't be opened see to that themselves.
    """
    if not OPEN_FILES_MOVE:
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        sync(opened)
    finally:
        os.close(opened)


# On Windows a search or a virus scanner has a new file open for some milliseconds.
_REPLACE_TRIES, _REPLACE_PAUSE_SECONDS = 20, 0.05


def replace(source: Path, target: Path, pause: Callable[[float], object] | None = None) -> None:
    """Rename a file over another; raises OSError.

    Where an open file is in the way of that, for a second it is tried again; `pause` waits.
    """
    tries = 1 if OPEN_FILES_MOVE else _REPLACE_TRIES
    for left in reversed(range(tries)):
        try:
            os.replace(source, target)  # noqa: PTH105 - tests stop at each call
        except PermissionError:
            if not left:
                raise
            (pause or Event().wait)(_REPLACE_PAUSE_SECONDS)
        else:
            return


_REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "this user has no permission",
    errno.EPERM: "this user has no permission",
    errno.EEXIST: "something of that name exists, and is no folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "the disk quota is used up; make room",
    errno.EROFS: "the file system is read-only",
    errno.EADDRINUSE: "another program listens there",
}


def why_refused(error: OSError) -> str:
    """Return the system's reason for an error in words, with what is usually behind it."""
    reason = _REASONS.get(error.errno or 0) or (error.strerror or str(error)).rstrip(".")
    if isinstance(error, PermissionError) and not OPEN_FILES_MOVE:
        return f"{reason}; if it is open in another program, such as Excel, close it there"
    return reason


# Terminals


# How often a wait for a line hears a signal that came just before it, which interrupts no read.
_SIGNAL_POLL_SECONDS = 0.2


@contextmanager
def typed_lines(descriptor: int) -> Iterator[Callable[[], None]]:
    """Let a terminal show what is typed and give it line by line, whatever mode it was left in.

    Yields a function that waits for a line, so that the read after it doesn't. What was typed
    before the block is dropped. Elsewhere than on a POSIX terminal nothing is done.
    """
    try:
        termios: Any = import_module("termios")  # not on Windows
    except ImportError:
        yield _no_wait
        return
    try:
        before = termios.tcgetattr(descriptor)
    except (termios.error, OSError):
        yield _no_wait
        return
    mode = [*before]
    mode[0] |= termios.ICRNL
    mode[3] |= termios.ICANON | termios.ECHO | termios.ISIG
    with suppress(termios.error):
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, mode)
    try:
        yield partial(_wait_for_input, descriptor)
    finally:
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _no_wait() -> None:
    """Leave the waiting to the read."""


def _wait_for_input(descriptor: int) -> None:
    while not select.select([descriptor], [], [], _SIGNAL_POLL_SECONDS)[0]:
        pass


# Users, processes and limits


def user_id() -> int | None:
    """Return the effective user of this process; None where files have no numbered owners."""
    geteuid: Any = getattr(os, "geteuid", None)
    return None if geteuid is None else int(geteuid())


def user_name(user: int) -> str | None:
    """Return a user's name; None where the system knows none."""
    try:
        return None if _pwd is None else str(_pwd.getpwuid(user).pw_name)
    except KeyError:
        return None


def exists(process: int) -> bool | None:
    """Return whether a process of this machine exists; None where that can't be asked."""
    if not HAS_OWNERS:
        return None  # signal 0 ends a process of Windows
    try:
        os.kill(process, 0)  # signal 0 only checks that the process exists
    except PermissionError:
        return True  # it exists, and is another user's
    except (OSError, OverflowError, TypeError):
        return False
    return True


def started(process: int) -> str | None:
    """Return when a process began, in the kernel's clock ticks; None without /proc."""
    with suppress(OSError, IndexError):
        # Field 22; the second one, the program's name, may contain blanks (proc_pid_stat(5)).
        return (
            Path(f"/proc/{process}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    return None


def in_own_group() -> dict[str, Any]:
    """Return the arguments of Popen for a child that a terminal's signals don't reach.

    Its children end with it: see `kill_with_children`.
    """
    new_group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", None)
    return {"start_new_session": True} if new_group is None else {"creationflags": new_group}


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in a group of its own; on Windows without its children."""
    killpg: Any = getattr(os, "killpg", None)
    if killpg is None:
        process.kill()
    else:
        killpg(process.pid, getattr(signal, "SIGKILL"))  # noqa: B009 - not on Windows


def most_open_files() -> tuple[int | None, int | None] | None:
    """Return how many files this process may open, and how far that can be raised.

    A limit of None is none at all; None where the system has no such limits.
    """
    if _resource is None:
        return None
    soft, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    endless = _resource.RLIM_INFINITY
    return (None if soft == endless else soft), (None if hard == endless else hard)


def raise_most_open_files(number: int) -> bool:
    """Let this process open more files; return False where the system refuses.

    macOS names a higher limit than it allows (setrlimit(2) there, COMPATIBILITY).
    """
    try:
        _, hard = _resource.getrlimit(_resource.RLIMIT_NOFILE)
        _resource.setrlimit(_resource.RLIMIT_NOFILE, (number, hard))
    except (ValueError, OSError):
        return False
    return True


# Signals

# Ctrl-Break of Windows counts as Ctrl-C.
BREAK: int | None = getattr(signal, "SIGBREAK", None)

ENDING_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)
"""The signals that end a command."""


def send_to_thread(thread: int, number: int) -> None:
    """Send a signal to the main thread of this process, whose identifier is given."""
    kill: Any = getattr(signal, "pthread_kill", None)
    if kill is None:
        import_module("_thread").interrupt_main(number)
    else:
        kill(thread, number)


def ignore(signals: tuple[int, ...]) -> None:
    """Let no signal end this process any more, while the interpreter shuts down."""
    block: Any = getattr(signal, "pthread_sigmask", None)
    if block is not None:
        # Because Python reports a signal that comes while its handler is replaced as an error. Then
        # ignored, because other threads may get what this one blocks.
        block(getattr(signal, "SIG_BLOCK"), signals)  # noqa: B009 - not on Windows
    for number in signals:
        signal.signal(number, signal.SIG_IGN)

"""The one place for names of `os` and `fcntl` that Windows lacks.

Flags that do not exist there are 0: handles of Windows are not inherited by child processes, and
its folders can't be opened. Files of several runs are locked only where flock exists.
"""

from __future__ import annotations

import os
import signal
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

CLOSE_ON_EXEC: int = getattr(os, "O_CLOEXEC", 0)
FOLDER_ONLY: int = getattr(os, "O_DIRECTORY", 0)
NO_SYMLINK: int = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)

_fcntl: ModuleType | None
try:
    import fcntl as _fcntl
except ImportError:
    _fcntl = None

HAS_LOCKS = _fcntl is not None
"""Whether `lock` works here at all; a file system may still refuse it."""


def lock(descriptor: int, *, wait: bool) -> None:
    """Lock an open file for this descriptor alone.

    Raises BlockingIOError if another one holds it and `wait` is False, OSError where the file
    system has no locks.
    """
    if _fcntl is None:
        raise OSError("files can't be locked on this system")
    _fcntl.flock(descriptor, _fcntl.LOCK_EX if wait else _fcntl.LOCK_EX | _fcntl.LOCK_NB)


def unlock(descriptor: int) -> None:
    """Release a lock; raises OSError."""
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)


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


def sync_folder(folder: Path) -> None:
    """Let new names of a folder survive a power cut; raises OSError.

    Systems whose folders can't be opened see to that themselves.
    """
    if os.name != "posix":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def user_id() -> int | None:
    """Return the effective user of this process; None where files have no numbered owners."""
    geteuid: Any = getattr(os, "geteuid", None)
    return None if geteuid is None else int(geteuid())


def user_name(user: int) -> str | None:
    """Return a user's name; None where the system knows none."""
    try:
        pwd: Any = import_module("pwd")  # not on Windows
        return str(pwd.getpwuid(user).pw_name)
    except (ImportError, KeyError):
        return None


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that was started in a session of its own; on Windows without its children."""
    killpg: Any = getattr(os, "killpg", None)
    if killpg is None:
        process.kill()
    else:
        killpg(process.pid, getattr(signal, "SIGKILL"))  # noqa: B009 - not on Windows

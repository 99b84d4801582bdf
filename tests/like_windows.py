"""The program in a process like one of Windows, and so are its children: see `command`.

Names that Windows lacks are gone, and what it does otherwise is done as it does it, at least as
strictly. As its documentation has it: open files can't be removed, replaced or renamed and folders
can't be opened (CreateFile without FILE_SHARE_DELETE, as Python opens), `os.rename` replaces
nothing, descriptors translate line ends unless OBINARY is given, locks of msvcrt are mandatory,
end with their handle and aren't reentrant, the monotonic clock goes in steps of 1/64 s, what is
printed to a pipe is Windows-1252, event loops handle no signals, and zones come from tzdata.

What is not simulated: names of files (drives, backslashes, upper and lower case), the console, the
Proactor event loop, and filelock's own lock.
"""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import os
import runpy
import shutil
import signal
import struct
import subprocess
import sys
import time
import types
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any

LACKING = {
    os: (
        "O_CLOEXEC",
        "O_DIRECTORY",
        "O_NOFOLLOW",
        "O_NONBLOCK",
        "fchmod",
        "fork",
        "getegid",
        "geteuid",
        "getgid",
        "getuid",
        "killpg",
        "pread",
        "pwrite",
        "setsid",
    ),
    signal: ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "pthread_kill", "pthread_sigmask"),
    time: ("CLOCK_BOOTTIME",),
}
LACKING_MODULES = ("fcntl", "grp", "pwd", "resource")

BREAK = 21
"""SIGBREAK, as Windows numbers it."""

BINARY = 1 << 29
_STEPS = 64
_FLOCK = "hhqqi4x"  # struct flock


FCNTL: Any = importlib.import_module("fcntl") if os.name == "posix" else None
MSVCRT: Any = types.ModuleType("msvcrt")
MSVCRT.LK_UNLCK, MSVCRT.LK_LOCK, MSVCRT.LK_NBLCK = 0, 1, 2


class Handles:
    """The descriptors that were opened, and what of files is locked by them."""

    def __init__(self) -> None:
        self.real = {name: getattr(os, name) for name in ("open", "close", "read", "write", "dup")}
        self.text: set[int] = set()
        self.locked: dict[int, tuple[int, int]] = {}

    def open(self, path: Any, flags: int, mode: int = 0o777, **rest: Any) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", path)
        opened: int = self.real["open"](path, flags & ~BINARY, mode, **rest)
        if not flags & BINARY:
            self.text.add(opened)
        return opened

    def close(self, descriptor: int) -> None:
        self.text.discard(descriptor)
        self.locked.pop(descriptor, None)
        self.real["close"](descriptor)

    def read(self, descriptor: int, size: int) -> bytes:
        self._refuse_locked(descriptor, size)
        data: bytes = self.real["read"](descriptor, size)
        if descriptor in self.text:
            return data.partition(b"\x1a")[0].replace(b"\r\n", b"\n")
        return data

    def write(self, descriptor: int, data: bytes) -> int:
        self._refuse_locked(descriptor, len(data))
        if descriptor in self.text:
            data = data.replace(b"\n", b"\r\n")
        return int(self.real["write"](descriptor, data))

    def _refuse_locked(self, descriptor: int, size: int) -> None:
        """Locks are mandatory: what another handle has locked is neither read nor written."""
        try:
            at = os.lseek(descriptor, 0, os.SEEK_CUR)
        except OSError:
            return  # a pipe
        if self._taken(descriptor, at, size):
            raise PermissionError(errno.EACCES, "Permission denied")

    def _taken(self, descriptor: int, start: int, length: int) -> bool:
        asked = struct.pack(_FLOCK, FCNTL.F_WRLCK, os.SEEK_SET, start, length, 0)
        try:
            found = FCNTL.fcntl(descriptor, FCNTL.F_OFD_GETLK, asked)
        except OSError:
            return False
        return bool(struct.unpack(_FLOCK, found)[0] != FCNTL.F_UNLCK)

    def locking(self, descriptor: int, mode: int, length: int) -> None:
        """As `msvcrt.locking`, with the two modes that don't wait."""
        start = os.lseek(descriptor, 0, os.SEEK_CUR)
        own = self.locked.get(descriptor)
        if mode == MSVCRT.LK_UNLCK:
            if own != (start, length):
                raise PermissionError(errno.EACCES, "Permission denied")
            del self.locked[descriptor]
            kind = FCNTL.F_UNLCK
        else:
            if own is not None:  # not reentrant
                raise PermissionError(errno.EACCES, "Permission denied")
            kind = FCNTL.F_WRLCK
        wanted = struct.pack(_FLOCK, kind, os.SEEK_SET, start, length, 0)
        try:
            FCNTL.fcntl(descriptor, FCNTL.F_OFD_SETLK, wanted)
        except BlockingIOError:
            wait = mode == MSVCRT.LK_LOCK
            raise OSError(errno.EDEADLK if wait else errno.EACCES, "Permission denied") from None
        if kind == FCNTL.F_WRLCK:
            self.locked[descriptor] = (start, length)


def _is_open(path: Any) -> bool:
    """Return whether this process has a file, or one in a folder, open."""
    try:
        found = os.lstat(path)
    except OSError:
        return False
    inside = os.path.realpath(path) + os.sep
    for opened in Path("/proc/self/fd").iterdir():
        try:
            if os.path.samestat(opened.stat(), found):
                return True
            name = opened.readlink()
        except OSError:
            continue
        if str(name).startswith(inside):
            return True
    return False


def _in_use(path: Any) -> None:
    if _is_open(path):
        raise PermissionError(
            errno.EACCES,
            "The process cannot access the file because it is being used by another process",
            os.fspath(path),
        )


def refusing(real: Callable[..., Any], *, replaces: bool = True) -> Callable[..., Any]:
    """Return a function of `os` that refuses open files, and to replace a file if it doesn't."""

    def call(*paths: Any, **rest: Any) -> Any:
        for path in paths:
            _in_use(path)
        if not replaces and len(paths) > 1 and os.path.lexists(paths[1]):
            raise FileExistsError(errno.EEXIST, "File exists", os.fspath(paths[1]))
        return real(*paths, **rest)

    return call


def of_files(handles: Handles) -> dict[str, Callable[..., Any]]:
    """Return the functions of `os` that treat files as Windows does."""
    return {
        "open": handles.open,
        "close": handles.close,
        "read": handles.read,
        "write": handles.write,
        "rename": refusing(os.rename, replaces=False),
        "replace": refusing(os.replace),
        "unlink": refusing(os.unlink),
        "remove": refusing(os.remove),
        "rmdir": refusing(os.rmdir),
    }


def _no_kill(process: int, number: int) -> None:
    """On Windows this ends the process, whatever signal is named but two."""
    raise AssertionError(f"os.kill({process}, {number}) ends a process of Windows")


def command(*arguments: str) -> list[str]:
    """Return the command line of the program with these arguments."""
    folder = str(Path(__file__).parents[1])
    start = f"import sys; sys.path.insert(0, {folder!r}); from tests.like_windows import main"
    return [sys.executable, "-c", f"{start}; main()", *arguments]


def _like_its_parent(words: Any, *rest: Any, **named: Any) -> Any:
    if isinstance(words, list) and words[:3] == [sys.executable, "-P", "-m"]:
        words = command(*words[1:])
    return _POPEN(words, *rest, **named)


_POPEN = subprocess.Popen


def become() -> None:
    """Make this process one like those of Windows."""
    import filelock  # noqa: F401 - with the lock of a kernel, as it has on Windows, too
    import platformdirs.unix  # noqa: F401 - on Windows it has a module of its own

    as_it_was = types.ModuleType("os")
    vars(as_it_was).update(vars(os))
    for name, module in list(sys.modules.items()):
        if name.startswith("filelock") and hasattr(module, "os"):
            vars(module)["os"] = as_it_was
    handles = Handles()
    MSVCRT.locking = handles.locking
    for module, names in LACKING.items():
        for name in names:
            delattr(module, name)
    for name in LACKING_MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.modules["msvcrt"] = MSVCRT
    changed = {**of_files(handles), "O_BINARY": BINARY, "kill": _no_kill}
    for name, function in changed.items():
        setattr(os, name, function)
    shutil._use_fd_functions = False  # type: ignore[attr-defined]
    signal.SIGBREAK = BREAK  # type: ignore[attr-defined]
    subprocess.CREATE_NEW_PROCESS_GROUP = 0  # type: ignore[attr-defined]
    subprocess.Popen = _like_its_parent  # type: ignore[assignment,misc]
    for name in ("add_signal_handler", "remove_signal_handler"):
        method = getattr(asyncio.AbstractEventLoop, name)
        setattr(asyncio.SelectorEventLoop, name, method)
    find_spec = importlib.util.find_spec
    importlib.util.find_spec = lambda name, *rest: (
        None if name == "uvloop" else find_spec(name, *rest)
    )
    monotonic = time.monotonic  # noqa: TID251 - that of the system
    time.monotonic = lambda: int(monotonic() * _STEPS) / _STEPS  # noqa: TID251 - same
    zoneinfo.reset_tzpath(to=())
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="cp1252", errors="strict")  # type: ignore[union-attr]


def main() -> None:
    """Run the program, or the module that it starts as a child."""
    become()
    if sys.argv[1:3] == ["-P", "-m"]:
        name = sys.argv[3]
        sys.argv = sys.argv[3:]
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    else:
        from bulk_sync.__main__ import main

        main()

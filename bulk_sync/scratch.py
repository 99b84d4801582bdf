"""Temporary folders for copies of sheets, removed also after a kill.

Each is locked by its process, before anything is put in it. One that nobody holds was left by a run
that was killed, and is removed when the next one starts: it holds clients' data.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bulk_sync import platforms
from bulk_sync.errors import OutputError
from bulk_sync.platforms import why_refused

PREFIX = ".bulk-sync-"

_STAND_IN = ".in-use"

# Between making a folder and locking it; nothing is in it before it is locked.
_YOUNG_SECONDS = 60.0


@contextmanager
def scratch_folder(parent: Path | None = None, *, otherwise: Path | None = None) -> Iterator[Path]:
    """Make a temporary folder for this user alone; remove it at the end.

    It is made in `parent`, else where the system keeps temporary files; where that is nowhere, as
    in a container whose root is read-only, in `otherwise`, a folder of the run's own files. Raises
    OutputError if it can't be made.
    """
    folder = _make(parent, otherwise)
    held = _hold(folder)
    try:
        _remove_leftovers(folder.parent, folder)
        yield folder
    finally:
        _remove(folder, held)


def _make(parent: Path | None, otherwise: Path | None) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    except OSError as error:
        if parent is not None:
            raise OutputError(f"{parent}: can't be written: {why_refused(error)}.") from None
    with suppress(OSError):
        if otherwise is not None:
            place = otherwise.absolute()  # the run may be about to make it
            there = next(one for one in (place, *place.parents) if one.exists())
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=there))
    tried = "" if otherwise is None else f", nor can {otherwise.absolute()}"
    raise OutputError(
        f"No temporary folder can be written{tried}: set TMPDIR to a folder that can be."
    )


def _hold(folder: Path) -> int | None:
    """Lock a folder until the descriptor is closed; None if another process holds it."""
    descriptor = None
    try:
        if platforms.OPEN_FILES_MOVE:
            flags = os.O_RDONLY | platforms.FOLDER_ONLY | platforms.NO_SYMLINK
            descriptor = os.open(folder, flags | platforms.CLOSE_ON_EXEC)
        else:  # where folders can't be opened, a file stands for it
            descriptor = os.open(folder / _STAND_IN, os.O_RDWR | os.O_CREAT, 0o600)
        platforms.lock(descriptor, wait=False)
    except OSError:
        if descriptor is not None:
            os.close(descriptor)
        return None
    return descriptor


def sweep(*folders: Path) -> None:
    """Remove what killed runs left where the system keeps temporary files and in these folders.

    For the start of a run, which may make no temporary folder of its own.
    """
    with suppress(OSError):  # where no temporary folder can be written
        folders = (Path(tempfile.gettempdir()), *folders)
    for folder in folders:
        _remove_leftovers(folder)


def _remove_leftovers(parent: Path, own: Path | None = None) -> None:
    with suppress(OSError), os.scandir(parent) as entries:
        now = own.stat().st_mtime if own else 0.0  # by the file system's clock
        for entry in entries:
            if entry.name.startswith(PREFIX) and (own is None or entry.name != own.name):
                with suppress(OSError):
                    _remove_leftover(Path(entry.path), entry.stat(follow_symlinks=False), now)


def _remove_leftover(folder: Path, found: os.stat_result, now: float) -> None:
    """Remove a folder of this user that no process holds."""
    if not stat.S_ISDIR(found.st_mode) or platforms.user_id() not in {None, found.st_uid}:
        return
    if now - found.st_mtime < _YOUNG_SECONDS and not any(folder.iterdir()):
        return  # it may be about to be locked
    held = _hold(folder)
    if held is not None:
        _remove(folder, held)


def _remove(folder: Path, held: int | None) -> None:
    """Remove a folder, while it is held if the system allows that."""
    if held is not None and not platforms.OPEN_FILES_MOVE:
        os.close(held)
    shutil.rmtree(folder, ignore_errors=True)
    if held is not None and platforms.OPEN_FILES_MOVE:
        os.close(held)

"""Move a finished sheet into the archive.

The sheet is first renamed into a private folder next to it, which nobody else writes to. There it
is compared with what was read, and only then it gets its name in the archive.

Invariants, at every instant, also after a kill:
- The file that was pushed is complete under its own name, in its private folder, or in the archive.
- A name is removed only in the private folder, only of the file that was read (device, inode, size,
  digest), and only once the archive has that file, on the disk.
- Nothing is overwritten, neither in the archive nor in the sheet's folder.

`settle` ends what a killed run left: the sheet is then either back or in the archive, not both.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from bulk_sync import platforms
from bulk_sync.errors import OutputError, UsageError
from bulk_sync.model.names import cut_name
from bulk_sync.platforms import why_refused
from bulk_sync.report.written.atomic import (
    link_free,
    part_file,
    rename_aside,
    rename_free,
    take_free_name,
)

PREFIX = ".archiving-bulk-sync-"
"""The beginning of the names of private folders."""

# Where no lock shows whether a run still uses its private folder, only time does.
_ABANDONED_SECONDS = 3600.0

_NO_FOLLOW = platforms.NO_SYMLINK | platforms.CLOSE_ON_EXEC


def identity(path: Path) -> tuple[int, ...] | None:
    """Return device, inode, size and modification time; None if the file does not exist."""
    try:
        return _identity(path.stat())
    except OSError:
        return None


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


# Before anything is sent


def refuse_archive(folder: Path, named: Iterable[Path]) -> None:
    """Refuse a folder that sheets can't be moved to, or in which they are already.

    `named` are the sheets and folders of the run. Raises UsageError, OutputError.
    """
    for one in named:
        home = one if one.is_dir() else one.parent
        if home.resolve() == folder.resolve() or _is_same(home, folder):
            raise UsageError(
                f"--archive {folder}: the sheets are in this folder already, and a later push of "
                "it would take them again. Name another folder"
            )
    if not folder.is_dir():
        if os.path.lexists(folder):
            raise OutputError(f"--archive {folder}: this is no folder. Name another.")
        nearest = next(one for one in folder.absolute().parents if os.path.lexists(one))
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            raise OutputError(f"--archive {folder}: no folder can be made in {nearest}.")
        return
    try:
        with part_file(folder):
            pass
    except OSError as error:
        raise OutputError(
            f"--archive {folder}: can't be written: {platforms.why_refused(error)}."
        ) from None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


# One sheet


def archived(
    file: Path, folder: Path, before: tuple[int, ...] | None, digest: str, now: datetime
) -> str:
    """Move a finished sheet into a folder; return a sentence with its new path.

    `before` is its `identity` before it was read, `digest` the SHA-256 of what was read. A file
    that is another one is left where it is, and the sentence says so. Raises OutputError.
    """
    if file.is_symlink():
        return f"{file} is a symbolic link, so it was not moved to {folder}"
    if before is None or identity(file) != before:
        return _changed(file, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _private_folder(file.parent) as private:
            apart = private / file.name
            try:
                os.rename(file, apart)
            except FileNotFoundError:
                return _changed(file, folder)
            try:
                verified = _as_read(apart, before, digest)
                new = verified and _into(folder, apart, verified, digest, now)
            except (OSError, OutputError):
                # An equal sheet of an earlier day may be in the archive: this one is not moved.
                _settle_sheet(apart, folder, copies=False)
                raise
            except BaseException:
                _settle_sheet(apart, folder)
                raise
            if new is None:
                _put_back(apart, file)
                return _changed(file, folder)
            return f"{file} is now {new}"
    except OSError as error:
        raise OutputError(f"--archive {folder}: {file}: {platforms.why_refused(error)}.") from None


def _changed(file: Path, folder: Path) -> str:
    return f"{file} was changed while it was pushed, so it was not moved to {folder}"


def _as_read(apart: Path, before: tuple[int, ...], digest: str) -> tuple[int, ...] | None:
    """Return the identity of the file that was read; None for any other."""
    try:
        # Not blocking, because a pipe may have taken the sheet's place.
        opened = os.open(apart, os.O_RDONLY | _NO_FOLLOW | platforms.NO_WAIT)
    except OSError:
        return None
    with os.fdopen(opened, "rb") as file:
        found = os.fstat(opened)
        same = (
            stat.S_ISREG(found.st_mode)
            and _identity(found)[:3] == before[:3]
            and hashlib.file_digest(file, "sha256").hexdigest() == digest
        )
        return _identity(found) if same else None


def _into(
    folder: Path, apart: Path, verified: tuple[int, ...], digest: str, now: datetime
) -> Path | None:
    """Move the sheet out of its private folder; None if somebody wrote to it meanwhile."""
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    for name in (apart.name, cut_name(apart.stem, f".{stamp}{apart.suffix}")):
        target = folder / name
        with suppress(FileExistsError):
            try:
                link_free(apart, target)
            except OSError as error:
                if isinstance(error, FileExistsError):
                    raise
                if error.errno != errno.EXDEV:  # a file system without links
                    take_free_name(apart, target)
                    return target
                _copy(apart, target, digest)
            # An editor that still has the file open may have written to it.
            if identity(apart) != verified:
                if os.path.samestat(os.lstat(target), os.lstat(apart)):
                    os.unlink(target)
                return None
            os.unlink(apart)
            return target
    raise OutputError(
        f"--archive {folder}: {apart.name} exists already, also with a time stamp, so "
        "the sheet stays where it is."
    )


def _copy(apart: Path, target: Path, digest: str) -> None:
    """Copy to another file system; the name appears with the complete copy."""
    with part_file(target.parent) as (part, copy):
        with apart.open("rb") as original:
            shutil.copyfileobj(original, copy)
        copy.flush()
        platforms.sync(copy.fileno())
        copy.close()
        with part.open("rb") as written:
            if hashlib.file_digest(written, "sha256").hexdigest() != digest:
                raise OSError(errno.EIO, "the copy is not what was written")
        with suppress(OSError):
            shutil.copystat(apart, part)
        try:
            link_free(part, target)
        except FileExistsError:
            raise
        except OSError:
            take_free_name(part, target)


def _put_back(apart: Path, file: Path) -> None:
    """Give a file its name back; if that is taken, another, which the OutputError names."""
    if stat.S_ISDIR(os.lstat(apart).st_mode):  # a folder took the sheet's place
        names = (file, *(file.with_name(f"{file.name}.kept-{number}") for number in range(1000)))
        os.rename(apart, next(name for name in names if not os.path.lexists(name)))
        return
    try:
        rename_free(apart, file)
    except FileExistsError:
        kept = rename_aside(apart, file, "kept")
        raise OutputError(
            f"{file} was replaced while it was moved away: what had this name is now {kept}. Look "
            "at both, and push what is still to be sent."
        ) from None


# Private folders


@contextmanager
def _private_folder(parent: Path) -> Iterator[Path]:
    """Make a folder for this user alone and hold it; at the end it is removed if it is empty."""
    while True:
        folder = parent / f"{PREFIX}{secrets.token_hex(8)}"
        os.mkdir(folder, 0o700)
        held, _ = _hold(folder)
        if held is not None and folder.exists():
            break
        _release(held)  # a run that settles removed it before it was held
    try:
        yield folder
    finally:
        try:
            with suppress(OSError):
                os.rmdir(folder)
        finally:
            _release(held)


def _hold(folder: Path) -> tuple[int | None, bool]:
    """Lock a folder; return a descriptor, None if another run holds it, and whether locks work."""
    if not platforms.OPEN_FILES_MOVE:
        return -1, False
    try:
        opened = os.open(folder, os.O_RDONLY | platforms.FOLDER_ONLY | _NO_FOLLOW)
    except OSError:
        return None, True
    try:
        platforms.lock(opened, wait=False)
    except BlockingIOError:
        os.close(opened)
        return None, True
    except OSError:
        return opened, False
    return opened, True


def _release(held: int | None) -> None:
    if held is not None and held >= 0:
        os.close(held)


def settle(folder: Path, archive: Path | None, now: datetime) -> tuple[str, ...]:
    """End what killed runs left of sheets of a folder; return sentences.

    A sheet that is in `archive` leaves its private folder; any other gets its name back. Raises
    OutputError.
    """
    try:
        with os.scandir(folder) as entries:
            found = [Path(one.path) for one in entries if _is_private(one)]
    except OSError:
        return ()  # whoever reads the sheets says why
    sentences: list[str] = []
    for private in found:
        held, locks = _hold(private)
        if held is None:
            continue
        try:
            if locks or now.timestamp() - private.stat().st_mtime > _ABANDONED_SECONDS:
                sentences += [_settle_sheet(one, archive) for one in sorted(private.iterdir())]
                os.rmdir(private)
        except OSError as error:
            raise OutputError(f"{private}: can't be emptied: {why_refused(error)}.") from None
        finally:
            _release(held)
    return tuple(sentences)


def _is_private(entry: os.DirEntry[str]) -> bool:
    """Return True for a private folder that this user made: others may plant one."""
    if not entry.name.startswith(PREFIX) or not entry.is_dir(follow_symlinks=False):
        return False
    user = platforms.user_id()
    if user is None:
        return True
    found = entry.stat(follow_symlinks=False)
    return found.st_uid == user and stat.S_IMODE(found.st_mode) == 0o700


def _settle_sheet(apart: Path, archive: Path | None, *, copies: bool = True) -> str:
    """Leave a sheet with one name: that in the archive if it has one, else its own."""
    moved = None if archive is None else _name_in(archive, apart, copies=copies)
    if moved is not None:
        os.unlink(apart)
        return f"{moved}: an earlier run was killed when it had just moved this sheet"
    file = apart.parent.parent / apart.name
    _put_back(apart, file)
    return f"{file} is back: an earlier run was killed while it moved this sheet"


def _name_in(archive: Path, apart: Path, *, copies: bool) -> Path | None:
    """Return the sheet's second name in the archive, or that of a copy on another file system."""
    # A long name was cut for its time stamp.
    stamped = archive.glob(f"{glob.escape(apart.stem[:50])}*{glob.escape(apart.suffix)}")
    here = os.lstat(apart)
    for other in (archive / apart.name, *stamped):
        try:
            there = os.lstat(other)
        except OSError:
            continue
        if os.path.samestat(here, there):
            return other
        is_elsewhere = there.st_dev != here.st_dev and stat.S_ISREG(there.st_mode)
        if copies and is_elsewhere and _same(apart, other):
            return other
    return None


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as here, other.open("rb") as there:
        return (
            hashlib.file_digest(here, "sha256").digest()
            == hashlib.file_digest(there, "sha256").digest()
        )

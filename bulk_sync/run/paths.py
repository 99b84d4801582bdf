"""No output of a run takes the place of another file of it: one check over all paths.

A path is compared by what it names: device and inode of a file that is there, folder and name of
one that will be, through symbolic links, and regardless of case where the folder ignores it.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import is_dataclass
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import OutputError, UsageError
from bulk_sync.report.written.undo import unknown_path
from bulk_sync.settings.composed import Composed
from bulk_sync.settings.files import Files
from bulk_sync.settings.option import Access, Declared, declared

# Endings of the files that are next to a database: SQLite's (sqlite.org/tempfiles.html), and ours.
_NEXT_TO_A_DATABASE = ("-wal", "-shm", "-journal", ".lock", ".holder", ".new")

# Names of a folder that are tried to find out whether it ignores case.
_TRIED = 20


class Use(Struct, frozen=True):
    """A path of a run, its name in messages, and what the run does with it."""

    name: str
    path: Path
    access: Access


def refuse_clashes(uses: Iterable[Use]) -> None:
    """Raise UsageError where something is written to a file that has another use in the run.

    Raises OutputError, or UsageError for a file that is only read, when a name is too long.
    """
    seen: dict[object, Use] = {}
    identities = Identities()
    for use in (one for given in uses for one in with_its_files(given)):
        if use.access is Access.FOLDER or str(use.path) == "-":
            continue
        _refuse_long_name(use)
        other = seen.setdefault(identities.of(use.path), use)
        if other.name != use.name and {other.access, use.access} != {Access.READ}:
            raise UsageError(
                f"{use.path}: {other.name} and {use.name} can't be the same file; name another."
            )


def with_its_files(use: Use) -> Iterator[Use]:
    """Yield a path of a run, and the files that are written next to it."""
    yield use
    if use.access is Access.DATABASE:
        for ending in _NEXT_TO_A_DATABASE:
            path = use.path.with_name(use.path.name + ending)
            yield Use(f"{use.name} ({ending})", path, Access.WRITTEN)
    if use.name == "--undo-file":
        yield Use("the rows that can't be undone", unknown_path(use.path), Access.WRITTEN)


def _refuse_long_name(use: Use) -> None:
    try:
        use.path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            kind = UsageError if use.access is Access.READ else OutputError
            raise kind(f"{use.path}: {use.name}: file name too long. Name a shorter one.") from None


def identity_of(path: Path) -> object:
    """Return a value that all names of one file have in common."""
    with suppress(OSError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            return found.st_dev, found.st_ino
    # Of a file that is not there yet, the nearest folder that is, and the names from there.
    resolved = path.resolve()
    names = [resolved.name]
    for folder in resolved.parents:
        try:
            found = folder.stat()
        except OSError:
            names.append(folder.name)
            continue
        fold = ignores_case(folder)
        return found.st_dev, found.st_ino, *((_folded(name) if fold else name) for name in names)
    return resolved


class Identities:
    """Identities of many paths, as `identity_of` returns them; looks at each folder once."""

    def __init__(self) -> None:
        self._folders: dict[Path, tuple[int, int, bool] | None] = {}

    def of(self, path: Path) -> object:
        """Return a value that all names of one file have in common."""
        with suppress(OSError):
            found = path.stat()
            if stat.S_ISREG(found.st_mode):
                return found.st_dev, found.st_ino
        folder = path.parent
        if folder not in self._folders:
            self._folders[folder] = _folder_of(folder)
        known = self._folders[folder]
        # Where a link leads, or what is above a folder, is for `identity_of` to find out.
        if known is None or path.name in {"", ".."} or path.is_symlink():
            return identity_of(path)
        device, inode, fold = known
        return device, inode, (_folded(path.name) if fold else path.name)


def _folder_of(folder: Path) -> tuple[int, int, bool] | None:
    """Return device, inode and whether case is ignored; None for a folder that is not there."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, ignores_case(folder.resolve())


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def ignores_case(folder: Path) -> bool:
    """Return True if a folder finds its files by names in another case, and if that is unknown."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry, _ in zip(entries, range(_TRIED), strict=False):
            if entry.name != entry.name.swapcase():
                return _is_found_by(folder, entry.name, entry.name.swapcase())
    if folder.name != folder.name.swapcase() and folder.parent != folder:
        return _is_found_by(folder.parent, folder.name, folder.name.swapcase())
    return True


def _is_found_by(folder: Path, name: str, other: str) -> bool:
    with suppress(OSError):
        return os.path.samestat((folder / name).lstat(), (folder / other).lstat())
    return False


# The paths of settings


def uses_of_options(options: Iterable[Declared], values: Mapping[str, object]) -> Iterator[Use]:
    """Yield the paths of a command's options that were given; `values` are by keyword."""
    for one in options:
        value = values.get(one.keyword)
        if one.access is not None and value is not None and str(value) not in one.option.no_paths:
            yield Use(one.flag, Path(str(value)), one.access)


def uses_of_settings(settings: Composed) -> Iterator[Use]:
    """Yield the paths that the options of all parts of the settings name."""
    for name in type(settings).model_fields:
        part = getattr(settings, name)
        if is_dataclass(part) and not isinstance(part, type):
            options = declared(type(part))
            yield from uses_of_options(
                options, {one.keyword: getattr(part, one.field) for one in options}
            )


def uses_of_job(
    files: Files, undo_file: Path | None = None, *, with_reports: bool = True
) -> Iterator[Use]:
    """Yield the files of a job, also those that no option names."""
    yield Use("--checkpoint", files.checkpoint, Access.DATABASE)
    if files.page is not None:
        yield Use("--page", files.page, Access.WRITTEN)
    if undo_file is not None:
        yield Use("--undo-file", undo_file, Access.WRITTEN)
    if with_reports:
        yield Use("--results", files.results, Access.WRITTEN)
        yield Use("the failed rows", files.failed, Access.WRITTEN)

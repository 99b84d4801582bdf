"""Refuse files that somebody else could have written: they decide what is sent.

A checkpoint, a ledger and the files that SQLite keeps next to them have to belong to the user who
runs the program, or to root, and nobody else may write them. Some file systems know no owners or
modes (FAT, Windows drives in WSL), or give every file to one user (network folders that squash
root). There a file is ours if it looks like one that this process makes next to it.

Who may write the folder can put another file in place, but only one that belongs to them, or move
ours about. So a folder that everybody may write, without the sticky bit, is worth a note.
"""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from bulk_sync import platforms
from bulk_sync.errors import CheckpointError
from bulk_sync.job.damage import SIDE_FILES
from bulk_sync.scratch import PREFIX

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_ROOT = 0


class Ownership(Struct, frozen=True):
    """The owner of a file, and its mode."""

    owner: int
    mode: int


def objection(found: Ownership, user: int, usual: Ownership | None = None) -> str | None:
    """Return why a file is not to be trusted, with what to do; None for one that may be used.

    `usual` is a file that this user just made in the same folder for nobody else, None where none
    can be made. The text has {path} for the file's name, quoted for a shell.
    """
    owners = {user, _ROOT} | ({usual.owner} if usual else set())
    if found.owner not in owners:
        return (
            f"belongs to another user ({_name_of(found.owner)}), who could change what is sent. If "
            f"it is yours, take it over with: chown {_name_of(user)} {{path}}"
        )
    if found.mode & _OTHERS_WRITE & ~(usual.mode if usual else 0):
        return (
            "can be written by other users, who could change what is sent. If you trust what is "
            "in it, correct that with: chmod go-w {path}"
        )
    return None


def refuse_untrusted(path: Path, option: str = "--checkpoint") -> None:
    """Raise CheckpointError if somebody else could have written a file that decides what is sent.

    `option` names another file in its place. Missing files are none of its concern.
    """
    if not platforms.HAS_OWNERS:
        return
    for ending in ("", *SIDE_FILES):
        one = path.with_name(path.name + ending)
        with suppress(OSError):  # without one, or out of reach: opening has the words for it
            found = one.lstat()
            if ending and not stat.S_ISREG(found.st_mode):
                raise CheckpointError(
                    f"{one}: not a regular file, though SQLite keeps data under this name; remove "
                    f"it, or name another file with {option}."
                )
            if stat.S_ISLNK(found.st_mode):  # it has the mode 0777, whatever its target has
                raise CheckpointError(
                    f"{one}: this is a symbolic link; name the file itself: {option} "
                    f"{shlex.quote(str(one.resolve()))}"
                )
            why = _objection_to(one, found)
            if why is not None:
                raise CheckpointError(f"{one}: this file {why}, or name another with {option}.")


def note_on_folder(folder: Path) -> tuple[str, ...]:
    """Return a note about a folder in which everybody may replace a checkpoint."""
    if not platforms.HAS_OWNERS:
        return ()
    try:
        mode = folder.stat().st_mode
    except OSError:
        return ()
    if not mode & stat.S_IWOTH or mode & stat.S_ISVTX:
        return ()
    usual = _usual_ownership(folder)
    if usual is not None and usual.mode & stat.S_IWOTH:
        return ()  # modes mean nothing here
    folder = folder.absolute()
    note = (
        f"All users of this machine may move or remove files in {folder}, the checkpoint too. Keep "
        f"it elsewhere with --checkpoint, or correct that with: chmod o-w {_quoted(folder)}"
    )
    return (note,)


def _objection_to(path: Path, found: os.stat_result) -> str | None:
    access, user = Ownership(found.st_uid, found.st_mode), platforms.user_id()
    if user is None:
        return None
    why = objection(access, user)
    if why is not None:  # rarely, so a file is made for no other reason
        why = objection(access, user, _usual_ownership(path.parent))
    return why and why.replace("{path}", _quoted(path))


def _usual_ownership(folder: Path) -> Ownership | None:
    """Return owner and mode of a file that this process makes, for itself alone."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder, prefix=PREFIX) as made:
        found = os.fstat(made.fileno())
        return Ownership(found.st_uid, found.st_mode)
    return None


def _name_of(user: int) -> str:
    return platforms.user_name(user) or str(user)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

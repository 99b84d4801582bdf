"""The user's folders for settings and for state, and what a file system may lack."""

from __future__ import annotations

import errno
from pathlib import Path

from platformdirs import user_config_path, user_state_path

_NAME = "bulk-sync"

# NFS without its lock service, for one (flock(2)).
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of a file system that keeps no locks."""

NO_STATE_FOLDER = (
    "there is no home folder for this user: set XDG_STATE_HOME to a folder that can be written"
)


def config_folder() -> Path | None:
    """Return the folder for settings; None for a user without a home folder.

    Containers may run under a user id that has no entry in /etc/passwd, and some init systems set
    no HOME.
    """
    try:
        return user_config_path(_NAME, appauthor=False)
    except RuntimeError:
        return None


def state_folder() -> Path | None:
    """Return the folder for what runs know of the API's limits; None without a home folder."""
    try:
        return user_state_path(_NAME, appauthor=False)
    except RuntimeError:
        return None

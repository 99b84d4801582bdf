"""The folders that modules are imported from: never the current one, which holds sheets.

It may hold a `json.py` that came with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable


def without_current_folder(folders: Iterable[str]) -> list[str]:
    """Return the entries of a search path that are not the current folder."""
    named = [folder for folder in folders if folder]  # "" is the current folder
    try:
        here = os.path.realpath(os.curdir)
    except OSError:  # it was removed, so it holds no module
        return named
    return [folder for folder in named if os.path.realpath(folder) != here]

"""Start child processes: with no API key, and with no module of the current folder.

The current folder holds sheets, and may hold a `json.py` that came with them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bulk_sync import platforms
from bulk_sync.search_path import without_current_folder

KEY_VARIABLE = "NORTH_API_KEY"


def environment() -> dict[str, str]:
    """Return the environment for a child process: this one's, without the API key."""
    return {name: value for name, value in os.environ.items() if name != KEY_VARIABLE}


def first_line_of(words: Sequence[str], seconds: float) -> tuple[bytes, int]:
    """Run a command; return the first line that it prints, and its exit code.

    It may ask the user for a passphrase: a terminal is its standard input and error, too. It gets
    no sheet from standard input. Raises OSError if it can't be started,
    subprocess.TimeoutExpired after so many seconds, when it has been killed.
    """
    terminal = None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL
    ended = subprocess.run(  # noqa: S603 - the user's own command
        words,
        stdin=terminal,
        stdout=subprocess.PIPE,
        env=environment(),
        timeout=seconds,
        check=False,
    )
    line, _, _ = ended.stdout.partition(b"\n")
    return line.rstrip(b"\r"), ended.returncode


def start_module(name: str, *arguments: str, own_session: bool = False) -> subprocess.Popen[bytes]:
    """Start a module of this package; its standard input and output are pipes.

    With a session (on Windows: a group) of its own, the signals of a terminal don't reach it.
    """
    return subprocess.Popen(  # noqa: S603 - a module of ours
        # -P: -m puts the current folder in front of the folders that are searched for modules.
        [sys.executable, "-P", "-m", name, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        **(platforms.in_own_group() if own_session else {}),
        env=environment() | {"PYTHONPATH": os.pathsep.join(_module_folders())},
    )


def _module_folders() -> list[str]:
    """Return the folders that this process imports from, but the current one.

    The caller may have extended sys.path to import this package.
    """
    return [*without_current_folder(sys.path), str(Path(__file__).parents[1])]

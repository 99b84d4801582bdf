"""Words of a command line as the user's shell takes them, and back. Pure.

Windows has two shells with rules of their own. What is shown there suits both: words with anything
but letters, digits and some marks are in double quotes, which cmd.exe, PowerShell and the program's
own C library (Microsoft's "Parsing C command-line arguments") take alike. In double quotes cmd.exe
still replaces %NAME%, and PowerShell $name and what follows a backtick.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import PurePath, PureWindowsPath

ON_WINDOWS = isinstance(PurePath(), PureWindowsPath)
"""Whether the shells of this machine are those of Windows."""

# No comma: PowerShell makes two words of 10-20,35.
_PLAIN = re.compile(r"[\w./:\\+=-]+")
_BACKSLASHES_AT_QUOTE = re.compile(r'(\\*)("|$)')


def quoted(word: str) -> str:
    """Return a word as a shell of this machine takes it."""
    if not ON_WINDOWS:
        return shlex.quote(word)
    if _PLAIN.fullmatch(word):
        return word
    # Backslashes are doubled only in front of a double quote.
    escaped = _BACKSLASHES_AT_QUOTE.sub(lambda at: at[1] * 2 + ('\\"' if at[2] else ""), word)
    return f'"{escaped}"'


def joined(words: Iterable[str]) -> str:
    """Return words as a line of a shell."""
    return " ".join(map(quoted, words))


def split(line: str) -> list[str]:
    """Return the words of a line with quotation marks; raises ValueError if one is left open.

    On Windows a backslash is a part of a path.
    """
    words = shlex.shlex(line, posix=True, punctuation_chars=False)
    words.whitespace_split = True
    words.commenters = ""
    if ON_WINDOWS:
        words.escape = ""
    return list(words)

"""File names that a folder takes, and names with a date in them. Pure: names in, names out."""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import sha256
from pathlib import Path

LONGEST_NAME = 255
"""NAME_MAX of the usual file systems, in bytes."""

# The longest ending of a file next to an input: SQLite's journal of a checkpoint that is made.
_LONGEST_ENDING = len(".checkpoint.sqlite.new-journal")

# Names of longer stems have a digest; leaves room for `.failed` and `.changes` in a second job.
_SHORTENED = 200


def cut_name(stem: str, ending: str) -> str:
    """Return stem and ending as a name, the stem cut to what a folder takes."""
    return _cut(stem, LONGEST_NAME - len(_bytes(ending))) + ending


def stem_of_job(stem: str) -> str:
    """Return the stem of the names of a job's files.

    It is that of the input; of a longer one the beginning and a digest, so that no two inputs of a
    folder share a job.
    """
    if len(_bytes(stem)) <= LONGEST_NAME - _LONGEST_ENDING:
        return stem
    return f"{_cut(stem, _SHORTENED)}-{sha256(_bytes(stem)).hexdigest()[:12]}"


# What takes the place of a name in braces, and what it looks like. No colons: Windows has none in
# names.
_DATED = {"{date}": ("%Y-%m-%d", r"\d{4}-\d\d-\d\d"), "{time}": ("%H-%M-%S", r"\d\d-\d\d-\d\d")}
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")


def check_dated(path: Path) -> None:
    """Raise ValueError for braces in a file's name that no date or time takes the place of."""
    for found in _BRACES.findall(path.name):
        if found not in _DATED:
            raise ValueError(
                f"{found!r} in {path.name!r} is nothing that can be filled in: write {{date}} or "
                "{time}, or a name without braces"
            )
    if any(one in str(path.parent) for one in _DATED):
        raise ValueError(
            f"{str(path)!r}: {{date}} and {{time}} go into the name of a file, not of its folder"
        )


def is_dated(path: Path) -> bool:
    """Return True for a file's name with `{date}` or `{time}` in it."""
    return any(one in path.name for one in _DATED)


def dated_name(path: Path, at: datetime) -> Path:
    """Return the path with date and time, in the zone of `at`, in place of their names."""
    name = path.name
    for one, (form, _) in _DATED.items():
        name = name.replace(one, at.strftime(form))
    return path.with_name(name)


def matches_dated(pattern: Path, path: Path) -> bool:
    """Return True if some date and time in place of their names make this path."""
    text = re.escape(str(pattern))
    for one, (_, digits) in _DATED.items():
        text = text.replace(re.escape(one), digits)
    return re.fullmatch(text, str(path), re.DOTALL) is not None


def _cut(text: str, most: int) -> str:
    """Return the longest beginning of whole characters within so many bytes."""
    while len(_bytes(text)) > most:
        text = text[: max(len(text) - max(1, (len(_bytes(text)) - most) // 4), 0)]
    return text


def _bytes(text: str) -> bytes:
    # As Python encodes names whose bytes are no UTF-8.
    return text.encode("utf-8", "surrogateescape")

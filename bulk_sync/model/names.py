"""File names that a folder takes. Pure: names in, names out."""

from __future__ import annotations

from hashlib import sha256

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


def _cut(text: str, most: int) -> str:
    """Return the longest beginning of whole characters within so many bytes."""
    while len(_bytes(text)) > most:
        text = text[: max(len(text) - max(1, (len(_bytes(text)) - most) // 4), 0)]
    return text


def _bytes(text: str) -> bytes:
    # As Python encodes names whose bytes are no UTF-8.
    return text.encode("utf-8", "surrogateescape")

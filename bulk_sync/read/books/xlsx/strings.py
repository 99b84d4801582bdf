"""The shared strings of a workbook (ECMA-376 part 1, 18.4)."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable

from bulk_sync.read.books.interface import MAX_CHARACTERS, TooLarge
from bulk_sync.read.books.markup import local
from bulk_sync.read.books.mixed import PLAIN_TEXT, Mixed, NotPlainError, is_allowed, resolved
from bulk_sync.read.books.xlsx.values import unescaped

MAX_BYTES = 1024 * 1024 * 1024
"""Memory for the texts, each of which is held once."""
_POINTER_BYTES = 8


class SharedStrings:
    """The texts of a workbook, in the order of their part."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._bytes = 0
        self._path: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self._is_text = False
        self._plain: re.Pattern[str] | None = None

    def read(self, chunks: Iterable[bytes], part: str) -> None:
        """Read a part; raises BadWorkbook, TooLarge."""
        for _ in Mixed(self, part, "sst", "si", 1).read(chunks, self._take):
            pass

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        """Receive the start of an element."""
        self._path.append(local(name))
        match self._path[1:]:
            case ["si", "t"] | ["si", "r", "t"]:
                self._is_text = True
            case _:
                pass

    def end(self, _name: str) -> None:
        """Receive the end of an element."""
        self._is_text = False
        if self._path[1:] == ["si"]:
            self._add(["".join(self._text)])
            self._text.clear()
            self._size = 0
        self._path.pop()

    def text(self, text: str) -> None:
        """Receive characters."""
        if self._is_text:
            self._text.append(text)
            self._size += len(text)
            if self._size > MAX_CHARACTERS:
                raise TooLarge(f"one of its texts has more than {MAX_CHARACTERS:,} characters.")

    def _take(self, text: str, at: int, prefix: str) -> int:
        """Take the texts that have one run and no phonetics; see `Take`."""
        ending = f"</{prefix}t></{prefix}si>"
        end = text.rfind(ending, at) + len(ending)
        if end < len(ending):
            return at
        block = text[at:end]
        found = _split(block, prefix, ending)
        if found is None:
            found, length = self._matched(block, prefix)
            end = at + length
        self._add(found)
        return end

    def _matched(self, block: str, prefix: str) -> tuple[list[str], int]:
        """Return the texts up to the first that isn't plain, and the length of their items."""
        if self._plain is None:
            p = re.escape(prefix)
            self._plain = re.compile(
                rf'\s*+<{p}si><{p}t(?: xml:space="preserve")?+>({PLAIN_TEXT})</{p}t></{p}si>'
            )
        match = self._plain.match
        found: list[str] = []
        at = 0
        while (item := match(block, at)) is not None:
            try:
                found.append(resolved(item[1]))
            except NotPlainError:
                break
            at = item.end()
        return found, at

    def _add(self, texts: list[str]) -> None:
        self.texts.extend(unescaped(texts))
        self._bytes += sum(map(sys.getsizeof, texts)) + _POINTER_BYTES * len(texts)
        if self._bytes > MAX_BYTES:
            raise TooLarge(f"its texts take more than {MAX_BYTES // 2**20:,} MB of memory.")


def _split(block: str, prefix: str, ending: str) -> list[str] | None:
    """Return the texts of items that all have the same tags; None if they haven't."""
    start = f"<{prefix}si><{prefix}t>"
    if not block.startswith(start):
        start = f'<{prefix}si><{prefix}t xml:space="preserve">'
        if not block.startswith(start):
            return None
    texts = block[len(start) : -len(ending)].split(ending + start)
    # Each item has four tags. With any more there is other markup in one of them.
    if block.count("<") != 4 * len(texts) or not is_allowed(block):
        return None
    if "&" not in block:
        return texts
    try:
        return [resolved(text) for text in texts]
    except NotPlainError:
        return None

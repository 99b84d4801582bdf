"""A part as XML, of which a pattern takes the plain items and expat all the rest.

`Mixed` is correct because the pattern takes only whole elements, each well formed by itself, at
places where expat has just ended another item of the same container. The document without them is
well formed if and only if the whole one is.
"""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Protocol
from xml.parsers import expat

from bulk_sync.read.books.interface import BadWorkbook
from bulk_sync.read.books.markup import MAX_DEPTH, Handler, Parser, local, too_deep, well_formed

# More than any item takes: 16,384 cells with texts. Longer ones go to expat in pieces.
_LONGEST_ITEM = 8 * 1024 * 1024
# Characters that XML 1.0 doesn't allow (2.2), beyond those that `PLAIN_TEXT` leaves out.
_NO_CHARACTERS = ("\ufffe", "\uffff")

PLAIN_TEXT = r"[^<>\x00-\x08\x0b-\x1f]*+"
"""The pattern of a text without markup, except for references, and without line ends to convert."""

# Characters below a space that XML doesn't allow, and the carriage return, which expat converts.
_CONTROLS = bytes(each for each in range(32) if each not in b"\t\n")

_PREDEFINED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos);|#([0-9]{1,7});|#x([0-9A-Fa-f]{1,6});)?")
# XML 1.0, 2.2.
_CHARACTER = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class NotPlainError(ValueError):
    """A text is not in the plain form."""


class Take(Protocol):
    """Takes plain items from `text[at:]`, each whole, and returns where they end.

    `prefix` is the one of the items' names, with its colon.
    """

    def __call__(self, text: str, at: int, prefix: str, /) -> int:
        """Take plain items."""
        ...


class Mixed:
    """Reads one part, with a `container` at a depth (1 is the root) that holds each `item`."""

    def __init__(self, handler: Handler, part: str, container: str, item: str, depth: int) -> None:
        self._handler = handler
        self._part = part
        self._container = container
        self._container_depth = depth
        self._item = item
        self._opening = re.compile(rf"<((?:[\w.-]+:)?){container}(?:\s[^<>]*)?(?<!/)>")
        self._depth = 0
        self._in_container = False
        # The place of the last item's end tag, among the bytes given to expat.
        self._ended_at = -1
        self._parser = Parser(self, part)

    def read(self, chunks: Iterable[bytes], take: Take) -> Iterator[None]:
        """Read the part; yields now and then, so that the caller can pass on what was read.

        Raises BadWorkbook.
        """
        text, prefix = "", None
        is_exact = False  # everything else goes to expat
        with well_formed(self._part):
            for decoded in _decoded(chunks, self._part):
                text += decoded
                is_exact = is_exact or any(each in decoded for each in _NO_CHARACTERS)
                has_ended = True
                while has_ended and not is_exact:
                    if prefix is None:
                        text, prefix = self._find_container(text)
                    has_ended = False
                    if prefix is not None:
                        text, has_ended = self._read_items(text, prefix, take)
                    if has_ended:  # there may be another one, such as a table after a table
                        prefix = None
                if is_exact or len(text) > _LONGEST_ITEM:
                    is_exact = True
                    self._feed(text)
                    text = ""
                yield
            self._feed(text)
            self._parser.end()
        yield

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Pass on the start of an element."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep(self._part)
        if self._depth == self._container_depth:
            self._in_container = local(name) == self._container
        self._handler.start(name, attributes)

    def end(self, name: str) -> None:
        """Pass on the end of an element."""
        self._handler.end(name)
        depth = self._depth - self._container_depth
        if depth == 1 and self._in_container and local(name) == self._item:
            self._ended_at = self._parser.at
        elif depth == 0:
            self._in_container = False
        self._depth -= 1

    def text(self, text: str) -> None:
        """Pass on characters."""
        self._handler.text(text)

    def _find_container(self, text: str) -> tuple[str, str | None]:
        """Feed everything up to the container's start; return the rest, and the prefix if found."""
        at = 0
        for match in self._opening.finditer(text):
            self._feed(text[at : match.end()])
            at = match.end()
            # Not so in a comment, for example.
            if self._in_container and self._depth == self._container_depth:
                return text[at:], match[1]
        # Up to the last tag that may go on in the next chunk.
        end = text.rfind("<", at)
        if end < 0 or ">" in text[end:]:
            end = len(text)
        self._feed(text[at:end])
        return text[end:], None

    def _read_items(self, text: str, prefix: str, take: Take) -> tuple[str, bool]:
        """Read all complete items; return the rest, and whether the container is at its end."""
        closing, ending = f"</{prefix}{self._item}>", f"</{prefix}{self._container}"
        at = take(text, 0, prefix)
        begins = at
        while (end := text.find(closing, at)) >= 0:
            at = end + len(closing)
            self._feed(text[begins:at])
            begins = at
            # Otherwise this was no end tag, but in a comment, say.
            if self._ended_at + len(closing.encode()) == self._parser.fed and self._in_container:
                begins = at = take(text, at, prefix)
        rest = text[begins:]
        return rest, rest.lstrip().startswith(ending)

    def _feed(self, text: str) -> None:
        self._parser.feed(text.encode())


def is_allowed(text: str) -> bool:
    """Return whether a text could be a plain one, apart from tags and references.

    To be asked of many texts at once, because a pattern that leaves out these characters takes ten
    times as long for each of the others.
    """
    data = text.encode()
    return len(data.translate(None, _CONTROLS)) == len(data) and "]]>" not in text


def resolved(text: str) -> str:
    """Return a text with its references to characters replaced; raises NotPlainError for any other
    `&`.
    """
    return _REFERENCE.sub(_referred, text) if "&" in text else text


def attributes_of(text: str) -> dict[str, str]:
    """Return the attributes in a tag's text after the element's name; raises NotPlainError."""
    if text and text[0] not in " \t\n/":  # the name goes on
        raise NotPlainError
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda _, each: found.append(each)
    try:
        parser.Parse(f"<e{text.removesuffix('/')}/>", True)  # noqa: FBT003 - expat's own signature
    except expat.ExpatError:
        raise NotPlainError from None
    return found[0]


def _referred(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name is not None:
        return _PREDEFINED[name]
    if decimal is None and hexadecimal is None:
        raise NotPlainError
    code = int(decimal) if hexadecimal is None else int(hexadecimal, 16)
    if code > sys.maxunicode or _CHARACTER.fullmatch(chr(code)) is None:
        raise NotPlainError
    return chr(code)


def _decoded(chunks: Iterable[bytes], part: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        for chunk in chunks:
            yield decoder.decode(chunk)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise BadWorkbook(
            f"its part {part} is not in UTF-8. "
            "Open the workbook in a spreadsheet program and save it again."
        ) from None

"""XML parts as streams of events: expat, restricted to plain data and bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol
from xml.parsers import expat

from bulk_sync.read.books.interface import BadWorkbook, TooLarge

MAX_DEPTH = 256
"""Elements inside of each other; programs write a few dozen."""
MAX_TAG_BYTES = 4 * 1024 * 1024
"""Bounds the time: expat before 2.6 reads an unfinished tag or comment again with each chunk."""
MAX_PART_BYTES = 256 * 1024 * 1024
"""Bounds memory for a part whose elements are all kept, such as styles."""


class Handler(Protocol):
    """Receives a part's elements; names are as written, with their prefix."""

    def start(self, name: str, attributes: dict[str, str], /) -> None:
        """Receive the start of an element."""
        ...

    def end(self, name: str, /) -> None:
        """Receive the end of an element."""
        ...

    def text(self, text: str, /) -> None:
        """Receive characters, perhaps a part of a run of them."""
        ...


def feed(chunks: Iterable[bytes], handler: Handler, part: str) -> None:
    """Feed a whole part to `handler`; raises BadWorkbook unless it is plain, well-formed XML in
    UTF-8, TooLarge.
    """
    parser = Parser(_Shallow(handler, part), part)
    with well_formed(part):
        for chunk in chunks:
            parser.feed(chunk)
            if parser.fed > MAX_PART_BYTES:
                raise TooLarge(f"its part {part} has more than {MAX_PART_BYTES // 2**20:,} MB.")
        parser.end()


class Parser:
    """Expat for one part; refuses document types, other encodings than UTF-8, and endless tags.

    Its handler refuses elements that are too deep, by `too_deep`.
    """

    def __init__(self, handler: Handler, part: str) -> None:
        self.fed = 0
        self._part = part
        self._tag_at = 0  # the place of the last tag that was read, or that is unfinished
        self._expat = parser = expat.ParserCreate()
        parser.buffer_text = True  # else expat splits texts at every line break and entity
        parser.StartElementHandler = handler.start
        parser.EndElementHandler = handler.end
        parser.CharacterDataHandler = handler.text
        parser.StartDoctypeDeclHandler = _doctype_handler(part)
        parser.XmlDeclHandler = _declaration_handler(part)

    @property
    def at(self) -> int:
        """The offset of the event that is being handled, in bytes."""
        return self._expat.CurrentByteIndex

    def feed(self, data: bytes) -> None:
        """Read the next bytes; raises ExpatError, TooLarge."""
        self.fed += len(data)
        self._expat.Parse(data, False)  # noqa: FBT003 - expat's own signature
        # -1 as long as expat 2.6 puts off an unfinished tag.
        self._tag_at = max(self._tag_at, self.at)
        if self.fed - self._tag_at > MAX_TAG_BYTES:
            raise TooLarge(
                f"its part {self._part} has a tag or a comment of more than "
                f"{MAX_TAG_BYTES // 2**20} MB."
            )

    def end(self) -> None:
        """Read the end; raises ExpatError."""
        self._expat.Parse(b"", True)  # noqa: FBT003 - expat's own signature


def too_deep(part: str) -> BadWorkbook:
    """Return the error for more than `MAX_DEPTH`: handlers keep the path of an element."""
    return BadWorkbook(
        f"its part {part} has more than {MAX_DEPTH} elements inside of each other, which no "
        "spreadsheet program writes. It isn't read."
    )


class _Shallow:
    """Passes on a part's elements, and refuses those that are too deep."""

    def __init__(self, handler: Handler, part: str) -> None:
        self._handler = handler
        self._part = part
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise too_deep(self._part)
        self._handler.start(name, attributes)

    def end(self, name: str) -> None:
        self._depth -= 1
        self._handler.end(name)

    def text(self, text: str) -> None:
        self._handler.text(text)


@contextmanager
def well_formed(part: str) -> Iterator[None]:
    """Raise BadWorkbook where expat finds that a part is not well formed."""
    try:
        yield
    except expat.ExpatError as error:
        raise BadWorkbook(
            f"its part {part} is damaged ({expat.ErrorString(error.code)}). "
            "Open the workbook in a spreadsheet program and save it again."
        ) from None


def local(name: str) -> str:
    """Return a name without its prefix."""
    return name.rpartition(":")[2]


def _doctype_handler(part: str) -> Callable[..., None]:
    def refuse(*_: object) -> None:
        # A DOCTYPE declares entities, which can grow without bound and name files; no spreadsheet
        # program writes one.
        raise BadWorkbook(
            f"its part {part} declares a document type, which no spreadsheet program does. It "
            "isn't read."
        )

    return refuse


def _declaration_handler(part: str) -> Callable[[str, str | None, int], None]:
    def refuse_other_encodings(_version: str, encoding: str | None, _standalone: int) -> None:
        # Expat and the library know different encodings, but both know what every program writes.
        if encoding is not None and encoding.lower() not in {"utf-8", "utf8", "us-ascii", "ascii"}:
            raise BadWorkbook(
                f"its part {part} is written in {encoding}, not in UTF-8. "
                "Open the workbook in a spreadsheet program and save it again."
            )

    return refuse_other_encodings

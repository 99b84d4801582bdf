"""XML parts as streams of events: expat, restricted to what data needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol
from xml.parsers import expat

from bulk_sync.read.books.interface import BadWorkbook


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
    """Feed a part to `handler`; raises BadWorkbook unless it is plain, well-formed XML in
    UTF-8.
    """
    parser = parser_for(handler, part)
    with well_formed(part):
        for chunk in chunks:
            parser.Parse(chunk, False)  # noqa: FBT003 - expat's own signature
        parser.Parse(b"", True)  # noqa: FBT003 - same


def parser_for(handler: Handler, part: str) -> expat.XMLParserType:
    """Return a parser for `handler` that refuses document types and other encodings than UTF-8."""
    parser = expat.ParserCreate()
    parser.buffer_text = True  # else expat splits texts at every line break and entity
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.text
    parser.StartDoctypeDeclHandler = _doctype_handler(part)
    parser.XmlDeclHandler = _declaration_handler(part)
    return parser


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

"""Rows in the plain form: one pattern takes cells with at most one paragraph of mere text."""

from __future__ import annotations

import re

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.mixed import PLAIN_TEXT, NotPlainError, attributes_of, resolved
from bulk_sync.read.books.ods.cells import BadValueError, CellKind
from bulk_sync.read.books.ods.document import Document, paragraph
from bulk_sync.read.books.ods.sink import RowKind, row_kind
from bulk_sync.read.bounds import remember

_ROW = r"\s*+<{t}table-row((?:\s[^<>]*+)?+/?)>"
# The groups: name and attributes, an empty paragraph, a paragraph.
_CELL = (
    r"<{t}((?:covered-)?+table-cell[^<>]*+)>"
    rf"(?:(?<=/>)|(?:<{{x}}p(?:/>()|>({PLAIN_TEXT})</{{x}}p>))?+</{{t}}table-cell>)"
)
# A value that may differ from cell to cell: its attribute's name, and the value.
_VALUE = re.compile(r' ([\w.-]+:(?:date-|time-)?value)="([^"<&]*+)"')


class PlainRows:
    """Takes the rows of the wanted table that the pattern matches; passes over those of others."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._prefix: str | None = None
        self._row = self._cell = re.compile("(?!)")
        self._row_kinds: dict[str, RowKind] = {}
        # By attributes; those with a value in `_forms`, without it.
        self._kinds: dict[str, CellKind] = {}
        self._forms: dict[str, CellKind] = {}

    def __call__(self, text: str, at: int, prefix: str) -> int:
        """Take rows from `text[at:]`; return where they end."""
        if not self._document.tables:  # a table somewhere else than in the spreadsheet
            return at
        if prefix != self._prefix:
            self._compile(prefix)
        closing = f"</{prefix}table-row>"
        take = self._take if self._document.is_in_wanted else self._pass_over
        while (match := self._row.match(text, at)) is not None:
            attributes, content = match[1], ""
            end = match.end()
            if not attributes.endswith("/"):
                begin, end = end, text.find(closing, end)
                if end < 0:
                    break
                content, end = text[begin:end], end + len(closing)
            if not take(attributes, content):
                break
            at = end
        return at

    def _compile(self, prefix: str) -> None:
        table, text = re.escape(prefix), self._document.names.prefix_of("text")
        self._prefix = prefix
        self._row = re.compile(_ROW.format(t=table))
        # Without the namespace of texts, no cell has a paragraph.
        self._cell = re.compile(
            _CELL.format(t=table, x="(?!)" if text is None else re.escape(text))
        )

    def _take(self, attributes: str, content: str) -> bool:
        """Take a row, and return True, if it is plain."""
        parts = self._cell.split(content)
        if "".join(parts[::4]).strip():
            return False
        # Looked for once in the row, because most have none: references, and white space that is
        # collapsed.
        is_raw = (
            "&" in content
            or "  " in content
            or "> " in content
            or " <" in content
            or "\n" in content
            or "\t" in content
        )
        known = self._kinds.get
        try:
            # No call for a text as it is, because most cells are one.
            found = [
                (kind, text)
                if text and not is_raw and (kind := known(cell)) is not None and kind.is_text
                else self._read(cell, empty if text is None else text, is_raw=is_raw)
                for cell, empty, text in zip(parts[1::4], parts[2::4], parts[3::4], strict=True)
            ]
            kind_of_row = self._row_kind(attributes)
        except (NotPlainError, BadValueError):
            return False  # the exact reader says what is wrong with it
        self._document.sink.add(kind_of_row, found)
        return True

    def _pass_over(self, _attributes: str, content: str) -> bool:
        # Not so a row with another one inside, where the end that was found is not its own.
        return f"<{self._prefix}table-row" not in content and "<!" not in content

    def _read(self, attributes: str, text: str | None, *, is_raw: bool) -> tuple[CellKind, Cell]:
        kind = self._kinds.get(attributes)
        if kind is not None:
            own = kind.own
        else:
            kind, own = self._kind(attributes)
        if text is None:
            return kind, kind.value("", own, has_text=False)
        if is_raw:
            text = paragraph(resolved(text))
        return kind, text if kind.is_text else kind.value(text, own, has_text=True)

    def _kind(self, attributes: str) -> tuple[CellKind, str | None]:
        """Return the kind of a cell that is new, and its own value."""
        match = _VALUE.search(attributes)
        if match is None:
            kind = self._new_kind(attributes, attributes)
            return kind, kind.own
        # Values differ from cell to cell, so that kinds are kept without them.
        form = attributes[: match.start(2)] + attributes[match.end(2) :]
        known = self._forms.get(form)
        if known is None:
            known = self._new_kind(attributes, form)
            usual = self._document.names.usual(match[1])
            if known.value_name != usual or "'" in form or len(_VALUE.findall(attributes)) > 1:
                raise NotPlainError
            remember(self._forms, form, known)
        return known, match[2]

    def _new_kind(self, attributes: str, form: str) -> CellKind:
        name, _, rest = attributes.partition(" ")
        is_covered = name.startswith("covered-")
        if name.removesuffix("/") not in {"table-cell", "covered-table-cell"} or (
            is_covered and not attributes.endswith("/")
        ):
            raise NotPlainError
        kind = CellKind(self._parsed(f" {rest}"), is_covered=is_covered)
        # Formulas and texts as attributes may differ in each cell.
        if form == attributes:
            remember(self._kinds, attributes, kind)
        return kind

    def _row_kind(self, attributes: str) -> RowKind:
        kind = self._row_kinds.get(attributes)
        if kind is None:
            kind = row_kind(self._parsed(attributes))
            remember(self._row_kinds, attributes, kind)
        return kind

    def _parsed(self, attributes: str) -> dict[str, str]:
        """Return an element's attributes, given as in the file; raises NotPlainError."""
        if "xmlns" in attributes:
            raise NotPlainError
        return self._document.names.usual_attributes(attributes_of(attributes))

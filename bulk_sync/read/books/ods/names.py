"""Names of OpenDocument's elements and attributes, whatever prefixes a file gives them."""

from __future__ import annotations

from bulk_sync.read.books.interface import BadWorkbook
from bulk_sync.read.bounds import remember

AGAIN = "Open the workbook in a spreadsheet program and save it again."

_COMMON = "urn:oasis:names:tc:opendocument:xmlns:"
# The namespaces that matter (OpenDocument 1.3 part 3, 3.2), by their usual prefixes.
_NAMESPACES = {
    f"{_COMMON}office:1.0": "office",
    f"{_COMMON}table:1.0": "table",
    f"{_COMMON}text:1.0": "text",
    f"{_COMMON}style:1.0": "style",
    f"{_COMMON}drawing:1.0": "draw",
    f"{_COMMON}dr3d:1.0": "dr3d",
    f"{_COMMON}form:1.0": "form",
    # LibreOffice's extension, for the types that OpenDocument lacks.
    "urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0": "calcext",
}

# Programs declare three dozen.
_MOST_PREFIXES = 1000


class Names:
    """Turns names as written into names with the usual prefixes; those of others have `?`."""

    def __init__(self) -> None:
        self._spaces: dict[str, str] = {}
        self._usual: dict[str, str] = {}

    def declare(self, attributes: dict[str, str]) -> None:
        """Take the prefixes that an element declares; raises BadWorkbook if one is used twice.

        Programs declare all at the root, so a prefix holds from its declaration to the end.
        """
        for name, space in attributes.items():
            if name != "xmlns" and not name.startswith("xmlns:"):
                continue
            prefix = name.partition(":")[2]
            if self._spaces.setdefault(prefix, space) != space:
                raise BadWorkbook(f"it gives the prefix {prefix[:40]!r} two meanings. {AGAIN}")
            if len(self._spaces) > _MOST_PREFIXES:
                raise BadWorkbook(f"it declares more than {_MOST_PREFIXES} prefixes. {AGAIN}")
            self._usual.clear()

    def usual(self, name: str) -> str:
        """Return the usual name of an element."""
        found = self._usual.get(name)
        if found is None:
            prefix, _, local = name.rpartition(":")
            found = f"{_NAMESPACES.get(self._spaces.get(prefix, ''), '?')}:{local}"
            remember(self._usual, name, found)
        return found

    def usual_attributes(self, attributes: dict[str, str]) -> dict[str, str]:
        """Return attributes by their usual names; one without a prefix has no namespace."""
        return {self.usual(name): value for name, value in attributes.items() if ":" in name}

    def prefix_of(self, usual: str) -> str | None:
        """Return a namespace's prefix in this file with its colon; None if it isn't declared."""
        for prefix, space in self._spaces.items():
            if _NAMESPACES.get(space) == usual:
                return f"{prefix}:" if prefix else ""
        return None

"""The package of XLSX and XLSB (ECMA-376 part 2): parts, and relations that name their roles."""

from __future__ import annotations

import posixpath

from msgspec import Struct

from bulk_sync.read.archive import Archive
from bulk_sync.read.books.markup import feed, local


class Relation(Struct, frozen=True):
    """A part's reference to another; `kind` is the last word of the relation's type."""

    id: str
    kind: str
    target: str


class _Relations:
    def __init__(self, folder: str) -> None:
        self.found: list[Relation] = []
        self._folder = folder

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if local(name) != "Relationship" or attributes.get("TargetMode", "").lower() == "external":
            return
        # Targets are relative to the part's folder, or absolute in the package. Normalised from the
        # root, so that no `..` leads out of it.
        target = attributes.get("Target", "").replace("\\", "/")
        whole = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
        # The last word alone, because strict files have types in another namespace.
        kind = attributes.get("Type", "").rpartition("/")[2]
        self.found.append(Relation(attributes.get("Id", ""), kind, whole))

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass


def relations_of(archive: Archive, part: str) -> list[Relation]:
    """Return the relations of a part ("" for the package), external ones excluded."""
    folder, name = posixpath.split(part)
    source = posixpath.join(folder, "_rels", f"{name}.rels")
    if source not in archive:
        return []
    relations = _Relations(folder)
    feed(archive.chunks(source), relations, source)
    return relations.found


def main_part(archive: Archive) -> str | None:
    """Return the workbook's own part, by relation or else by its usual name; None without one."""
    for relation in relations_of(archive, ""):
        if relation.kind == "officeDocument" and relation.target in archive:
            return relation.target
    return next((name for name in ("xl/workbook.xml", "xl/workbook.bin") if name in archive), None)


def part_of_kind(relations: list[Relation], archive: Archive, kind: str) -> str | None:
    """Return the first part of a kind that exists."""
    return next(
        (each.target for each in relations if each.kind == kind and each.target in archive), None
    )

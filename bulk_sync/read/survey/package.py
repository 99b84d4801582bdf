"""The package of XLSX and XLSB (ECMA-376 part 2): parts, and relations that name their roles.

The library never gets the file itself but a small archive written here, with the checked parts of
one sheet. So it sees no other sheet, no picture, no macro, and no part with an unusual name.
"""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from msgspec import Struct

from bulk_sync.read.archive import Archive
from bulk_sync.read.survey.interface import BadWorkbook
from bulk_sync.read.survey.markup import feed, local

MAX_PACKED_BYTES = 24 * 1024 * 1024
"""Size of the archive for the library, which holds it three times over."""

_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


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


def _relations_part(relations: Mapping[str, tuple[str, str]]) -> bytes:
    """Return a part of relations, given id to (kind, target)."""
    each = "".join(
        f'<Relationship Id="{key}" Type="{OFFICE_RELATIONS}/{kind}" Target="{target}"/>'
        for key, (kind, target) in relations.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{each}</Relationships>'.encode()


Filter = Callable[[Iterable[bytes]], Iterable[bytes]]


@contextmanager
def repacked(
    archive: Archive,
    written: Mapping[str, bytes],
    copied: Mapping[str, str],
    through: Filter = iter,
) -> Iterator[BinaryIO]:
    """Yield an archive in memory with `written` parts and parts `copied` from `archive`.

    `written` has contents by name, `copied` names in `archive` by new name. The bytes of copied
    parts go `through` a filter.
    """
    buffer = io.BytesIO()
    # Level 1, because the library unpacks it at once.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for name, content in written.items():
            target.writestr(name, content)
        for name, source in copied.items():
            with target.open(name, "w") as part:
                for chunk in through(archive.chunks(source)):
                    part.write(chunk)
                    if buffer.tell() > MAX_PACKED_BYTES:
                        raise BadWorkbook(
                            f"the sheet takes more than {MAX_PACKED_BYTES // 2**20} MB packed. "
                            "Save it as 'CSV UTF-8', which is read without a bound, and push that "
                            "file."
                        )
    buffer.seek(0)
    yield buffer


class SheetParts(Struct, frozen=True):
    """The names of the parts that the library needs to read a sheet; None for one without."""

    sheet: str
    strings: str | None
    styles: str | None


@contextmanager
def single_sheet(
    archive: Archive, parts: SheetParts, workbook: bytes, ending: str
) -> Iterator[BinaryIO]:
    """Yield a workbook in memory with one sheet of `archive`.

    `workbook` is the content of its main part, `ending` that of its parts' names: xml or bin.
    """
    relations = {"rId1": ("worksheet", f"worksheets/sheet1.{ending}")}
    copied = {f"xl/worksheets/sheet1.{ending}": parts.sheet}
    if parts.strings is not None:
        relations["rId2"] = ("sharedStrings", f"sharedStrings.{ending}")
        copied[f"xl/sharedStrings.{ending}"] = parts.strings
    if parts.styles is not None:
        relations["rId3"] = ("styles", f"styles.{ending}")
        copied[f"xl/styles.{ending}"] = parts.styles
    main = f"xl/workbook.{ending}"
    written = {
        "_rels/.rels": _relations_part({"rId1": ("officeDocument", main)}),
        f"xl/_rels/workbook.{ending}.rels": _relations_part(relations),
        main: workbook,
    }
    with repacked(archive, written, copied) as file:
        yield file

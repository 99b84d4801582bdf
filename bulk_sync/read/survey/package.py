"""The frame that XLSX and XLSB share: an archive of parts, and relations that say which part is
what.

What the library gets is never the file itself but a small archive that is written here, with the
parts of one sheet after each was checked: it sees no other sheet, no picture, no macro, and no
name that is written in an unusual way.
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
"""Of the archive for the library, which holds it three times over."""

_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


class Relation(Struct, frozen=True):
    """Another part, as a part refers to it: `kind` is the last word of the relation's type."""

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
        target = attributes.get("Target", "").replace("\\", "/")
        whole = posixpath.normpath(posixpath.join("/", self._folder, target)).lstrip("/")
        kind = attributes.get("Type", "").rpartition("/")[2]
        self.found.append(Relation(attributes.get("Id", ""), kind, whole))

    def end(self, name: str) -> None:
        pass

    def text(self, text: str) -> None:
        pass


def relations_of(archive: Archive, part: str) -> list[Relation]:
    """The relations of a part ("" for the package itself), external ones left out."""
    folder, name = posixpath.split(part)
    source = posixpath.join(folder, "_rels", f"{name}.rels")
    if source not in archive:
        return []
    relations = _Relations(folder)
    feed(archive.chunks(source), relations, source)
    return relations.found


def main_part(archive: Archive) -> str | None:
    """The workbook's own part, by relation or else by its usual name; None if there is none."""
    for relation in relations_of(archive, ""):
        if relation.kind == "officeDocument" and relation.target in archive:
            return relation.target
    return next((name for name in ("xl/workbook.xml", "xl/workbook.bin") if name in archive), None)


def part_of_kind(relations: list[Relation], archive: Archive, kind: str) -> str | None:
    """The first part of a kind that is there."""
    return next(
        (each.target for each in relations if each.kind == kind and each.target in archive), None
    )


def relations_part(relations: Mapping[str, tuple[str, str]]) -> bytes:
    """A part of relations: id to (kind, target)."""
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
    """An archive in memory of parts that are `written` here and ones `copied`: new name to name in
    `archive`.

    The bytes of each copied part go `through` a filter.
    """
    buffer = io.BytesIO()
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
                            "Save it as 'CSV UTF-8', which is read without a bound, and push that file."
                        )
    buffer.seek(0)
    yield buffer

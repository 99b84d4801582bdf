"""The reader for a workbook's container: a ZIP archive, an OLE2 file, or none."""

from __future__ import annotations

import io
import os
import struct
from typing import BinaryIO

import olefile

from bulk_sync.read.archive import Archive
from bulk_sync.read.books.biff import AGAIN
from bulk_sync.read.books.interface import BadWorkbook, Book
from bulk_sync.read.books.ods.book import CONTENT, flat, packed
from bulk_sync.read.books.package import main_part
from bulk_sync.read.books.xls import XlsBook
from bulk_sync.read.books.xlsb import XlsbBook
from bulk_sync.read.books.xlsx.book import XlsxBook, is_workbook
from bulk_sync.read.kinds import HEAD_BYTES, Kind, kind_of, refusal

MAX_XLS_BYTES = 64 * 1024 * 1024
"""Bounds memory: an XLS file is held with its cells, which take six bytes of it each at least."""

# Size of sectors and of small ones as powers of two, and the number of sectors of the allocation
# table and of the one for small sectors ([MS-CFB] 2.2).
_OLE2_HEADER = struct.Struct("<30xHH10xI16xI")
_SECTORS_IN_HEADER = 109  # of the allocation table; that many are read in any case


def open_book(file: io.BufferedReader) -> Book:
    """Return the workbook in an open file; raises BadWorkbook for other content."""
    file.seek(0)
    kind = kind_of(file.read(HEAD_BYTES))
    file.seek(0)
    match kind:
        case Kind.ZIP:
            return _in_archive(Archive(file))
        case Kind.OLE2:
            return _in_container(file)
        case Kind.BIFF:  # the stream of an XLS file without its container
            _refuse_large(file)
            return XlsBook(file.read())
        case Kind.FLAT_ODF:
            return flat(file)
        case _:
            raise BadWorkbook(refusal(kind) or "this is text, not a workbook.")


def _in_archive(archive: Archive) -> Book:
    # Every ODF package has the first (OpenDocument 1.3 part 2, 3.3); so has an EPUB, which lacks
    # the second.
    if "mimetype" in archive and CONTENT in archive:
        return _open_document(archive)
    main = main_part(archive)
    # Relations name the parts, which may have any names (ECMA-376 part 2, 9.3). A DOCX has a main
    # part as well.
    if main is not None and main.lower().endswith(".bin"):
        return XlsbBook(archive, main)
    if main is None or not is_workbook(archive, main):
        raise BadWorkbook(_refusal_of_archive(archive))
    return XlsxBook(archive, main)


def _open_document(archive: Archive) -> Book:
    mimetype = archive.read("mimetype", 200).strip()
    if not mimetype.startswith(b"application/vnd.oasis.opendocument.spreadsheet"):
        raise BadWorkbook(
            f"this is a document ({mimetype.decode('ascii', 'replace')[:80]}), not a spreadsheet."
        )
    manifest = "META-INF/manifest.xml"
    if manifest in archive and b"encryption-data" in archive.read(manifest, 4 * 2**20):
        raise BadWorkbook(
            "it is protected by a password. Save it without one, then push that file."
        )
    return packed(archive)


def _refusal_of_archive(archive: Archive) -> str:
    """Return the sentence for an archive that is no workbook."""
    names = archive.names()
    if any(name.startswith("word/") for name in names):
        return "this is a text document (DOCX), not a spreadsheet. Push the spreadsheet itself."
    if any(name.startswith("ppt/") for name in names):
        return "this is a presentation (PPTX), not a spreadsheet. Push the spreadsheet itself."
    # Numbers keeps its tables in IWA parts, older versions in an archive inside.
    has_iwa = any(name.startswith("index/") and name.endswith(".iwa") for name in names)
    if has_iwa or "index.zip" in names:
        return (
            "this is a Numbers document. Export it from Numbers as Excel or CSV, then push that "
            "file."
        )
    return (
        "this is an archive (ZIP) without a workbook. Unpack it, then push the spreadsheet that is "
        "in it."
    )


def _refuse_large(file: BinaryIO) -> None:
    size = os.fstat(file.fileno()).st_size
    if size > MAX_XLS_BYTES:
        raise BadWorkbook(
            f"it takes {size // 2**20} MB; an XLS file of {MAX_XLS_BYTES // 2**20} MB can be read. "
            "Save the sheet as 'CSV UTF-8', and push that file."
        )


def _in_container(file: BinaryIO) -> Book:
    _refuse_large(file)
    size = os.fstat(file.fileno()).st_size
    _refuse_boundless(file.read(_OLE2_HEADER.size), size)
    # Not closed, because that would close the file too.
    container = olefile.OleFileIO(file)
    _refuse_longer(container.root.size, size)  # of the stream with all small streams
    # An encrypted XLSX is an OLE2 file too ([MS-OFFCRYPTO] 2.3.4.4).
    if container.exists("EncryptedPackage"):
        raise BadWorkbook(
            "it is protected by a password. Save it without one, then push that file."
        )
    # The stream's name in Excel 97 and later, and in Excel 5 and 95.
    for name in ("Workbook", "Book"):
        if container.get_type(name) == olefile.STGTY_STREAM:
            _refuse_longer(container.get_size(name), size)
            return XlsBook(container.openstream(name).read())
    raise BadWorkbook(
        "this is an Office file without a workbook in it, such as a DOC or a message."
    )


def _refuse_boundless(header: bytes, size: int) -> None:
    """Raise BadWorkbook for a container whose tables couldn't be in a file of this size.

    olefile believes their lengths, and a table may refer to the same sector over and over.
    """
    if len(header) < _OLE2_HEADER.size:
        raise _damaged()
    shift, small_shift, table, small_table = _OLE2_HEADER.unpack(header)
    if shift not in {9, 12} or small_shift != 6:
        raise _damaged()
    sectors = size >> shift
    needed = sectors // (1 << shift - 2)  # an entry for each sector takes four bytes
    if table > _SECTORS_IN_HEADER + 2 * needed or small_table > sectors:
        raise _damaged()


def _refuse_longer(stream_size: int, size: int) -> None:
    """Raise BadWorkbook for a stream that is longer than its file."""
    if stream_size > size:
        raise _damaged()


def _damaged() -> BadWorkbook:
    return BadWorkbook(
        f"the workbook is damaged: its container claims more than the file holds. {AGAIN}"
    )

"""Workbooks that can't be read, or would cost too much: a sentence that names the place."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import xlsxwriter
import xlwt

from bulk_sync.errors import InputError
from bulk_sync.model.rows import Formatted
from bulk_sync.read.books import markup
from bulk_sync.read.books.xlsx import strings
from bulk_sync.read.files import open_table as open_workbook
from bulk_sync.read.foreign import input_errors
from bulk_sync.read.interface import ReadOptions
from bulk_sync.recognise import may_be_own
from tests.unit.workbooks import (
    HEADER,
    ods_parts,
    ods_row,
    ods_text,
    packed,
    read,
    recognise,
    refused,
    row_header,
    rows_of,
    sheets,
    write,
    xlsb_parts,
    xlsx_parts,
)


def _plain(**changes: str | bytes) -> bytes:
    return packed({**xlsx_parts(HEADER), **changes})


def _bad_checksum() -> bytes:
    data = bytearray(_plain())
    at = data.index(b"PK\x01\x02")
    while True:
        name = data[at + 46 : at + 46 + int.from_bytes(data[at + 28 : at + 30], "little")]
        if name.endswith(b"sheet1.xml"):
            data[at + 16] ^= 0xFF
            return bytes(data)
        at = data.index(b"PK\x01\x02", at + 1)


def _duplicate() -> bytes:
    return packed({**xlsx_parts(HEADER), "XL/Workbook.xml": "<workbook/>"})


def _encrypted_entry() -> bytes:
    data = bytearray(_plain())
    for magic, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        at = data.find(magic)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(magic, at + 1)
    return bytes(data)


def _bomb() -> bytes:
    return packed({**xlsx_parts(HEADER), "xl/worksheets/sheet1.xml": b" " * (80 * 2**20)})


def _lying_size() -> bytes:
    data = bytearray(_plain())
    at = data.index(b"PK\x01\x02")
    while True:
        name = data[at + 46 : at + 46 + int.from_bytes(data[at + 28 : at + 30], "little")]
        if name.endswith(b"sheet1.xml"):
            data[at + 24 : at + 28] = (20).to_bytes(4, "little")
            return bytes(data)
        at = data.index(b"PK\x01\x02", at + 1)


SHEET = "xl/worksheets/sheet1.xml"


DOCTYPE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html><table><tr><td>key</td></tr></table></html>", "this is a web page"),
        (b"%PDF-1.7\n", "this is a PDF"),
        (b"PK\x03\x04" + bytes(40), "damaged or cut short: a workbook is a ZIP archive"),
        (_plain()[:-30], "damaged or cut short"),
        (_plain()[:200], "damaged or cut short"),
        (_bad_checksum(), "its checksum is wrong"),
        (_duplicate(), "two parts called"),
        (_encrypted_entry(), "protected by a password"),
        (_bomb(), "to 83,886,080 bytes"),
        (_lying_size(), "unpacks to more than it declares"),
        (packed({"word/document.xml": "<w/>"}), "text document (DOCX)"),
        (packed({"ppt/presentation.xml": "<p/>"}), "presentation (PPTX)"),
        (packed({"Index/Document.iwa": "x", "Metadata/x": ""}), "Numbers document"),
        (packed({"a.csv": "key"}), "an archive (ZIP) without a workbook"),
        (_plain(**{SHEET: DOCTYPE + "<worksheet/>"}), "declares a document type"),
        (_plain(**{"xl/sharedStrings.xml": DOCTYPE + "<sst/>"}), "declares a document type"),
        (_plain(**{"xl/styles.xml": DOCTYPE + "<styleSheet/>"}), "declares a document type"),
        (_plain(**{"xl/workbook.xml": DOCTYPE + "<workbook/>"}), "declares a document type"),
        (_plain(**{SHEET: "<worksheet><sheetData>"}), "is damaged"),
        (
            _plain(**{SHEET: "<?xml version='1.0' encoding='ISO-8859-1'?><worksheet/>"}),
            "not in UTF-8",
        ),
        (bytes.fromhex("090406000004050000000000"), "Excel 4 or older"),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600), "the workbook is damaged"),
    ],
)
def test_what_is_no_workbook_or_a_damaged_one_is_said_in_a_sentence(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "x.xlsx"
    path.write_bytes(content)
    assert words in refused(path)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ('<c r="ZZZZZZZ2"><v>1</v></c>', "outside of any sheet"),
        ('<c r="XFE2"><v>1</v></c>', "outside of any sheet"),
        ('<c r="A3"><v>1</v></c>', "is part of row 2"),
        ('</row><row r="1048577"><c r="A1048577"><v>1</v></c>', "outside of any sheet"),
        (
            '<c t="s"><v>7</v></c>',
            "A2 should refer to one of the workbook's texts and holds '7'",
        ),
        ("<c><v>abc</v></c>", "should hold a number and holds 'abc'"),
        ("<c><v>1e999</v></c>", "should hold a number"),
        ('<c r="A2"><v>1,5</v></c>', "the cell A2 should hold a number and holds '1,5'"),
        ('<c r="A2"><v>-</v></c>', "the cell A2 should hold a number and holds '-'"),
        (
            f'<c r="A2" t="s"><v>{"1" * 5000}</v></c>',
            "the cell A2 should refer to one of the workbook's",
        ),
        ("<c><v>NaN</v></c>", "should hold a number"),
        ('<c t="b"><v>2</v></c>', "the cell A2 should hold TRUE or FALSE and holds '2'"),
        ('<c t="d"><v>May</v></c>', "the cell A2 should hold a date and holds 'May'"),
        ('<c r="A2"><v>1</v></c><c r="A2"><v>2</v></c>', "the cell A2 is there twice"),
        ('<c t="zz"><v>1</v></c>', "the cell A2 has the unknown type 'zz'"),
        ('</row><row r="1">', "its rows are out of order: row 1 follows row 2"),
        ('</row><row r="2">', "its rows are out of order: row 2 follows row 2"),
        ('<c t="str"><v>a_x0000_</v></c>', "holds a NUL character"),
    ],
)
def test_cells_that_no_program_writes_are_refused_with_their_place(
    tmp_path: Path, cells: str, words: str
) -> None:
    path = write(tmp_path / "x.xlsx", xlsx_parts(f'{HEADER}<row r="2">{cells}</row>'))
    assert words in refused(path)


def test_a_sheet_that_goes_on_after_its_end_is_refused(tmp_path: Path) -> None:
    parts = xlsx_parts(
        HEADER, after='<sheetData><row r="2"><c r="A2"><v>1</v></c></row></sheetData>'
    )
    assert "has its rows in two places" in refused(write(tmp_path / "x.xlsx", parts))


def test_a_large_text_that_many_cells_share_is_held_once(tmp_path: Path) -> None:
    data = HEADER + '<row r="2">' + '<c t="s"><v>0</v></c>' * 12 + "</row>"
    parts = xlsx_parts(data, f"<si><t>{'x' * 2**20}</t></si>")
    (row,) = rows_of(write(tmp_path / "x.xlsx", parts))
    assert len(set(map(id, row[1]))) == 1


def test_texts_beyond_the_bound_of_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strings, "MAX_BYTES", 2**20)
    parts = xlsx_parts(HEADER, f"<si><t>{'x' * 2**20}</t></si>")
    assert "its texts take more than 1 MB of memory" in refused(write(tmp_path / "x.xlsx", parts))


@pytest.mark.parametrize("rows", ["1048577", "6000000"])
def test_ods_content_repeated_without_end_is_refused(tmp_path: Path, rows: str) -> None:
    cells = ods_text("x") * 3
    data = f'<table:table-row table:number-rows-repeated="{rows}">{cells}</table:table-row>'
    assert "outside of any sheet" in refused(write(tmp_path / "x.ods", ods_parts(data)))


def test_xlsb_records_cut_short_are_refused(tmp_path: Path) -> None:
    parts = xlsb_parts([row_header(0), (7, struct.pack("<II", 0, 0))], ("key",))
    assert "cut short" in refused(write(tmp_path / "x.xlsb", parts))


def test_a_protected_ods_is_named_as_such(tmp_path: Path) -> None:
    parts = {**ods_parts(""), "META-INF/manifest.xml": "<manifest:encryption-data/>"}
    assert "protected by a password" in refused(write(tmp_path / "x.ods", parts))


def test_a_protected_xls_is_named_as_such(tmp_path: Path) -> None:
    book = xlwt.Workbook()
    book.add_sheet("S").write(0, 0, "key")
    path = tmp_path / "x.xls"
    book.save(str(path))
    # The INTERFACEHDR record, right after BOF, becomes a FILEPASS.
    data = path.read_bytes()
    at = data.index(b"\xe1\x00\x02\x00")
    path.write_bytes(data[:at] + b"\x2f\x00" + data[at + 2 :])
    assert "protected by a password" in refused(path)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = sheets(tmp_path / "x.xlsx", {"S": [["key"], ["a"], ["b"]]})
    with open_workbook(path, ReadOptions(recognise)) as table:
        rows = table.rows()
        next(rows)
        os.utime(path, ns=(1, 1))
        with pytest.raises(InputError, match="was changed while it was being read"):
            list(rows)


def test_no_such_file_a_folder_and_a_pipe(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "gone.xlsx")
    assert "this is a folder" in refused(tmp_path)


@pytest.mark.parametrize("wish", [KeyboardInterrupt, SystemExit])
def test_a_wish_to_stop_passes_the_border(tmp_path: Path, wish: type[BaseException]) -> None:
    with pytest.raises(wish), input_errors(tmp_path):
        raise wish


def test_looking_for_a_mark_of_ours_never_fails(tmp_path: Path) -> None:
    whole = sheets(tmp_path / "whole.xlsx", {"S": [["key"], ["a"]]}).read_bytes()
    path = tmp_path / "x.xlsx"
    for at in range(0, len(whole), 5):
        data = bytearray(whole)
        data[at] ^= 0x7F
        path.write_bytes(data)
        assert not may_be_own(path)


def test_cut_at_any_place_a_workbook_is_refused(tmp_path: Path) -> None:
    whole = sheets(tmp_path / "whole.xlsx", {"S": [["key"], ["a"]]}).read_bytes()
    path = tmp_path / "x.xlsx"
    for end in range(4, len(whole), 97):
        path.write_bytes(whole[:end])
        refused(path)


def test_a_number_that_is_shown_with_zeros_or_letters_reads_as_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["key", "b"])
        formats = [
            "00000",
            '"SH-"0000',
            "\\#000;-000",
            "0",
            "General",
            "0.00",
            "#,##0",
            '0" stars"',
            "yyyy",
        ]
        for row, code in enumerate(formats, start=1):
            sheet.write_number(row, 0, 42, book.add_format({"num_format": code}))
        sheet.write_number(len(formats) + 1, 0, 4.5, book.add_format({"num_format": "00000"}))
    rows = read(path)[2]
    assert [row.cells[0] for row in rows] == [
        Formatted(42, "00000", "00042"),
        Formatted(42, '"SH-"0000', "SH-0042"),
        Formatted(42, "\\#000;-000", "#042"),
        42,
        42,
        Formatted(42, "0.00", "42.00", is_local=True),
        42,
        Formatted(42, '0" stars"', "42 stars"),
        date(1900, 2, 11),
        Formatted(4.5, "00000", "00005"),
    ]


def test_a_sheet_with_cells_at_its_far_end_is_read_in_bounded_work(tmp_path: Path) -> None:
    path = tmp_path / "x.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 16_383, "key")
        sheet.write(99_999, 16_383, "a")
    assert [(row.number, row.cells[-1]) for row in read(path)[2]] == [(100_000, "a")]


@pytest.mark.parametrize("part", ["xl/styles.xml", "xl/sharedStrings.xml", SHEET])
def test_elements_nested_without_end_are_refused_before_they_cost_time(
    tmp_path: Path, part: str
) -> None:
    # A hundred thousand took a minute, because each was looked up by its whole path.
    root = {"xl/styles.xml": "styleSheet", SHEET: "worksheet"}.get(part, "sst")
    nested = f"<{root}>{'<a>' * 100_000}{'</a>' * 100_000}</{root}>"
    sentence = refused(write(tmp_path / "x.xlsx", {**xlsx_parts(HEADER), part: nested}))
    assert f"its part {part} has more than 256 elements inside of each other" in sentence


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (SHEET, '<worksheet><cols a="{}"/><sheetData/></worksheet>'),
        (SHEET, "<worksheet><sheetData><!--{}--></sheetData></worksheet>"),
        (SHEET, '<worksheet><sheetData><row r="1" a="{}"/></sheetData></worksheet>'),
        ("xl/sharedStrings.xml", "<sst><si><!--{}--></si></sst>"),
        ("xl/styles.xml", '<styleSheet a="{}"/>'),
    ],
)
@pytest.mark.uncovered
def test_a_tag_or_a_comment_without_end_is_refused(tmp_path: Path, part: str, content: str) -> None:
    content = content.format("a" * (12 * 2**20))
    sentence = refused(write(tmp_path / "x.xlsx", {**xlsx_parts(HEADER), part: content}))
    assert f"its part {part} has a tag or a comment of more than 4 MB" in sentence


@pytest.mark.parametrize("split", ["", "<!---->"])
@pytest.mark.uncovered
def test_a_text_without_end_is_refused(tmp_path: Path, split: str) -> None:
    text = ("a" * 10_000 + split) * 1_000
    cell = f'<c r="A2" t="inlineStr"><is><t>{text}</t></is></c>'
    parts = xlsx_parts(f'{HEADER}<row r="2">{cell}</row>')
    assert "the cell A2 has more than 4,000,000" in refused(write(tmp_path / "x.xlsx", parts))
    parts = xlsx_parts(HEADER, f"<si><t>{text}</t></si>")
    assert "its texts has more than 4,000,000" in refused(write(tmp_path / "y.xlsx", parts))


@pytest.mark.uncovered
def test_a_cell_of_ods_with_paragraphs_without_end_is_refused(tmp_path: Path) -> None:
    cell = f"<table:table-cell>{'<text:p/>' * 50_000}</table:table-cell>"
    parts = ods_parts(f"<table:table-row>{cell}</table:table-row>")
    assert "a cell of it has more than 4,000,000" in refused(write(tmp_path / "x.ods", parts))


@pytest.mark.uncovered
def test_a_part_that_is_kept_whole_has_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(markup, "MAX_PART_BYTES", 2**20)
    styles = f"<styleSheet><cellXfs>{'<xf/>' * 300_000}</cellXfs></styleSheet>"
    parts = {**xlsx_parts(HEADER), "xl/styles.xml": styles}
    assert "has more than 1 MB" in refused(write(tmp_path / "x.xlsx", parts))


def _xls() -> bytes:
    book = xlwt.Workbook()
    book.add_sheet("S").write(0, 0, "key")
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def _entry(name: str, data: bytes) -> int:
    """The place of an entry in the directory of a container ([MS-CFB] 2.6.1)."""
    return data.index(name.encode("utf-16-le"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (lambda _: 30, 16),  # size of sectors, as a power of two; the one of small ones
        (lambda _: 32, 16),
        (lambda _: 44, 1_000_000),  # sectors of the allocation table, and of the one of small ones
        (lambda _: 64, 1_000_000),
        (lambda data: _entry("Root Entry", data) + 120, 2**31),
        (lambda data: _entry("Workbook", data) + 120, 2**31),
    ],
)
def test_a_container_that_claims_more_than_its_file_holds_is_refused(
    tmp_path: Path, place: Callable[[bytes], int], value: int
) -> None:
    path = tmp_path / "x.xls"
    data = bytearray(_xls())
    path.write_bytes(data)
    assert read(path)[1] == ("key",)
    at = place(bytes(data))
    size = 2 if at < 40 else 4
    data[at : at + size] = value.to_bytes(size, "little")
    path.write_bytes(data)
    assert "its container claims more than the file holds" in refused(path)


def test_a_container_with_a_folder_called_workbook_has_no_workbook(tmp_path: Path) -> None:
    data = bytearray(_xls())
    data[_entry("Workbook", bytes(data)) + 66] = 1  # the type of the entry: a storage
    path = tmp_path / "x.xls"
    path.write_bytes(data)
    assert "an Office file without a workbook in it" in refused(path)


@pytest.mark.parametrize("markup_of", ["<draw:a>{}</draw:a>", "<draw:a><![CDATA[{}]]></draw:a>"])
@pytest.mark.uncovered
def test_a_large_picture_in_a_sheet_is_passed_over(tmp_path: Path, markup_of: str) -> None:
    picture = markup_of.format(("QUJD" * 19 + "\n") * 150_000)
    cell = f"<table:table-cell>{picture}<text:p>sh-1</text:p></table:table-cell>"
    rows = ods_row(ods_text("key")) + f"<table:table-row>{cell}</table:table-row>"
    assert rows_of(write(tmp_path / "x.ods", ods_parts(rows))) == [(2, ("sh-1",))]

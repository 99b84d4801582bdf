"""The table of `form_table` as workbooks, in the ways of programs and libraries that write them.

The workbooks of LibreOffice are recorded (`tests.tools.record_forms`).
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import xlsxwriter
import xlwt
from openpyxl.utils.datetime import CALENDAR_MAC_1904
from openpyxl.worksheet.table import Table

from tests.unit.form_table import HEADERS, SHOWINGS, Form
from tests.unit.form_texts import Named
from tests.unit.workbooks import MAIN, OFFICE, STRICT, packed, record, xlsb_parts

RECORDED = Path(__file__).with_name("forms_of_libreoffice.zip")

_SHEET, _STRINGS, _BOOK = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_STRICT_OFFICE = "http://purl.oclc.org/ooxml/officeDocument/relationships"

Parts = dict[str, str]
Change = Callable[[str], str]


def book_forms() -> dict[str, Form]:
    """All forms, by name."""
    parts = (_openpyxl(), _parts(), _cells(), _contents(), _others(), _recorded())
    return {name: form for part in parts for name, form in part}


def _saved(change: Callable[[Any, Any], object] | None = None, **settings: Any) -> bytes:
    """The table as openpyxl saves it, after a change of its workbook and sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    for name, value in settings.items():
        setattr(book, name, value)
    for row, values in enumerate((HEADERS, *(each.values() for each in SHOWINGS)), start=1):
        for column, value in enumerate(values, start=1):
            cell = sheet.cell(row, column)
            cell.value = value
            if isinstance(value, str):
                cell.data_type = "s"  # not the formula that `=SUM of all` would be
    if change is not None:
        change(book, sheet)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def book_of_texts() -> bytes:
    """The table for LibreOffice to save, its texts formatted as such, so that keys stay whole."""

    def change(_book: Any, sheet: Any) -> None:
        for row in sheet.iter_rows():
            for cell in row:
                if cell.data_type == "s":
                    cell.number_format = "@"

    return _saved(change)


def _xlsx(content: bytes, **expected: Any) -> Form:
    return Form(content, ".xlsx", **expected)


def _openpyxl() -> Iterator[Named]:
    yield "openpyxl", _xlsx(_saved())
    yield "openpyxl, ISO dates", _xlsx(_saved(iso_dates=True))
    yield "openpyxl, 1904", _xlsx(_saved(epoch=CALENDAR_MAC_1904))
    yield "openpyxl, 1904 and ISO dates", _xlsx(_saved(epoch=CALENDAR_MAC_1904, iso_dates=True))
    yield "named XLS", Form(_saved(), ".xls")
    yield "named CSV", Form(_saved(), ".csv")
    for name, change in _CHANGES.items():
        yield name, _xlsx(_saved(change))
    yield "a table with totals", _xlsx(_saved(_table_with_totals), invalid=1)


def _title(_book: Any, sheet: Any) -> None:
    sheet.insert_rows(1, 2)
    sheet["A1"] = "Showings of March"
    sheet.merge_cells("A1:K1")


def _offset(_book: Any, sheet: Any) -> None:
    sheet.insert_rows(1, 5)
    sheet.insert_cols(1, 3)


def _filtered(_book: Any, sheet: Any) -> None:
    sheet.auto_filter.ref = "A1:K5"
    sheet.auto_filter.add_filter_column(7, ["5"])
    sheet.row_dimensions[3].hidden = sheet.row_dimensions[4].hidden = True
    sheet.column_dimensions["J"].hidden = True


def _table(_book: Any, sheet: Any) -> None:
    sheet.add_table(Table(displayName="T", ref="A1:K5"))


def _table_with_totals(_book: Any, sheet: Any) -> None:
    sheet.append(["Total", *[None] * 5, 15, 3.3])
    table = Table(displayName="T", ref="A1:K6")
    table.totalsRowCount = 1
    sheet.add_table(table)


def _other_sheets(book: Any, _sheet: Any) -> None:
    book.create_chartsheet("Chart", 0)
    book.create_sheet("Read me", 0)["A1"] = "Hello"
    old = book.create_sheet("Old", 0)
    old.append(HEADERS)
    old.append(["old", *[None] * 6, 3])
    old.sheet_state = "hidden"


def _numbers(_book: Any, sheet: Any) -> None:
    """Keys and phones as numbers that are shown as the texts were."""
    for place, value, code in (("A2", 123, "00000"), ("A5", 7, "0000"), ("E5", 3125550102, "0")):
        sheet[place].value, sheet[place].number_format = value, code


def _texts(_book: Any, sheet: Any) -> None:
    """Numbers and dates as texts, which they are in many exports."""
    for row, showing in enumerate(SHOWINGS, start=2):
        sheet.cell(row, 2).value = showing.date.strftime("%m/%d/%Y %I:%M %p")
        for column in (7, 8):
            value = sheet.cell(row, column).value
            sheet.cell(row, column).value = None if value is None else f" {value} "


def _yes_and_no(_book: Any, sheet: Any) -> None:
    for row, showing in enumerate(SHOWINGS, start=2):
        cell = sheet.cell(row, 9)
        cell.value = None if showing.interested is None else int(showing.interested)
        cell.number_format = '"Yes";;"No"'


def _date_format(code: str) -> Callable[[Any, Any], None]:
    def change(_book: Any, sheet: Any) -> None:
        for row in range(2, 6):
            sheet.cell(row, 2).number_format = code

    return change


_CHANGES: Mapping[str, Callable[[Any, Any], None]] = {
    "title in merged cells": _title,
    "table not in the corner": _offset,
    "filtered, with hidden rows and a hidden column": _filtered,
    "a table": _table,
    "other sheets before": _other_sheets,
    "keys and phones as formatted numbers": _numbers,
    "numbers and dates as texts": _texts,
    "yes and no by a format": _yes_and_no,
    "dates day first": _date_format("d/m/yy h:mm"),
    "dates without a year": _date_format("mmm d"),
    "dates that show only their time": _date_format("h:mm AM/PM"),
    "dates in Japanese": _date_format('yyyy"年"m"月"d"日"'),
    "dates in a system format": _date_format("[$-F800]dddd\\, mmmm dd\\, yyyy"),
}


def _plain_parts() -> Parts:
    """The parts of a workbook with shared strings, each cell with a reference."""
    with zipfile.ZipFile(io.BytesIO(_saved())) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    strings: list[str] = []

    def shared(match: re.Match[str]) -> str:
        strings.append(match[2])
        return f'<c{match[1]} t="s"><v>{len(strings) - 1}</v></c>'

    inline = re.compile(r'<c([^>]*) t="inlineStr"><is>(.*?)</is></c>', re.DOTALL)
    parts[_SHEET] = inline.sub(shared, parts[_SHEET])
    items = "".join(f"<si>{text}</si>" for text in strings)
    parts[_STRINGS] = f'<sst xmlns="{MAIN}">{items}</sst>'
    relation = f'<Relationship Id="rId9" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    parts[_RELATIONS] = parts[_RELATIONS].replace("</Relat", f"{relation}</Relat")
    return parts


_PLAIN = _plain_parts()


def _edited(change: Change, *names: str) -> Parts:
    return {name: change(part) if name in names else part for name, part in _PLAIN.items()}


def _renamed(change: Change, **more: str) -> Parts:
    return {change(name): part for name, part in {**_PLAIN, **more}.items()}


def _parts() -> Iterator[Named]:
    yield "shared strings", _xlsx(packed(_PLAIN))
    stored, streamed = io.BytesIO(), _Unseekable()
    for file, method in ((stored, zipfile.ZIP_STORED), (streamed, zipfile.ZIP_DEFLATED)):
        with zipfile.ZipFile(file, "w", method) as archive:
            for name, part in _PLAIN.items():
                archive.writestr(name, part)
    yield "stored", _xlsx(stored.getvalue())
    yield "streamed, sizes after the parts", _xlsx(streamed.written.getvalue())
    yield "in another order", _xlsx(packed(dict(reversed(_PLAIN.items()))))
    yield "strict", _xlsx(packed(_strict(_PLAIN)))
    absolute = {name: part.replace('"/xl/', '"/').replace('"xl/', '"') for name, part in
                _PLAIN.items()}  # fmt: skip
    root = {name.removeprefix("xl/"): part for name, part in absolute.items()}
    yield "parts in the root", _xlsx(packed(root))
    yield "backslashes in names", _xlsx(packed(_renamed(lambda name: name.replace("/", "\\"))))
    yield "small letters in names", _xlsx(packed(_renamed(str.lower)))
    yield (
        "relative targets",
        _xlsx(packed(_edited(lambda part: part.replace('"/xl/', '"../xl/'), _RELATIONS))),
    )
    everything = [name for name in _PLAIN if name.endswith(".xml")]
    yield "marks in parts", _xlsx(packed(_edited("\ufeff".__add__, *everything)))
    prefixed = _edited(_prefixed, _SHEET, _STRINGS, _BOOK, "xl/styles.xml")
    yield "a prefix for the namespace", _xlsx(packed(prefixed))
    encoded: dict[str, str | bytes] = {**_PLAIN, _STRINGS: _PLAIN[_STRINGS].encode("utf-16")}
    yield "a part in UTF-16", _xlsx(packed(encoded), refused="save it again")


class _Unseekable(io.RawIOBase):
    """A stream for which `zipfile` writes sizes after the parts."""

    def __init__(self) -> None:
        self.written = io.BytesIO()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return self.written.write(data)


def _strict(parts: Parts) -> Parts:
    return {
        name: part.replace(MAIN, STRICT).replace(OFFICE, _STRICT_OFFICE)
        for name, part in parts.items()
    }


def _prefixed(part: str) -> str:
    tags = re.sub(r"<(/?)([a-zA-Z])", r"<\1x:\2", part)
    return tags.replace(f'xmlns="{MAIN}"', f'xmlns:x="{MAIN}"')


def _with_blanks(part: str) -> str:
    """Write the blank cells, so that references are not needed."""

    def row(match: re.Match[str]) -> str:
        cells = dict(re.findall(r'(<c r="([A-Z]+)\d+".*?</c>)', match[2], re.DOTALL))
        by_column = {column: cell for cell, column in cells.items()}
        return match[1] + "".join(by_column.get(each, "<c/>") for each in "ABCDEFGHIJK") + "</row>"

    return re.sub(r"(<row [^>]*>)(.*?)</row>", row, part, flags=re.DOTALL)


def _iso(part: str) -> str:
    dates = iter(SHOWINGS)
    return re.sub(
        r'(<c r="B\d" s="\d+") t="n"><v>[^<]*</v>',
        lambda match: f'{match[1]} t="d"><v>{next(dates).date.isoformat()}</v>',
        part,
    )


def _reversed_cells(part: str) -> str:
    def row(match: re.Match[str]) -> str:
        return match[1] + "".join(reversed(re.findall(r"<c .*?</c>", match[2], re.DOTALL)))

    return re.sub(r"(<row [^>]*>)(.*?)(?=</row>)", row, part, flags=re.DOTALL)


def _rich(part: str) -> str:
    """Texts in runs, with a reading that is no part of them."""
    return re.sub(
        r"<t([^>]*)>(.{3})(.*?)</t>",
        r'<r><t xml:space="preserve">\2</t></r><r><rPr><b/></rPr><t xml:space="preserve">\3</t></r>'
        r'<rPh sb="0" eb="1"><t>x</t></rPh><phoneticPr fontId="1"/>',
        part,
        flags=re.DOTALL,
    )


def _formulas(part: str) -> str:
    """Every value as the result of a formula."""
    strings = re.findall(r"<t[^>]*>(.*?)</t>", _PLAIN[_STRINGS], re.DOTALL)
    part = re.sub(
        r't="s"><v>(\d+)</v>',
        lambda match: f't="str"><f>A1</f><v>{strings[int(match[1])]}</v>',
        part,
    )
    return re.sub(r't="([nb])"><v>', r't="\1"><f>A1</f><v>', part)


def _without(pattern: str, instead: str = "") -> Change:
    return lambda part: re.sub(pattern, instead, part)


def _cells() -> Iterator[Named]:
    for name, change in {
        "no references": lambda part: _without(r' r="[A-Z]*\d+"')(_with_blanks(part)),
        "no references of rows": _without(r'(?<=<row) r="\d+"'),
        "no dimension": _without(r"<dimension[^>]*/>"),
        "a wrong dimension": _without(r"<dimension[^>]*/>", '<dimension ref="A1:B2"/>'),
        "dates in ISO 8601": _iso,
        "cells from right to left": _reversed_cells,
        "small letters in references": lambda part: re.sub(
            r'(?<=<c r=)"\w+"', lambda match: match[0].lower(), part
        ),
        "results of formulas": _formulas,
        "true and false in words": _without('t="b"><v>1', 't="b"><v>true'),
        "whole numbers with a point": _without(r't="n"><v>(\d+)</v>', r't="n"><v>\1.0</v>'),
        "numbers with an exponent": _without(r't="n"><v>(\d)</v>', r't="n"><v>\1E+0</v>'),
        "numbers without a type": _without(' t="n"'),
        "indented": _without(r"(?=<(?:/?row|c|v|sheetData)[ >])", "\n    "),
        "an instruction and a comment": _without("(?=<sheetData>)", "<?a b?><!-- c -->"),
        "an extension in rows": _without("(?=</row>)", '<extLst><ext uri="x"/></extLst>'),
    }.items():
        yield name, _xlsx(packed(_edited(change, _SHEET)))
    yield "strict, dates in ISO 8601", _xlsx(packed(_strict(_edited(_iso, _SHEET))))
    yield "texts in runs", _xlsx(packed(_edited(_rich, _STRINGS)))
    entities = _edited(lambda part: part.encode("ascii", "xmlcharrefreplace").decode(), _STRINGS)
    yield "letters as references", _xlsx(packed(entities))
    rows = re.findall(r"<row .*?</row>", _PLAIN[_SHEET], re.DOTALL)
    turned = _PLAIN[_SHEET].replace("".join(rows), "".join(reversed(rows)))
    yield "rows upwards", _xlsx(packed({**_PLAIN, _SHEET: turned}), refused="save it again")
    spaced = _edited(_without("<v>(.*?)</v>", r"<v> \1 </v>"), _SHEET)
    yield "blanks around values", _xlsx(packed(spaced), refused="save it again")


def _contents() -> Iterator[Named]:
    """Workbooks in which the rows can't be read with certainty, or are not where they belong."""

    def hidden(book: Any, sheet: Any) -> None:
        book.create_sheet("Read me")["A1"] = "Hello"
        sheet.sheet_state = "hidden"

    def on_side(_book: Any, sheet: Any) -> None:
        rows = [[cell.value for cell in row] for row in sheet.iter_rows()]
        sheet.delete_rows(1, 5)
        for values in zip(*rows, strict=True):
            sheet.append([value if value != "=SUM of all" else None for value in values])

    yield "in a hidden sheet", _xlsx(_saved(hidden), refused="--sheet Sheet")
    yield "in a hidden sheet, told", _xlsx(_saved(hidden), options={"sheet": "Sheet"})
    yield "a workbook on its side", _xlsx(_saved(on_side), refused="Transpose")
    for code in ("General", "0.00", "[h]:mm"):
        form = _saved(_date_format(code))
        yield f"dates as {code}", _xlsx(form, refused="such as 2026-03-14 16:30")


def _others() -> Iterator[Named]:
    for name, settings in {
        "XlsxWriter": {},
        "XlsxWriter, in constant memory": {"constant_memory": True},
        "XlsxWriter, 1904": {"date_1904": True},
    }.items():
        yield name, _xlsx(_of_xlsxwriter(settings))
    yield "xlwt", Form(_of_xlwt(), ".xls")
    yield "XLSB", Form(_xlsb(), ".xlsb")


def _of_xlsxwriter(settings: Mapping[str, object]) -> bytes:
    file = io.BytesIO()
    as_given = {"strings_to_urls": False, "strings_to_formulas": False}
    book = xlsxwriter.Workbook(file, {**settings, **as_given})
    sheet = book.add_worksheet("S")
    dated = book.add_format({"num_format": "m/d/yyyy h:mm"})
    for row, values in enumerate((HEADERS, *(each.values() for each in SHOWINGS))):
        for column, value in enumerate(values):
            if isinstance(value, datetime):
                sheet.write_datetime(row, column, value, dated)
            elif value is None:
                sheet.write_blank(row, column, None, dated)
            else:
                sheet.write(row, column, value)
    book.close()
    return file.getvalue()


def _of_xlwt() -> bytes:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("S")
    dated = xlwt.easyxf(num_format_str="m/d/yy h:mm")
    for row, values in enumerate((HEADERS, *(each.values() for each in SHOWINGS))):
        for column, value in enumerate(values):
            if isinstance(value, datetime):
                sheet.write(row, column, value, dated)
            elif value is not None:
                sheet.write(row, column, value)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _xlsb() -> bytes:
    """The table as records: BrtRowHdr, BrtCellIsst, BrtCellBool, BrtCellReal ([MS-XLSB] 2.4)."""
    strings: list[str] = []
    records: list[tuple[int, bytes]] = []
    for row, values in enumerate((HEADERS, *(each.values() for each in SHOWINGS))):
        records.append((0, struct.pack("<IIHBB", row, 0, 300, 0, 0) + bytes(5)))
        for column, value in enumerate(values):
            style = int(isinstance(value, datetime))
            place = struct.pack("<II", column, style)
            if isinstance(value, str):
                records.append((7, place + struct.pack("<I", len(strings))))
                strings.append(value)
            elif isinstance(value, bool):
                records.append((4, place + bytes([value])))
            elif isinstance(value, datetime):
                days = (value - datetime(1899, 12, 30)).total_seconds() / 86_400  # noqa: DTZ001
                records.append((5, place + struct.pack("<d", days)))
            elif value is not None:
                records.append((5, place + struct.pack("<d", value)))
    parts = xlsb_parts(records, tuple(strings))
    styles = [(617, struct.pack("<I", 2))]
    styles += [(47, struct.pack("<HH", 0, code) + bytes(12)) for code in (0, 22)]
    styles += [(618, b"")]
    parts["xl/styles.bin"] = b"".join(record(*each) for each in styles)
    relation = '<Relationship Id="rId9" Type="x/styles" Target="styles.bin"/>'
    name = "xl/_rels/workbook.bin.rels"
    parts[name] = str(parts[name]).replace("</Relat", f"{relation}</Relat")
    return packed(parts)


# The files whose kind is no workbook that is read.
_UNREAD = (".html", ".slk", ".dif")


def _recorded() -> Iterator[Named]:
    with zipfile.ZipFile(RECORDED) as archive:
        for name in archive.namelist():
            ending = Path(name).suffix
            refused = "as XLSX" if ending in _UNREAD else ""
            yield f"LibreOffice: {name}", Form(archive.read(name), ending, refused=refused)

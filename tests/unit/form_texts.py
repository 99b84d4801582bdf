"""The table of `form_table` as text, in the ways of the programs that export it."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tests.unit.form_table import HEADERS, SHOWINGS, Form, in_words, matrix

Named = tuple[str, Form]


def csv_text(rows: Sequence[Sequence[str]] | None = None, **dialect: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(matrix() if rows is None else rows)
    return text.getvalue()


def text_forms() -> dict[str, Form]:
    """All forms, by name."""
    parts = (_dialects(), _line_ends(), _marked(), _code_pages(), _layouts(), _dates(), _others())
    return {name: form for part in parts for name, form in part}


def _dialects() -> Iterator[Named]:
    for name, mark in {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}.items():
        for quoting, number in {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL}.items():
            text = csv_text(delimiter=mark, quoting=number)
            yield f"{name}, quotes {quoting}", Form(text.encode())
        text = csv_text(delimiter=mark)
        yield f"{name}, told", Form(text.encode(), options={"delimiter": mark})
        # Excel's own way to name the separator.
        yield f"sep={name}", Form(f"sep={mark}\r\n{text}".encode())
    yield "sep=; in quotes", Form(('"sep=;"\r\n' + csv_text(delimiter=";")).encode())
    yield "quotes around texts", Form(csv_text(quoting=csv.QUOTE_NONNUMERIC).encode())
    yield "single quotes", Form(csv_text(quotechar="'", quoting=csv.QUOTE_ALL).encode())
    blanks = csv_text(quoting=csv.QUOTE_ALL).replace('","', '", "')
    yield "blanks after separators", Form(blanks.encode())
    escaped = csv_text(doublequote=False, escapechar="\\", quoting=csv.QUOTE_ALL)
    yield "quotes escaped, as MySQL does", Form(escaped.encode())
    for mark in ("^", "~", ":"):
        text = csv_text(delimiter=mark, quoting=csv.QUOTE_ALL)
        yield f"{mark} as separator", Form(text.encode(), refused=f"--delimiter '{mark}'")
        yield f"{mark} as separator, told", Form(text.encode(), options={"delimiter": mark})


def _line_ends() -> Iterator[Named]:
    for name, end in {"CRLF": "\r\n", "LF": "\n", "CR": "\r"}.items():
        text = csv_text(lineterminator=end, quoting=csv.QUOTE_ALL)
        yield f"lines end with {name}", Form(text.encode())
        inside = text.replace("it.\n", f"it.{end}")
        changed = in_words(_with_breaks(end))
        yield f"cells' lines end with {name}, too", Form(inside.encode(), patches=changed)
    yield "mixed line ends", Form(csv_text().encode().replace(b"\r\n", b"\n", 2))
    yield "no last line end", Form(csv_text().rstrip("\r\n").encode())
    yield "blank lines at the end", Form(csv_text().encode() + b"\r\n\r\n,,,\r\n")


def _with_breaks(end: str) -> Callable[[str], str]:
    return lambda text: text.replace("it.\n", f"it.{end}")


def _marked() -> Iterator[Named]:
    text = csv_text()
    quoted = csv_text(quoting=csv.QUOTE_ALL)
    yield "UTF-8 with mark", Form(codecs.BOM_UTF8 + text.encode())
    yield "UTF-8 with mark and quotes", Form(codecs.BOM_UTF8 + quoted.encode())
    yield "UTF-8 with two marks", Form(codecs.BOM_UTF8 * 2 + text.encode())
    yield "sep= after a mark", Form(codecs.BOM_UTF8 + f"sep=,\r\n{text}".encode())
    for name, mark in {
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }.items():
        yield f"{name} with mark", Form(mark + text.encode(name))
        tabbed = csv_text(delimiter="\t")
        yield f"{name} with mark and tabs", Form(mark + tabbed.encode(name), ".txt")
    for name in ("utf-16-le", "utf-16-be"):
        bare = text.encode(name)
        yield f"{name} without mark", Form(bare, refused=f"--encoding {name}")
        yield f"{name} without mark, told", Form(bare, options={"encoding": name})
    yield "UTF-32 without mark", Form(text.encode("utf-32-le"), refused="XLSX or CSV")


# Letters of the table that a code page may lack, and what programs write instead.
_FALLBACKS = {"’": "'", "“": '"', "”": '"', "—": "-", "€": "EUR"}
# They have the table's bytes in common, so that any of them gives its patches.
_LIKE_WINDOWS_1252 = frozenset({"cp1252", "latin-1", "cp1254", "iso8859-2", "cp1250"})
_TOLD = (
    *("cp1252", "latin-1", "iso8859-15", "iso8859-2", "cp1250", "cp1254", "mac-roman"),
    *("mac-latin2", "cp437", "cp850", "cp852", "cp858", "cp037", "cp500", "hp-roman8"),
)


def _code_pages() -> Iterator[Named]:
    for name in _TOLD:

        def fitting(text: str, name: str = name) -> str:
            for letter, instead in _FALLBACKS.items():
                try:
                    letter.encode(name)
                except UnicodeEncodeError:
                    text = text.replace(letter, instead)
            return text.encode(name, errors="replace").decode(name)

        content = csv_text([[*map(fitting, row)] for row in matrix()]).encode(name)
        patches = in_words(fitting)
        yield f"{name}, told", Form(content, options={"encoding": name}, patches=patches)
        if name in _LIKE_WINDOWS_1252:
            yield name, Form(content, patches=patches, refused="--encoding", may_be_read=True)
        else:
            yield name, Form(content, refused="--encoding")


def _layouts() -> Iterator[Named]:
    header, *rows = matrix()
    blank = [""] * len(header)
    layouts = {
        "title above": [["Showings of March"], [], header, *rows],
        "title with commas above": [["Showings of March", *blank[1:]], blank, header, *rows],
        "Numbers: table's name above": [["Table 1", *blank[1:]], header, *rows],
        "blank rows above": [blank, blank, header, *rows],
        "blank rows between": [header, rows[0], [], rows[1], blank, *rows[2:]],
        "trailing commas": [[*row, "", ""] for row in matrix()],
        "blank column first": [["", *row] for row in matrix()],
        "blank column between": [[*row[:4], "", *row[4:]] for row in matrix()],
        "pandas: index first": [
            ["" if number < 0 else str(number), *row] for number, row in enumerate(matrix(), -1)
        ],
        "rows without their last blank cells": [
            row if row[-1] else row[:-1]
            for row in ([*row[:2], *row[3:], row[2]] for row in matrix())
        ],
        "header in capitals": [[name.upper() for name in header], *rows],
        "header with blanks around": [[f" {name} " for name in header], *rows],
        "header with no-break spaces": [[name.replace(" ", "\xa0") for name in header], *rows],
        "header with line breaks": [[name.replace(" ", "\n") for name in header], *rows],
        "header with invisible characters": [[f"\u200b{name}" for name in header], *rows],
        "header with punctuation": [[f"{name}:*" for name in header], *rows],
        "header in snake case": [[name.lower().replace(" ", "_") for name in header], *rows],
        "columns reversed": [row[::-1] for row in matrix()],
        "blanks around cells": [[f" {cell} " for cell in row] for row in matrix()],
        "keys as formulas": [header, *([f'="{row[0]}"', *row[1:]] for row in rows)],
    }
    for name, table in layouts.items():
        yield name, Form(csv_text(table).encode())
    total = ["Total", *blank[1:6], "15", "10", *blank[8:]]
    sums = ["", *blank[1:6], "15", "3.3", *blank[8:]]
    units = ["", "local time", "", "", "", "", "people", "1-5", "yes/no", "", ""]
    for name, table in {
        "totals below": [header, *rows, total],
        "sums without a word below": [header, *rows, sums],
        "number of rows below": [header, *rows, [], ["4 rows"]],
        "units below the header": [header, units, *rows],
        "header repeated": [header, *rows[:2], header, *rows[2:]],
    }.items():
        yield name, Form(csv_text(table).encode(), invalid=1)
    dashes = [header, ["---"] * len(header), *rows, ["(4 rows affected)"]]
    yield "sqlcmd: dashes and a count", Form(csv_text(dashes).encode(), invalid=2)
    on_side = [list(column) for column in zip(*matrix(), strict=True)]
    yield "on its side", Form(csv_text(on_side).encode(), refused="ranspose")
    yield "without a header", Form(csv_text(rows).encode(), refused="names of the columns")


_FORMS_OF_DATES = {
    "American": "%m/%d/%Y %I:%M %p",
    "American, short": "%m-%d-%y %H:%M",
    "ISO with T": "%Y-%m-%dT%H:%M:%S",
    "slashes, year first": "%Y/%m/%d %H:%M",
    "month in letters": "%b %d, %Y %I:%M%p",
    "weekday and month": "%A, %B %d, %Y at %I:%M %p",
    "day first, month in letters": "%d-%b-%Y %H:%M",
    "narrow blank before PM": "%m/%d/%Y %I:%M:%S\u202f%p",
}
_DAY_FIRST = {"German": "%d.%m.%Y %H:%M", "British": "%d/%m/%Y %H:%M"}
_UNREAD = {"digits": "%Y%m%d %H%M", "points in times": "%Y-%m-%d %H.%M"}


def _dates() -> Iterator[Named]:
    def content(code: str) -> bytes:
        header, *rows = matrix()
        days = [showing.date.strftime(code) for showing in SHOWINGS]
        dated = [[row[0], day, *row[2:]] for row, day in zip(rows, days, strict=True)]
        return csv_text([header, *dated]).encode()

    for name, code in _FORMS_OF_DATES.items():
        yield f"dates: {name}", Form(content(code))
    for name, code in _DAY_FIRST.items():
        yield f"dates: {name}", Form(content(code), refused="--date-order dmy")
        yield f"dates: {name}, told", Form(content(code), options={"date_order": "dmy"})
    for name, code in _UNREAD.items():
        yield f"dates: {name}", Form(content(code), refused="such as 2026-03-14 16:30")


def _others() -> Iterator[Named]:
    yield "gzip", Form(gzip.compress(csv_text().encode()), ".csv.gz", refused="Unpack it")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("showings.csv", csv_text())
    yield "ZIP", Form(packed.getvalue(), ".zip", refused="Unpack it")
    named = [dict(zip(HEADERS, row, strict=True)) for row in matrix()[1:]]
    yield "JSON", Form(json.dumps(named, indent=1).encode(), ".json", refused="JSON")
    lines = "\n".join(map(json.dumps, named))
    yield "JSON lines", Form(lines.encode(), ".jsonl", refused="JSON")
    cells = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in matrix())
    yield (
        "HTML named XLS",
        Form(f"<html><table>{cells}</table></html>".encode(), ".xls", refused="as XLSX"),
    )
    xml = (
        '<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'
        '<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet"><Worksheet/></Workbook>'
    )
    yield "SpreadsheetML 2003", Form(xml.encode(), ".xls", refused="as XLSX")
    wide = "\n".join("".join(cell[:20].ljust(24) for cell in row) for row in matrix())
    yield "columns of fixed width", Form(wide.encode(), ".txt", refused="no column names")
    yield "NULs at the end", Form(csv_text().encode() + bytes(40), refused="export it again")

"""`*.failed.csv` is mended by a script and pushed with the very command that was printed, whatever
the input was.
"""

from __future__ import annotations

import codecs
import csv
import shlex
from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import xlwt
from odf.opendocument import OpenDocumentSpreadsheet
from odf.table import Table, TableCell, TableRow
from odf.text import P
from openpyxl import Workbook

from tests.conftest import Program, Sandboxes
from tests.helpers import read_csv

HEADER = (
    *(
        "unique_showing_key",
        "showing_date",
        "attendee_name",
        "attendee_email",
        "attendee_phone",
        "feedback",
    ),
    *("rating", "interested", "attendees_count", "showing_time_end"),
)
AT = datetime(2026, 3, 14, 16, 30)  # noqa: DTZ001 - a sheet's dates have no zone
MAIL = "ana@example.com"
FEEDBACK = (
    'Said "lovely", twice; then left',
    "Two\nlines, and Straße 5 — čaj",
    "=not a formula",
    "'quoted",
    "003",
    "1E5",
    "TRUE",
    "2026-03-14",
    "Tab\there",
    "error: not found",
)
Cells = tuple[object, ...]


def row(number: int, rating: object) -> Cells:
    feedback = FEEDBACK[number % len(FEEDBACK)]
    key = f"{number:05}" if number % 2 else f"maple street {number}"
    return (
        key,
        AT,
        f"Ana Müller {number}",
        MAIL,
        "555-0101",
        feedback,
        rating,
        number % 3 == 0,
        number,
        time(17, 45),
    )


MENDED = 4.0
GOOD = tuple(row(number, 5.0) for number in range(13))
BAD = tuple(row(number, 0.0) for number in range(20, 30))
ROWS = (*GOOD[:6], *BAD, *GOOD[6:])


def as_text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:g}"
    return cell.isoformat() if isinstance(cell, datetime | date | time) else str(cell)


def delimited(delimiter: str, encoding: str, *, above: Sequence[str] = ()) -> Callable[..., None]:
    def write(path: Path, header: Sequence[str], rows: Sequence[Cells]) -> None:
        with path.open("w", encoding=encoding, newline="") as file:
            for line in above:
                file.write(line + "\r\n")
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(header)
            writer.writerows([as_text(cell) for cell in cells] for cells in rows)

    return write


def write_xlsx(
    path: Path, header: Sequence[str], rows: Sequence[Cells], *, above: Sequence[str] = ()
) -> None:
    book = Workbook()
    sheet = book.active
    for line in above:
        sheet.append([line])
    sheet.append(header)
    for cells in rows:
        sheet.append(cells)
        for cell in sheet[sheet.max_row]:
            if isinstance(cell.value, str) and len(cell.value) == 5 and cell.value.isdigit():
                cell.value, cell.number_format = int(cell.value), "00000"
            elif isinstance(cell.value, str):
                cell.data_type = "s"  # also what begins as a formula does
    book.create_sheet("Notes").append(["nothing"])
    book.save(path)


def write_xls(path: Path, header: Sequence[str], rows: Sequence[Cells]) -> None:
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("Showings")
    day, hour = xlwt.easyxf(num_format_str="YYYY-MM-DD HH:MM"), xlwt.easyxf(num_format_str="HH:MM")
    for number, cells in enumerate((header, *rows)):
        for place, cell in enumerate(cells):
            style = (
                day
                if isinstance(cell, datetime)
                else hour
                if isinstance(cell, time)
                else xlwt.Style.default_style
            )
            sheet.write(number, place, cell, style)
    book.save(str(path))


def write_ods(path: Path, header: Sequence[str], rows: Sequence[Cells]) -> None:
    book = OpenDocumentSpreadsheet()
    table = Table(name="Showings")
    for cells in (header, *rows):
        line = TableRow()
        for cell in cells:
            line.addElement(_ods_cell(cell))
        table.addElement(line)
    book.spreadsheet.addElement(table)
    book.save(str(path))


def _ods_cell(cell: object) -> TableCell:
    if isinstance(cell, bool):
        made = TableCell(valuetype="boolean", booleanvalue=str(cell).lower())
    elif isinstance(cell, int | float):
        made = TableCell(valuetype="float", value=cell)
    elif isinstance(cell, datetime):
        made = TableCell(valuetype="date", datevalue=cell.isoformat())
    elif isinstance(cell, time):
        made = TableCell(
            valuetype="time", timevalue=f"PT{cell.hour:02}H{cell.minute:02}M{cell.second:02}S"
        )
    else:
        made = TableCell(valuetype="string")
    for line in as_text(cell).replace("\t", " ").split("\n"):
        made.addElement(P(text=line))
    return made


def mend(path: Path, encoding: str, column: str = "rating", value: str = "4") -> int:
    """As a person's script would: read with the csv module, change a column, write it back. Returns
    the rows.
    """
    with path.open(encoding=encoding, newline="") as file:
        lines = list(csv.reader(file))
    place = lines[0].index(column)
    assert lines[0][-1] == "error"
    for line in lines[1:]:
        assert line[-1].startswith("bad_value: rating: '0' is not")
        line[place] = value
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows(lines)
    return len(lines) - 1


def next_command(out: str) -> list[str]:
    """The words after `then: bulk-sync` in the line that says what to do next."""
    (line,) = (line for line in out.splitlines() if line.startswith("Next:"))
    return shlex.split(line.partition(", then: bulk-sync ")[2])


def sent(witness: Any) -> dict[str, Any]:
    """Bodies by key; a key that was patched twice fails."""
    entries = witness.patches()
    bodies = {entry["key"]: entry["body"] for entry in entries}
    assert len(bodies) == len(entries)
    return bodies


RENAMED = (*HEADER[:5], "Client said", *HEADER[6:])
PROFILE = (
    '[read]\nsheet = "Sheet"\nheader_row = 3\n[map]\n"Client said" = '
    '"feedback"\n[dates]\ntimezone = "Europe/Paris"\n'
)
TITLES = ("Showings of March", "made by Ana, in a hurry")
CASES: dict[str, tuple[str, Callable[..., None], tuple[str, ...], Sequence[str], bool]] = {
    "xlsx": ("x.xlsx", write_xlsx, (), HEADER, True),
    "xls": ("x.xls", write_xls, (), HEADER, True),
    "ods": ("x.ods", write_ods, (), HEADER, True),
    "tsv": ("x.tsv", delimited("\t", "utf-8"), (), HEADER, False),
    "csv": ("x.csv", delimited(",", "utf-8"), (), HEADER, False),
    "csv, told": (
        "x.csv",
        delimited(",", "utf-8"),
        ("--encoding", "utf-8", "--delimiter", "comma"),
        HEADER,
        False,
    ),
    "semicolons": (
        "x.csv",
        delimited(";", "cp1250"),
        ("--encoding", "cp1250", "--delimiter", ";"),
        HEADER,
        True,
    ),
    "utf-16": ("x.csv", delimited("\t", "utf-16"), (), HEADER, True),
    "utf-16, told": ("x.txt", delimited(",", "utf-16"), ("--encoding=utf-16",), HEADER, True),
    "mark": ("x.csv", delimited(",", "utf-8-sig"), (), HEADER, True),
    "mark, told": ("x.csv", delimited(",", "utf-8-sig"), ("--encoding", "utf8"), HEADER, True),
    "told a mark that is not there": (
        "x.csv",
        delimited(",", "utf-8"),
        ("--encoding=utf-8-sig",),
        HEADER,
        False,
    ),
    "titles": ("x.csv", delimited(",", "utf-8", above=TITLES), (), HEADER, False),
    "titles, told": (
        "x.csv",
        delimited(";", "utf-8", above=TITLES),
        ("--header-row", "3"),
        HEADER,
        False,
    ),
    "xlsx, titles": (
        "x.xlsx",
        lambda path, header, rows: write_xlsx(path, header, rows, above=TITLES),
        ("--sheet", "1", "--header-row=3", "--timezone", "America/Chicago"),
        HEADER,
        True,
    ),
    "mapped": (
        "my sheet.csv",
        delimited(",", "utf-8"),
        ("--map", "Client said=feedback"),
        RENAMED,
        False,
    ),
    "mapped xlsx": (
        "x.xlsx",
        write_xlsx,
        ("--map", "Client said=feedback", "--on-duplicate", "last"),
        RENAMED,
        True,
    ),
    "profile": (
        "x.xlsx",
        lambda path, header, rows: write_xlsx(path, header, rows, above=TITLES),
        ("--profile", "p.toml"),
        RENAMED,
        True,
    ),
    "profile for csv": (
        "x.csv",
        delimited(";", "cp1252", above=TITLES),
        ("--profile", "csv.toml"),
        RENAMED,
        True,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_failed_rows_are_mended_and_pushed_as_the_program_says(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, case: str
) -> None:
    name, write, options, header, marked = CASES[case]
    rows = [
        tuple(str(cell).replace("č", "c") if isinstance(cell, str) else cell for cell in cells)
        for cells in ROWS
    ]
    (tmp_path / "p.toml").write_text(PROFILE, encoding="utf-8")
    (tmp_path / "csv.toml").write_text(
        PROFILE.replace('sheet = "Sheet"', 'delimiter = ";"\nencoding = "cp1252"'), encoding="utf-8"
    )
    options = ("--date-order", "mdy", *options)
    # What the API is to hold in the end: the same sheet without a mistake.
    right = tmp_path / "right" / name
    right.parent.mkdir()
    write(
        right,
        header,
        [(*cells[:6], MENDED if cells[6] == 0.0 else cells[6], *cells[7:]) for cells in rows],
    )
    with sandboxes() as witness:
        assert program("push", right, "--base-url", witness.base_url, *options).code == 0
        expected = sent(witness)
    write(tmp_path / name, header, rows)
    with sandboxes() as witness:
        ran = program("push", name, "--base-url", witness.base_url, *options)
        assert ran.code == 3, ran.err
        (failed,) = tmp_path.glob("*.failed.csv")
        written = failed.read_bytes()
        assert written.startswith(codecs.BOM_UTF8) == marked
        assert program("report", name).code == 0
        assert failed.read_bytes() == written
        assert not list(tmp_path.glob("*.edited*"))
        assert mend(failed, "utf-8-sig" if marked else "utf-8") == len(BAD)
        again = program(*next_command(ran.out))
        assert again.code == 0, again.out + again.err
        assert {
            line["state"] for line in read_csv(failed.with_name(f"{failed.stem}.results.csv"))
        } == {"updated"}
        assert sent(witness) == expected


def test_a_failed_file_that_is_refused_whole_is_marked_as_the_report_will_be(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    write_xlsx(tmp_path / "x.xlsx", HEADER, BAD)
    with sandboxes() as witness:
        assert program("push", "x.xlsx", "--base-url", witness.base_url).code == 4
        assert not witness.patches()
    assert (
        (tmp_path / "x.xlsx.failed.csv")
        .read_bytes()
        .startswith(codecs.BOM_UTF8 + b"unique_showing_key,")
    )


def test_rows_that_the_api_refused_or_lost_are_pushed_again_as_they_were(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    """Nothing to mend in the cells: the showing is made in North, and the command is run."""
    write_xlsx(tmp_path / "x.xlsx", HEADER, GOOD)
    with sandboxes(accept_any=False) as witness:
        ran = program("push", "x.xlsx", "--base-url", witness.base_url, "--max-failures", "100%")
        assert ran.code == 3
        assert (
            f"  {len(GOOD)} rows: not_found: Showing not found: check the key in North" in ran.out
        )
    with sandboxes() as witness:
        port = witness.base_url
        assert (
            program(*(port if "127.0.0.1" in word else word for word in next_command(ran.out))).code
            == 0
        )
        expected = sent(witness)
    with sandboxes() as witness:
        assert program("push", "x.xlsx", "--base-url", witness.base_url, "--fresh").code == 0
        assert sent(witness) == expected

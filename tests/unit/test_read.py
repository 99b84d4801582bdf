"""Text to rows: the numbers that a spreadsheet program shows, and a sentence for what can't be
read.
"""

from __future__ import annotations

import csv
import os
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bulk_sync.errors import InputError, UsageError
from bulk_sync.model.rows import Row
from bulk_sync.read.dialect import DELIMITERS, Dialect, NotWellFormed, differing
from bulk_sync.read.files import open_table
from bulk_sync.report.problems import message_of
from tests.unit.tables import options, read, refused, understood


def test_row_numbers_count_blank_lines_and_take_line_breaks_in_cells_as_one_row(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbf\r\nkey, feedback\r\n1,"two\r\nlines"\r\n\r\n,\r\n2,fine\r\n')
    headers, rows = read(path)
    assert headers == ("key", "feedback")
    assert rows == [Row(3, ("1", "two\r\nlines")), Row(6, ("2", "fine"))]


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending(tmp_path: Path, ending: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(ending.join(["key,a", "1,x", "2,y"]).encode())
    assert read(path)[1] == [Row(2, ("1", "x")), Row(3, ("2", "y"))]


WESTERN_WORDS = [
    *(
        "café ",
        "Zoë’s ",
        "naïve ",
        "Ñandú ",
        "À ",
        "Ærø ",
        "Größe ",
        "GRÖSSE ",
        "Übermaß ",
        "¿qué? ",
        "œuvre ",
        "île ",
    ),
    *(
        "5 € ",
        "“quoted” ",
        "‘so’ ",
        "„so“ ",
        " – ",
        "… ",
        "™ ",
        "20 °C ",
        "100 m² ",
        "½ ",
        "a · b ",
        "«oui» ",
    ),
    *("plain ", "a,b;c|d\t", '"', "'", "\r\n", "\n", " "),
]


def texts(parts: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[str]]]:
    whole = (
        st.lists(parts, max_size=12).map("".join).filter(lambda text: "\x1b$" not in text)
    )  # ISO 2022 is refused
    row = st.lists(whole, min_size=3, max_size=3)
    return st.lists(row, max_size=8)


@given(
    cells=texts(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    delimiter=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    above=st.sampled_from([[], [["Showings of March"], []], [[], []]]),
)
def test_any_table_in_any_dialect_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[list[str]],
    delimiter: str,
    encoding: str,
    ending: str,
    quoting: Any,
    above: list[list[str]],
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    header = ["unique_showing_key", "feedback", "title"]
    if ending != "\r\n":
        quoting = csv.QUOTE_ALL  # else Python's writer leaves the other line breaks without quotes
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=delimiter, lineterminator=ending, quoting=quoting).writerows(
            [*above, header, *cells]
        )
    expected = [
        Row(number, tuple(row))
        for number, row in enumerate(cells, start=len(above) + 2)
        if any(cell.strip() for cell in row)
    ]
    file_as_read, headers, rows = understood(path)
    assert headers == tuple(header)
    assert file_as_read.header_row == len(above) + 1
    assert [row for row in rows if row.fault is None] == [
        row for row in expected if row.number in _sound(rows)
    ]


def _sound(rows: list[Row]) -> set[int]:
    return {row.number for row in rows if row.fault is None}


@given(cells=texts(st.sampled_from(WESTERN_WORDS)))
def test_a_table_in_windows_1252_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    cells = [*cells, ["ext_1", "“They didn’t like the café” – José Muñoz", "Müller, très bien"]]
    with path.open("w", encoding="cp1252", newline="") as file:
        csv.writer(file).writerows([["unique_showing_key", "feedback", "title"], *cells])
    assume(not _is_utf_8(path.read_bytes()))  # what is valid UTF-8 is UTF-8: that is the rule
    expected = [tuple(row) for row in cells if any(cell.strip() for cell in row)]
    assert [row.cells for row in read(path)[1]] == expected
    assert [row.cells for row in read(path, encoding="cp1252")[1]] == expected


@pytest.mark.parametrize(
    ("text", "delimiter", "cells"),
    [
        (
            "Showing Key;Feedback\r\next_1;fine, 4,5 of 5\r\n",
            "semicolon",
            ("ext_1", "fine, 4,5 of 5"),
        ),
        ("Showing Key\tFeedback\next_1\tfine; really\n", "tab", ("ext_1", "fine; really")),
        ("Showing Key|Feedback\next_1|a,b;c\n", "pipe", ("ext_1", "a,b;c")),
        ("sep=;\r\nShowing Key;Feedback\r\next_1;fine\r\n", "semicolon", ("ext_1", "fine")),
        (
            "'Showing Key','Feedback'\n'ext_1','it''s, well, fine'\n",
            "comma",
            ("ext_1", "it's, well, fine"),
        ),
        (
            '"Showing Key", "Feedback"\n"ext_1", "fine, really"\n',
            "comma",
            ("ext_1", "fine, really"),
        ),
        (
            'Showing Key,Feedback\next_1,"a \\"big\\" house, fine"\n',
            "comma",
            ("ext_1", 'a "big" house, fine'),
        ),
        (
            'Showing Key,Feedback\next_1,"a \\"big\\" ""house"""\n',
            "comma",
            ("ext_1", 'a "big" "house"'),
        ),
        ('Showing Key\tFeedback\next_1\t"Nice" house\n', "tab", ("ext_1", '"Nice" house')),
        ('Showing Key,Feedback\next_1,5" pipe\n', "comma", ("ext_1", '5" pipe')),
        ('Showing Key,Feedback\next_1,"a back\\slash"\n', "comma", ("ext_1", "a back\\slash")),
        ('Showing Key,Feedback\next_1,"ends in \\"\n', "comma", ("ext_1", "ends in \\")),
    ],
)
def test_dialects_that_are_found(
    tmp_path: Path, text: str, delimiter: str, cells: tuple[str, ...]
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(text.encode())
    file, headers, rows = understood(path)
    assert headers == ("Showing Key", "Feedback")
    assert file.delimiter == delimiter
    assert rows == [Row(2, cells)]


def test_a_delimiter_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("key:a\n1:x;y\n", encoding="utf-8")
    assert read(path, delimiter=":")[1] == [Row(2, ("1", "x;y"))]
    path.write_text("key\ta\n1\tx;y\n", encoding="utf-8")
    assert read(path, delimiter="tab")[1] == [Row(2, ("1", "x;y"))]
    with pytest.raises(UsageError, match="one character"):
        read(path, delimiter="::")


def test_the_header_is_found_below_titles_and_blank_lines_or_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        '"Showings, March"\n\n,,\nTeam,Vale\nShowing Key,Stars\next_1,4\n', encoding="utf-8"
    )
    file, headers, rows = understood(path)
    assert (file.header_row, headers, rows) == (
        5,
        ("Showing Key", "Stars"),
        [Row(6, ("ext_1", "4"))],
    )
    assert file.notes == ("The 2 rows above the header, such as 'Showings, March', are not read.",)
    assert understood(path, header_row=4)[1] == ("Team", "Vale")
    for row in (2, 3, 99):
        assert f"--header-row {row}: that row is blank, or beyond the end" in refused(
            path, header_row=row
        )


def test_ragged_rows_keep_their_cells_and_trailing_blanks_stay(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,a,b,,\n1\n2,x,y,,\n3,x,y,z,w,v\n", encoding="utf-8")
    assert [row.cells for row in read(path)[1]] == [
        ("1",),
        ("2", "x", "y", "", ""),
        ("3", "x", "y", "z", "w", "v"),
    ]


@pytest.mark.parametrize(
    ("text", "swallowed"),
    [
        ('K1,"nice house,4\nK2,good",5\nK3,x,3\n', "'K2,good'"),
        ('K1,"nice,4\nK2,fine,4\nK3,good",5\n', "'K3,good'"),
        ('K1,"nice,4\nK2,fine,"\n', "'K2,fine,'"),
        ('K1,nice,"4\nK2,good,5"\n', "'K2,good,5'"),
        ('K1,"They liked:\nkitchen,garden,garage\nroof,cellar,pool",4\n', None),
        ('K1,"one\ntwo, three",4\n', None),
        ('K1,"one, two\nthree, four",4\n', None),
        ('K1,"one\n",4\n', None),
        ('K1,"nice,4\nK10,good",5\n', "'K10,good'"),
        # A sentence, or another number than a key
        ('K1,"Offers, three\nK2, cash",4\n', None),
        ('1001,"one,4\n425000,cash",4\n', None),
        ('1001,"one,4\nabcd,cash",4\n', None),
    ],
)
def test_a_cell_that_swallowed_rows_is_a_fault_of_its_row(
    tmp_path: Path, text: str, swallowed: str | None
) -> None:
    path = tmp_path / "x.csv"
    path.write_text("showing key,comments,rating\n" + text, encoding="utf-8")
    first = read(path)[1][0]
    assert (
        (first.fault is None)
        if swallowed is None
        else (first.fault is not None and repr(first.fault.value) == swallowed)
    )


def test_lines_of_a_cell_in_a_file_whose_rows_end_otherwise_are_data(tmp_path: Path) -> None:
    """Excel ends rows by CRLF and lines of a cell by LF."""
    path = tmp_path / "x.csv"
    for inside, is_data in (("\n", True), ("\r\n", False)):
        text = f'key,comments,rating\r\nK1,"nice,4{inside}K2,good",5\r\nK3,x,3\r\n'
        path.write_bytes(text.encode())
        assert (read(path)[1][0].fault is None) is is_data


def test_the_user_says_that_cells_have_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('key,comments,rating\nK1,"nice,4\nK2,good",5\nK3,x,3\n', encoding="utf-8")
    fault = read(path)[1][0].fault
    assert fault is not None
    assert "--multiline-cells" in (message_of([fault]) or "")
    rows = read(path, multiline_cells=True)[1]
    assert [row.fault for row in rows] == [None, None]
    assert rows[0].cells == ("K1", "nice,4\nK2,good", "5")


def _odd_rows(path: Path, header: str, rows: list[str]) -> list[int]:
    """Return the numbers of the rows whose width is a fault."""
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return [row.number for row in read(path)[1] if row.fault is not None]


FULL = [f"{number},x,y,z" for number in range(30)]
PADDED = [f"{number},x,," for number in range(30)]


@pytest.mark.parametrize(
    ("rows", "odd"),
    [
        # Trailing separators: in every row, in most, in one
        ([row + "," for row in FULL], []),
        ([row + ",,," for row in FULL[:3]], []),
        ([*(row + "," for row in FULL[1:]), FULL[0]], []),
        ([*FULL, "a, b,x,y,"], [32]),
        (["a,b,x,,", *FULL], [2]),
        ([*FULL, "a,b,x,,", "c,d,x,,"], [32, 33]),
        ([*(row + "," for row in FULL), "a, b,x,y,,"], [32]),
        # A single short row, among full ones and among ones with separators of blank cells
        ([*FULL, "a,x y,z"], [32]),
        ([FULL[0], "a,x,y", *FULL[1:]], [3]),
        ([*PADDED, "a,x,"], [32]),
        # More than one separator less: somebody wrote the first cells only
        ([*FULL, "a,x"], []),
        ([*PADDED, "a"], []),
        # Rows that end with their last value are a habit; too few rows show none
        ([*FULL, "a,x,y", FULL[0], "b,x,y"], []),
        (["a,x", "b,x,y", "c,x,y,z"], []),
        ([*FULL[:2], "a,x,y"], []),
        # Blocks of Excel
        ([*PADDED[:15], *(["a,x,"] * 16)], []),
        ([*PADDED[:15], "a,x,"], []),
        ([*PADDED[:14], "a,x,", *PADDED[:5]], [16]),
    ],
)
def test_a_row_of_another_width_than_the_others_is_a_fault(
    tmp_path: Path, rows: list[str], odd: list[int]
) -> None:
    assert _odd_rows(tmp_path / "x.csv", "key,a,b,c", rows) == odd


def test_columns_without_a_name_at_the_end_need_no_cells(tmp_path: Path) -> None:
    assert _odd_rows(tmp_path / "x.csv", "key,a,b,c,,", [*FULL, "a,x,y,z,,", "a,x,y,z,"]) == []
    assert _odd_rows(tmp_path / "x.csv", "key,a,b,c,,", [*FULL, "a,x,y"]) == [32]


@pytest.mark.parametrize(
    ("delimiter", "row", "message"),
    [
        (
            ",",
            "sh-2,Smith, John,Ann,",
            (
                "the row has 5 cells, the header has 4; is the comma in 'Smith, John' missing its "
                "quotes?"
            ),
        ),
        (
            ";",
            "sh-2;Smith;John;Ann;",
            (
                "the row has 5 cells, the header has 4, and most other rows have no cell beyond "
                "it, so its cells may be in the wrong columns: check for missing quotes around a "
                "cell with a separator"
            ),
        ),
        (
            "\t",
            "sh-2\tSmith Ann\tx",
            (
                "the row has 3 cells, the header and the other rows have 4, so its cells may be in "
                "the wrong columns: check for a missing separator between two cells; if the last "
                "cells are blank, write their separators as in the other rows"
            ),
        ),
    ],
)
def test_the_message_about_a_width_names_its_cause(
    tmp_path: Path, delimiter: str, row: str, message: str
) -> None:
    path = tmp_path / "x.csv"
    lines = [line.replace(",", delimiter) for line in ("key,a,b,c", *FULL)]
    path.write_text("\n".join([*lines, row, ""]), encoding="utf-8")
    fault = read(path)[1][-1].fault
    assert fault is not None
    assert message_of([fault]) == message


def test_two_rows_that_could_be_the_header_are_not_chosen_between(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "Showing Key,Comments\nA1,first\n\nShowing Key,Comments,Rating\nB1,third,4\n",
        encoding="utf-8",
    )
    assert "rows 1 and 4 both look like the header: name one with --header-row" in refused(path)
    assert [row.number for row in read(path, header_row=4)[1]] == [5]
    path.write_text("Confirmation\n\nShowing Key,Comments,Rating\nB1,third,4\n", encoding="utf-8")
    assert [row.number for row in read(path)[1]] == [4]


def test_a_header_far_below_is_found_when_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("a title\n" * 70 + "Showing Key;Comments\nA1;fine, really\n", encoding="utf-8")
    assert read(path, header_row=71) == (
        ("Showing Key", "Comments"),
        [Row(72, ("A1", "fine, really"))],
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\xef\xbb\xbf\r\n", "the file is empty"),
        (b"PK\x03\x04rest", "damaged"),
        (b"%PDF-1.7 ...", "this is a PDF"),
        (b"<html><table>", "this is a web page"),
        (b"key,a\n1,x\n2,\x00\n", "line 3 holds a NUL"),
        (b"key,a\r1,x\r2,\x00\r", "line 3 holds a NUL"),
        ("key,a\n1,x\n".encode("utf-16-le"), "with --encoding utf-16-le"),
        (
            b'key,a\n1,"open\n2,x\n',
            "row 2 (from line 2 of the file) is not well-formed CSV: a quote opens",
        ),
        (b'key,a\n1,"a\nb"\n2,"x"y\n', "row 3 (from line 4 of the file) is not well-formed CSV"),
        (b'sep=,\nkey,a\n1,"x"y\n', "row 2 (from line 3 of the file) is not well-formed CSV"),
        (
            b'key,a\n1,"' + b"x" * 10_100_000 + b"\n",
            "row 2 (from line 2 of the file) has a cell of over 10,000,000",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    assert words in refused(path)


def test_lines_are_counted_over_chunks_of_any_kind_of_end(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for ending in (b"\n", b"\r\n", b"\r"):
        path.write_bytes(ending.join([b"key,a", *[b"1,xxxxxxx"] * 300_000, b"2,caf\xe9"]))
        assert "line 300002 is not valid UTF-8" in refused(path, encoding="utf-8")


def test_a_large_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,a\n1," + "x" * 900_000 + "\n", encoding="utf-8")
    assert len(str(read(path)[1][0].cells[1])) == 900_000


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,a\n1,x\n2,y\n", encoding="utf-8")
    with open_table(path, options()) as table:
        rows = table.rows()
        next(rows)
        with path.open("a", encoding="utf-8") as file:
            file.write("3,z\n")
        with pytest.raises(InputError, match="changed while it was being read"):
            list(rows)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("none.csv", "no such file"),
        (".", "a folder"),
        ("fifo", "not a regular file"),
        ("a\0b", "not a valid file name"),
    ],
)
def test_what_is_no_file(tmp_path: Path, name: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match=words):
        read(tmp_path / name)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no mode keeps out.
    monkeypatch.setattr("bulk_sync.read.opened.open_input", refuse)
    assert "can't be read: this user has no permission" in refused(tmp_path / "x.csv")


def test_a_long_line_costs_no_more_than_many_short_ones(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"showing key,title\n1," + b"x" * 900_000 + b"\n2,caf\xe9 bar\n")
    assert read(path)[1][1].cells == ("2", "café bar")


@given(st.lists(st.text(",;\t| \"'a\r\n", max_size=8), max_size=5), st.sampled_from("\"'"))
def test_a_dialect_that_is_not_tried_reads_a_file_as_one_that_is(
    lines: list[str], quote: str
) -> None:
    def records(mark: str, skip: bool) -> list[list[str]]:
        found: list[list[str]] = []
        with suppress(NotWellFormed):
            found.extend(Dialect(mark, quote, skip).reader(lines, strict=False))
        return found

    tried = list(differing(DELIMITERS, lines))
    read_by_one = [(skip, records(mark, skip)) for mark, skip in tried]
    for mark, skip in set(product(DELIMITERS, (False, True))) - set(tried):
        alike = records(mark, skip)
        assert any(plainer <= skip and alike == others for plainer, others in read_by_one)


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return not content.isascii()

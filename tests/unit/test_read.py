"""CSV to rows: the numbers that a spreadsheet program shows, and a sentence for what can't be read."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import InputError
from bulk_sync.model import Row
from bulk_sync.read.delimited import open_table


def read(path: Path) -> tuple[tuple[str, ...], list[Row]]:
    with open_table(path) as table:
        return table.headers, list(table.rows())


def test_row_numbers_count_blank_lines_and_take_line_breaks_in_cells_as_one_row(tmp_path: Path) -> None:
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


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
            min_size=3,
            max_size=3,
        ),
        max_size=8,
    )
)
def test_any_table_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["a", "b", "c"], *cells])
    expected = [
        Row(number, tuple(row))
        for number, row in enumerate(cells, start=2)
        if any(cell and not cell.isspace() for cell in row)
    ]
    assert read(path)[1] == expected


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"PK\x03\x04rest", "a workbook or archive, not CSV"),
        (b"\xd0\xcf\x11\xe0rest", "an old or protected workbook"),
        (b"key,a\n1,x\n2,\x00\n", "line 3 holds a NUL"),
        (b"key,a\n1,x\n2,caf\xe9\n", "line 3 is not UTF-8"),
        (b'key,a\n1,"open\n2,x\n', "row 2 (from line 2 of the file) is not well-formed CSV"),
        (b'key,a\n1,"a\nb"\n2,"x"y\n', "row 3 (from line 4 of the file) is not well-formed CSV"),
        (b"key,a\n1," + b"x" * 200_000 + b"\n", "row 2 (from line 2"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as raised:
        read(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,a\n1,x\n2,y\n", encoding="utf-8")
    with open_table(path) as table:
        rows = table.rows()
        next(rows)
        with path.open("a", encoding="utf-8") as file:
            file.write("3,z\n")
        with pytest.raises(InputError, match="changed while it was being read"):
            list(rows)


@pytest.mark.parametrize(
    ("name", "words"), [("none.csv", "no such file"), (".", "a folder"), ("fifo", "not a regular file")]
)
def test_what_is_no_file(tmp_path: Path, name: str, words: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)
    finally:
        os.close(writer)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no mode keeps out.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="can't be read: Permission denied"):
        read(tmp_path / "x.csv")

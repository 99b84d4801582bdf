"""Rows that a line break without quotes has cut are held back, every piece of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.problems import Expected
from tests.unit.tables import read

HEADER = "unique_showing_key,feedback,rating"


def held(folder: Path, *lines: str, end: str = "\n") -> list[int]:
    """The numbers of the rows that are held back as pieces."""
    path = folder / "x.csv"
    path.write_text(end.join([HEADER, *lines, ""]), encoding="utf-8", newline="")
    rows = read(path)[1]
    return [row.number for row in rows if row.fault and row.fault.expected is Expected.WHOLE_ROW]


@pytest.mark.parametrize(
    ("lines", "numbers"),
    [
        (["sh-1,Loved it", "Would come back,5", "sh-2,ok,3"], [2, 3]),
        (["sh-1,ok,3", "sh-2,Loved it\\", "Would come back,5"], [3, 4]),
        (["sh-1,one", "two", "three,5", "sh-2,ok,3"], [2, 3, 4]),
        (["sh-1,one", "two,5", "sh-2,one", "two,5", "sh-3,ok,3"], [2, 3, 4, 5]),
        (["sh-1,ok,5 of 5", "nice", "sh-2,ok,3", "sh-3,ok,3"], [2, 3]),
        # Rows without their last cells
        (["sh-1,ok", "sh-2,fine", "sh-3,ok,3"], []),
        (["sh-1,ok", "sh-2,fine,4", "sh-3", "sh-4,ok,3"], []),
        (["Elm St,ok", "Oak,fine", "Pine,ok,4", "Low Rd,ok,3"], []),
        # Pieces that make no row, or don't follow each other
        (["sh-1,Loved it", "Would come back", "sh-2,ok,3"], []),
        (["sh-1,Loved it", "", "Would come back,5", "sh-2,ok,3"], []),
        # Lines that are no part of a row
        (["March", "sh-1,ok,3", "April", "sh-2,ok,3"], []),
        (["sh-1,ok,3", "sh-2,ok,3", "End of the report"], []),
        (["sh-1,ok,3", "sh-2,ok,3", "2 rows"], []),
        # Line breaks in quotes
        (['sh-1,"Loved it', 'Would come back",5', "sh-2,ok,3"], []),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_pieces_of_a_row_are_held_back(
    tmp_path: Path, lines: list[str], numbers: list[int], end: str
) -> None:
    assert held(tmp_path, *lines, end=end) == numbers


def test_a_lone_line_feed_cuts_rows_that_end_with_crlf(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(f"{HEADER}\r\nsh-1,Loved it\nWould come back,5\r\nsh-2,ok,3\r\n".encode())
    assert [bool(row.fault) for row in read(path)[1]] == [True, True, False]


WORDS = st.text(alphabet="abcdefgh", min_size=1, max_size=8)


@given(
    rows=st.integers(2, 8),
    columns=st.integers(3, 6),
    cut=st.data(),
    words=st.tuples(WORDS, WORDS),
)
def test_wherever_a_row_is_cut_no_piece_is_sent(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    columns: int,
    cut: st.DataObject,
    words: tuple[str, str],
) -> None:
    row = cut.draw(st.integers(0, rows - 1))
    # A cut in the last cell of the last row looks like a remark below the table.
    column = cut.draw(st.integers(1, columns - 1 - (row == rows - 1)))
    names = ["unique_showing_key", *(f"column {each}" for each in range(1, columns))]
    table = [[f"sh-{each}", *["x"] * (columns - 1)] for each in range(rows)]
    table[row][column] = "\n".join(words)
    path = tmp_path_factory.mktemp("cut") / "x.csv"
    path.write_text("\n".join(",".join(cells) for cells in [names, *table]), encoding="utf-8")
    whole = [cells[0] for place, cells in enumerate(table) if place != row]
    assert [each.cells[0] for each in read(path)[1] if each.fault is None] == whole

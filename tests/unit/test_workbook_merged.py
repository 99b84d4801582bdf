"""Merged ranges: whatever a file claims of them, only their first cells show, at a bounded cost."""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.model.rows import Cell
from bulk_sync.read.books.interface import MAX_MERGED, MAX_ROWS, BadWorkbook
from bulk_sync.read.books.ods.cells import CellKind
from bulk_sync.read.books.ods.sink import RowKind, Sink
from bulk_sync.read.books.shown import Covering, Range, joined
from bulk_sync.read.books.xls import XlsBook
from tests.unit.biff import KEY, stream

_PLACE = st.integers(0, 7)
_RANGES = st.lists(st.tuples(_PLACE, _PLACE, _PLACE, _PLACE), max_size=6)


@given(_RANGES, st.sets(st.integers(0, 9)), st.integers(0, 9))
def test_all_cells_of_a_range_but_the_first_are_blank(
    merged: list[Range], rows: set[int], width: int
) -> None:
    covering = Covering(merged)
    for row in sorted(rows):
        cells: list[Cell] = ["x"] * width
        covering.blank(row, cells)
        hidden = {
            column
            for column in range(width)
            for top, left, bottom, right in merged
            if top <= row <= bottom and left <= column <= right and (row, column) != (top, left)
        }
        assert cells == ["" if column in hidden else "x" for column in range(width)]


@given(st.lists(st.tuples(_PLACE, _PLACE)))
def test_joined_spans_have_the_same_columns_each_once(spans: list[tuple[int, int]]) -> None:
    columns = [column for first, end in joined(spans) for column in range(first, end)]
    assert columns == sorted({column for first, end in spans for column in range(first, end)})


def _kind(rows: int, columns: int) -> CellKind:
    spanned = {
        "table:number-rows-spanned": str(rows),
        "table:number-columns-spanned": str(columns),
        "office:value-type": "string",
    }
    return CellKind(spanned, is_covered=False)


_SPAN = st.integers(1, 3)
_ODS_ROW = st.tuples(st.integers(1, 5), st.lists(st.tuples(_SPAN, _SPAN), max_size=4))


@given(st.lists(_ODS_ROW, max_size=6))
def test_repeated_rows_of_ods_show_the_same_as_single_ones_would(
    rows: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    sink = Sink()
    expected: list[list[Cell]] = []
    below: list[tuple[int, int, int]] = []
    for times, spans in rows:
        sink.add(RowKind(times, is_hidden=False), [(_kind(*each), "x") for each in spans])
        own: list[Cell] = ["x"] * len(spans)
        for at, (_, columns) in enumerate(spans):
            own[at + 1 : at + columns] = [""] * len(own[at + 1 : at + columns])
        first = len(expected)
        for row in range(first, first + times):
            hidden = {
                column
                for last, left, right in below
                for column in range(left, right + 1)
                if row <= last
            }
            expected.append(["" if at in hidden else cell for at, cell in enumerate(own)])
        for at, (height, columns) in enumerate(spans):
            if height > 1:
                below.append((first + height - 1, at, at + columns - 1))
    found = {row.number - 1: list(row.cells) for row in sink.drain()}
    assert found == {at: cells for at, cells in enumerate(expected) if any(cells)}


@pytest.mark.parametrize("first", [1, MAX_ROWS])
def test_a_million_repeated_rows_under_a_range_take_no_memory(first: int) -> None:
    sink = Sink()
    sink.add(RowKind(first, is_hidden=False), [(_kind(MAX_ROWS, 2), "")])
    plain = CellKind({}, is_covered=False)
    cells: Sequence[tuple[CellKind, Cell]] = [(plain, "x")] * 100 if first == 1 else []
    tracemalloc.start()
    try:
        sink.add(RowKind(MAX_ROWS - 1, is_hidden=False), cells)
        shown = [row.cells for row in islice(sink.drain(), 2)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert shown == ([("", "", *("x" for _ in range(98)))] * 2 if cells else [])
    assert peak < 1_000_000


def test_xls_bounds_its_merged_ranges_as_the_others_do() -> None:
    ranges = (0xE5, struct.pack("<H", 1000) + struct.pack("<HHHH", 9, 9, 0, 1) * 1000)
    book = XlsBook(stream([KEY, *[ranges] * (MAX_MERGED // 1000)]))
    book.open(book.sheets[0])
    book = XlsBook(stream([KEY, *[ranges] * (MAX_MERGED // 1000 + 1)]))
    with pytest.raises(BadWorkbook, match="more than 200,000 ranges are merged"):
        book.open(book.sheets[0])

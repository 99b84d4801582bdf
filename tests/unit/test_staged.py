"""Rows of a sheet on their way into a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.job.database import GROUP
from bulk_sync.job.database import cells as cells_of
from bulk_sync.job.staged import _ROWS_A_STATEMENT, _compact
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Cell, Record, Row, State
from tests.unit.checkpoints import (
    body_of,
    record_of,
)


def test_rows_with_one_key_and_different_ids_are_found(tmp_path: Path) -> None:
    def rows() -> Iterator[Record]:
        for number, (target, key) in enumerate(
            [("u1", "A"), ("u2", "A"), ("B", "B"), ("u3", "C"), ("C", "C")], 2
        ):
            yield Record(Row(number, (key,)), target, "{}", "d", ("rating",), key)

    with Store.open(tmp_path / "x.checkpoint.sqlite") as store:
        generation = store.staged.stage(rows())
        assert [
            [number for _, number, *_ in group] for group in store.staged.rivals(generation)
        ] == [
            [2, 3],
            [5, 6],
        ]
        assert not list(store.staged.twins(generation))


def test_rivals_are_found_by_as_many_statements_however_many_groups_there_are() -> None:
    """No index has the keys, so each statement about them reads the whole sheet."""
    counts = []
    for groups in (2, 20):
        with Store.scratch() as store:
            generation = store.staged.stage(
                Record(Row(number, ()), f"u{number}", "{}", "d", ("rating",), f"k{number // 2}")
                for number in range(2 * groups)
            )
            statements: list[str] = []
            store.staged._db.set_trace_callback(statements.append)
            assert len(list(store.staged.rivals(generation))) == groups
            store.staged._db.set_trace_callback(None)
            counts.append(len(statements))
    assert counts[0] == counts[1] > 0


@given(
    st.lists(
        st.one_of(st.text(), st.floats(allow_nan=False), st.booleans(), st.dates(), st.integers()),
        max_size=5,
    )
)
def test_cells_are_kept_with_their_types(cells: list[Cell]) -> None:
    kept = cells_of(Path("x"), _compact(cells))
    assert kept == tuple(cells)
    assert list(map(type, kept)) == list(map(type, cells))


@pytest.mark.parametrize(
    "rows", [1, _ROWS_A_STATEMENT - 1, _ROWS_A_STATEMENT, _ROWS_A_STATEMENT + 1, 2 * GROUP + 3]
)
def test_rows_are_staged_in_input_order_however_many_go_into_a_statement(rows: int) -> None:
    with Store.scratch() as store:
        generation = store.staged.stage(
            record_of(number, f"ext_{number}", str(number)) for number in range(rows)
        )
        assert store.views.counts(generation) == {State.PENDING: rows}
        found = store.staged.patches(rows, generation)
    assert found == tuple((f"ext_{number}", body_of(str(number))) for number in range(rows))

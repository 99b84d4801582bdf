"""Rows of a sheet in a store: the limit, and rows for one showing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from bulk_sync.job.store import Store
from bulk_sync.model.findings import Example, Kind
from bulk_sync.model.rows import State
from bulk_sync.run.rows import StagedRows, stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading


def staged(
    path: Path,
    text: str,
    policy: Literal["error", "last", "merge"] = "error",
    limit: int | None = None,
) -> tuple[StagedRows, dict[State, int], list[str]]:
    """Stage a sheet; return its rows, their states, and the patches that would be sent."""
    path.write_text(text, encoding="utf-8")
    meaning = Meaning(on_duplicate=policy)
    with open_sheet(Reading(input=path, limit=limit), meaning) as sheet, Store.scratch() as store:
        rows = stage_rows(sheet, store)
        patches = store.staged.patches(10, rows.generation)
        return rows, dict(store.views.counts(rows.generation)), [body for _, body in patches]


TWINS = "unique_showing_key,rating,title\na,4,\na,,Open\nb,2,\n"


@pytest.mark.parametrize(
    ("policy", "states", "patches"),
    [
        ("error", {State.INVALID: 2, State.PENDING: 1}, ['{"rating":2}']),
        ("last", {State.SUPERSEDED: 1, State.PENDING: 2}, ['{"title":"Open"}', '{"rating":2}']),
        (
            "merge",
            {State.SUPERSEDED: 1, State.PENDING: 2},
            ['{"rating":4,"title":"Open"}', '{"rating":2}'],
        ),
    ],
)
def test_rows_for_one_showing_are_decided_by_the_policy(
    tmp_path: Path,
    policy: Literal["error", "last", "merge"],
    states: dict[State, int],
    patches: list[str],
) -> None:
    rows, found, bodies = staged(tmp_path / "x.csv", TWINS, policy)
    assert rows.duplicates == 2
    assert found == states
    assert bodies == patches


def test_values_that_contradict_each_other_once_merged_are_a_problem(tmp_path: Path) -> None:
    text = (
        "unique_showing_key,showing_time_start,showing_time_end\n"
        "a,2026-03-02T10:00:00Z,\na,,2026-03-02T09:00:00Z\n"
    )
    rows, found, bodies = staged(tmp_path / "x.csv", text, "merge")
    assert rows.duplicates == 2
    assert found == {State.SUPERSEDED: 1, State.INVALID: 1}
    assert bodies == []


def test_one_key_with_two_ids_is_sent_for_neither(tmp_path: Path) -> None:
    one, two = "3c90c3cc-0d44-4b50-8888-8dd25736052a", "3c90c3cc-0d44-4b50-8888-8dd25736052b"
    text = f"unique_showing_key,showing_id,rating\na,{one},4\na,{two},4\nb,,3\n"
    rows, found, _ = staged(tmp_path / "x.csv", text)
    assert rows.duplicates == 2
    assert found == {State.INVALID: 2, State.PENDING: 1}


@pytest.mark.parametrize(("limit", "left_out", "count"), [(1, 2, 1), (3, 0, 3), (9, 0, 3)])
def test_a_limit_that_leaves_out_rows_is_known(
    tmp_path: Path, limit: int, left_out: int, count: int
) -> None:
    text = "unique_showing_key,rating\na,4\nb,3\nc,2\n"
    rows, found, _ = staged(tmp_path / "x.csv", text, limit=limit)
    assert (rows.left_out, sum(found.values())) == (left_out, count)


def test_a_date_beyond_the_limit_contradicts_the_order_above_it(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text(
        "unique_showing_key,showing_date\na,02/03/2026 10:00\nb,25/12/2026 10:00\n",
        encoding="utf-8",
    )
    meaning = Meaning(timezone="UTC")
    with open_sheet(Reading(input=path, limit=1), meaning) as sheet, Store.scratch() as store:
        stage_rows(sheet, store)
        (found,) = sheet.about_columns()
        assert (found.kind, found.header) == (Kind.DATE_ORDER, "showing_date")
        assert found.examples == (Example(3, "25/12/2026 10:00"),)


@pytest.mark.parametrize(
    ("policy", "states", "patches"),
    [
        ("error", {State.INVALID: 1, State.PENDING: 1}, ['{"rating":2}']),
        ("last", {State.SUPERSEDED: 1, State.PENDING: 1}, ['{"rating":2}']),
        ("merge", {State.SUPERSEDED: 1, State.PENDING: 1}, ['{"rating":2}']),
    ],
)
def test_a_row_below_the_limit_takes_part_in_what_is_decided_about_its_showing(
    tmp_path: Path,
    policy: Literal["error", "last", "merge"],
    states: dict[State, int],
    patches: list[str],
) -> None:
    text = "unique_showing_key,rating\na,4\nb,2\na,5\n"
    rows, found, bodies = staged(tmp_path / "x.csv", text, policy, limit=2)
    assert rows.left_out == 1
    assert found == states
    assert bodies == patches


def test_an_equal_row_below_the_limit_changes_nothing(tmp_path: Path) -> None:
    text = "unique_showing_key,rating\na,4\nb,2\na,4\n"
    rows, found, bodies = staged(tmp_path / "x.csv", text, limit=2)
    assert (rows.left_out, found) == (1, {State.PENDING: 2})
    assert bodies == ['{"rating":4}', '{"rating":2}']


@pytest.mark.parametrize(
    ("rows", "patch"),
    [
        ("a,4,\na,,Nice\n", '{"feedback":"Nice","rating":4}'),
        ("a,,Nice\na,4,\n", '{"feedback":"Nice","rating":4}'),
        ("a,,Nice\na,,\n", '{"feedback":"Nice","rating":null}'),
        ("a,4,\na,CLR,\n", '{"rating":null}'),
        ("a,CLR,\na,4,\n", '{"rating":4}'),
        ("a,CLR,\na,,\n", '{"rating":null}'),
        ("a,,\na,CLR,\na,3,\na,,\n", '{"rating":3}'),
    ],
)
def test_merged_rows_clear_a_field_by_blanks_only_if_it_is_blank_in_all_of_them(
    tmp_path: Path, rows: str, patch: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"unique_showing_key,rating,feedback\n{rows}", encoding="utf-8")
    meaning = Meaning(on_duplicate="merge", clear="CLR", blank_clears=("rating",))
    with open_sheet(Reading(input=path), meaning) as sheet, Store.scratch() as store:
        found = stage_rows(sheet, store)
        assert [body for _, body in store.staged.patches(10, found.generation)] == [patch]

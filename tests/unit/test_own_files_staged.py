"""Our own files under any settings, up to the decision about each row: patches and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.errors import InputError
from bulk_sync.job.store import Store
from bulk_sync.model.comparison import Compared, Difference, RowClass
from bulk_sync.model.rows import ERROR_STATES, Result, Sent, State
from bulk_sync.report.problems import message_of
from bulk_sync.report.written.differences import write_changes
from bulk_sync.report.written.failed import write_failed
from bulk_sync.report.written.undo import write_undo
from bulk_sync.run.findings import refusal_by_columns
from bulk_sync.run.rows import stage_rows
from bulk_sync.run.sheet import open_sheet
from bulk_sync.settings.meaning import Meaning
from bulk_sync.settings.reading import Reading
from tests.unit.test_own_files import layouts, meanings, values

# What a row comes to: its target, its state, its patch, and the reasons against it.
Row = tuple[str, str, dict[str, object] | None, str | None]

any_meanings = st.builds(
    lambda meaning, seen: replace(meaning, headers_seen=seen),
    meanings,
    st.dictionaries(st.sampled_from(["column 2", "column 3"]), st.just("Phone"), max_size=1),
)
showings = st.lists(values, min_size=1, max_size=4)


def staged(
    path: Path, meaning: Meaning, layout: dict[str, Any]
) -> tuple[list[Row], list[Result], str]:
    """Stage a file; return what its rows come to, their results, and how its cells were read."""
    with (
        open_sheet(Reading(input=path, **layout), meaning) as sheet,
        Store.scratch() as store,
    ):
        generation = stage_rows(sheet, store).generation
        if (refusal := refusal_by_columns(sheet)) is not None:
            raise refusal
        bodies = iter(store.staged.patches(1000, generation))
        results = list(store.views.results(generation=generation))
        rows = [
            (
                row.target,
                row.state.value,
                json.loads(next(bodies)[1]) if row.state is State.PENDING else None,
                message_of(row.reasons),
            )
            for row in results
        ]
        return rows, results, sheet.source


def restored(befores: list[dict[str, Any]]) -> list[Row]:
    return [
        (f"0{number}", "pending", before, None)
        for number, before in enumerate(befores, 2)
        if before
    ]


@given(showings, any_meanings, layouts)
@pytest.mark.uncovered
def test_an_undo_file_comes_to_the_same_patches_under_any_settings(
    befores: list[dict[str, Any]], now: Meaning, layout: dict[str, Any]
) -> None:
    sent = [
        Sent(number, f"0{number}", f"0{number}", dict.fromkeys(before, "now"), before)
        for number, before in enumerate(befores, 2)
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, "undo.csv")
        write_undo(path, lambda: iter(sent))
        if any(befores):
            assert staged(path, now, layout)[0] == restored(befores)


def changes(path: Path, heres: list[dict[str, Any]], *, edited_by_people: bool) -> None:
    def rows() -> list[Compared]:
        return [
            Compared(
                RowClass.DIFFERS,
                number,
                number,
                f"0{number}",
                f"0{number}",
                "",
                tuple(Difference(name, "old", here, None, None) for name, here in new.items()),
            )
            for number, new in enumerate(heres, 2)
        ]

    write_changes(
        path,
        rows,
        prefer_here=False,
        with_conflicts=edited_by_people,
        checkpoint=path.with_name("x.checkpoint.sqlite"),
    )


@given(showings, any_meanings, layouts, st.booleans(), st.sampled_from(["x.csv", "x.xlsx"]))
@pytest.mark.uncovered
def test_changes_and_templates_come_to_the_same_patches_under_any_settings(
    heres: list[dict[str, Any]],
    now: Meaning,
    layout: dict[str, Any],
    is_template: bool,
    name: str,
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        changes(path, heres, edited_by_people=is_template)
        if any(heres):
            assert staged(path, now, layout)[0] == restored(heres)


CELLS = ["", "", "Nice", "4", "9", "CLR", "n/a", "superb", "03/04/2026 10:00", "13/04/2026 10:00"]
tables = st.lists(
    st.tuples(st.sampled_from(["a", "a", "b", "c", ""]), *[st.sampled_from(CELLS)] * 3),
    min_size=1,
    max_size=6,
)


@given(tables, meanings, any_meanings, layouts)
@pytest.mark.uncovered
def test_refused_rows_that_nobody_changed_are_refused_again_under_any_settings(
    table: list[tuple[str, ...]], then: Meaning, now: Meaning, layout: dict[str, Any]
) -> None:
    """Rows that refer to one another, too: whatever is missing from the file of failed rows."""
    then = replace(then, map={}, map_hints={}, aliases={}, strict=False, date_order="mdy")
    with TemporaryDirectory() as folder:
        path, failed = Path(folder, "x.csv"), Path(folder, "x.failed.csv")
        header = ("unique_showing_key", "feedback", "rating", "showing_date")
        path.write_text("\n".join(map(",".join, (header, *table))), encoding="utf-8")
        try:
            _, results, source = staged(path, then, {})
        except InputError:  # a question about its columns, so no row is refused by itself
            return
        bad = [row for row in results if row.state in ERROR_STATES]
        if not bad:
            return
        write_failed(failed, header, iter(bad), source)
        again, *_ = staged(failed, now, layout)
    assert [row[1] for row in again] == ["invalid"] * len(bad)

"""The rows on the page: which are shown, and how large the page gets."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bulk_sync.model.rows import Result, State
from bulk_sync.report.page.rows import MOST_BYTES, MOST_ROWS, write_rows
from bulk_sync.report.page.run import write_page
from tests.unit.pages import MADE_AT, RESULT, SUMMARY, a_run, parsed, rows_of, written

# A coverage run triples the time of these loops; faster tests reach the same lines.
pytestmark = pytest.mark.uncovered


def many(count: int, state: State = State.UPDATED, **others: Any) -> Iterator[Result]:
    for number in range(2, count + 2):
        yield replace(RESULT, number=number, key=f"key {number}", state=state, **others)


@pytest.mark.parametrize(
    ("states", "kept", "said"),
    [
        ({State.UPDATED: 50_000}, 50_000, None),
        (
            {State.UPDATED: 50_000, State.REJECTED: 1},
            1,
            "not shown here: 50,000 updated",
        ),
        ({State.UPDATED: 50_001}, 0, "not shown here: 50,001 updated"),
        ({State.UNCHANGED: 50_000, State.UPDATED: 1}, 50_000, "1 updated"),
        ({State.UNCHANGED: 60_000, State.FAILED: 7}, 7, "60,000 unchanged"),
        ({State.CREATED: 50_001, State.UNCHANGED: 3}, 3, "not shown here: 50,001 created"),
        ({State.PENDING: 60_000, State.UPDATED: 7}, 50_000, "the first 50,000 of 60,000 rows"),
        ({State.FAILED: 60_000, State.PENDING: 7}, 50_000, "the first 50,000 of 60,000 rows"),
    ],
)
def test_rows_beyond_what_a_browser_is_quick_with_are_left_out_and_a_note_says_so(
    states: dict[State, int], kept: int, said: str | None
) -> None:
    file = StringIO()
    summary = replace(SUMMARY, rows=sum(states.values()), states=states, problems=())
    by_state = {state: partial(many, count, state) for state, count in states.items()}

    def rows(wanted: Iterable[State]) -> Iterator[Result]:
        for state in wanted:
            yield from by_state[state]() if state in by_state else ()

    write_rows(file, summary, rows)
    found = parsed(file.getvalue())
    assert len(json.loads(found.scripts["data"])) == kept
    if said is None:
        assert "not shown" not in found.text
    else:
        assert said in found.text
        assert "showings.results.csv" in found.text


@pytest.mark.parametrize("character", ["x", "é", "👩", "<", "\x00"])
def test_long_texts_make_no_page_of_10_mb(character: str, tmp_path: Path) -> None:
    def rows(_: Iterable[State]) -> Iterator[Result]:
        for number in range(30_000):
            yield replace(
                RESULT, number=number, key=character * 300, message=f"{number}{character * 5000}"
            )

    path = tmp_path / "page.html"
    summary = replace(SUMMARY, rows=30_000, states={State.UPDATED: 30_000})
    write_page(path, summary, (a_run(),), rows, made_at=MADE_AT, version="1")
    assert MOST_BYTES * 0.9 < path.stat().st_size < 10_000_000
    assert "of 30,000 rows are shown here" in path.read_text(encoding="utf-8")
    assert MOST_ROWS == 50_000


def test_texts_that_come_again_are_written_once() -> None:
    found = parsed(written(SUMMARY, many(3000, message="the same for all of them")))
    assert found.scripts["data"].count("the same for all of them") == 1
    assert {row[8] for row in rows_of(found)} == {"the same for all of them"}

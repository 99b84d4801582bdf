"""Check counts the requests that a push of the sheet, as its job is now, would make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program
from tests.faultserver import Journal, all_good, fault_server, first, good, no_account, refuses
from tests.helpers import numbered, write_sheet

ROWS = 20


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(ROWS))


def left(program: Program, sheet: Path, journal: Journal, *options: object) -> tuple[int, int]:
    """Return the requests that check counts, and the changes that it calls acknowledged."""
    ran = program("check", sheet, "--base-url", journal.base_url, "--json", *options)
    found: dict[str, Any] = ran.summary
    assert found["patches"] == found["requests"] + found["acknowledged_before"]
    return found["requests"], found["acknowledged_before"]


def test_what_an_unfinished_job_has_acknowledged_is_not_counted(
    program: Program, sheet: Path
) -> None:
    with fault_server(first(8, good, then=refuses(401, "Gone")), me=no_account) as journal:
        to = ("push", sheet, "--base-url", journal.base_url, "--workers", 1)
        assert left(program, sheet, journal) == (ROWS, 0)
        assert program(*to).code == 5
        assert left(program, sheet, journal) == (ROWS - 8, 8)
        shown = program("check", sheet, "--base-url", journal.base_url, "--rate", "6/m").out
        assert "12 patches, one request each (8 more were acknowledged before)" in shown
        # At 6 a minute, 20 would take three minutes, and 12 take two windows.
        assert "at least 1 min" in shown
        with_others = program("check", sheet, "--base-url", "http://127.0.0.1:1", "--json").summary
        assert with_others["requests"] == ROWS, "the job is another API's"
        # One acknowledged row is changed, one is gone, and a row is new.
        changed = [("ext_0", "Changed", 1), *numbered(ROWS, first=2)]
        write_sheet(sheet, changed)
        assert left(program, sheet, journal) == (ROWS + 1 - 6, 6)
    with fault_server(all_good) as journal:
        sent = program(*to[:3], journal.base_url)
    assert sent.code == 2, "a job of another address"


def test_a_settled_job_spares_all_or_nothing(program: Program, sheet: Path) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        assert program(*to).code == 0
        assert left(program, sheet, journal) == (0, ROWS)
        shown = program("check", sheet, "--base-url", journal.base_url).out
        assert "nothing: every row that can be sent was acknowledged before" in shown
        assert left(program, sheet, journal, "--limit", 5) == (0, 5)
        write_sheet(sheet, [("ext_0", "Changed", 1), *numbered(ROWS - 1, first=1)])
        assert left(program, sheet, journal) == (ROWS, 0)
        before = len(journal.patched)
        assert program(*to).code == 0
        assert len(journal.patched) - before == ROWS


def test_a_part_that_was_pushed_is_not_counted_with_the_whole(
    program: Program, sheet: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        assert program(*to, "--limit", 5).code == 0
        assert left(program, sheet, journal) == (ROWS - 5, 5)
        assert program(*to).code == 0
    assert len(journal.patched) == ROWS


def test_the_job_is_found_where_the_push_puts_it(
    program: Program, sheet: Path, tmp_path: Path
) -> None:
    with fault_server(all_good) as journal:
        to = ("push", sheet, "--base-url", journal.base_url)
        assert program(*to, "--out", tmp_path / "out").code == 0
        assert left(program, sheet, journal) == (ROWS, 0)
        assert left(program, sheet, journal, "--out", tmp_path / "out") == (0, ROWS)
        checkpoint = tmp_path / "out" / "x.checkpoint.sqlite"
        assert left(program, sheet, journal, "--checkpoint", checkpoint) == (0, ROWS)
        checkpoint.write_bytes(b"no checkpoint")
        assert left(program, sheet, journal, "--checkpoint", checkpoint) == (ROWS, 0)

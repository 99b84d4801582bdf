"""`bulk-sync explain`: what became of a row, from the sheet, the checkpoint and the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.job.lock import held as lock_held
from bulk_sync.run import send
from tests.conftest import Program
from tests.faultserver import Deed, Request, fault_server, good, refuses
from tests.helpers import KEY, Ran, write_sheet

pytestmark = pytest.mark.usefixtures("fast_time")
ROWS = [("ext_1", "Nice", 4), ("ext_2", "Bright", 5), ("ext_3", "Dark", "six")]


def busy_at_first(request: Request, number: int) -> Deed:
    """Two failures of ext_1, whose text has the key; everything else is acknowledged."""
    if request.key == "ext_1" and number <= 2:
        return refuses(503, f"Busy: {KEY} again") if number == 1 else refuses(429, "Too many")
    return good


def row_of(ran: Ran) -> dict[str, Any]:
    assert (ran.code, ran.err) == (0, "")
    (row,) = json.loads(ran.out)["rows"]
    found: dict[str, Any] = row
    return found


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", ROWS)


def test_attempts_outcome_and_acknowledged_values_of_a_push(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_server(busy_at_first) as journal:
        pushed = program("push", sheet, "--base-url", journal.base_url)
        assert pushed.code == 3
        (patch, *_) = journal.of("ext_1")
    monkeypatch.delenv("NORTH_API_KEY")
    monkeypatch.setattr(send, "open_transport", None)  # no network
    row = row_of(program("explain", sheet, "--key", "ext_1", "--json"))
    assert row["patch"] == patch.patch
    assert row["state"] == "updated"
    job = row["job"]
    assert [one["http_status"] for one in job["requests"]] == [503, 429, 200]
    assert [one["number"] for one in job["requests"]] == [1, 2, 3]
    assert job["requests"][0]["why"] == "503: Busy: [key] again"
    assert job["attempts"] == 3
    assert {name: known["value"] for name, known in row["acknowledged"].items()} == row["patch"]
    times = {known["at"] for known in row["acknowledged"].values()}
    assert len(times) == 1
    assert min(times) >= job["sent_at"]
    text = program("explain", sheet, "--row", 2).out
    assert "Attempts:   3 requests\n" in text
    assert ", 503: Busy: [key] again, after " in text
    assert KEY not in text
    for path in sheet.parent.glob("x.*"):
        assert KEY.encode() not in path.read_bytes(), path
    other = row_of(program("explain", sheet, "--row", 3, "--json"))
    assert [one["number"] for one in other["job"]["requests"]] == [1]
    assert "State:      invalid, not sent: the row has an error" in (
        program("explain", sheet, "--row", 4).out
    )


def test_the_checkpoint_of_the_job_is_named_and_may_be_in_use(
    program: Program, sheet: Path, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "job.sqlite"
    with fault_server(busy_at_first) as journal:
        program("push", sheet, "--base-url", journal.base_url, "--checkpoint", checkpoint)
    assert "no job" not in program("explain", sheet, "--row", 2, "--checkpoint", checkpoint).out
    text = program("explain", sheet, "--row", 2).out
    assert f"there is no job in {sheet.with_name('x.checkpoint.sqlite')}" in text
    assert "pushed with --checkpoint or --out, give them here, too" in text
    with lock_held(checkpoint):
        ran = program("explain", checkpoint, "--row", 2)
    assert ran.code == 0
    assert "A run uses this checkpoint now" in ran.out
    assert "A2 unique_showing_key: 'ext_1'" in ran.out


def test_a_sheet_that_was_edited_after_its_push_shows_both_patches(
    program: Program, sheet: Path
) -> None:
    with fault_server(busy_at_first) as journal:
        program("push", sheet, "--base-url", journal.base_url)
    write_sheet(sheet, [("ext_9", "New", 1), ("ext_1", "Nicer", 4)])
    text = program("explain", sheet, "--row", 3).out
    assert "State:      not pushed yet: a push would send it" in text
    assert "its last push had other values for the showing, in row 2" in text
    assert '"feedback":"Nicer"' in text
    assert "; the sheet has another value" in text
    text = program("explain", sheet, "--row", 2).out
    assert "none: the job in" in text
    assert "does not have it" in text


def test_failed_rows_are_explained_as_they_were_written(program: Program, sheet: Path) -> None:
    with fault_server(busy_at_first) as journal:
        program("push", sheet, "--base-url", journal.base_url)
    ran = program("explain", sheet.with_name("x.failed.csv"), "--row", 2)
    assert ran.code == 0
    assert "rating: 'six' is not a rating from 1 to 5" in ran.out


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["-", "--row", 2], 2, "standard input can't be looked up again"),
        (["x.csv"], 2, "either --row N or --key KEY"),
        (["x.csv", "--row", 2, "--key", "a"], 2, "either --row N or --key KEY"),
        (["x.csv", "--key", " "], 2, "a blank key names no row"),
        ([".", "--row", 2], 2, "this is a folder"),
        (["x.csv", "--row", 7], 4, "next to it there is row 4"),
        (["x.csv", "--key", "EXT-1"], 4, "Close to it: ext_1"),
        (["none.csv", "--row", 2], 4, "none.csv"),
        (["none.checkpoint.sqlite", "--row", 2], 4, "there is no checkpoint here"),
    ],
)
def test_what_can_not_be_explained_is_refused_in_a_sentence(
    program: Program,
    sheet: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    code: int,
    sentence: str,
) -> None:
    monkeypatch.chdir(sheet.parent)
    ran = program("explain", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert sentence in ran.err


def test_a_variable_for_an_api_key_is_not_taken_for_the_row(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_SYNC_KEY", KEY)
    ran = program("explain", sheet, "--row", 2)
    assert ran.code == 2
    assert KEY not in ran.err

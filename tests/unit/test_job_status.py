"""The state of a job follows from those of its files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from msgspec.structs import replace

from bulk_sync.errors import CheckpointDamaged, InputError
from bulk_sync.model.job_status import FileStatus, JobsStatus, JobStatus, Progress
from bulk_sync.model.rows import State
from bulk_sync.read.opened import differs
from bulk_sync.status_jobs import recent_rate
from bulk_sync.timeline import Counts, Point, Run
from tests.unit.pages import SUMMARY


def job(*states: Progress) -> JobStatus:
    files = (FileStatus("x.csv", "x.checkpoint.sqlite", state) for state in states)
    return JobStatus("vale", tuple(files))


@pytest.mark.parametrize(
    ("files", "state"),
    [
        ([], Progress.EMPTY),
        ([Progress.DONE, Progress.DONE], Progress.DONE),
        ([Progress.NOT_BEGUN, Progress.NOT_BEGUN], Progress.NOT_BEGUN),
        # Neither done nor untouched: a run is needed.
        ([Progress.DONE, Progress.NOT_BEGUN], Progress.PENDING),
        ([Progress.DONE, Progress.PENDING], Progress.PENDING),
        ([Progress.RUNNING, Progress.NOT_BEGUN], Progress.RUNNING),
        ([Progress.RUNNING, Progress.DAMAGED], Progress.DAMAGED),
        ([Progress.DONE, Progress.UNREADABLE], Progress.UNREADABLE),
        ([Progress.DONE, Progress.CHANGED], Progress.CHANGED),
        ([Progress.NOT_BEGUN, Progress.CHANGED], Progress.CHANGED),
        ([Progress.PENDING, Progress.CHANGED], Progress.PENDING),
        ([Progress.RUNNING, Progress.CHANGED], Progress.RUNNING),
    ],
)
def test_a_job_is_where_the_file_is_that_needs_most_attention(
    files: list[Progress], state: Progress
) -> None:
    assert job(*files).progress is state
    assert job(*reversed(files)).progress is state


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ([], 0),
        ([Progress.DONE], 0),
        ([Progress.DONE, Progress.NOT_BEGUN], 6),
        ([Progress.DONE, Progress.CHANGED], 6),
        # What is left may be of the run that is in progress.
        ([Progress.NOT_BEGUN, Progress.RUNNING], 7),
    ],
)
def test_the_exit_code_says_where_a_job_stands(files: list[Progress], code: int) -> None:
    assert job(*files).exit_code == code
    assert JobsStatus((job(*files), job(Progress.DONE))).exit_code == code


def test_rows_of_a_sheet_that_has_changed_since_are_in_no_total() -> None:
    changed = replace(SUMMARY, changed=True)
    now = FileStatus("a.csv", "a.sqlite", Progress.DONE, SUMMARY)
    before = FileStatus("b.csv", "b.sqlite", Progress.CHANGED, changed)
    assert JobStatus("vale", (now, before)).rows == SUMMARY.rows
    assert JobStatus("vale", (now, before)).states == SUMMARY.states
    only = JobStatus("vale", (before,))
    assert (only.rows, only.is_counted, only.exit_code) == (0, False, 6)


def test_a_changed_sheet_is_to_be_sent_unless_a_run_is_at_it() -> None:
    done = replace(SUMMARY, states={State.UPDATED: 3}, changed=True)
    assert (done.exit_code, done.is_finished) == (6, False)
    assert replace(done, running=True).exit_code == 7


def test_a_sheet_differs_by_its_content_and_not_if_it_is_gone(tmp_path: Path) -> None:
    sheet = tmp_path / "x.csv"
    sheet.write_bytes(b"a,b\n")
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert not differs(sheet, digest)
    sheet.write_bytes(b"a,c\n")
    assert differs(sheet, digest)
    sheet.unlink()
    assert not differs(sheet, digest)
    sheet.mkdir()
    with pytest.raises(InputError, match="this is a folder"):
        differs(sheet, digest)


def test_an_error_is_more_pressing_than_what_is_pending() -> None:
    damaged = FileStatus("x.csv", "x.sqlite", Progress.DAMAGED, error=CheckpointDamaged("damaged"))
    assert JobStatus("hill", (damaged,)).exit_code == 4
    unread = JobStatus("lake", error=InputError("no permission"))
    assert unread.progress is Progress.UNREADABLE
    for other in (Progress.DONE, Progress.RUNNING, Progress.NOT_BEGUN):
        assert JobsStatus((job(other), unread)).exit_code == 4


def point(at_ms: int, covered_ms: int, rows: int) -> Point:
    return Point(at_ms, 10_000, covered_ms, Counts({State.UPDATED: rows}))


@pytest.mark.parametrize(
    ("points", "rate"),
    [
        ([point(0, 10_000, 50)], 5.0),
        ([point(0, 10_000, 50), point(10_000, 5_000, 50)], 100 / 15),
        # The first 50 s were faster, and are more than a minute ago.
        ([point(0, 10_000, 900), *(point(at * 10_000, 10_000, 20) for at in range(5, 11))], 2.0),
        ([point(0, 0, 0)], None),
    ],
)
def test_the_rate_is_that_of_the_last_minute(points: list[Point], rate: float | None) -> None:
    assert recent_rate(Run("2026-03-14T16:00:00.000Z", tuple(points))) == pytest.approx(rate)

"""The state of a job follows from those of its files."""

from __future__ import annotations

import pytest

from bulk_sync.errors import CheckpointDamaged, InputError
from bulk_sync.model.job_status import FileStatus, JobsStatus, JobStatus, Progress
from bulk_sync.model.rows import State
from bulk_sync.status_jobs import recent_rate
from bulk_sync.timeline import Counts, Point, Run


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
        # What is left may be of the run that is in progress.
        ([Progress.NOT_BEGUN, Progress.RUNNING], 7),
    ],
)
def test_the_exit_code_says_where_a_job_stands(files: list[Progress], code: int) -> None:
    assert job(*files).exit_code == code
    assert JobsStatus((job(*files), job(Progress.DONE))).exit_code == code


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

"""The check of jobs: their windows, and what it says of jobs that can't be used."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from bulk_sync.errors import BulkSyncError, InputError, UsageError
from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs
from bulk_sync.model.rows import State
from bulk_sync.model.schedule import Expected
from bulk_sync.model.summaries import CheckedBatch, CheckedPart, CheckSummary, Understood
from bulk_sync.report.as_json import checked_jobs_json
from bulk_sync.report.terminal.checked_jobs import show_checked_jobs

NOW = datetime(2026, 3, 14, 17, tzinfo=UTC)


def job(
    name: str,
    *,
    window: float = math.inf,
    pending: int = 0,
    stopped: BulkSyncError | None = None,
    known: bool = True,
) -> CheckedJob:
    summary = CheckSummary(
        input=f"{name}.csv",
        understood=Understood("CSV", 1),
        columns=(),
        rows=1400,
        states={State.PENDING: 1400},
        problems=(),
        causes=(),
        duplicates=0,
        assumptions=(),
        notes=(),
        rates=(),
        limit=None,
        window_seconds=None,
        patches=(),
        stopped=stopped,
    )
    return CheckedJob(
        name,
        CheckedBatch((CheckedPart(summary.input, summary),), ()),
        expected=Expected(0.0, 20.0, window, pending, known),
    )


def shown(*jobs: CheckedJob) -> str:
    file = StringIO()
    show_checked_jobs(Console(file=file, width=200), CheckedJobs(jobs), NOW)
    return file.getvalue()


def windows(*jobs: CheckedJob) -> list[tuple[bool | None, int | None]]:
    """Return those of the run, then those of its jobs, as the JSON has them."""
    told = checked_jobs_json(CheckedJobs(jobs), NOW)
    return [(one["window_suffices"], one["pending_after_window"]) for one in (told, *told["jobs"])]


UNUSABLE = InputError("x.csv: no rows")
NONE = (None, None)


@pytest.mark.parametrize(
    ("jobs", "text", "told"),
    [
        ((job("a"), job("b")), None, [NONE, NONE, NONE]),
        (
            (job("a", window=60), job("b", window=60)),
            "suffices for all jobs, if",
            [(True, 0), (True, 0), (True, 0)],
        ),
        (
            (job("a", window=60), job("b")),
            "suffices for the one job that has one, if",
            [(True, 0), (True, 0), NONE],
        ),
        (
            (job("a", window=60), job("b", window=60), job("c")),
            "suffices for the 2 jobs that have one, if",
            [(True, 0), (True, 0), (True, 0), NONE],
        ),
        (
            (job("a", window=60, stopped=UNUSABLE), job("b")),
            "no usable job has one",
            [NONE, NONE, NONE],
        ),
        (
            (CheckedJob("a", error=UNUSABLE, expected=Expected(0, 0, 60, 0, known=True)), job("b")),
            "no usable job has one",
            [NONE, NONE, NONE],
        ),
        (
            (job("a", window=60, known=False), job("b")),
            "unknown whether it suffices for the one job that has one",
            [NONE, NONE, NONE],
        ),
        (
            (job("a", window=10, pending=700), job("b", window=60, known=False)),
            "TOO SHORT for 1 of 2 jobs: about 700 rows would stay pending (exit code 6): a",
            [(False, 700), (False, 700), NONE],
        ),
    ],
)
def test_a_window_is_that_of_the_jobs_that_have_one(
    jobs: tuple[CheckedJob, ...],
    text: str | None,
    told: list[tuple[bool | None, int | None]],
) -> None:
    assert windows(*jobs) == told
    lines = [line for line in shown(*jobs).splitlines() if line.startswith("Window:")]
    assert len(lines) == (text is not None)
    assert text is None or text in " ".join(lines[0].split())


@pytest.mark.parametrize(
    ("why", "line"),
    [
        ("elm.csv: 699 of 900 rows have no key", "elm: elm.csv: 699 of 900 rows have no key"),
        ("--max-invalid is exceeded", "elm: elm.csv: --max-invalid is exceeded"),
    ],
)
def test_a_reason_has_the_name_of_its_file_once(why: str, line: str) -> None:
    assert line in shown(job("elm", stopped=InputError(why))).splitlines()


def test_a_key_that_is_to_be_corrected_leaves_the_rows_to_send() -> None:
    others_read_it = replace(
        job("elm", window=60), key="wrong", key_error=UsageError("others can read elm.key")
    )
    assert others_read_it.exit_code == 2
    text = shown(others_read_it)
    assert "elm: others can read elm.key" in text
    assert "1,400 patches to send" in text
    assert "in 20 s at the earliest" in text
    told = checked_jobs_json(CheckedJobs((others_read_it,)), NOW)
    assert (told["requests"], told["seconds"], told["window_suffices"]) == (1400, 20.0, True)


def test_jobs_that_cant_be_used_are_not_called_done() -> None:
    sent = replace(job("oak"), batch=CheckedBatch((), ()))
    broken = job("elm", stopped=UNUSABLE)
    for jobs in ((broken,), (broken, sent)):
        assert "nothing can be sent before the problems above are corrected" in shown(*jobs)
        told = checked_jobs_json(CheckedJobs(jobs), NOW)
        assert (told["seconds"], told["done_at"]) == (None, None)
    assert "nothing to send" in shown(sent)

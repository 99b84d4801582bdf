"""Metrics of a run of several jobs, as Prometheus reads them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from bulk_sync.cli.finish import write_metrics
from bulk_sync.model.summaries import JobResult, JobsResult
from bulk_sync.report.as_json import jobs_json
from tests.unit.jobs import REFUSED, bad_rows, cut, good

FILE = "teams.toml"
FIRST = datetime(2026, 3, 14, 2, tzinfo=UTC)
SECOND = FIRST + timedelta(days=1)


def read(path: Path) -> dict[tuple[str, ...], float]:
    """The series by name and values of the labels."""
    families = list(text_string_to_metric_families(path.read_text("utf-8")))
    assert all(family.documentation for family in families)
    samples = [sample for family in families for sample in family.samples]
    found = {
        (one.name.removeprefix("bulk_sync_"), *one.labels.values()): one.value for one in samples
    }
    assert len(found) == len(samples)
    assert all("job" in sample.labels for sample in samples)
    return found


def write(path: Path, now: datetime, *jobs: JobResult, more: tuple[str, ...] = ()) -> None:
    names = (*(job.name for job in jobs), *more)
    write_metrics(path, FILE, jobs_json(JobsResult(jobs)), now, names)


def of(found: dict[tuple[str, ...], float], name: str) -> dict[str, float]:
    return {labels[0]: value for (one, *labels), value in found.items() if one == name}


def test_each_job_has_series_of_its_own_and_the_run_its_exit_code(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    write(path, FIRST, good("vale", 2000), bad_rows("hill"), cut("lake", REFUSED))
    found = read(path)
    assert of(found, "exit_code") == {FILE: 5, "vale": 0, "hill": 3, "lake": 5}
    assert found["rows", "vale", "updated"] == 1990
    assert found["rows", "hill", "invalid"] == 7
    assert found["rows", "lake", "pending"] == 60
    assert found["requests", "hill", "200"] == 9
    assert of(found, "last_success_timestamp_seconds") == {"vale": FIRST.timestamp()}
    assert set(of(found, "last_run_timestamp_seconds")) == {FILE, "vale", "hill", "lake"}
    # A sum over all jobs counts each row once.
    rows = sum(value for (name, *_), value in found.items() if name == "rows")
    assert rows == 2000 + 100 + 100


def test_a_job_keeps_its_last_success_and_one_that_did_not_run_its_series(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    write(path, FIRST, good("vale"), good("hill"), good("gone"), good("lake"))
    write(path, SECOND, cut("vale", REFUSED), JobResult("hill"), more=("lake",))
    found = read(path)
    assert of(found, "last_success_timestamp_seconds") == {
        FILE: FIRST.timestamp(),
        "vale": FIRST.timestamp(),
        "hill": FIRST.timestamp(),
        "lake": FIRST.timestamp(),
    }
    runs = of(found, "last_run_timestamp_seconds")
    assert runs["vale"] == runs[FILE] == SECOND.timestamp()
    assert runs["hill"] == runs["lake"] == FIRST.timestamp()
    assert found["rows", "hill", "updated"] == 1990
    # A job that left the jobs file leaves no series that an alert would wait for.
    assert "gone" not in runs


def test_a_jobs_file_that_cannot_be_read_leaves_the_series_of_its_jobs(tmp_path: Path) -> None:
    path = tmp_path / "x.prom"
    write(path, FIRST, good("vale"))
    before = read(path)
    ended: dict[str, Any] = {"error": "teams.toml: no such file", "exit_code": 2}
    write_metrics(path, FILE, ended, SECOND, None)
    found = read(path)
    assert {series: value for series, value in found.items() if series[1] == "vale"} == {
        series: value for series, value in before.items() if series[1] == "vale"
    }
    assert of(found, "exit_code") == {FILE: 2, "vale": 0}
    # The metrics of one push have only its own.
    write_metrics(path, "x.csv", ended, SECOND)
    assert set(of(read(path), "exit_code")) == {"x.csv"}


@given(name=st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()))
def test_any_name_is_read_back(tmp_path_factory: Any, name: str) -> None:
    path = tmp_path_factory.mktemp("metrics") / "x.prom"
    write(path, FIRST, good(name))
    write(path, SECOND, cut(name, REFUSED))
    assert of(read(path), "last_success_timestamp_seconds") == {name: FIRST.timestamp()} | (
        {} if name == FILE else {FILE: FIRST.timestamp()}
    )

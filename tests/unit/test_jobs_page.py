"""The page on several jobs: what is on it, that nothing of anybody's acts, and where links go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from msgspec.structs import replace

from bulk_sync.errors import Interrupted, OutputError, StoppedEarly
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CauseGroup, JobResult, JobsResult
from bulk_sync.report.jobs import next_steps
from bulk_sync.report.page import jobs as jobs_page
from bulk_sync.report.page.jobs import write_jobs_page
from tests.unit.jobs import FOLDER, bad_rows, good, job, sixty, summary
from tests.unit.pages import HOSTILE, parsed

AT = datetime(2026, 3, 14, tzinfo=UTC)


def again(names: Sequence[str]) -> str:
    return f"bulk-sync run --jobs teams.toml {' '.join(names)}".strip()


def write(path: Path, *jobs: JobResult, stopped: Interrupted | None = None) -> str:
    result = JobsResult(jobs, stopped)
    steps = next_steps(jobs, again)
    write_jobs_page(path, result, steps, FOLDER / "teams.toml", made_at=AT, version="1.2.3")
    return path.read_text("utf-8")


class Table(HTMLParser):
    """The texts of each job, by the id of its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.jobs: dict[str, str] = {}
        self._now: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        name = dict(attrs).get("id") or ""
        if tag == "tbody" and name.startswith("job-"):
            self._now = name
            self.jobs[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._now = None

    def handle_data(self, data: str) -> None:
        if self._now is not None:
            self.jobs[self._now] += f"{data} "


def test_it_has_the_verdict_the_next_steps_and_every_job(tmp_path: Path) -> None:
    jobs = sixty()
    text = write(tmp_path / "x.html", *jobs)
    page = parsed(text)
    assert "49 of 60 jobs are done; 7 need attention, 4 have to run again." in page.text
    assert "96,220 of 96,415 rows done, 15 with errors, 180 pending." in page.text
    assert "The rows of 5 jobs are unknown and not counted." in page.text
    for step in next_steps(jobs, again):
        assert step.step in page.text
        assert step.command is None or step.command in page.text
    table = Table(text).jobs
    assert len(table) == 60
    for number, one in enumerate(jobs, start=1):
        assert one.name in table[f"job-{number}"]
    # The most pressing first, and the file's order among equals.
    assert next(iter(table)) == "job-12"
    assert list(table)[-47:] == [f"job-{number}" for number in range(14, 61)]
    problems = table["job-2"]
    assert "Invalid value" in problems
    assert "7 rows" in problems
    assert "to-correct/showings.failed.csv" in problems
    assert {"a": "#job-5"}.items() <= {
        tag: attrs["href"] for tag, attrs in page.elements if attrs.get("href") == "#job-5"
    }.items()


def test_a_run_that_was_stopped_says_so(tmp_path: Path) -> None:
    stopped = Interrupted(2)
    text = write(tmp_path / "x.html", good("a"), JobResult("b"), stopped=stopped)
    assert "1 of 2 jobs is done; 1 has to run again." in text
    assert str(stopped) in parsed(text).text
    assert "not started" in Table(text).jobs["job-2"]


@pytest.mark.parametrize(
    ("page", "link"),
    [
        ("r.html", "r.html"),
        ("../b/r.html", "../b/r.html"),
        ("javascript:alert(1).html", "javascript%3Aalert%281%29.html"),
        ('a b"#?.html', "a%20b%22%23%3F.html"),
    ],
)
def test_a_jobs_own_page_is_a_link_relative_to_this_one(
    tmp_path: Path, page: str, link: str
) -> None:
    one = summary("vale", {State.UPDATED: 1})
    one = replace(one, files=replace(one.files, page=str(tmp_path / page)))
    found = parsed(write(tmp_path / "x.html", job("vale", one)))
    links = [attrs["href"] for tag, attrs in found.elements if tag == "a"]
    assert [href for href in links if not str(href).startswith("#")] == [link]


def test_no_text_becomes_an_element_or_an_attribute(tmp_path: Path) -> None:
    def page(*texts: str) -> str:
        jobs = []
        for text in texts:
            one = summary(text, {State.INVALID: 2, State.PENDING: 1}, stopped=StoppedEarly(text))
            causes = (CauseGroup("bad_value", text, 2, ((2, text),), text),)
            notes = (text,)
            files = replace(one.files, page=None)
            jobs.append(job(text, replace(one, causes=causes, notes=notes, files=files)))
        return write(tmp_path / "x.html", *jobs)

    plain, hostile = parsed(page("x")), parsed(page(*HOSTILE))
    assert {tag for tag, _ in hostile.elements} == {tag for tag, _ in plain.elements}
    names = {name for _, attrs in hostile.elements for name in attrs}
    assert names == {name for _, attrs in plain.elements for name in attrs}


def test_a_full_page_keeps_every_job_and_leaves_out_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [bad_rows(f"t{n}") for n in range(20)]
    whole = write(tmp_path / "x.html", *jobs)
    monkeypatch.setattr(jobs_page, "MOST_BYTES", 5000)
    table = Table(write(tmp_path / "x.html", *jobs)).jobs
    assert len(table) == 20
    assert "Invalid value" in table["job-1"]
    assert "This page is full" in table["job-20"]
    assert len((tmp_path / "x.html").read_bytes()) < len(whole)


def test_the_page_takes_no_other_files_place(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("<!doctype html><p>mine", encoding="utf-8")
    with pytest.raises(OutputError, match="bulk-sync did not write as a page"):
        write(tmp_path / "x.html", good("a"))
    assert (tmp_path / "x.html").read_text("utf-8") == "<!doctype html><p>mine"
    write(tmp_path / "y.html", good("a"))
    write(tmp_path / "y.html", good("b"))
    assert "The job b is done." in (tmp_path / "y.html").read_text("utf-8")

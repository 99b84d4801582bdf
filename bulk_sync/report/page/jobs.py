"""`--page` of a run of several jobs: one HTML file with all of them, that loads nothing.

Each job is a line of a table, with its problems and files below. Without scripts all of that is
open; the page's script folds it, sorts and filters. Texts are escaped (`markup`).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import JobResult, JobsResult, Part, Summary
from bulk_sync.recognise import Output
from bulk_sync.report.echoes import changed_rows
from bulk_sync.report.jobs import (
    NextStep,
    counts_of,
    end_of_job,
    grouped,
    has_rows,
    jobs_verdict,
    look_of,
    pressing_first,
    reasons_of,
    remarks_of,
    rows_text,
)
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    command_block,
    header_row,
    open_page,
    search_tools,
    section,
    top,
    unbroken_options,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, cut, element, join
from bulk_sync.report.page.problems import problem_articles
from bulk_sync.report.page.states import states_section
from bulk_sync.report.words import span
from bulk_sync.report.written.atomic import replacing
from bulk_sync.wording import and_more, counted

MOST_BYTES = 6_000_000
"""Bytes of the jobs' problems and files; those of further jobs are left out."""

_MOST_STEPS = 5
_MOST_NAMES = 20
_MOST_REASONS = 20
_MOST_CAUSES = 5
_LONGEST_REASON = 1000

_COLUMNS = ("Job", "Result", "Rows", "Done", "Errors", "Pending", "Time", "No.")


def write_jobs_page(
    path: Path,
    result: JobsResult,
    steps: Sequence[NextStep],
    jobs_file: Path,
    *,
    made_at: datetime,
    version: str,
) -> None:
    """Write the page; raises OutputError."""
    with replacing(path, Output.PAGE) as file:
        _Page(file, path.absolute().parent, jobs_file, result, steps).write(made_at, version)


@cache
def _style() -> str:
    return asset("page.css") + asset("jobs.css")


class _Page:
    """A page in the making; `folder` is its own, to which links are relative."""

    def __init__(
        self,
        file: TextIO,
        folder: Path,
        jobs_file: Path,
        result: JobsResult,
        steps: Sequence[NextStep],
    ) -> None:
        self._file = file
        self._folder = folder
        self._jobs_file = jobs_file
        self._home = jobs_file.absolute().parent
        self._result = result
        self._steps = steps
        self._step_of = {name: step for step in steps for name in step.jobs}
        self._numbers = {job.name: n for n, job in enumerate(result.jobs, start=1)}
        self._left = MOST_BYTES

    def write(self, made_at: datetime, version: str) -> None:
        """Write the page."""
        file, jobs, script = self._file, self._result.jobs, asset("common.js") + asset("jobs.js")
        found = jobs_verdict(self._result, self._steps)
        open_page(file, f"{self._jobs_file.name}: {found.sentence}", _style(), script)
        file.write(element("a", "Skip to the jobs", href="#jobs", class_="skip") + "\n")
        facts = (("Jobs file", self._jobs_file.name), ("Jobs", f"{len(jobs):,}"))
        file.write(top("report on jobs", facts, made_at, version) + "\n<main>\n")
        counts = counts_of(jobs)
        detail = " ".join(filter(None, (found.detail, rows_text(counts))))
        file.write(verdict_section(found.tone, found.sentence, detail, ()) + "\n")
        if self._steps:
            file.write(self._next_section() + "\n")
        states: Counter[State] = Counter()
        for part in (one for job in jobs for one in job.parts):
            states.update(part.states)
        file.write(states_section(states, counts.rows) + "\n")
        self._write_jobs()
        file.write(f"</main>\n{bottom(version)}\n")
        close_page(file, script)

    # What to do next

    def _next_section(self) -> Html:
        listed = (
            element("li", element("h3", sentence), *self._steps_alike(alike))
            for sentence, alike in grouped(self._steps).items()
        )
        return section(
            "next", "What to do next", element("ol", *listed, class_="steps"), class_="card"
        )

    def _steps_alike(self, steps: Sequence[NextStep]) -> Iterator[Html]:
        """Yield the jobs with one next step; from some number on folded."""
        yield element("ul", *map(self._step, steps[:_MOST_STEPS]))
        if more := steps[_MOST_STEPS:]:
            yield element(
                "details",
                element("summary", counted(len(more), "more job")),
                element("ul", *map(self._step, more)),
            )

    def _step(self, step: NextStep) -> Html:
        names = [
            element("a", element("bdi", name), href=f"#job-{self._numbers[name]}")
            for name in step.jobs[:_MOST_NAMES]
        ]
        rest = and_more(len(step.jobs) - len(names))
        reasons = [_reason(reason) for reason in step.reasons[:_MOST_REASONS]]
        if left := and_more(len(step.reasons) - _MOST_REASONS):
            reasons.append(element("p", left, class_="reason"))
        return element(
            "li",
            element(
                "p",
                Html(", ".join(names) + (f" {rest}" if rest else "")),
                f": {step.ended}",
                class_="jobs-of",
            ),
            *reasons,
            command_block(step.command),
        )

    # The table of jobs

    def _write_jobs(self) -> None:
        file = self._file
        file.write('<section id="jobs" class="card" aria-labelledby="jobs-title">\n')
        file.write(element("h2", "Jobs", id="jobs-title"))
        tools = search_tools("Search names, results, sheets and messages", "Filter the jobs")
        file.write(element("div", tools, id="tools", hidden="hidden"))
        file.write('<table class="jobs">')
        file.write(element("caption", "Jobs, the most pressing first", class_="aside"))
        file.write(header_row(*_COLUMNS) + "\n")
        for rank, job in enumerate(pressing_first(self._result.jobs)):
            file.write(self._job(job, rank) + "\n")
        file.write("</table>\n</section>\n")

    def _job(self, job: JobResult, rank: int) -> Html:
        number, counts = self._numbers[job.name], counts_of([job])
        words, _ = end_of_job(job)
        look = look_of(job)
        numbers = (counts.rows, counts.done, counts.errors, counts.pending)
        known = has_rows(job)
        line = element(
            "tr",
            element("th", element("bdi", job.name), scope="row", data_value=job.name),
            element("td", _sign(look), words, class_=f"result {look}", data_value=rank),
            *(
                element(
                    "td",
                    f"{count:,}" if known and (count or n < 2) else "",
                    class_="number",
                    data_value=count,
                    data_name=name,
                )
                for n, (name, count) in enumerate(zip(_NUMBERS, numbers, strict=True))
            ),
            element(
                "td",
                span(job.seconds) if job.begun else "",
                class_="number",
                data_value=round(job.seconds, 3),
                data_name="time",
            ),
            element("td", f"{number:,}", class_="number", data_value=number),
        )
        more = join(*self._more(job))
        size = len(more.encode())
        if size > self._left:
            note = "This page is full; the problems of this job are in its own results."
            more = element("p", note, class_="left-out")
        else:
            self._left -= size
        folded = element("tr", element("td", more, colspan=len(_COLUMNS)), class_="more")
        return element("tbody", line, folded, id=f"job-{number}", data_look=look)

    def _more(self, job: JobResult) -> Iterator[Html]:
        """Yield what is below the line of a job."""
        step = self._step_of.get(job.name)
        for reason in dict.fromkeys(reasons_of(job)):
            yield _reason(reason)
        if step is not None and len(step.jobs) == 1:
            yield element("p", step.step)
            yield command_block(step.command) or Html()
        for remark in dict.fromkeys(remarks_of(job)):
            yield element("p", element("bdi", cut(remark, _LONGEST_REASON)), class_="remark")
        for part in () if job.batch is None else job.batch.parts:
            yield self._part(part)
        if job.batch is None or not job.batch.parts:
            yield element("p", "No sheet was read.", class_="remark")

    def _part(self, part: Part) -> Html:
        summary = part.summary
        title = element("h3", element("bdi", self._shown(part.input)))
        if summary is None:
            # An error is among the reasons, above.
            why = "not started: the run ended before" if part.error is None else "not sent"
            why = f"{part.unsent:,} pending; {why}" if part.unsent else why
            return element("article", title, element("p", why, class_="remark"), class_="sheet")
        states = [f"{n:,} {state.value}" for state, n in summary.states.items() if n]
        line = [", ".join(states) or "no rows", *_sent_to(summary)]
        changed = f"{changed_rows(summary.echo_differs)}." if summary.echo_differs else None
        return element(
            "article",
            title,
            element("p", element("bdi", "; ".join(line)), class_="remark"),
            element("p", changed) if changed else None,
            *problem_articles(summary, _MOST_CAUSES, has_rows=False),
            self._files(summary),
            class_="sheet",
        )

    def _files(self, summary: Summary) -> Html:
        files = (
            ("Page", summary.files.page),
            ("To correct", summary.files.failed),
            ("Results", summary.files.results),
            ("Undo", summary.files.undo),
            ("Checkpoint", summary.files.checkpoint),
        )
        lines = (
            element(
                "tr",
                element("th", name, scope="row"),
                element("td", self._link(path) if name == "Page" else self._code(path)),
            )
            for name, path in files
            if path
        )
        return element("table", element("tbody", *lines), class_="files")

    def _code(self, path: str) -> Html:
        return element("code", element("bdi", self._shown(path)))

    def _link(self, path: str) -> Html:
        """Return a link to a page, relative to the folder of this one."""
        try:
            # In a link, / separates folders everywhere.
            relative = Path(os.path.relpath(path, self._folder)).as_posix()
        except ValueError:  # on another drive of Windows
            return self._code(path)
        return element("a", element("bdi", self._shown(path)), href=quote(relative, safe="/"))

    def _shown(self, path: str) -> str:
        """Return a path as people read it: relative to the folder of the jobs file, if below it."""
        try:
            return str(Path(path).absolute().relative_to(self._home))
        except ValueError:
            return path


_NUMBERS = ("rows", "done", "errors", "pending")


def _reason(text: str) -> Html:
    shown = element("bdi", *unbroken_options(cut(text, _LONGEST_REASON)))
    return element("p", shown, class_="reason")


def _sent_to(summary: Summary) -> Iterator[str]:
    if summary.base_url == SANDBOX_TARGET:
        yield "sent to a sandbox on this machine (rehearsal)"
    elif summary.team:
        yield f"sent to {summary.team} at {summary.base_url}"
    else:
        yield f"sent to {summary.base_url}"


# The SVG path of each look, because colour alone is not accessible.
_SIGNS = {
    "good": "M3 8.5l3.2 3.2L13 4.8",
    "attention": "M8 3v6M8 12v.6",
    "failed": "M4 4l8 8M12 4l-8 8",
    "stopped": "M6 4v8M10 4v8",
}


def _sign(look: str) -> Html:
    return element(
        "svg",
        element("path", d=_SIGNS[look]),
        viewBox="0 0 16 16",
        width=16,
        height=16,
        aria_hidden="true",
        class_="mark",
    )

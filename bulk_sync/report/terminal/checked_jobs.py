"""The check of jobs on a terminal: a line for each, then what a person must know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs
from bulk_sync.model.rows import State
from bulk_sync.report.facts import cause_text, reason_of
from bulk_sync.report.terminal.lines import show_line, show_sentence, show_some
from bulk_sync.report.words import printable, span, time_of_day
from bulk_sync.wording import and_more, are, counted, listed

_MOST_LINES = 30
"""Lines about problems; the JSON has all of them."""

_MOST_CAUSES = 2
"""Causes that are shown of a file."""

_MOST_NAMES = 5

_LONGEST_NAME = 32

# On a narrower terminal the times of day would crowd out the names.
_NARROW = 90


def show_checked_jobs(console: Console, result: CheckedJobs, now: datetime) -> None:
    """Print the result for a person; the run would begin `now`."""
    console.print(_table(console, result, now))
    lines = [f"{job.name}: {line}" for job in result.jobs for line in problems_of(job)]
    if lines:
        console.print()
    show_some(console, lines, _MOST_LINES, "line")
    console.print()
    show_sentence(console, "All jobs", _total(result))
    show_sentence(console, "Done", _done(result, now))
    for line in _about_keys(result.jobs):
        show_line(console, line)
    if result.has_window:
        _show_window(console, result)


def _table(console: Console, result: CheckedJobs, now: datetime) -> Table:
    is_wide = console.width >= _NARROW
    headings = {
        "files": "right",
        "rows": "right",
        "to send": "right",
        "invalid": "right",
        "earliest end": "left",
        "window": "left",
        "exit code": "right",
    }
    if not is_wide:
        del headings["files"]
    if not result.has_window:
        del headings["window"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    # The one column that may get narrower.
    table.add_column("job", overflow="ellipsis", max_width=_LONGEST_NAME)
    for heading, justify in headings.items():
        table.add_column(heading, justify="right" if justify == "right" else "left", no_wrap=True)
    for job in result.jobs:
        cells = _cells(job, now, with_time=is_wide)
        table.add_row(Text(printable(job.name)), *(cells[heading] for heading in headings))
    return table


def _cells(job: CheckedJob, now: datetime, *, with_time: bool) -> dict[str, Text]:
    parts = () if job.batch is None else job.batch.parts
    invalid = sum(one.states.get(State.INVALID, 0) for one in job.summaries)
    code = job.exit_code
    return {
        "files": Text(f"{len(parts):,}"),
        "rows": Text(f"{sum(one.rows for one in job.summaries):,}"),
        "to send": Text(f"{job.requests:,}" if job.is_usable else ""),
        "invalid": Text(f"{invalid:,}", style="yellow" if invalid else ""),
        "earliest end": _end_of(job, now, with_time=with_time),
        "window": _window(job),
        "exit code": Text(str(code), style={0: "", 3: "yellow"}.get(code, "red")),
    }


def _end_of(job: CheckedJob, now: datetime, *, with_time: bool) -> Text:
    if not job.requests:
        return Text("")
    if job.seconds is None:
        return Text("unknown", style="yellow")
    text = span(round(job.seconds))
    return Text(f"{text}, {_at(job.seconds, now)}" if with_time else text)


def _at(seconds: float, now: datetime) -> str:
    return time_of_day(now + timedelta(seconds=seconds), now)


def _window(job: CheckedJob) -> Text:
    if job.pending:
        return Text(f"{job.pending:,} pending", style="bold red")
    if not (job.requests and job.is_bound):
        return Text("")
    return Text("suffices", style="green") if job.suffices else Text("unknown", style="yellow")


def problems_of(job: CheckedJob) -> Iterator[str]:
    """Yield what a person has to do for a job, or should know of it."""
    for error in (job.error, job.key_error):
        if error is not None:
            yield str(error)
    if job.batch is None:
        return
    for part in job.batch.parts:
        why = reason_of(part)
        if why is not None:
            yield why
        summary = part.summary
        if summary is None:
            continue
        for cause in summary.causes[:_MOST_CAUSES]:
            yield f"{part.input}: {counted(cause.rows, 'row')}: {cause_text(cause)}"
        if more := and_more(len(summary.causes) - _MOST_CAUSES, "cause"):
            yield f"{part.input}: {more}; bulk-sync check shows all"
    for path in job.batch.unsettled:
        yield f"skipped, still being written: {path}"
    if not job.batch.parts:
        yield "no sheet found"


def _total(result: CheckedJobs) -> str:
    files = sum(len(job.batch.parts) for job in result.jobs if job.batch is not None)
    rows = sum(one.rows for job in result.jobs for one in job.summaries)
    return ", ".join(
        (
            counted(len(result.jobs), "job"),
            counted(files, "file"),
            counted(rows, "row"),
            f"{counted(result.requests, 'patch', 'patches')} to send",
        )
    )


def _done(result: CheckedJobs, now: datetime) -> str:
    """Return when all jobs are done, or for which of them nobody knows."""
    if result.is_hindered:
        return "nothing can be sent before the problems above are corrected"
    if not result.requests:
        return "nothing to send"
    seconds = result.seconds
    if seconds is not None:
        return f"in {span(round(seconds))} at the earliest, {_at(seconds, now)}"
    sending = [job for job in result.jobs if job.requests]
    unmet = sum(not job.expected.limit_known for job in sending)
    behind = sum(job.seconds is None and job.expected.limit_known for job in sending)
    keys = "its key" if unmet == 1 else "their keys"
    parts = [f"unknown until the first replies for {counted(unmet, 'job')}"]
    parts[0] += f": no limit of {keys} is known from earlier runs on this host, nor set by --rate"
    if behind:
        parts.append(f"{counted(behind, 'job')} may have to wait for that")
    known = [job.seconds for job in sending if job.seconds is not None]
    if known:
        parts.append(f"the others in {span(round(max(known)))} at the earliest")
    return "; ".join(parts)


def _about_keys(jobs: Sequence[CheckedJob]) -> Iterator[str]:
    unasked = sum(job.key == "not asked" for job in jobs)
    missing = sum(job.key == "missing" for job in jobs)
    if unasked:
        keys = "The key" if unasked == 1 else "The keys"
        yield (
            f"{keys} of {counted(unasked, 'job')} {are(unasked)} not looked up: a check runs no "
            "key command and opens no keychain. Limits are those of the key of the last run."
        )
    if missing:
        yield (
            f"No key for {counted(missing, 'job')}: NORTH_API_KEY is not set here. A check needs "
            "none, a run does."
        )


def _show_window(console: Console, result: CheckedJobs) -> None:
    short = [job for job in result.bound if job.pending]
    if short:
        names = listed([job.name for job in short], _MOST_NAMES)
        show_sentence(
            console,
            "Window",
            f"TOO SHORT for {len(short)} of {counted(len(result.jobs), 'job')}: about "
            f"{counted(result.pending or 0, 'row')} would stay pending (exit code 6): {names}",
            style="bold red",
        )
    elif not result.bound:
        show_sentence(console, "Window", "no usable job has one")
    elif result.suffices:
        whom = _bound_text(result)
        show_sentence(console, "Window", f"suffices for {whom}, if nothing has to be repeated")
    else:
        whom = _bound_text(result)
        show_sentence(console, "Window", f"unknown whether it suffices for {whom}", "yellow")


def _bound_text(result: CheckedJobs) -> str:
    count = len(result.bound)
    if count == len(result.jobs):
        return "all jobs"
    return "the one job that has one" if count == 1 else f"the {count:,} jobs that have one"

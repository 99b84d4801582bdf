"""The state of the jobs of a jobs file on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from rich.console import Console

from bulk_sync.model.job_status import FileStatus, JobsStatus, JobStatus, LastRun, Progress
from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.report.terminal.lines import show_sentence, show_some
from bulk_sync.report.terminal.table import Cell, Column, table_lines
from bulk_sync.report.words import printable, rate, time_of_day
from bulk_sync.wording import counted

_STYLES = {
    Progress.DAMAGED: "red",
    Progress.UNREADABLE: "red",
    Progress.RUNNING: "green",
    Progress.PENDING: "yellow",
    Progress.CHANGED: "yellow",
    Progress.DONE: "",
}
_MOST_LINES = 30
_COLUMNS = (
    Column("job", least=16),
    Column("state"),
    Column("files", rank=7, right=True),
    Column("rows", rank=4, right=True),
    Column("settled", rank=2, right=True),
    Column("errors", rank=1, right=True),
    Column("pending", rank=1, right=True),
    Column("rate", rank=6, right=True),
    Column("last end", rank=5),
    Column("exit code", rank=3, right=True),
)


def show_jobs_status(console: Console, status: JobsStatus, now: datetime) -> None:
    """Print a line for each job, then the files that need a word, and the totals."""
    width = console.width if console.is_terminal else None
    for row in table_lines(_COLUMNS, [_cells(job, now) for job in status.jobs], width):
        console.print(row, soft_wrap=True)
    lines = [f"{job.name}: {line}" for job in status.jobs for line in _words_of(job)]
    if lines:
        console.print()
    show_some(console, lines, _MOST_LINES, "line")
    console.print()
    show_sentence(console, "All jobs", _total(status))


def _cells(job: JobStatus, now: datetime) -> list[Cell]:
    states, run = job.states, job.last_run
    errors, pending = _errors(states), states[State.PENDING]
    counts = (job.rows, job.rows - pending, errors, pending)
    code = "" if run.exit_code is None else str(run.exit_code)
    speed = run.rows_per_second if job.progress is Progress.RUNNING else None
    return [
        Cell(printable(job.name)),
        Cell(job.progress.value, _STYLES.get(job.progress, "dim")),
        Cell(f"{len(job.files):,}"),
        *(Cell(f"{count:,}" if job.is_counted else "") for count in counts),
        Cell(rate(speed) if speed else ""),
        Cell(_end(job, run, now)),
        Cell(code, {"": "", "0": "", "3": "yellow"}.get(code, "red")),
    ]


def _errors(states: Counter[State]) -> int:
    return sum(states[state] for state in ERROR_STATES)


def _end(job: JobStatus, run: LastRun, now: datetime) -> str:
    if run.ended is not None:
        try:
            return time_of_day(datetime.fromisoformat(run.ended), now)
        except ValueError:
            return printable(run.ended)
    began = run.began is not None and job.progress is not Progress.RUNNING
    return "not known" if began else ""


def _words_of(job: JobStatus) -> Iterator[str]:
    """Yield the errors of a job, and the files that are in another state than it."""
    if job.error is not None:
        yield str(job.error)
    differ = len({file.progress for file in job.files}) > 1
    for file in job.files:
        if file.error is not None:
            yield str(file.error)
        elif differ and file.progress is not Progress.DONE:
            yield f"{file.input}: {_progress(file)}"
    for path in job.unsettled:
        yield f"still being written: {path}"


def _progress(file: FileStatus) -> str:
    if file.progress is Progress.CHANGED:
        return "changed since its last push, whose rows are not counted"
    if file.progress is not Progress.PENDING or file.summary is None:
        return file.progress.value
    return f"{counted(file.summary.states.get(State.PENDING, 0), 'row')} pending"


def _total(status: JobsStatus) -> str:
    found = Counter(job.progress for job in status.jobs)
    jobs = ", ".join(f"{found[one]:,} {one.value}" for one in Progress if found[one])
    states = status.states
    rows, pending = states.total(), states[State.PENDING]
    parts = [f"{counted(len(status.jobs), 'job')} ({jobs})", counted(rows, "row")]
    if rows:
        parts += [f"{rows - pending:,} settled", f"{pending:,} pending"]
        if errors := _errors(states):
            parts.append(f"{errors:,} with errors")
    return ", ".join(parts)

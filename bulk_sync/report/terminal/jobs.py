"""Jobs that run at the same time: a live table, and a line for each at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from bulk_sync.model.rows import ERROR_STATES, State, Tally
from bulk_sync.model.summaries import JobResult
from bulk_sync.report.facts import unsettled_text
from bulk_sync.report.words import limit_text, printable, rate, span

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType
    from rich.table import Table

_REFRESHES_PER_SECOND = 2


class Seen(Struct, frozen=True):
    """A job at a moment: `seconds` since its file is being sent; `error` once it has ended badly.

    `tally` is None while nothing is sent.
    """

    name: str
    phase: str
    tally: Tally | None = None
    seconds: float = 0.0
    waits: float = 0.0
    exit_code: int | None = None


@contextmanager
def live_jobs(console: Console, look: Callable[[], Sequence[Seen]]) -> Iterator[None]:
    """Show the jobs while the block runs; `look` returns them as they are now."""
    from rich.live import Live

    def now() -> RenderableType:
        return _live_table(look(), console.height)

    with Live(
        console=console,
        get_renderable=now,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
        vertical_overflow="crop",
    ):
        yield


_ORDER = {"sending": 0, "reading": 1, "waiting": 2, "ended": 3, "not started": 4}


def _live_table(jobs: Sequence[Seen], height: int) -> RenderableType:
    """Return the table of the jobs; on a low terminal, of those that run."""
    from rich.console import Group
    from rich.text import Text

    most = max(3, height - 4)
    counts: dict[str, int] = {}
    for job in jobs:
        counts[job.phase] = counts.get(job.phase, 0) + 1
    shown = sorted(jobs, key=lambda job: _ORDER[job.phase])[:most] if len(jobs) > most else jobs
    table = _table(("job", "rows", "rate", "limit", "left", "state"))
    for job in shown:
        table.add_row(*_live_cells(job))
    line = ", ".join(f"{count} {phase}" for phase, count in counts.items())
    return Group(table, Text(f"{len(jobs)} jobs: {line}", style="dim"))


def _table(headings: Sequence[str]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        numbers = heading in {"rows", "rate", "left", *(state.value for state in State)}
        table.add_column(heading, justify="right" if numbers else "left", no_wrap=True)
    return table


def _live_cells(job: Seen) -> list[RenderableType]:
    from rich.text import Text

    tally = job.tally
    if tally is None:
        state = job.phase if job.exit_code is None else f"exit code {job.exit_code}"
        style = {0: "green", None: "dim"}.get(job.exit_code, "red")
        return [Text(printable(job.name)), "", "", "", "", Text(state, style=style)]
    done = tally.settled_before + tally.done
    speed = tally.done / job.seconds if job.seconds > 0 else 0.0
    left = (tally.total - done) / speed if speed > 0 else None
    errors = sum(tally.decided.get(state, 0) for state in ERROR_STATES)
    state, style = "sending", "green"
    if tally.trouble is not None:
        state, style = f"unavailable: {printable(tally.trouble)}", "red"
    elif job.waits > 1:
        state, style = f"waiting {span(round(job.waits))}", "yellow"
    elif errors:
        state = f"sending, {errors:,} with errors"
    return [
        Text(printable(job.name)),
        f"{done:,} of {tally.total:,}",
        rate(speed) if tally.done else "",
        limit_text(tally.limit, tally.source) if tally.limit is not None else "",
        span(round(left)) if left is not None and tally.total > done else "",
        Text(state, style=style),
    ]


def show_jobs(console: Console, jobs: Sequence[JobResult]) -> None:
    """Print a line for each job, and why those that did not end with 0 did not."""
    from rich.text import Text

    from bulk_sync.report.terminal.lines import show_line

    states = [state for state in State if any(_count(job, state) for job in jobs)]
    table = _table(("job", "rows", *(state.value for state in states), "time", "exit code"))
    for job in jobs:
        counts = [f"{_count(job, state):,}" for state in states]
        rows = sum(summary.rows for summary in job.summaries)
        code = str(job.exit_code) if job.begun else "not started"
        style = "" if code == "0" else "yellow" if code in {"3", "not started"} else "red"
        table.add_row(
            Text(printable(job.name)),
            f"{rows:,}",
            *counts,
            span(job.seconds) if job.begun else "",
            Text(code, style=style),
        )
    console.print(table)
    for job in jobs:
        for line in reasons_of(job):
            show_line(console, f"{job.name}: {line}")


def reasons_of(job: JobResult) -> Iterator[str]:
    """Yield why a job needs a person: its error, what stopped a file, the rows to correct."""
    if job.bug is not None:
        yield f"this is a bug in bulk-sync ({type(job.bug).__name__})"
    if job.error is not None:
        yield str(job.error)
    if job.batch is None:
        return
    for part in job.batch.parts:
        if part.error is not None:
            yield str(part.error)
        if part.note:
            yield part.note
        if part.summary is None:
            continue
        if part.summary.stopped is not None:
            yield f"{part.input}: {part.summary.stopped}"
        if part.summary.files.failed is not None:
            yield f"to correct: {part.summary.files.failed}"
    if job.batch.unsettled:
        yield unsettled_text(job.batch.unsettled, job.batch.settle_seconds)
    elif not job.batch.parts:
        yield "no sheet found"


def _count(job: JobResult, state: State) -> int:
    return sum(summary.states.get(state, 0) for summary in job.summaries)

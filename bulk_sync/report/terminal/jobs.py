"""Jobs that run at the same time: a live table, and at the end a line for each."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.rows import ERROR_STATES, Allowance, Tally
from bulk_sync.model.summaries import JobResult, JobsResult
from bulk_sync.report.jobs import (
    NextStep,
    counts_of,
    end_of_job,
    grouped,
    has_rows,
    jobs_verdict,
    needs_a_person,
    remarks_of,
    rows_text,
)
from bulk_sync.report.terminal.lines import show_labelled, show_line, show_some
from bulk_sync.report.terminal.progress import View, lines_of
from bulk_sync.report.terminal.table import Cell, Column, shortened, table_lines
from bulk_sync.report.words import (
    END_STOPPED,
    about,
    end_of,
    printable,
    rate,
    span,
    time_of_day,
)
from bulk_sync.wording import and_more, counted, listed

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType
    from rich.text import Text

    from bulk_sync.clock import Clock

_REFRESHES_PER_SECOND = 1
# Seconds over which the rate of now is measured.
_RATE_SECONDS = 15.0
# Seconds; the end of a longer wait is shown as a time of day, a shorter one than this not at all.
_LONG_WAIT = 60.0
_SHORTEST_WAIT = 1.0
# A shorter time is worth no word if it may as well be hours.
_LEAST_WORTH_TELLING = 10.0

_GOOD, _HELD, _BAD, _IDLE = "green", "yellow", "red", "dim"


class Seen(Struct, frozen=True):
    """A job at a moment.

    `phase` is that of `together.Phase`; `exit_code` is set once it has ended. `done` of `total`
    rows are decided, `per_second` of them in the last seconds; `seconds_left` is the time to go.
    `limit` and `resets_at` are those of the API or the user. `trouble` is the reason while the API
    is unavailable. Nothing is sent for `waits` seconds, that end at `until`; `for_user` is True if
    only the user's own limits are the reason. `read` rows were read of the current file.
    """

    name: str
    phase: str
    exit_code: int | None = None
    done: int = 0
    total: int = 0
    errors: int = 0
    per_second: float = 0.0
    seconds_left: float | None = None
    limit: str = ""
    resets_at: str = ""
    trouble: str | None = None
    waits: float = 0.0
    until: str = ""
    for_user: bool = False
    read: int = 0


class Look(Struct):
    """A job as the table sees it: name, phase, and its tallies.

    `tally` is that of the file that is sent since `since`, an instant of the monotonic clock;
    `earlier` has those of the files before, and `to_come` counts the rows of those after it. `read`
    rows were read of the current file.
    """

    name: str
    phase: str
    exit_code: int | None = None
    tally: Tally | None = None
    earlier: Sequence[Tally] = ()
    since: float = 0.0
    read: int = 0
    to_come: int = 0


class Watcher:
    """Looks at jobs now and then, and derives their rates and times to go."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._views: dict[str, tuple[int, View]] = {}
        self._decided: dict[str, deque[tuple[float, int]]] = {}

    def look(self, jobs: Iterable[Look]) -> list[Seen]:
        """Return the jobs as they are now."""
        return [self._seen(job) for job in jobs]

    def _seen(self, job: Look) -> Seen:
        # At the end of a file, its tally may be seen in both places.
        current = [job.tally] if job.tally is not None else []
        tallies = [*(one for one in job.earlier if one is not job.tally), *current]
        done = sum(tally.settled_before + tally.done for tally in tallies)
        decided = [tally.decided.copy() for tally in tallies]
        seen = Seen(
            job.name,
            job.phase,
            job.exit_code,
            done,
            sum(tally.total for tally in tallies) + job.to_come,
            sum(one.get(state, 0) for one in decided for state in ERROR_STATES),
            read=job.read,
        )
        tally = job.tally
        if tally is None:
            self._views.pop(job.name, None)
            return seen
        now = self._clock.monotonic()
        file, view = self._views.get(job.name, (0, None))
        if view is None or file != len(job.earlier):
            view = View(tally, self._clock, job.since)
            self._views[job.name] = len(job.earlier), view
        view.tally = tally
        view.look()
        waits, moment = max(0.0, tally.waiting_until - now), self._clock.now()
        first = _scarcest(tally)
        resets = None if first is None else first.resets_at
        return replace(
            seen,
            per_second=self._per_second(job.name, now, sum(one.done for one in tallies)),
            seconds_left=view.seconds_left(job.to_come),
            limit=_limit(tally, first, seen.total - seen.done),
            resets_at="" if resets is None else time_of_day(resets, moment),
            trouble=tally.trouble,
            waits=waits,
            until=time_of_day(moment + timedelta(seconds=waits), moment) if waits else "",
            for_user=tally.waits_for_user,
        )

    def _per_second(self, name: str, now: float, decided: int) -> float:
        """Return the rows per second of the last seconds."""
        looks = self._decided.setdefault(name, deque())
        looks.append((now, decided))
        while len(looks) > 2 and looks[1][0] <= now - _RATE_SECONDS:
            looks.popleft()
        since, before = looks[0]
        return (decided - before) / (now - since) if now > since else 0.0


def _scarcest(tally: Tally) -> Allowance | None:
    """Return the allowance that will be used up first."""
    known = [one for one in tally.allowances if one.remaining is not None]
    return min(known, key=lambda one: one.remaining or 0.0, default=None)


_UNITS = {1: "s", 60: "min", 3600: "h", 86400: "d"}


def _limit(tally: Tally, scarcest: Allowance | None, rows_left: int) -> str:
    """Return the limit; what is left of an allowance, if that is not enough for the rows."""
    left = None if scarcest is None else scarcest.remaining
    if scarcest is None or left is None or (tally.limit is not None and left >= rows_left):
        return "" if tally.limit is None else rate(tally.limit)
    window = scarcest.window_seconds
    per = "" if window is None else f"/{_UNITS.get(round(window), span(window))}"
    of = "left" if scarcest.limit is None else f"of {scarcest.limit:,.10g}{per}"
    return f"{left:,.0f} {of}"


# The live table


@contextmanager
def live_jobs(
    console: Console, look: Callable[[], Sequence[Seen]], stopping: Callable[[], bool]
) -> Iterator[None]:
    """Show the jobs while the block runs; `look` returns them as they are now."""
    from rich.console import Group
    from rich.live import Live

    def now() -> RenderableType:
        width, height = console.size
        return Group(*live_lines(look(), width, height - 1, stopping=stopping()))

    with Live(
        console=console,
        get_renderable=now,
        refresh_per_second=_REFRESHES_PER_SECOND,
        transient=True,
        vertical_overflow="crop",
    ):
        yield


@contextmanager
def jobs_lines(look: Callable[[], Sequence[Seen]], say: Callable[[str], None]) -> Iterator[None]:
    """Pass the totals to `say` as a line every ten seconds, while the block runs."""
    with lines_of(lambda: "; ".join(totals(look())), say):
        yield


_LIVE = (
    Column("job", least=16),
    Column("rows", rank=1, right=True),
    Column("rate", rank=4, right=True),
    Column("limit", rank=5),
    Column("resets at", rank=6),
    Column("left", rank=2, right=True),
    Column("state", least=20),
)

# Lines apart from those of jobs: header, jobs that are not shown, two lines of totals.
_OTHER_LINES = 4


def live_lines(
    jobs: Sequence[Seen], width: int, height: int, *, stopping: bool = False
) -> list[Text]:
    """Return the lines of the live table, at most `height`.

    All jobs in their order if they fit, else those in trouble and those that run.
    """
    from rich.text import Text

    most = height - _OTHER_LINES + (len(jobs) <= height - _OTHER_LINES + 1)
    shown = _shown(jobs, max(0, most))
    lines = table_lines(_LIVE, [_live_cells(job) for job in shown], width) if shown else []
    rest = Counter(_group(job) for job in jobs) - Counter(_group(job) for job in shown)
    if rest:
        named = ", ".join(f"{rest[one]:,} {_REST[one]}" for one in _REST if rest[one])
        lines.append(Text(shortened(f"not shown: {named}", width), style=_IDLE))
    lines += [Text(shortened(line, width), style="bold") for line in totals(jobs)]
    if stopping:
        words = "stopping: requests in flight end, the other rows stay pending"
        lines[-1] = Text(shortened(words, width), style=_HELD)
    return lines[-height:] if height > 0 else lines[-1:]


# The groups of jobs in the order in which they get a line, with their words in the line of others.
_TROUBLED, _ENDED_BADLY, _WAITING, _RUNNING = "troubled", "ended badly", "waiting", "running"
_TO_COME, _DONE, _STOPPED, _LEFT = "to come", "done", "stopped", "left"
_REST = {
    _TROUBLED: "in an outage",
    _ENDED_BADLY: "with problems",
    _WAITING: "waiting for a limit",
    _RUNNING: "running",
    _TO_COME: "waiting for their turn",
    _DONE: "done",
    _STOPPED: "stopped",
    _LEFT: "not started",
}


def _group(job: Seen) -> str:
    if job.exit_code in END_STOPPED:
        return _STOPPED
    if job.exit_code is not None:
        return _ENDED_BADLY if job.exit_code else _DONE
    if job.phase in {"waiting", "not started", "ended"}:
        return _TO_COME if job.phase == "waiting" else _LEFT
    if job.trouble is not None:
        return _TROUBLED
    return _WAITING if job.waits > _SHORTEST_WAIT else _RUNNING


def _shown(jobs: Sequence[Seen], most: int) -> Sequence[Seen]:
    """Return the jobs that get a line: all, or the most important ones."""
    if len(jobs) <= most:
        return jobs
    groups: dict[str, list[Seen]] = {name: [] for name in _REST}
    for job in jobs:
        groups[_group(job)].append(job)
    running = [*groups[_TROUBLED], *groups[_WAITING], *groups[_RUNNING]]
    # Those that ended badly leave room for those that run.
    ended = groups[_ENDED_BADLY][: max(most - len(running), most // 3)]
    shown = [*groups[_TROUBLED], *ended, *groups[_WAITING], *groups[_RUNNING]][:most]
    return [*shown, *groups[_TO_COME][: max(0, most - len(shown))]]


def _live_cells(job: Seen) -> list[Cell]:
    name = Cell(printable(job.name))
    state = Cell(*state_of(job))
    rows = f"{job.done:,}/{job.total:,}" if job.total else ""
    if job.exit_code is not None or job.phase != "sending":
        return [name, Cell(rows), Cell(), Cell(), Cell(), Cell(), state]
    left = "" if job.seconds_left is None else about(job.seconds_left)
    speed = rate(job.per_second) if job.per_second > 0 else ""
    return [
        name,
        Cell(rows),
        Cell(speed),
        Cell(job.limit),
        Cell(job.resets_at),
        Cell(left),
        state,
    ]


def state_of(job: Seen) -> tuple[str, str, str]:
    """Return the state of a job in words, its style, and fewer words for a narrow terminal.

    It is green while it sends, yellow while it waits, red in an outage or after an error.
    """
    if job.exit_code is not None:
        end = end_of(job.exit_code)
        words = f"{end.words} ({job.exit_code})" if job.exit_code else end.words
        return words, end.style, ""
    errors = f", {counted(job.errors, 'row')} with errors" if job.errors else ""
    if job.trouble is not None:
        again = f", next try in {span(round(job.waits))}" if job.waits > _SHORTEST_WAIT else ""
        # The reason last, because a narrow terminal cuts it.
        return f"outage{again}: {printable(job.trouble)}", _BAD, ""
    if job.waits > _LONG_WAIT:
        whom = "its own limit" if job.for_user else "the API"
        return f"waiting for {whom} until {job.until}{errors}", _HELD, f"waits until {job.until}"
    if job.waits > _SHORTEST_WAIT:
        why, wait = "at its own limit" if job.for_user else "throttled", span(round(job.waits))
        return f"{why}: waiting {wait}{errors}", _HELD, f"waits {wait}"
    if job.phase == "reading" and job.total:  # a file of it was sent
        return "finishing a file", _GOOD, "finishing"
    if job.phase == "reading" and job.read:
        return f"reading, {counted(job.read, 'row')}", _GOOD, "reading"
    if job.phase in {"sending", "reading"}:
        return f"{job.phase}{errors}", _GOOD, f"{job.phase}, {job.errors:,} bad" if errors else ""
    return ("waiting for its turn" if job.phase == "waiting" else job.phase), _IDLE, ""


def totals(jobs: Sequence[Seen]) -> tuple[str, str]:
    """Return two lines: the jobs by how they are, and the rows of all with rate and time to go."""
    groups = Counter(_group(job) for job in jobs)
    running = groups[_TROUBLED] + groups[_WAITING] + groups[_RUNNING]
    outages = groups[_TROUBLED]
    parts = [
        (running, f"running ({outages:,} in an outage)" if outages else "running"),
        (groups[_TO_COME], "waiting for their turn"),
        (groups[_DONE], "done"),
        (
            groups[_ENDED_BADLY],
            "need attention" if groups[_ENDED_BADLY] != 1 else "needs attention",
        ),
        (groups[_STOPPED], "stopped"),
        (groups[_LEFT], "not started"),
    ]
    named = ", ".join(f"{count:,} {words}" for count, words in parts if count)
    sending = [job for job in jobs if job.phase == "sending"]
    speed = sum(job.per_second for job in sending)
    total = sum(job.total for job in jobs)
    line = (
        f"{sum(job.done for job in jobs):,} of {counted(total, 'row')}" if total else "no rows yet"
    )
    line += f", {rate(speed)}" if speed > 0 else ""
    if left := _left_text(jobs):
        line += f", {left} left"
        line += " for those that run" if groups[_TO_COME] else ""
    return f"{counted(len(jobs), 'job')}: {named}", line


def _left_text(jobs: Sequence[Seen]) -> str:
    """Return the time to go of the jobs that run, `at least` that of those with a known one."""
    running = [job for job in jobs if job.phase in {"reading", "sending"}]
    left = max((job.seconds_left or job.waits for job in running), default=0.0)
    if left < _SHORTEST_WAIT:
        return ""
    if not any(_may_take_longer(job) for job in running):
        return f"about {about(left)}"
    if left < _LEAST_WORTH_TELLING:
        return ""
    # Rounded down, as a bound is.
    return f"at least {about(left if left < _LONG_WAIT else left // 60 * 60)}"


def _may_take_longer(job: Seen) -> bool:
    """Return whether the time to go of a job that runs is unknown."""
    if job.phase == "reading":
        return job.done < job.total or not job.total
    return job.seconds_left is None and job.done < job.total


# The end


_AT_THE_END = (
    Column("job", least=16),
    Column("rows", rank=2, right=True),
    Column("done", rank=1, right=True),
    Column("errors", rank=1, right=True),
    Column("pending", rank=1, right=True),
    Column("time", rank=3, right=True),
    Column("result", least=20),
)

_MOST_NAMES = 5
_MOST_REASONS = 20
# Each sheet has notes of its own, which must not hide what to do next.
_MOST_NOTES = 12


def show_jobs(
    console: Console, result: JobsResult, steps: Sequence[NextStep], page: str | None = None
) -> None:
    """Print a line for each job in their order, the totals, notes, and what to do next."""
    width = console.width if console.is_terminal else None
    for line in table_lines(_AT_THE_END, [_end_cells(job) for job in result.jobs], width):
        console.print(line, soft_wrap=True)
    verdict, counts = jobs_verdict(result, steps), counts_of(result.jobs)
    console.print()
    if verdict.detail is not None:
        show_line(console, verdict.detail)
    show_line(console, f"{verdict.sentence} {rows_text(counts)}", style="bold")
    notes = [f"{listed(names, _MOST_NAMES)}: {note}" for note, names in _notes(result.jobs).items()]
    show_some(console, notes, _MOST_NOTES, "note")
    if page is not None:
        show_labelled(console, "Page", page)
    if steps:
        console.print()
        show_line(console, "What to do next", style="bold")
    for sentence, alike in grouped(steps).items():
        console.print()
        show_line(console, sentence)
        for step in alike:
            _show_step(console, step)


def _show_step(console: Console, step: NextStep) -> None:
    """Print the jobs of a step and its reasons, and the command unwrapped."""
    from rich.text import Text

    title = step.jobs[0] if len(step.jobs) == 1 else counted(len(step.jobs), "job")
    _show_indented(console, f"{title}: {step.ended}", 2, "bold")
    for reason in step.reasons[:_MOST_REASONS]:
        _show_indented(console, reason, 4)
    if more := and_more(len(step.reasons) - _MOST_REASONS):
        _show_indented(console, more, 4)
    if step.command is not None:
        console.print(Text("    ") + Text(printable(step.command), style="cyan"), soft_wrap=True)


def _show_indented(console: Console, text: str, indent: int, style: str = "") -> None:
    from rich.padding import Padding
    from rich.text import Text

    line = Text(printable(text), style=style)
    if console.is_terminal:
        console.print(Padding(line, (0, 0, 0, indent), expand=False))
    else:
        console.print(Text(" " * indent) + line, soft_wrap=True)


def _end_cells(job: JobResult) -> list[Cell]:
    words, style = end_of_job(job)
    counts = counts_of([job])
    numbers = (counts.rows, counts.done, counts.errors, counts.pending)
    shown = [f"{count:,}" if count or n < 2 else "" for n, count in enumerate(numbers)]
    return [
        Cell(printable(job.name)),
        *(Cell(text if has_rows(job) else "") for text in shown),
        Cell(span(job.seconds) if job.begun else ""),
        Cell(words, style if needs_a_person(job) else ""),
    ]


def _notes(jobs: Sequence[JobResult]) -> dict[str, list[str]]:
    """Return each remark once, with the names of its jobs."""
    found: dict[str, list[str]] = {}
    for job in jobs:
        for remark in dict.fromkeys(remarks_of(job)):
            found.setdefault(remark, []).append(job.name)
    return found

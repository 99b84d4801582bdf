"""Jobs that ran at the same time: how each ended, what to do next, the verdict on all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from bulk_sync.model.rows import ERROR_STATES, SETTLED_STATES, State
from bulk_sync.model.summaries import JobResult, JobsResult, Summary, by_pressure
from bulk_sync.report.facts import reason_of, unsettled_text
from bulk_sync.report.verdict import Tone, Verdict
from bulk_sync.report.words import END_STOPPED, EndLook, end_of
from bulk_sync.wording import are, counted

Command = Callable[[Sequence[str]], str]
"""Returns the command that runs jobs again by their names; all that the run had, if none is
named."""


# A row that failed needs another attempt only.
_TO_CORRECT = ERROR_STATES - {State.FAILED}


class NextStep(Struct, frozen=True):
    """The next step for a job, or for several that only have to run again.

    `ended` says in a few words how, `reasons` are sentences, `step` is one, and `command` is
    complete, if a command is a part of it.
    """

    jobs: tuple[str, ...]
    ended: str
    reasons: tuple[str, ...]
    step: str
    command: str | None


class Counts(Struct, frozen=True):
    """The rows of jobs: `done` need nothing more, `errors` are invalid, rejected or failed.

    The rows of the files of `unknown_jobs`, and of another `unknown_files`, are not among them.
    """

    rows: int
    done: int
    errors: int
    pending: int
    unknown_jobs: int = 0
    unknown_files: int = 0


def counts_of(jobs: Sequence[JobResult]) -> Counts:
    """Return the rows of all files of these jobs."""
    parts = [part for job in jobs for part in job.parts]
    states = [part.states for part in parts]

    def count(wanted: frozenset[State]) -> int:
        return sum(one.get(state, 0) for one in states for state in wanted)

    return Counts(
        sum(part.rows or 0 for part in parts),
        count(SETTLED_STATES),
        count(ERROR_STATES),
        count(frozenset({State.PENDING})),
        sum(job.batch is None for job in jobs),
        sum(part.rows is None for part in parts),
    )


def has_rows(job: JobResult) -> bool:
    """Return whether the rows of a file of the job are known."""
    return any(part.rows is not None for part in job.parts)


def rows_text(counts: Counts) -> str:
    """Return `90 of 100 rows done, 4 with errors, 6 pending.`, and which rows are not in it."""
    parts = [f"{counts.done:,} of {counted(counts.rows, 'row')} done"]
    parts += [f"{counts.errors:,} with errors"] if counts.errors else []
    parts += [f"{counts.pending:,} pending"] if counts.pending else []
    unknown = [(counts.unknown_jobs, "job"), (counts.unknown_files, "file")]
    named = " and ".join(counted(count, noun) for count, noun in unknown if count)
    rest = f" The rows of {named} are unknown and not counted." if named else ""
    return f"{', '.join(parts)}.{rest}"


def end_of_job(job: JobResult) -> tuple[str, str]:
    """Return how a job ended in a few words, with an exit code other than 0, and rich's style."""
    if not job.begun:
        return "not started", "yellow"
    end = end_of(job.exit_code)
    words = end.words
    if job.exit_code == 0:
        if job.batch is None or job.batch.parts:
            return words, end.style
        return "no sheet yet" if job.batch.unsettled else "no sheet found", "yellow"
    if job.exit_code == 3 and not _states(job) & ERROR_STATES:
        words = "values came back changed"
    elif job.exit_code == 3 and not _states(job) & _TO_CORRECT:
        words = "rows failed"
    return f"{words} ({job.exit_code})", end.style


def look_of(job: JobResult) -> EndLook:
    """Return how a job looks at a glance."""
    return "stopped" if only_again(job) else end_of(job.exit_code).look


def needs_a_person(job: JobResult) -> bool:
    """Return False for a job with nothing left to do."""
    return not job.begun or job.exit_code != 0


def pressing_first(jobs: Sequence[JobResult]) -> list[JobResult]:
    """Return the most pressing jobs first, then those that only have to run again, then others."""

    def key(job: JobResult) -> tuple[bool, bool, int]:
        return not needs_a_person(job), only_again(job), by_pressure(job)

    return sorted(jobs, key=key)


def reasons_of(job: JobResult) -> Iterator[str]:
    """Yield why a job needs a person: its error, what stopped a file, the rows to correct."""
    if job.bug is not None:
        yield f"this is a bug in bulk-sync ({type(job.bug).__name__})"
    if job.error is not None:
        yield str(job.error)
    if job.batch is None:
        return
    for part in job.batch.parts:
        if (why := reason_of(part)) is not None:
            yield why
        if part.summary is None:
            continue
        if part.summary.files.failed is not None:
            yield f"{_errors_text(part.summary)}: {part.summary.files.failed}"
        if part.summary.echo_differs:
            yield f"{part.input}: {counted(part.summary.echo_differs, 'row')} came back changed"


def _errors_text(summary: Summary) -> str:
    wrong = sum(summary.states.get(state, 0) for state in _TO_CORRECT)
    failed = summary.states.get(State.FAILED, 0)
    parts = [f"{counted(wrong, 'row')} to correct"] if wrong else []
    parts += (
        [f"{failed:,} failed" if wrong else f"{counted(failed, 'row')} failed"] if failed else []
    )
    return ", ".join(parts)


def remarks_of(job: JobResult) -> Iterator[str]:
    """Yield what else is to be known of a job: files left for later, and notes on its sheets."""
    if job.batch is None:
        return
    if job.batch.unsettled:
        yield unsettled_text(job.batch.unsettled, job.batch.settle_seconds)
    for part in job.batch.parts:
        if part.note:
            yield part.note
        if part.summary is not None:
            yield from part.summary.notes


# What to do next


_STEPS = {
    1: "Report the bug, then run the job again:",
    2: "Correct the settings of the job, then run it again:",
    4: "Correct the sheet, or how it is read, then run the job again:",
    5: "Correct the API key or the team of the job, then run it again:",
    7: "Wait for the other run to end, then run the job again:",
    8: "Make room, or allow the files to be written, then run the job again:",
}


_MOST_NAMED = 12


def next_steps(jobs: Sequence[JobResult], command: Command) -> tuple[NextStep, ...]:
    """Return what to do next, the most pressing first; empty if every job is done.

    Jobs that only have to run again are one step, the last.
    """
    pressing = pressing_first([job for job in jobs if needs_a_person(job)])
    again = [job for job in pressing if only_again(job)]
    steps = [_step(job, command) for job in pressing if not only_again(job)]
    if again:
        steps.append(_run_again(again, command, all_of_run=len(again) == len(jobs)))
    return tuple(steps)


def grouped(steps: Sequence[NextStep]) -> dict[str, list[NextStep]]:
    """Return the steps by their sentences, so that each is said once."""
    found: dict[str, list[NextStep]] = {}
    for step in steps:
        found.setdefault(step.step, []).append(step)
    return found


def only_again(job: JobResult) -> bool:
    """Return True if a job needs nothing but another run."""
    states = _states(job)
    only_failed = bool(states & ERROR_STATES) and not states & _TO_CORRECT
    if not job.begun or job.exit_code in END_STOPPED:
        return True
    return not _in_doubt(job) and (job.exit_code == 6 or (job.exit_code == 3 and only_failed))


def _states(job: JobResult) -> set[State]:
    return {state for one in job.summaries for state, count in one.states.items() if count}


def _in_doubt(job: JobResult) -> bool:
    return any(cause.left_in_doubt for summary in job.summaries for cause in summary.causes)


def _run_again(jobs: Sequence[JobResult], command: Command, *, all_of_run: bool) -> NextStep:
    names = tuple(job.name for job in jobs)
    # A job that is done sends nothing, so more names than a person reads are left out.
    named = () if all_of_run or len(jobs) > _MOST_NAMED else names
    # Those that a signal stopped have nothing else to say.
    reasons = {
        f"{job.name}: {reason}" if len(jobs) > 1 else reason: None
        for job in jobs
        if job.begun and job.exit_code not in END_STOPPED
        for reason in reasons_of(job)
    }
    counts = Counter(end_of_job(job)[0] for job in jobs)
    ended = ", ".join(counts)
    if len(counts) > 1:
        ended = ", ".join(f"{count:,} {words}" for words, count in counts.items())
    them, it = ("the job", "it resumes") if len(jobs) == 1 else ("them", "they resume")
    if not named and not all_of_run:
        them = "all jobs"
    step = f"Run {them} again; {it}, and acknowledged rows are not sent again:"
    return NextStep(names, ended, tuple(reasons), step, command(named))


def _step(job: JobResult, command: Command) -> NextStep:
    reasons = tuple(dict.fromkeys(reasons_of(job)))
    step, again = _STEPS.get(job.exit_code, "Run the job again:"), True
    if _in_doubt(job):
        step = (
            "Look the rows up in North that may have been applied. To send them again, give the "
            'job ambiguous = "retry" and run it:'
        )
    elif job.exit_code == 3 and _states(job) & ERROR_STATES:
        step = (
            "Correct these rows in the sheet, then run the job again; acknowledged rows are not "
            "sent again:"
        )
    elif job.exit_code == 3:
        step, again = "Compare the rows that came back changed with North.", False
    ended = end_of_job(job)[0]
    return NextStep((job.name,), ended, reasons, step, command((job.name,)) if again else None)


def jobs_verdict(result: JobsResult, steps: Sequence[NextStep]) -> Verdict:
    """Return the verdict on all jobs of a run; its next step is the first of theirs."""
    jobs = result.jobs
    looks = Counter(look_of(job) for job in jobs)
    wrong, again = looks["failed"] + looks["attention"], looks["stopped"]
    rest = [f"{wrong:,} {'needs' if wrong == 1 else 'need'} attention"] if wrong else []
    rest += [f"{again:,} {'has' if again == 1 else 'have'} to run again"] if again else []
    done = looks["good"]
    if not rest:
        sentence = (
            f"The job {jobs[0].name} is done." if done == 1 else f"All {done:,} jobs are done."
        )
    else:
        so_far = f"{done:,} of {counted(len(jobs), 'job')} {are(done, len(jobs))} done"
        sentence = f"{so_far}; {', '.join(rest)}."
    detail = None if result.stopped is None else f"{str(result.stopped).rstrip('.')}."
    if not steps:
        return Verdict(Tone.GOOD, sentence, detail, "Nothing left to do.", None)
    tone = Tone.ATTENTION if wrong else Tone.STOPPED
    return Verdict(tone, sentence, detail, steps[0].step, steps[0].command)

"""The command that runs the jobs of a jobs file at the same time. Returns its exit code."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from bulk_sync import signals, together
from bulk_sync.cli.cluster import absolute, examined, run_on_cluster
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.declare import Given
from bulk_sync.cli.followed import Run, followed, log, show_end
from bulk_sync.cli.jobs_file import FILE_NAME, Entry, chosen, jobs_file, read_jobs
from bulk_sync.cli.keys import with_key
from bulk_sync.cli.next_step import runs_of_jobs
from bulk_sync.cli.overlaps import refuse_overlaps_of_jobs
from bulk_sync.cli.parts import Following
from bulk_sync.cli.streams import err, may_be_a_terminal, out, say, standard_output
from bulk_sync.cli.traces import tracing
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.cluster.terms import Terms
from bulk_sync.errors import Interrupted, OutputError, UsageError
from bulk_sync.folders import config_folder
from bulk_sync.model.summaries import Finding, JobsResult
from bulk_sync.recognise import Output
from bulk_sync.report.as_json import jobs_json, json_line
from bulk_sync.report.jobs import NextStep, jobs_verdict, next_steps, reasons_of
from bulk_sync.report.terminal.jobs import Look, Seen, Watcher, jobs_lines, live_jobs, show_jobs
from bulk_sync.report.terminal.progress import is_live
from bulk_sync.report.written.atomic import check_writable
from bulk_sync.run.follow import Callbacks, StopRequest
from bulk_sync.run.send import seconds_left
from bulk_sync.settings.composed import part
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.option import Declared, Kind, declared
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import not_typed
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.together import Together
from bulk_sync.version import __version__
from bulk_sync.wording import and_more

_FOR_RUN = {
    **{
        one.name: f"an option of the whole run: bulk-sync run --{one.name}"
        for one in declared(Following)
    },
    "yes": "no option of a job: bulk-sync run never asks",
    "sandbox": "no option of a job: rehearse a sheet with bulk-sync push --sandbox",
}
_MOST_LINES = 20


def run(given: Given, options: Sequence[Declared], own: Sequence[Declared]) -> int:
    """Run the jobs; `options` are those of push, `own` those of this command."""
    start_collector()
    following, settings = part(Following, given.values), part(Together, given.values)
    if settings.check:
        from bulk_sync.cli.checking_jobs import check  # late, because a run needs none of it

        path, entries, _ = entries_of(given, options, own)
        _refuse_overlaps(given, path, entries, own, options)
        return check(entries, given)
    page: Path | None = given.values.get("page")
    # Read the file inside the run, so that the hook is called for a wrong one, too.
    with followed(str(settings.jobs or FILE_NAME), following, together.current_job.get) as run:
        run.jobs = None
        path, entries, run.jobs = entries_of(given, options, own)
        clock = SystemClock()
        if settings.dask is not None:
            entries = tuple(map(absolute, entries))
        _refuse_overlaps(given, path, entries, own, options)
        jobs = [_job(entry, clock) for entry in entries]
        if page is not None:
            check_writable(page, Output.PAGE)
        result = _run(entries, jobs, given, following, clock)
        steps = next_steps(result.jobs, runs_of_jobs(own))
        if page is not None:
            result = _with_page(page, result, steps, path, clock)
        _end(result, steps, None if page is None or result.error else str(page), following, run)
        return result.exit_code


def entries_of(
    given: Given, options: Sequence[Declared], own: Sequence[Declared]
) -> tuple[Path, tuple[Entry, ...], tuple[str, ...]]:
    """Return the jobs file, the chosen jobs, and the names of all; raises UsageError."""
    path = jobs_file(part(Together, given.values).jobs, config_folder())
    every = read_jobs(path, options, _FOR_RUN, _elsewhere(given, options, own))
    entries = chosen(every, given.values.get("names") or (), path)
    return path, entries, tuple(entry.name for entry in every)


def _refuse_overlaps(
    given: Given,
    path: Path,
    entries: Sequence[Entry],
    own: Sequence[Declared],
    options: Sequence[Declared],
) -> None:
    """Refuse jobs that would use one file; raises UsageError."""
    clock = SystemClock()
    together.refuse_shared_checkpoints([_job(entry, clock) for entry in entries], clock)
    named = [(entry.name, entry.files, entry.given) for entry in entries]
    refuse_overlaps_of_jobs(own, {**given.values, "jobs": path}, named, options)


def _run(
    entries: Sequence[Entry],
    jobs: Sequence[together.Job],
    given: Given,
    following: Following,
    clock: Clock,
) -> JobsResult:
    stop, settings = StopRequest(), part(Together, given.values)
    with (
        tracing(os.environ) as on_row,
        _shown(following, stop, clock) as watch,
        signals.handed_to(stop.take),
    ):
        terms = Terms(
            at_once=settings.at_once,
            end=clock.monotonic() + seconds_left(part(Stopping, given.values), clock),
            clock=clock,
            stop=stop,
            watch=watch,
            on_end=_log_end,
        )
        if settings.dask is None:
            ended = together.run(jobs, callbacks=Callbacks(on_row=on_row), **asdict(terms))
        else:
            ended = run_on_cluster(settings.dask, entries, jobs, terms)
        signals.hold()  # what was sent has to be reported
    return JobsResult(ended, stop.reason if stop.is_set() else None)


def _with_page(
    page: Path, result: JobsResult, steps: Sequence[NextStep], jobs_file: Path, clock: Clock
) -> JobsResult:
    """Write the page; return the result, with the error if that fails."""
    from bulk_sync.report.page.jobs import write_jobs_page

    try:
        write_jobs_page(page, result, steps, jobs_file, made_at=clock.now(), version=__version__)
    except OutputError as error:
        log.error("%s", error, extra={"event": "end", "exit_code": error.exit_code})
        return replace(result, error=error)
    return result


def examine_cluster(
    given: Given, options: Sequence[Declared], own: Sequence[Declared]
) -> Iterator[Finding]:
    """Yield the findings about the cluster of --dask, and the folders of the jobs on it."""
    settings = part(Together, given.values)
    entries: Sequence[Entry] = ()
    try:
        _, entries, _ = entries_of(given, options, own)
    except UsageError as error:
        if settings.jobs is not None:
            raise
        yield Finding("folders", f"not tried: {error}", "notice")
    stop = StopRequest()
    clock = SystemClock()
    jobs = [_job(absolute(entry), clock) for entry in entries]
    with signals.handed_to(stop.take):
        yield from examined(settings.dask or "", together.folders_of(jobs, clock), stop)
    if stop.is_set():
        raise stop.reason


def _elsewhere(
    given: Given, options: Sequence[Declared], own: Sequence[Declared]
) -> dict[str, Any]:
    """Return the options of a push that the environment and settings files set, by keyword.

    Those that this command has, too, are about the whole run.
    """
    for_run = {*_FOR_RUN, *(one.name for one in own)}
    return {
        one.keyword: (Path(str(value)) if one.kind is Kind.PATH else value)
        for one in options
        if one.name in given.elsewhere and one.name not in for_run
        for value in [given.elsewhere[one.name].value]
    }


def _job(entry: Entry, clock: Clock) -> together.Job:
    outputs = part(Outputs, entry.given)
    asks = bool(entry.given.get("key_command") or entry.given.get("keychain"))
    finish_at = math.inf
    if "finish_by" in entry.given:
        with suppress(UsageError):  # an error of this job, when it begins
            stopping = part(Stopping, {"finish_by": entry.given["finish_by"]})
            finish_at = clock.monotonic() + seconds_left(stopping, clock)
            others = {name: one for name, one in entry.given.items() if name != "finish_by"}
            entry = Entry(entry.name, entry.files, others)
    return together.Job(entry.name, entry.files, outputs, partial(ready, entry), finish_at, asks)


def ready(entry: Entry) -> together.Ready:
    """Return the settings of a job, with its key, where it is called: maybe on a worker."""
    return together.Ready(
        PushSettings.of(with_key(not_typed(entry.given)), input=(*entry.files, Path())[0]),
        part(Inbox, entry.given),
    )


def _log_end(standing: together.Standing) -> None:
    result = standing.result
    if result is None:
        return
    wrong = {"event": "end", "exit_code": result.exit_code}
    of_files = () if result.batch is None else result.batch.parts
    for error in filter(None, (result.error, *(one.error for one in of_files))):
        log.error("%s", error, extra=wrong)
    log.info(
        "the job ends with exit code %d",
        result.exit_code,
        extra={"event": "job_end", "exit_code": result.exit_code},
    )


@contextmanager
def _shown(following: Following, stop: StopRequest, clock: Clock) -> Iterator[Any]:
    """Yield the function that gets the standings, and show them until the block ends."""
    standings: list[together.Standing] = []
    watcher = Watcher(clock)

    def watch(found: Sequence[together.Standing]) -> None:
        standings.extend(found)

    def look() -> list[Seen]:
        return watcher.look(_look(one) for one in standings)

    if following.logs_to_stderr:
        with jobs_lines(look, lambda line: log.info("%s", line, extra={"event": "progress"})):
            yield watch
    elif following.quiet:
        yield watch
    elif may_be_a_terminal(sys.stderr) and is_live(console := err()):
        with live_jobs(console, look, stop.is_set):
            yield watch
    else:
        with jobs_lines(look, say):
            yield watch


def _look(standing: together.Standing) -> Look:
    result = standing.result
    return Look(
        standing.job.name,
        standing.phase.value,
        None if result is None or not result.begun else result.exit_code,
        standing.tally,
        tuple(standing.earlier),
        standing.sending_since,
        standing.rows,
        sum(standing.to_come.values()),
    )


def _end(
    result: JobsResult,
    steps: Sequence[NextStep],
    page: str | None,
    following: Following,
    run: Run,
) -> None:
    """Print the result, and give it to metrics and hook."""
    shown = jobs_json(result, steps, page)
    run.ended |= shown
    verdict = jobs_verdict(result, steps)
    log.info(
        "the run ends with exit code %d: %s",
        result.exit_code,
        verdict.sentence,
        extra={"event": "end", "exit_code": result.exit_code},
    )
    signals.announced(result.exit_code)
    with standard_output():
        if following.json:
            sys.stdout.write(json_line(shown))
        elif not following.quiet:
            show_jobs(out(), result, steps, page)
    if following.json or following.quiet:
        lines = [f"{job.name}: {line}" for job in result.jobs for line in reasons_of(job)]
        if result.stopped is not None and not isinstance(result.stopped, Interrupted):
            lines.insert(0, str(result.stopped))
        for line in lines[:_MOST_LINES]:
            show_end(line, following)
        if more := and_more(len(lines) - _MOST_LINES, "line"):
            show_end(more, following)
    if result.error is not None:
        show_end(str(result.error), following)

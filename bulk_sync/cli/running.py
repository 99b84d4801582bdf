"""The command that runs the jobs of a jobs file at the same time. Returns its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bulk_sync import signals, together
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.declare import Given
from bulk_sync.cli.followed import followed, log, show_end
from bulk_sync.cli.jobs_file import Entry, chosen, jobs_file, read_jobs
from bulk_sync.cli.keys import with_key
from bulk_sync.cli.parts import Following
from bulk_sync.cli.streams import err, may_be_a_terminal, out, say, standard_output
from bulk_sync.cli.traces import tracing
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.folders import config_folder
from bulk_sync.model.summaries import JobsResult
from bulk_sync.report.as_json import jobs_json, json_line
from bulk_sync.report.terminal.jobs import Seen, live_jobs, reasons_of, show_jobs
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

_FOR_RUN = {
    **{
        one.name: f"an option of the whole run: bulk-sync run --{one.name}"
        for one in declared(Following)
    },
    "sandbox": "no option of a job: rehearse a sheet with bulk-sync push --sandbox",
}
_MOST_LINES = 20


def run(given: Given, options: Sequence[Declared]) -> int:
    """Run the jobs; `options` are those of push."""
    start_collector()
    following, settings = part(Following, given.values), part(Together, given.values)
    path = jobs_file(settings.jobs, config_folder())
    entries = read_jobs(path, options, _FOR_RUN, _elsewhere(given, options))
    entries = chosen(entries, given.values.get("names") or (), path)
    jobs = [_job(entry) for entry in entries]
    with followed(str(path), following, together.current_job.get) as run:
        stop, clock = StopRequest(), SystemClock()
        with (
            tracing(os.environ) as on_row,
            _shown(following, stop, clock) as watch,
            signals.handed_to(stop.take),
        ):
            ended = together.run(
                jobs,
                at_once=settings.at_once,
                end=clock.monotonic() + seconds_left(part(Stopping, given.values), clock),
                clock=clock,
                stop=stop,
                watch=watch,
                callbacks=Callbacks(on_row=on_row),
                on_end=_log_end,
            )
        result = JobsResult(ended, stop.reason if stop.is_set() else None)
        run.ended |= jobs_json(result)
        _show(result, following)
        return result.exit_code


def _elsewhere(given: Given, options: Sequence[Declared]) -> dict[str, Any]:
    """Return the options of a push that the environment and settings files set, by keyword."""
    return {
        one.keyword: (Path(str(value)) if one.kind is Kind.PATH else value)
        for one in options
        if one.name in given.elsewhere and one.name not in {*_FOR_RUN, "deadline", "finish-by"}
        for value in [given.elsewhere[one.name].value]
    }


def _job(entry: Entry) -> together.Job:
    def make() -> together.Ready:
        return together.Ready(
            PushSettings.of(with_key(not_typed(entry.given)), input=(*entry.files, Path())[0]),
            part(Inbox, entry.given),
        )

    return together.Job(entry.name, entry.files, part(Outputs, entry.given), make)


def _log_end(standing: together.Standing) -> None:
    result = standing.result
    if result is not None:
        log.info(
            "the job ends with exit code %d",
            result.exit_code,
            extra={"event": "job_end", "exit_code": result.exit_code},
        )


@contextmanager
def _shown(following: Following, stop: StopRequest, clock: Clock) -> Iterator[Any]:
    """Yield the function that gets the standings, and show them until the block ends."""
    standings: list[together.Standing] = []

    def watch(found: Sequence[together.Standing]) -> None:
        standings.extend(found)

    if following.quiet or following.logs_to_stderr or not may_be_a_terminal(sys.stderr):
        yield watch
        return
    with live_jobs(err(), lambda: [_seen(one, clock.monotonic()) for one in standings]):
        yield watch
    if stop.is_set():
        say(f"Stopped: {stop.reason}")


def _seen(standing: together.Standing, now: float) -> Seen:
    tally = standing.tally
    return Seen(
        standing.job.name,
        standing.phase.value,
        tally,
        now - standing.sending_since if tally is not None else 0.0,
        max(0.0, tally.waiting_until - now) if tally is not None else 0.0,
        None if standing.result is None or not standing.result.begun else standing.result.exit_code,
    )


def _show(result: JobsResult, following: Following) -> None:
    with standard_output():
        if following.json:
            sys.stdout.write(json_line(jobs_json(result)))
        elif not following.quiet:
            show_jobs(out(), result.jobs)
    if following.json or following.quiet:
        lines = [f"{job.name}: {line}" for job in result.jobs for line in reasons_of(job)]
        for line in lines[:_MOST_LINES]:
            show_end(line, following)
        if len(lines) > _MOST_LINES:
            show_end(f"and {len(lines) - _MOST_LINES} more", following)

"""Commands that read the jobs of a jobs file and send nothing. Each returns its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bulk_sync import check_jobs
from bulk_sync.check_jobs import FoundKey
from bulk_sync.cli.declare import Given
from bulk_sync.cli.jobs_file import Entry
from bulk_sync.cli.parts import Following
from bulk_sync.cli.running import entries_of
from bulk_sync.cli.streams import err, out, show_failure, standard_output
from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs
from bulk_sync.report.as_json import checked_jobs_json, jobs_status_json, json_line
from bulk_sync.report.facts import reason_of
from bulk_sync.report.terminal.checked_jobs import show_checked_jobs
from bulk_sync.report.terminal.jobs_status import show_jobs_status
from bulk_sync.report.terminal.progress import reading as reading_rows
from bulk_sync.run.send import seconds_left
from bulk_sync.secret import SANDBOX_KEY, read_key
from bulk_sync.settings.composed import part
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.option import Declared
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from bulk_sync.settings.sheet import not_typed
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import KEY_SOURCES, Target
from bulk_sync.settings.together import Together
from bulk_sync.status_jobs import read_jobs_status
from bulk_sync.together import Job, Ready
from bulk_sync.wording import and_more

_OF_A_RUN = ("metrics_file", "on_finish", "log_file", "log_format", "verbose", "page", "dask")
_MOST_LINES = 20


def check(entries: Sequence[Entry], given: Given) -> int:
    """Check the sheets of all jobs, and show when each job would be done."""
    for option in _OF_A_RUN:
        if option in given.typed:
            raise UsageError(
                f"--{option.replace('_', '-')} is about a run, and --check runs nothing: leave "
                "one of them out"
            )
    following, clock = part(Following, given.values), SystemClock()
    result = check_jobs.check(
        [_job(entry) for entry in entries],
        key_of=lambda settings: found_key(settings.target),
        at_once=part(Together, given.values).at_once,
        window_seconds=seconds_left(part(Stopping, given.values), clock),
        clock=clock,
        reading=lambda name: reading_rows(err(), name),
    )
    with standard_output():
        if following.json:
            sys.stdout.write(json_line(checked_jobs_json(result, clock.now())))
        elif not following.quiet:
            show_checked_jobs(out(), result, clock.now())
    if following.json or following.quiet:
        _show_failures(result)
    return result.exit_code


def status(given: Given, options: Sequence[Declared], own: Sequence[Declared]) -> int:
    """Show the state of all jobs; `options` are those of push, `own` those of run."""
    if given.values.get("file") is not None:
        raise UsageError(
            "FILE and --jobs: name one file for the state of its job, or --jobs for that of all "
            "jobs of a jobs file"
        )
    if "jobs" not in given.values:
        raise UsageError(
            "no file: name the one that was pushed (bulk-sync status showings.csv), or all jobs of "
            "a jobs file with --jobs [FILE]"
        )
    for option in ("out", "checkpoint"):
        if option in given.typed:
            raise UsageError(
                f"--{option} is about one file, and the jobs file says where the files of each "
                "job are: leave it out"
            )
    values, following = dict(given.values), part(Following, given.values)
    if values["jobs"] == Path():  # a bare --jobs
        del values["jobs"]
        if "jobs" in given.elsewhere:
            values["jobs"] = Path(str(given.elsewhere["jobs"].value))
    _, entries, _ = entries_of(replace(given, values=values), options, own)
    clock = SystemClock()
    found = read_jobs_status([_job(entry) for entry in entries], clock)
    with standard_output():
        if following.json:
            sys.stdout.write(json_line(jobs_status_json(found)))
        else:
            show_jobs_status(out(), found, clock.now())
    return found.exit_code


def _job(entry: Entry) -> Job:
    def make() -> Ready:
        key = found_key(part(Target, entry.given)).key or SANDBOX_KEY
        return Ready(
            PushSettings.of(
                {**not_typed(entry.given), "key": key}, input=(*entry.files, Path())[0]
            ),
            part(Inbox, entry.given),
        )

    return Job(entry.name, entry.files, part(Outputs, entry.given), make)


def found_key(target: Target) -> FoundKey:
    """Return the key from a file or the environment; no command is run, no keychain opened."""
    named = [getattr(target, source) for source in KEY_SOURCES]
    given = [one for one in named if one is not None]
    if len(given) == 1 and target.key_file is None:
        return FoundKey("not asked", source=f"{target.key_command} {target.keychain}")
    try:  # with several sources this is an error, before one of them is used
        return FoundKey("read", read_key(target.key_file, os.environ, *named[1:]))
    except UsageError as error:
        if not given:
            return FoundKey("missing")
        return FoundKey("wrong", error=error, source=str(target.key_file))


def _show_failures(result: CheckedJobs) -> None:
    lines = [f"{job.name}: {error}" for job in result.jobs for error in _errors_of(job)]
    for line in lines[:_MOST_LINES]:
        show_failure(line)
    if more := and_more(len(lines) - _MOST_LINES, "line"):
        show_failure(more)


def _errors_of(job: CheckedJob) -> list[str]:
    own = [str(error) for error in (job.error, job.key_error) if error is not None]
    parts = () if job.batch is None else job.batch.parts
    return own + [why for part in parts if (why := reason_of(part)) is not None]

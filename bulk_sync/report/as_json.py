"""Summaries as the objects that `--json` prints.

The keys are a contract with scripts (docs/results.md): add to them, don't rename.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET
from msgspec.structs import asdict

from bulk_sync.model.account import Team
from bulk_sync.model.ahead import FirstChange
from bulk_sync.model.checked_jobs import CheckedJob, CheckedJobs
from bulk_sync.model.comparison import Reconciliation, SideCounts
from bulk_sync.model.job_status import FileStatus, JobsStatus, JobStatus
from bulk_sync.model.rows import Allowance, State
from bulk_sync.model.summaries import (
    Batch,
    CauseGroup,
    CheckedBatch,
    CheckedPart,
    CheckSummary,
    EchoedRow,
    Finding,
    JobResult,
    JobsResult,
    Part,
    Summary,
)
from bulk_sync.report.jobs import NextStep
from bulk_sync.report.next_step import after_push
from bulk_sync.report.systematic import systematic_lines


def summary_json(summary: Summary) -> dict[str, Any]:
    """Return the object for a push, a status or a report."""
    step = after_push(summary)
    return {
        "input": summary.input,
        "base_url": summary.base_url,
        "team": _team(summary.team),
        "rows": summary.rows,
        "left_out": summary.left_out,
        "states": _states(summary.states),
        "in_flight": summary.in_flight,
        "problems": {group.code: group.count for group in summary.problems},
        "causes": [cause_json(group) for group in summary.causes],
        "requests": summary.traffic.requests,
        "retries": summary.traffic.retries,
        "throttled": summary.traffic.throttled,
        "throttled_seconds": round(summary.traffic.throttled_seconds, 3),
        "statuses": summary.traffic.statuses,
        "seconds": round(summary.traffic.seconds, 3),
        "rows_per_second": round(summary.traffic.rows_per_second, 1),
        "rate_limit": {
            "requests_per_second": _rounded(summary.traffic.limit, 3),
            "source": summary.traffic.source.value,
            "utilisation": _rounded(summary.traffic.utilisation, 3),
            "allowances": [allowance_json(one) for one in summary.traffic.allowances],
        },
        "echo_differs": summary.echo_differs,
        "echoes": [one for row in summary.echoes for one in _echoes(row)],
        "results": summary.files.results,
        "failed": summary.files.failed,
        "checkpoint": summary.files.checkpoint,
        "page": summary.files.page,
        "undo": summary.files.undo,
        "notes": list(summary.notes),
        "next": None if step is None else step.command,
        "running": summary.running,
        "sheet_changed": summary.changed,
        "stopped": _text(summary.stopped),
        "exit_code": summary.exit_code,
    }


def allowance_json(allowance: Allowance) -> dict[str, Any]:
    """Return one of the objects under `allowances`."""
    resets_at = allowance.resets_at
    return {
        "limit": allowance.limit,
        "window_seconds": _rounded(allowance.window_seconds, 3),
        "remaining": allowance.remaining,
        "resets_at": None if resets_at is None else _time(resets_at),
        "source": allowance.source.value,
    }


def _echoes(row: EchoedRow) -> Iterator[dict[str, Any]]:
    """Yield the objects under `echoes`; null for a value that the checkpoint does not hold."""
    for echo in row.echoes:
        values = {"sent": echo.sent, "came_back": echo.came_back}
        known = {name: None if value is UNSET else value for name, value in values.items()}
        yield {"row": row.number, "field": echo.field, **known}


def _team(team: Team | None) -> dict[str, str | None] | None:
    return {"id": team.id, "name": team.name} if team else None


def cause_json(group: CauseGroup) -> dict[str, Any]:
    """Return one of the objects under `causes`."""
    return {
        "code": group.code,
        "cause": group.cause,
        "rows": group.rows,
        "first_rows": [{"row": number, "value": value} for number, value in group.first_rows],
        "remedy": group.remedy,
    }


def batch_json(batch: Batch) -> dict[str, Any]:
    """Return the object for a push of several files: totals, and each file's own summary."""
    summaries = [part.summary for part in batch.parts if part.summary is not None]
    states: Counter[State] = Counter()
    statuses: Counter[str] = Counter()
    for part in batch.parts:
        states.update(part.states)
    for summary in summaries:
        statuses.update(summary.traffic.statuses)
    return {
        "rows": sum(part.rows or 0 for part in batch.parts),
        "states": _states(states),
        "requests": sum(summary.traffic.requests for summary in summaries),
        "retries": sum(summary.traffic.retries for summary in summaries),
        "throttled": sum(summary.traffic.throttled for summary in summaries),
        "throttled_seconds": round(
            sum(summary.traffic.throttled_seconds for summary in summaries), 3
        ),
        "statuses": dict(statuses),
        "seconds": round(sum(summary.traffic.seconds for summary in summaries), 3),
        "echo_differs": sum(summary.echo_differs for summary in summaries),
        "files": [part_json(part) for part in batch.parts],
        "unsettled": [str(path) for path in batch.unsettled],
        "exit_code": batch.exit_code,
    }


def part_json(part: Part) -> dict[str, Any]:
    """Return one of the objects under `files`: a summary, or the reason why there is none."""
    error = {} if part.error is None else {"error": str(part.error)}
    if part.summary is None:
        not_started = {"input": part.input, "error": "not begun: the run ended before"}
        known = {} if part.rows is None else {"rows": part.rows, "states": _states(part.states)}
        return not_started | known | error | {"exit_code": part.exit_code}
    note = {"note": part.note} if part.note else {}
    return summary_json(part.summary) | note | error | {"exit_code": part.exit_code}


def check_json(summary: CheckSummary) -> dict[str, Any]:
    """Return the object for a check."""
    return {
        "input": summary.input,
        "file": asdict(summary.understood),
        "columns": [asdict(column) for column in summary.columns],
        "unknown_columns": [
            column.header for column in summary.columns if column.why in {"unknown", "blank"}
        ],
        "rows": summary.rows,
        "left_out": summary.left_out,
        "states": _states(summary.states),
        "problems": {group.code: group.count for group in summary.problems},
        "problem_rows": [
            {"code": group.code, "row": row, "message": message}
            for group in summary.problems
            for row, message in group.examples
        ],
        "causes": [_check_cause(group) for group in summary.causes],
        "duplicates": summary.duplicates,
        "assumptions": list(summary.assumptions),
        "notes": list(summary.notes),
        "patches": summary.changes,
        "acknowledged_before": summary.acknowledged,
        "requests": summary.requests,
        "requests_per_second": summary.per_second,
        "window_seconds": _rounded(summary.window_seconds, 1),
        "window_suffices": summary.suffices,
        "held_seconds": round(summary.held_seconds, 1),
        "seconds": _rounded(summary.seconds, 1),
        "shown": [
            {"target": target, "patch": json.loads(body)} for target, body in summary.patches
        ],
        "first_changes": [_first_change(change) for change in summary.first],
        "create_missing": None if summary.creatable is None else asdict(summary.creatable),
        "profile": summary.profile,
        "stopped": _text(summary.stopped),
        "exit_code": summary.exit_code,
    }


def _first_change(change: FirstChange) -> dict[str, Any]:
    """Return a row's fields with their new values, and the old ones that the ledger knows."""
    return {
        "row": change.number,
        "key": change.key,
        "fields": [
            {"field": one.field, "to": one.new} | ({"from": one.old} if one.is_known else {})
            for one in change.fields
        ],
    }


def jobs_json(
    result: JobsResult, steps: Sequence[NextStep] = (), page: str | None = None
) -> dict[str, Any]:
    """Return the object for jobs that ran at the same time: totals, and each job's own.

    `steps` are those to do next, `page` is the path of the page if it was written. Not `error`,
    which a run has that ended before there was a summary.
    """
    states: Counter[State] = Counter()
    summaries = [summary for job in result.jobs for summary in job.summaries]
    parts = [part for job in result.jobs for part in job.parts]
    for part in parts:
        states.update(part.states)
    steps_of = {name: step for step in steps for name in step.jobs}
    return {
        "rows": sum(part.rows or 0 for part in parts),
        "states": _states(states),
        "requests": sum(summary.traffic.requests for summary in summaries),
        "retries": sum(summary.traffic.retries for summary in summaries),
        "throttled": sum(summary.traffic.throttled for summary in summaries),
        "jobs": [_job_json(job, steps_of.get(job.name)) for job in result.jobs],
        "page": page,
        "stopped": _text(result.stopped),
        "page_error": _text(result.error),
        "exit_code": result.exit_code,
    }


def _job_json(job: JobResult, step: NextStep | None) -> dict[str, Any]:
    found: dict[str, Any] = {
        "job": job.name,
        "begun": job.begun,
        "seconds": round(job.seconds, 3),
        "error": "a bug in bulk-sync" if job.bug is not None else _text(job.error),
    }
    if job.batch is not None:
        found |= batch_json(job.batch)
    following = None if step is None else {"step": step.step, "command": step.command}
    return found | {"next": following, "exit_code": job.exit_code}


def jobs_status_json(status: JobsStatus) -> dict[str, Any]:
    """Return the object for the state of jobs: totals, and each job's own."""
    return {
        "rows": sum(job.rows for job in status.jobs),
        "states": _states(status.states),
        "jobs": [_job_status_json(job) for job in status.jobs],
        "exit_code": status.exit_code,
    }


def _job_status_json(job: JobStatus) -> dict[str, Any]:
    return {
        "job": job.name,
        "state": job.progress.value,
        "error": _text(job.error),
        "rows": job.rows,
        "states": _states(job.states),
        "last_run": asdict(job.last_run),
        "files": [_file_status_json(file) for file in job.files],
        "unsettled": [str(path) for path in job.unsettled],
        "exit_code": job.exit_code,
    }


def _file_status_json(file: FileStatus) -> dict[str, Any]:
    known = {} if file.summary is None else summary_json(file.summary)
    return known | {
        "input": file.input,
        "checkpoint": file.checkpoint,
        "state": file.progress.value,
        "last_run": asdict(file.last_run),
        "error": _text(file.error),
        "exit_code": file.exit_code,
    }


def checked_jobs_json(result: CheckedJobs, now: datetime) -> dict[str, Any]:
    """Return the object for a check of jobs: totals, and each job's own.

    Times are from the beginning of the run, which is `now` for `done_at`.
    """
    summaries = [summary for job in result.jobs for summary in job.summaries]
    return _totals(summaries) | {
        "requests": result.requests,
        "window_seconds": _rounded(result.window_seconds, 1),
        "window_suffices": result.suffices,
        "pending_after_window": result.pending,
        "seconds": _rounded(result.seconds, 1),
        "done_at": _done_at(result.seconds, now),
        "jobs": [_checked_job_json(job, now) for job in result.jobs],
        "exit_code": result.exit_code,
    }


def _checked_job_json(job: CheckedJob, now: datetime) -> dict[str, Any]:
    course = job.expected
    found: dict[str, Any] = {
        "job": job.name,
        "error": _text(job.error),
        "key": job.key,
        "key_error": _text(job.key_error),
    }
    if job.batch is not None:
        found |= checked_batch_json(job.batch)
    return found | {
        "requests": job.requests,
        "begins_seconds": round(course.begins, 1) if course.known else None,
        "window_seconds": None if math.isinf(course.window) else round(course.window, 1),
        "window_suffices": job.suffices,
        "pending_after_window": job.pending,
        "seconds": _rounded(job.seconds, 1),
        "done_at": _done_at(job.seconds, now),
        "exit_code": job.exit_code,
    }


def _done_at(seconds: float | None, now: datetime) -> str | None:
    return None if seconds is None else _time(now + timedelta(seconds=seconds))


def checked_batch_json(batch: CheckedBatch) -> dict[str, Any]:
    """Return the object for a check of several files: totals, and each file's own summary."""
    summaries = [part.summary for part in batch.parts if part.summary is not None]
    return _totals(summaries) | {
        "requests": sum(summary.requests for summary in summaries if summary.stopped is None),
        "files": [_checked_part(part) for part in batch.parts],
        "unsettled": [str(path) for path in batch.unsettled],
        "exit_code": batch.exit_code,
    }


def _totals(summaries: Sequence[CheckSummary]) -> dict[str, Any]:
    """Return the members that the totals of several checked sheets begin with."""
    states: Counter[State] = Counter()
    for summary in summaries:
        states.update(summary.states)
    return {
        "rows": sum(summary.rows for summary in summaries),
        "states": _states(states),
        "duplicates": sum(summary.duplicates for summary in summaries),
        "patches": sum(summary.changes for summary in summaries),
        "acknowledged_before": sum(summary.acknowledged for summary in summaries),
    }


def _checked_part(part: CheckedPart) -> dict[str, Any]:
    if part.summary is not None:
        return check_json(part.summary)
    return {"input": part.input, "error": _text(part.error), "exit_code": part.exit_code}


def _check_cause(group: CauseGroup) -> dict[str, Any]:
    """Return a cause as in a push, with the older keys for its first row."""
    row, value = group.first_rows[0]
    first = {"text": f"{group.cause}: {group.remedy}", "first_row": row, "value": value}
    return cause_json(group) | first


def reconciliation_json(summary: Reconciliation, exit_code: int) -> dict[str, Any]:
    """Return the object for a comparison of two sheets; `exit_code` is that of the command."""
    return {
        "input": summary.input,
        "with": summary.other or "ledger",
        "ledger": summary.ledger
        and {"base_url": summary.ledger.address, "path": summary.ledger.path},
        "base": summary.base,
        "rows": summary.rows,
        "classes": {one.value: count for one, count in summary.classes.items()},
        "superseded": summary.here.superseded,
        "here": _side_json(summary.here),
        "there": _side_json(summary.there),
        "fields": summary.fields,
        "systematic": [
            {
                "pattern": one.pattern.value,
                "field": one.field,
                "rows": one.rows,
                "of": one.of,
                "facts": one.facts,
                "text": text,
            }
            for one, text in zip(summary.systematic, systematic_lines(summary), strict=True)
        ],
        "push_refused": summary.refused,
        "conflicts": summary.conflicts,
        "changed_only_there": summary.stale,
        "to_send": summary.to_send,
        "results": summary.results,
        "page": summary.page,
        "template": summary.template,
        "changes": summary.changes,
        "notes": list(summary.notes),
        "exit_code": exit_code,
    }


def _side_json(side: SideCounts) -> dict[str, Any]:
    """Return the rows of a sheet by class; all but the last add up to the last."""
    classes = {one.value: count for one, count in side.classes.items()}
    others = {"superseded": side.superseded, "left_out": side.left_out}
    return classes | others | {"rows": side.rows}


def doctor_json(
    settings: Sequence[tuple[str, str, str]], findings: Sequence[Finding]
) -> dict[str, Any]:
    """Return the object for `doctor`; `settings` are (name, value, source)."""
    return {
        "settings": {name: {"value": value, "from": source} for name, value, source in settings},
        "findings": [
            {"about": found.about, "standing": found.standing, "text": found.text}
            for found in findings
        ],
        "exit_code": next((found.exit_code for found in findings if found.exit_code), 0),
    }


def _states(counts: Mapping[State, int]) -> dict[str, int]:
    """Return the count of every state, also of those without rows, so that scripts find the key."""
    return {state.value: counts.get(state, 0) for state in State}


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _time(moment: datetime) -> str:
    """Return a moment in UTC, as RFC 3339 has it."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _text(error: Exception | None) -> str | None:
    return None if error is None else str(error)


def json_line(value: object) -> str:
    """Return a line of printable ASCII."""
    # JSON allows DEL unescaped, but a terminal may act on it.
    return json.dumps(value, ensure_ascii=True, default=str).replace("\x7f", "\\u007f") + "\n"

"""Prometheus metrics and the `--on-finish` hook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from bulk_sync import platforms, signals
from bulk_sync.child import environment
from bulk_sync.errors import Interrupted, OutputError
from bulk_sync.model.rows import State
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import check_kind, replacing_bytes

HOOK_SECONDS = 300
"""The hook's time-out, because a hanging one must not outlast the interval of scheduled runs."""


_LAST_SUCCESS = "last_success_timestamp_seconds"

# The name of each metric without its prefix, its description, and its labels.
_METRICS: dict[str, tuple[str, tuple[str, ...]]] = {
    "rows": ("Rows of the job by state.", ("job", "state")),
    "requests": ("Requests of the last run by HTTP status.", ("job", "status")),
    "retries": ("Requests of the last run that repeated an earlier one.", ("job",)),
    "throttled_seconds": ("Time for which the API throttled the last run.", ("job",)),
    "echo_differs": (
        "Rows of the job that came back with another value than was sent.",
        ("job",),
    ),
    "duration_seconds": ("How long the last run took to send.", ("job",)),
    "exit_code": ("The exit code of the last run.", ("job",)),
    "last_run_timestamp_seconds": ("When the last run ended.", ("job",)),
    _LAST_SUCCESS: ("When a run last ended with exit code 0.", ("job",)),
}
_PREFIX = "bulk_sync_"

# A metric's value for each combination of its labels' values.
_Values = dict[str, dict[tuple[str, ...], float]]


def write_metrics(
    path: Path,
    job: str,
    summary: Mapping[str, Any],
    now: datetime,
    jobs: Collection[str] | None = (),
) -> None:
    """Write the metrics of a run for node_exporter's textfile collector, atomically.

    `summary` is the JSON summary, or only its `exit_code` if the run ended before there was one.
    After a failure the time of the last success is taken from the existing file. `jobs` are the
    names of a jobs file, None if it could not be read: each job of the summary has series of its
    own, and those that did not run keep the ones that the existing file has. Raises OutputError.
    """
    check_kind(path, Output.METRICS)  # a pipe must not be waited for
    before = _read(path)
    values: _Values = {name: {} for name in _METRICS}
    begun = {one["job"]: one for one in summary.get("jobs", ()) if one["begun"]}
    # Of all jobs together no rows and requests, so that a sum over `job` counts them once.
    ended = {job: {"exit_code": summary["exit_code"]} if "jobs" in summary else summary, **begun}
    for name, series in before.items():
        for labels, value in series.items():
            if labels[0] not in ended and (jobs is None or labels[0] in jobs):
                values[name][labels] = value
    for name, one in ended.items():
        _add(values, name, one, now, before.get(_LAST_SUCCESS, {}).get((name,)))
    # Not the global registry, which has metrics of the Python process itself.
    registry = CollectorRegistry()
    for name, (what, labelnames) in _METRICS.items():
        if values[name]:
            gauge = Gauge(_PREFIX + name, what, labelnames, registry=registry)
            for labels, value in values[name].items():
                gauge.labels(*labels).set(value)
    try:
        # Public, because the collector runs as another user.
        with replacing_bytes(path, Output.METRICS, public=True) as file:
            file.write(generate_latest(registry))
    except OutputError as error:
        raise OutputError(f"--metrics-file {error}") from None


def _add(
    values: _Values,
    job: str,
    summary: Mapping[str, Any],
    now: datetime,
    last_success: float | None,
) -> None:
    """Add the series of one job."""
    for state in State if "states" in summary else ():
        values["rows"][job, state.value] = summary["states"].get(state.value, 0)
    for status, count in summary.get("statuses", {}).items():
        values["requests"][job, status] = count
    code = int(summary["exit_code"])
    plain = {
        **{name: summary.get(name) for name in ("retries", "throttled_seconds", "echo_differs")},
        # The seconds of a job that ended before it sent are not those of sending.
        "duration_seconds": summary.get("seconds") if "states" in summary else None,
        "exit_code": code,
        "last_run_timestamp_seconds": now.timestamp(),
        _LAST_SUCCESS: now.timestamp() if code == 0 else last_success,
    }
    for name, value in plain.items():
        if value is not None:
            values[name][job,] = value


def _read(path: Path) -> _Values:
    """Return the metrics of an earlier run; none if there is no file, or not one of ours."""
    found: _Values = {}
    try:
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8")):
            name = family.name.removeprefix(_PREFIX)
            if name not in _METRICS:
                continue
            for sample in family.samples:
                labels = tuple(sample.labels.get(label, "") for label in _METRICS[name][1])
                found.setdefault(name, {})[labels] = sample.value
    except (OSError, ValueError):
        return {}
    return found


def run_hook(command: str, summary: Mapping[str, Any]) -> tuple[str, str | None]:
    """Run the command of --on-finish in a shell; return its output, and an error or None.

    It gets the summary as JSON on standard input and the exit code in BULK_SYNC_EXIT_CODE, but not
    the API key. The error does not repeat the command, which may contain a token.
    """
    with subprocess.Popen(  # noqa: S602 - it is the user's own command line
        command,
        shell=True,
        env=environment() | {"BULK_SYNC_EXIT_CODE": str(summary["exit_code"])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **platforms.in_own_group(),  # so that its children can be ended, too
    ) as process:
        try:
            # A signal that came before the hook must not keep it from being run.
            with signals.raising(earlier=False):
                printed, _ = process.communicate(json.dumps(summary).encode(), timeout=HOOK_SECONDS)
        except subprocess.TimeoutExpired:
            platforms.kill_with_children(process)
            return "", f"--on-finish: the command was killed after {HOOK_SECONDS} s"
        except Interrupted as interrupted:
            platforms.kill_with_children(process)
            return "", f"--on-finish: the command was killed. {interrupted}"
    wrong = (
        f"--on-finish: the command ended with {process.returncode}" if process.returncode else None
    )
    return printed.decode(errors="backslashreplace").strip(), wrong

"""Prometheus metrics and the `--on-finish` hook."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
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

_LAST_SUCCESS = "bulk_sync_last_success_timestamp_seconds"

HOOK_SECONDS = 300
"""The hook's time-out, because a hanging one must not outlast the interval of scheduled runs."""


def write_metrics(path: Path, job: str, summary: Mapping[str, Any], now: datetime) -> None:
    """Write the metrics of a run for node_exporter's textfile collector, atomically.

    `summary` is the JSON summary, or only its `exit_code` if the run ended before there was one.
    After a failure the time of the last success is taken from the existing file. Raises
    OutputError.
    """
    check_kind(path, Output.METRICS)  # a pipe must not be waited for
    # Not the global registry, which has metrics of the Python process itself.
    registry = CollectorRegistry()
    code = int(summary["exit_code"])

    def gauge(name: str, what: str, value: float | None) -> None:
        if value is not None:
            Gauge(f"bulk_sync_{name}", what, ["job"], registry=registry).labels(job).set(value)

    if "states" in summary:
        rows = Gauge(
            "bulk_sync_rows", "Rows of the job by state.", ["job", "state"], registry=registry
        )
        for state in State:
            rows.labels(job, state.value).set(summary["states"].get(state.value, 0))
        statuses = Gauge(
            "bulk_sync_requests",
            "Requests of the last run by HTTP status.",
            ["job", "status"],
            registry=registry,
        )
        for status, count in summary.get("statuses", {}).items():
            statuses.labels(job, status).set(count)
    gauge(
        "retries", "Requests of the last run that repeated an earlier one.", summary.get("retries")
    )
    gauge(
        "throttled_seconds",
        "Time for which the API throttled the last run.",
        summary.get("throttled_seconds"),
    )
    gauge(
        "echo_differs",
        "Rows of the job that came back with another value than was sent.",
        summary.get("echo_differs"),
    )
    gauge("duration_seconds", "How long the last run took to send.", summary.get("seconds"))
    gauge("exit_code", "The exit code of the last run.", code)
    gauge("last_run_timestamp_seconds", "When the last run ended.", now.timestamp())
    success = now.timestamp() if code == 0 else _last_success(path, job)
    gauge(
        _LAST_SUCCESS.removeprefix("bulk_sync_"), "When a run last ended with exit code 0.", success
    )
    try:
        # Public, because the collector runs as another user.
        with replacing_bytes(path, Output.METRICS, public=True) as file:
            file.write(generate_latest(registry))
    except OutputError as error:
        raise OutputError(f"--metrics-file {error}") from None


def _last_success(path: Path, job: str) -> float | None:
    try:
        families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
        samples = (sample for family in families for sample in family.samples)
        return next(
            (
                one.value
                for one in samples
                if one.name == _LAST_SUCCESS and one.labels.get("job") == job
            ),
            None,
        )
    except (OSError, ValueError):
        return None


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
        start_new_session=True,  # a process group, so that its children can be ended too
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

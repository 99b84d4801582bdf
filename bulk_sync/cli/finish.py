"""What a run leaves for those who were asleep: figures for Prometheus, and a command that is told
how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from bulk_sync.errors import OutputError
from bulk_sync.model.rows import State

_LAST_SUCCESS = "bulk_sync_last_success_timestamp_seconds"

HOOK_SECONDS = 300
"""A command of --on-finish that takes longer is ended: the next night's run must not find it there.
"""


def write_metrics(path: Path, job: str, summary: Mapping[str, Any], now: datetime) -> None:
    """Write the figures of a run for node_exporter's textfile collector, at once and never half.

    `summary` is what --json prints, or only its `exit_code` when the run ended before there was
    more to tell. The time of the last success is taken over from the file that was there. Raises
    OutputError.
    """
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
        for status, count in summary["statuses"].items():
            statuses.labels(job, status).set(count)
    gauge(
        "retries", "Requests of the last run that repeated an earlier one.", summary.get("retries")
    )
    gauge(
        "throttled_seconds",
        "Time in which the API had asked the last run to wait.",
        summary.get("throttled_seconds"),
    )
    gauge("duration_seconds", "How long the last run took to send.", summary.get("seconds"))
    gauge("exit_code", "The exit code of the last run.", code)
    gauge("last_run_timestamp_seconds", "When the last run ended.", now.timestamp())
    success = now.timestamp() if code == 0 else _last_success(path, job)
    gauge(
        _LAST_SUCCESS.removeprefix("bulk_sync_"), "When a run last ended with exit code 0.", success
    )
    try:
        write_to_textfile(str(path), registry)
        path.chmod(0o644)  # the collector is another user
    except OSError as error:
        raise OutputError(f"--metrics-file {path}: {error.strerror}") from None


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
    """Run the command of --on-finish through the shell; returns what it printed, and what went
    wrong, if anything did.

    It gets the summary as JSON on its standard input, and the exit code as BULK_SYNC_EXIT_CODE. The
    API key is not in its environment. The command is not repeated: there may be a token in it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"}
    environment["BULK_SYNC_EXIT_CODE"] = str(summary["exit_code"])
    with subprocess.Popen(  # noqa: S602 - it is the user's own command line
        command,
        shell=True,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a group of its own, so that all that it started can be ended
    ) as process:
        try:
            printed, _ = process.communicate(json.dumps(summary).encode(), timeout=HOOK_SECONDS)
        except subprocess.TimeoutExpired:
            _end_all(process)
            return "", f"--on-finish: its command was ended after {HOOK_SECONDS} s"
    wrong = (
        f"--on-finish: its command ended with {process.returncode}" if process.returncode else None
    )
    return printed.decode(errors="backslashreplace").strip(), wrong


def _end_all(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)

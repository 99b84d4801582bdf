"""Log the start of a run, the staged rows, and the end."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bulk_sync.model.rows import State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.echoes import changed_rows

_log = logging.getLogger("bulk_sync.run")


def run_begins(source: Path, base_url: str) -> None:
    """Log the sheet and the API of a run that begins."""
    _log.info("begins: %s to %s", source, base_url, extra={"event": "begin"})


def sheet_staged(states: Mapping[State, int]) -> None:
    """Log the rows of a staged sheet by state."""
    _log.info("staged: %s", _counts(states), extra={"event": "staged"})


def warned(warnings: Sequence[str]) -> None:
    """Log what a person should know before the sheet is sent."""
    for warning in warnings:
        _log.warning("%s", warning, extra={"event": "note"})


def run_ends(summary: Summary, before: Sequence[str] = ()) -> None:
    """Log the notes and the end of a run, at a level that depends on its exit code.

    `before` are the notes that were logged before sending.
    """
    for note in summary.notes:
        if note not in before:
            _log.info("%s", note, extra={"event": "note"})
    code = summary.exit_code
    stopped = f"; {summary.stopped}" if summary.stopped else ""
    _log.log(
        # Code 3: some rows need correction, but the run itself succeeded.
        {0: logging.INFO, 3: logging.WARNING}.get(code, logging.ERROR),
        "ends with exit code %d: %s, %d requests%s%s",
        code,
        _counts(summary.states),
        summary.traffic.requests,
        f"; {changed_rows(summary.echo_differs)}" if summary.echo_differs else "",
        stopped,
        extra={"event": "end", "exit_code": code},
    )


def _counts(states: Mapping[State, int]) -> str:
    counts = (f"{states[state]} {state.value}" for state in State if states.get(state, 0))
    return ", ".join(counts) or "no rows"

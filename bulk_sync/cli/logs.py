"""The log of a run: one event per line, as text or as JSON, on standard error or in a file.

All modules log under `bulk_sync`, with fields on the record: event, row, key, state, http_status,
attempt, wait (in seconds), team. A program that uses the library can read them in its own handler.
Log rotation is left to the system: if the file was moved, a new one is opened.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Literal, TextIO

from bulk_sync import platforms
from bulk_sync.clock import utc_text
from bulk_sync.errors import OutputError
from bulk_sync.platforms import why_refused
from bulk_sync.recognise import Output, may_replace
from bulk_sync.secret import without_keys

FIELDS = (
    "event",
    "job",
    "row",
    "key",
    "state",
    "http_status",
    "attempt",
    "wait",
    "team",
    "exit_code",
)
"""The optional fields of a JSON line, in their order between level and message."""

_LOGGER = logging.getLogger("bulk_sync")


class _Text(logging.Formatter):
    """One line per record; control characters, which a server may send, are escaped."""

    def __init__(self, printable: Callable[[str], str]) -> None:
        super().__init__()
        self._printable = printable

    def format(self, record: logging.LogRecord) -> str:
        # Of the jobs that run at the same time; the lines of one push name its sheet themselves.
        team_job = getattr(record, "team_job", "")
        job = f"[{self._printable(team_job)}] " if team_job else ""
        return without_keys(
            f"{_time(record)} {record.levelname} {job}{self._printable(record.getMessage())}"
        )


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            name: getattr(record, name)
            for name in FIELDS
            if getattr(record, name, None) is not None
        }
        line = {
            "time": _time(record),
            "level": record.levelname,
            "pid": record.process,
            **fields,
            "message": record.getMessage(),
        }
        return without_keys(json.dumps(line, ensure_ascii=True, default=str))


def _time(record: logging.LogRecord) -> str:
    return utc_text(datetime.fromtimestamp(record.created, UTC))


class _File(WatchedFileHandler):
    """A file that only this user can read; failed writes don't end the run.

    `error` is the first one.
    """

    error: OSError | None = None

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's own
        """Drop the line; logging would print a traceback on standard error for each."""
        self._keep(sys.exception())

    def close(self) -> None:
        """Close the file; a full disk may show only now."""
        try:
            super().close()
        except OSError as error:
            self._keep(error)

    def _keep(self, error: BaseException | None) -> None:
        if self.error is None and isinstance(error, OSError):
            self.error = error

    def reopenIfNeeded(self) -> None:  # noqa: N802 - logging's own
        """Open a new file if this one was moved, as an open file can't be on Windows."""
        if platforms.OPEN_FILES_MOVE:
            super().reopenIfNeeded()

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        # Opening a pipe would wait for its reader, and writing to it too.
        if path.is_fifo():
            raise OSError(errno.EINVAL, "a pipe can't be the log")
        if path.is_file() and not may_replace(path, Output.LOG):
            raise OSError(
                errno.EINVAL,
                "bulk-sync did not write this file as a log, so nothing is added to it. Name "
                "another file, or move this one away",
            )
        descriptor = os.open(
            self.baseFilename,
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | platforms.CLOSE_ON_EXEC,
            0o600,
        )
        # Without buffers: what could not be written would be tried again when Python ends.
        return TextIOWrapper(
            os.fdopen(descriptor, "ab", buffering=0),
            encoding="utf-8",
            errors="backslashreplace",
            write_through=True,
        )


@contextmanager
def logging_of(
    job: Callable[[], str],
    *,
    job_of_thread: Callable[[], str] = lambda: "",
    file: Path | None,
    style: Literal["text", "json"],
    stderr: TextIO | None,
    verbose: bool,
    printable: Callable[[str], str],
) -> Iterator[Callable[[], str | None]]:
    """Write the log of a run to `file` and `stderr`, if given.

    Requests are logged only if `verbose`. `job` is called for each line and returns the current
    sheet, `job_of_thread` the job of a thread that has its own. Yields a function that returns a
    sentence if lines of the file are missing. Raises OutputError if the file can't be opened.
    """
    handlers: list[logging.Handler] = []
    in_file: _File | None = None
    try:
        if file is not None:
            in_file = _File(file)
            handlers.append(in_file)
        if stderr is not None:
            handlers.append(logging.StreamHandler(stderr))
    except OSError as error:
        raise OutputError(f"--log-file {file}: {platforms.why_refused(error)}") from None

    def name_the_job(record: logging.LogRecord) -> bool:
        team_job = vars(record)["team_job"] = job_of_thread()
        record.job = team_job or job()
        return True

    for handler in handlers:
        handler.setFormatter(_Json() if style == "json" else _Text(printable))
        # On the handler, because a logger's filters don't see the records of its children.
        handler.addFilter(name_the_job)
        _LOGGER.addHandler(handler)
    before = _LOGGER.level
    if handlers:
        _LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)

    def failure() -> str | None:
        if in_file is None or in_file.error is None:
            return None
        return (
            f"--log-file {file} can't be written ({why_refused(in_file.error)}), so it lacks lines"
        )

    try:
        yield failure
    finally:
        _LOGGER.setLevel(before)
        for handler in handlers:
            _LOGGER.removeHandler(handler)
            handler.close()

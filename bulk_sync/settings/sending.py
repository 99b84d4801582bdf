"""Concurrency, transport and retries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bulk_sync.settings.forms import DURATION
from bulk_sync.settings.option import Option

_WEEK_SECONDS = 7 * 86400

MOST_WORKERS = 500


@dataclass(frozen=True, kw_only=True)
class Sending:
    """The options about requests."""

    PANEL = "Sending"

    workers: Annotated[
        int, Option("Requests in flight at most.", "N", at_least=1, at_most=MOST_WORKERS)
    ] = 16
    transport: Annotated[
        Literal["auto", "httptools", "httpx"],
        Option(
            'The HTTP client; auto is the fastest that is installed (extra "fast") and can reach '
            "the API."
        ),
    ] = "auto"
    timeout_seconds: Annotated[
        float,
        Option(
            "How long a whole reply may take.",
            "SECONDS",
            name="timeout",
            at_least=0.1,
            at_most=3600,
        ),
    ] = 30.0
    max_attempts: Annotated[
        int,
        Option(
            "Failed requests per row; a throttled one does not count.", "N", at_least=1, at_most=100
        ),
    ] = 5
    retry_for_seconds: Annotated[
        float,
        Option(
            "How long one row is retried, and how long an outage is waited out.",
            "DURATION",
            name="retry-for",
            form=DURATION,
            at_least=0,
            at_most=_WEEK_SECONDS,
        ),
    ] = 900.0
    ambiguous: Annotated[
        Literal["retry", "stop"],
        Option(
            "When the reply is lost, or a run was cut off, and the request may have been applied: "
            "send it again, or leave the row failed, in later runs with stop too."
        ),
    ] = "retry"

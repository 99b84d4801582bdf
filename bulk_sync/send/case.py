"""A change on its way to an outcome."""

from __future__ import annotations

import anyio

from bulk_sync.model.attempts import LONGEST_WHY, Attempt, keep
from bulk_sync.model.rows import ACKNOWLEDGED_STATES, Change, GivenUp, Outcome, State
from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.alone import Refusals
from bulk_sync.send.decide import Decision, RetryIn, RowFailed, why_again


class TryAgain(Exception):
    """Another attempt is due; carries the decision through tenacity."""

    def __init__(self, decision: RetryIn) -> None:
        super().__init__(decision.why)
        self.decision = decision


class Case:
    """A change and the state of its attempts in this run."""

    scope: anyio.CancelScope
    """The scope of the task that processes it."""

    # Class attributes serve as defaults, because most cases end with their first request: setting
    # every attribute for each row would cost more than everything else here.
    started: float | None = None
    """When its first request left, on the run's clock."""
    begun: float = 0.0
    """When its latest request left."""
    idle_seconds_before: float = 0.0
    """The length of all outages and waits for the API before its first request left."""
    attempts: int = 0
    throttled: int = 0
    """Attempts that were throttled."""
    refusals: Refusals | None = None
    """Its throttled requests, once there is one."""
    is_refused_alone: bool = False
    """True once those are its own fault: they say nothing about the limit."""
    excused: int = 0
    """Attempts that an outage gave back."""
    may_have_arrived: bool = False
    has_worker: bool = True
    retry_costs: bool = False
    """True when the next attempt needs a token of the retry budget."""
    verdict: RowFailed | None = None
    """Its failure once attempts or time are used up, until the circuit confirms it."""
    failed_after: int | None = None
    """The number of requests that had got through when it failed last."""
    blocked_after: int | None = None
    """The number of requests that had got through when something blocked it last."""
    is_suspicious: bool = False
    """True when it failed both before and after others got through."""
    creation: str | None = None
    """The body of the POST that creates its showing, once the checkpoint knows of it."""
    posts: bool = False
    """True when the next request is that POST."""
    may_be_created: bool = False
    """True when a POST, also of an earlier run, may have created its showing."""
    settled_at: float = 0.0
    """From when a 404 shows that no earlier POST was applied."""
    begins_step: bool = False
    """True when the next request is no retry, but the next one that its row needs."""
    doubted: tuple[Acknowledged, ...] = ()
    """Acknowledgements that were not believed, because of the values in them."""
    decision: Decision | None = None
    """About the latest attempt, unless it was acknowledged at once."""
    tries: list[Attempt] | None = None
    """The attempts before the latest one, once there are any."""
    failure_kind: str | None = None
    """The kind of the latest failure; of no reply."""
    http_status: int | None = None
    sent_at: str | None = None
    duration_ms: int | None = None

    def __init__(self, change: Change) -> None:
        self.change = change
        if change.may_be_created:
            self.may_be_created = True

    def keep_attempt(self, now: float) -> None:
        """Keep the latest attempt, because another one begins now, on the run's clock."""
        if self.tries is None:
            self.tries = []
        duration_ms = self.duration_ms or 0
        why = why_again(self.decision)
        latest = Attempt(
            self.attempts,
            self.sent_at or "",
            duration_ms,
            self.http_status,
            self.failure_kind if self.http_status is None else None,
            why and why[:LONGEST_WHY],
            max(0, round((now - self.begun) * 1000) - duration_ms),
        )
        keep(self.tries, latest)
        self.decision = None

    def outcome(
        self,
        state: State,
        *,
        error: str | None = None,
        message: str | None = None,
        showing_id: str | None = None,
        updated_at: str | None = None,
        given_up: GivenUp | None = None,
    ) -> Outcome:
        """Return the outcome with the counts as of now."""
        outcome = Outcome(
            self.change.id,
            state,
            self.attempts,
            self.throttled,
            self.http_status,
            error,
            message,
            showing_id,
            updated_at,
            self.sent_at,
            self.duration_ms,
            self.may_have_arrived,
            given_up,
            self.may_be_created and state not in ACKNOWLEDGED_STATES,
        )
        return outcome if self.tries is None else outcome._replace(tries=tuple(self.tries))

    def failure(self) -> Outcome:
        """Return the outcome of a case whose verdict is confirmed."""
        assert self.verdict is not None  # noqa: S101 - only a case with a verdict is confirmed
        return self.outcome(
            State.FAILED,
            error=self.verdict.error,
            message=self.verdict.message,
            given_up=self.verdict.given_up,
        )

    def excuse_all(self) -> None:
        """Give back all attempts; throttled ones never counted."""
        self.excused = self.attempts - self.throttled

    def log_fields(self, event: str) -> dict[str, object]:
        """Return the fields of a JSON log line about this case."""
        return {
            "event": event,
            "row": self.change.number,
            "key": self.change.target,
            "http_status": self.http_status,
            "attempt": self.attempts,
        }

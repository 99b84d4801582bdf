"""Record, count and log outcomes, and end the run after too many failures."""

from __future__ import annotations

import logging
from collections.abc import Callable

from bulk_sync.model.rows import Outcome, RowDecided, State
from bulk_sync.send.bounds import KeyTrust
from bulk_sync.send.case import Case
from bulk_sync.send.context import Context

log = logging.getLogger("bulk_sync.send")


class Outcomes:
    """Takes exactly one outcome for each case."""

    def __init__(
        self,
        context: Context,
        put: Callable[[Outcome], None],
        key: KeyTrust,
        on_row: Callable[[RowDecided], None] | None,
    ) -> None:
        self._put = put
        self._key = key
        self._on_row = on_row
        self._bounds = context.terms.bounds
        self._clock = context.clock
        self._tally = context.tally
        self._halt = context.halt
        self._logs_all = log.isEnabledFor(logging.DEBUG)

    def add(self, outcome: Outcome, case: Case) -> None:
        """Record an outcome, and stop the run if it is one failure too many. Never waits."""
        self._put(outcome)
        state = outcome.state
        # Not `in {...}`, which would build a set for every row.
        is_bad = state is State.REJECTED or state is State.FAILED
        if is_bad:
            self._log(logging.WARNING, f"{state.value}: {outcome.message}", state, case)
        elif outcome.echoes:
            fields = ", ".join(echo.field for echo in outcome.echoes)
            text = f"{state.value}, but with another value than was sent: {fields}"
            self._log(logging.WARNING, text, state, case)
        elif self._logs_all:
            self._log(logging.DEBUG, state.value, state, case)
        self._tally.count(outcome)
        if self._on_row is not None and outcome.state is not State.PENDING:
            self._on_row(self._row_decided(outcome, case))
        if is_bad:
            reason = self._bounds.reason_to_stop(
                self._tally.decided, outcome, any_accepted=self._key.accepted
            )
            if reason is not None:
                self._halt.stop(reason)

    def _log(self, level: int, text: str, state: State, case: Case) -> None:
        fields = case.log_fields("row") | {"state": state.value}
        log.log(level, "row %d: %s", case.change.number, text, extra=fields)

    def _row_decided(self, outcome: Outcome, case: Case) -> RowDecided:
        return RowDecided(
            case.change.number,
            case.change.target,
            outcome.state,
            outcome.http_status,
            outcome.attempts,
            0.0 if case.started is None else self._clock.monotonic() - case.started,
            outcome.error,
            outcome.message,
            outcome.may_have_been_applied,
            outcome.echoes,
        )

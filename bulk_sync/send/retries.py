"""All attempts of a change after its first, and the waits before them."""

from __future__ import annotations

import logging
from functools import partial

import anyio
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exception

from bulk_sync.model.rows import Outcome
from bulk_sync.send.attempt import Attempts
from bulk_sync.send.availability import Availability
from bulk_sync.send.backlog import Backlog, Workers
from bulk_sync.send.case import Case, TryAgain
from bulk_sync.send.context import Context
from bulk_sync.send.decide import RetryIn

log = logging.getLogger("bulk_sync.send")

# How often a waiting retry checks the retry budget for a token.
_TOKEN_POLL_SECONDS = 0.05

# Retries per second, once nothing else is left to send.
_MOST_TAIL_RETRIES = 50.0


class Retries:
    """Retries cases until each has an outcome or becomes a suspect."""

    def __init__(
        self,
        context: Context,
        attempts: Attempts,
        availability: Availability,
        backlog: Backlog,
        workers: Workers,
    ) -> None:
        self._clock = context.clock
        self._budget = context.budget
        self._attempts = attempts
        self._availability = availability
        self._backlog = backlog
        self._workers = workers
        self._turn = anyio.Lock(fast_acquire=True)  # retries get tokens first come, first served
        self._retrying = AsyncRetrying(
            retry=retry_if_exception_type(TryAgain),
            wait=wait_exception(_seconds_of),
            before_sleep=_log_attempt,
            reraise=True,
        )

    async def make(self, case: Case, first: RetryIn) -> Outcome | None:
        """Make all attempts after the first, whose decision is `first`.

        Returns the outcome, or None when the case becomes a suspect. Raises Stopping.
        """
        _log(case, first)
        await self._wait(case, first.seconds)
        # tenacity keeps the state of a call on the object, and calls overlap here: hence a copy.
        retrying = self._retrying.copy(sleep=partial(self._wait, case))
        outcome: Outcome | None = await retrying(self._attempt, case)
        return outcome

    async def _attempt(self, case: Case) -> Outcome | None:
        case.scope.shield = True
        try:
            return await self._attempts.make(case)
        finally:
            case.scope.shield = False

    async def _wait(self, case: Case, seconds: float) -> None:
        """Wait before the next attempt, without a worker when the wait may be long."""
        if not case.retry_costs:
            if self._availability.circuit.open:
                await self._yield_worker(case)
            elif case.throttled > 1:
                # Others come first: the server may refuse this row alone.
                self._workers.release_from(case)
                await self._workers.take_for(case)
                await self._availability.ask_about(case)
            return  # throttled or excused: the case waits for its next permit only
        self._workers.release_from(case)
        await self._clock.sleep(seconds)
        async with self._turn:
            while not self._attempts.retry_budget.take(
                self._clock.monotonic(),
                only_retries_left=self._backlog.only_retries_left,
                per_second=min(_MOST_TAIL_RETRIES, self._budget.rate),
            ):
                await self._clock.sleep(_TOKEN_POLL_SECONDS)
        await self._workers.take_for(case)

    async def _yield_worker(self, case: Case) -> None:
        """Let rows that were not tried yet probe, because the server may fail on this one."""
        self._workers.release_from(case)
        while self._availability.circuit.open and not self._backlog.only_retries_left:
            await self._availability.wait_for_wake()
        await self._workers.take_for(case)


def _seconds_of(error: BaseException) -> float:
    assert isinstance(error, TryAgain)  # noqa: S101 - tenacity retries on nothing else
    return error.decision.seconds


def _log_attempt(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TryAgain):
        _log(state.args[0], error.decision)


def _log(case: Case, decision: RetryIn) -> None:
    if case.begins_step:
        log.info("row %d: %s", case.change.number, decision.why, extra=case.log_fields("create"))
        return
    log.info(
        "row %d: again in %.2f s: %s",
        case.change.number,
        decision.seconds,
        decision.why,
        extra=case.log_fields("retry") | {"wait": round(decision.seconds, 3)},
    )

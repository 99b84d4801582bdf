"""The workers: they take changes, send them, and put an outcome for each.

Invariants:

1. Each change that a worker took ends in exactly one outcome, under its own id, also
   when the run is stopped: then it says `pending`, and whether the change may have been
   applied.
2. Every request takes a permit first, retries and the look at the API too.
3. A request that left is not cut short by a stop (only by `--timeout`, or `abandon`): it
   is shielded, and between a reply and the putting of its outcome nothing waits.
4. Until the API was reached once, one change at a time is on its way: a refused key or
   a wrong address costs one request, not one for each worker.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
from dataclasses import dataclass
from typing import Protocol, assert_never
from urllib.parse import quote

import anyio
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exception

from bulk_sync.clock import Clock, utc_text
from bulk_sync.errors import BulkSyncError, Outage
from bulk_sync.model import Change, Outcome, State, Tally
from bulk_sync.send.decide import (
    Acknowledged,
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    decide,
    shows_life,
    told_to_wait,
)
from bulk_sync.send.liveness import Liveness
from bulk_sync.send.pace import Pacer
from bulk_sync.send.transport.interface import Failure, Reply, Transport

log = logging.getLogger("bulk_sync.send")

MAY_HAVE_BEEN_APPLIED = "it may have been applied all the same"

FORBIDDEN_IN_SEQUENCE = 10
"""So many 403s with nothing acknowledged in between mean the key, not the rows."""


class Work(Protocol):
    """Where changes come from and outcomes go."""

    async def claim(self, limit: int) -> list[Change]:
        """Take up to `limit` changes; none when all are taken."""
        ...

    def put(self, outcome: Outcome) -> None:
        """Take an outcome; never waits."""
        ...


class _TryAgain(Exception):
    """Carries the decision to wait through tenacity."""

    def __init__(self, decision: RetryIn) -> None:
        super().__init__(decision.why)
        self.decision = decision


class _Stopping(Exception):
    """The run stops while this change is undecided."""


@dataclass(slots=True)
class _Case:
    """One change on its way: what was tried so far."""

    change: Change
    started: float = 0.0
    begun: float = 0.0
    attempts: int = 0
    throttled: int = 0
    may_have_arrived: bool = False
    http_status: int | None = None
    sent_at: str | None = None
    duration_ms: int | None = None

    def outcome(
        self,
        state: State,
        *,
        error: str | None = None,
        message: str | None = None,
        showing_id: str | None = None,
        updated_at: str | None = None,
    ) -> Outcome:
        return Outcome(
            id=self.change.id,
            state=state,
            attempts=self.attempts,
            throttled=self.throttled,
            http_status=self.http_status,
            error=error,
            message=message,
            showing_id=showing_id,
            updated_at=updated_at,
            sent_at=self.sent_at,
            duration_ms=self.duration_ms,
        )

    def undecided(self) -> Outcome:
        message = MAY_HAVE_BEEN_APPLIED[0].upper() + MAY_HAVE_BEEN_APPLIED[1:] if self.may_have_arrived else None
        return self.outcome(State.PENDING, message=message and f"{message}; run again")


class Sender:
    """Sends what `work` holds through `transport`, paced by `pacer`."""

    def __init__(
        self,
        transport: Transport,
        work: Work,
        *,
        pacer: Pacer,
        policy: RetryPolicy,
        clock: Clock,
        dice: random.Random,
        tally: Tally,
        workers: int,
        key_accepted: bool = False,
    ) -> None:
        self._transport = transport
        self._work = work
        self._pacer = pacer
        self._policy = policy
        self._clock = clock
        self._dice = dice
        self._tally = tally
        self._workers = workers
        self._key_accepted = key_accepted
        self._forbidden = 0
        self._liveness = Liveness(workers)
        self._reached = anyio.Event()
        self._turn = anyio.Lock(fast_acquire=True)
        self._waits = anyio.CancelScope()
        self._exchanges: set[anyio.CancelScope] = set()
        self._retrying = AsyncRetrying(
            sleep=clock.sleep,
            retry=retry_if_exception_type(_TryAgain),
            wait=wait_exception(_seconds_of),
            before_sleep=_log_retry,
            reraise=True,
        )
        self.stopped: BulkSyncError | None = None

    def stop(self, reason: BulkSyncError) -> None:
        """Take no more changes; requests on their way may end. The first reason stays."""
        if self.stopped is None:
            self.stopped = reason
        self._waits.cancel()

    def abandon(self) -> None:
        """Cut off the requests on their way, too; their changes stay pending."""
        self.stopped = self.stopped or Outage("Stopped at once")
        for scope in self._exchanges:
            scope.cancel()

    async def run(self) -> None:
        """Send until all is sent or the run is stopped; then `stopped` says why."""
        hand_over, queue = anyio.create_memory_object_stream[Change](0)
        with self._waits, hand_over, queue:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._feed, hand_over)
                tasks.start_soon(self._work_first, queue)
                await self._reached.wait()
                for _ in range(self._workers - 1):
                    tasks.start_soon(self._work_on, queue)
            if self._liveness.suspects and self.stopped is None:
                await self._look_at_api()
        for outcome in self._liveness.suspects:
            self._finish(_still_pending(outcome))

    async def _feed(self, hand_over: ObjectSendStream[Change]) -> None:
        async with hand_over:
            while changes := await self._work.claim(self._workers):
                for change in changes:
                    await hand_over.send(change)

    async def _work_first(self, queue: ObjectReceiveStream[Change]) -> None:
        try:
            await self._work_on(queue)
        finally:
            self._reached.set()

    async def _work_on(self, queue: ObjectReceiveStream[Change]) -> None:
        async for change in queue:
            case = _Case(change)
            try:
                # A copy, because tenacity keeps the state of a call on the object and calls overlap here.
                outcome: Outcome | None = await self._retrying.copy()(self._attempt, case)
            except (anyio.get_cancelled_exc_class(), _Stopping) as ended:
                self._finish(case.undecided())
                if not isinstance(ended, _Stopping):
                    raise
            else:
                if outcome is not None:
                    self._finish(outcome)

    async def _attempt(self, case: _Case) -> Outcome | None:
        """One request for one change: an outcome, None for a suspect, or _TryAgain."""
        await self._permit()
        if case.attempts == 0:
            case.started = self._clock.monotonic()  # waiting for the first permit is no part of trying
        case.attempts += 1
        self._tally.requests += 1
        self._tally.retries += case.attempts > 1
        seen = await self._exchange(case)
        if isinstance(seen, Reply) and told_to_wait(seen):
            case.throttled += 1
            self._tally.throttled += 1
        decision = decide(
            seen,
            SoFar(case.attempts, case.throttled, self._clock.monotonic() - case.started, self._key_works()),
            self._policy,
            sent=case.change.body,
            dice=self._dice.random(),
        )
        return self._carry_out(decision, case)

    def _key_works(self) -> bool:
        return self._key_accepted and self._forbidden < FORBIDDEN_IN_SEQUENCE

    async def _exchange(self, case: _Case) -> Reply | Failure:
        change = case.change
        case.sent_at = utc_text(self._clock.now())
        case.begun = self._clock.monotonic()
        self._tally.in_flight += 1
        seen: Reply | Failure = Failure("connection", "cut off", may_have_arrived=True)
        with anyio.CancelScope(shield=True) as scope:
            self._exchanges.add(scope)
            seen = await self._transport.patch(patch_path(change.target), change.body.encode(), idempotency_key(change))
        self._exchanges.discard(scope)
        self._tally.in_flight -= 1
        case.duration_ms = math.ceil((self._clock.monotonic() - case.begun) * 1000)
        self._note(case, seen)
        if scope.cancelled_caught:
            raise _Stopping
        return seen

    def _note(self, case: _Case, seen: Reply | Failure) -> None:
        if isinstance(seen, Reply):
            case.http_status = seen.status
            self._liveness.answered = True
            # An error status says that the patch was not applied, save for those that speak of the way there.
            case.may_have_arrived |= seen.status < 300 or seen.status >= 500 or seen.status == 408
        else:
            case.http_status = None
            case.may_have_arrived |= seen.may_have_arrived
        if isinstance(seen, Reply) or seen.may_have_arrived:
            self._reached.set()
        if log.isEnabledFor(logging.INFO):
            what = seen.status if isinstance(seen, Reply) else seen.message
            log.info("row %d: attempt %d: %s (%d ms)", case.change.number, case.attempts, what, case.duration_ms)

    def _carry_out(self, decision: Decision, case: _Case) -> Outcome | None:
        match decision:
            case Acknowledged(showing_id, updated_at, note):
                self._key_accepted = True
                self._forbidden = 0
                self._clear_suspects(case.begun)
                return case.outcome(State.UPDATED, message=note, showing_id=showing_id, updated_at=updated_at)
            case RowRejected(error, message):
                self._forbidden = self._forbidden + 1 if error == "forbidden" else 0
                self._clear_suspects(case.begun)
                return case.outcome(State.REJECTED, error=error, message=message)
            case RetryIn(seconds, _, everyone):
                if everyone:
                    self._pacer.hold(self._clock.monotonic() + seconds)
                    self._tally.waiting_until = self._pacer.held_until
                raise _TryAgain(decision)
            case RowFailed(error, message):
                if case.may_have_arrived:
                    message = f"{message}; {MAY_HAVE_BEEN_APPLIED}"
                self._suspect(case.outcome(State.FAILED, error=error, message=message))
                return None
            case StopRun(reason):
                self.stop(reason)
                raise _Stopping
            case _:
                assert_never(decision)

    def _suspect(self, outcome: Outcome) -> None:
        """A row without attempts left: what happens next decides about it."""
        if self._liveness.used_up(outcome, self._clock.monotonic()):
            self.stop(Outage(f"Nothing gets through to the API: {outcome.message}"))

    def _clear_suspects(self, begun: float) -> None:
        for outcome in self._liveness.got_through(begun):
            self._finish(outcome)

    async def _look_at_api(self) -> None:
        """All else is sent: ask the API itself whether the suspects are to blame."""
        await self._permit()
        self._tally.requests += 1
        with anyio.CancelScope(shield=True) as scope:
            self._exchanges.add(scope)
            begun = self._clock.monotonic()
            seen = await self._transport.get("/v1/users/me")
            if isinstance(seen, Reply) and shows_life(seen):
                self._clear_suspects(begun)
            else:
                self.stop(Outage(f"Nothing gets through to the API: {self._liveness.suspects[-1].message}"))
        self._exchanges.discard(scope)

    def _finish(self, outcome: Outcome) -> None:
        self._work.put(outcome)
        self._tally.count(outcome)

    async def _permit(self) -> None:
        """Wait for a permit, in order of asking.

        The one at the head of the queue sleeps, and looks again when it wakes: a hold may
        have come meanwhile.
        """
        async with self._turn:
            while (seconds := self._pacer.wait(self._clock.monotonic())) > 0:
                await self._clock.sleep(seconds)
            self._pacer.take(self._clock.monotonic())


def patch_path(target: str) -> str:
    """The path of a showing: its key percent-encoded down to unreserved characters (RFC 3986, section 2.3)."""
    return "/v1/showings/" + quote(target, safe="")


def idempotency_key(change: Change) -> str:
    """The same for every attempt of the same patch on the same showing."""
    return hashlib.sha256(f"{change.target}\0{change.digest}".encode()).hexdigest()[:32]


def _still_pending(suspect: Outcome) -> Outcome:
    return Outcome(
        id=suspect.id,
        state=State.PENDING,
        attempts=suspect.attempts,
        throttled=suspect.throttled,
        http_status=suspect.http_status,
        message=suspect.message,
        sent_at=suspect.sent_at,
        duration_ms=suspect.duration_ms,
    )


def _seconds_of(error: BaseException) -> float:
    assert isinstance(error, _TryAgain)  # noqa: S101 - tenacity retries on nothing else
    return error.decision.seconds


def _log_retry(state: RetryCallState) -> None:
    case: _Case = state.args[0]
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgain):
        log.info("row %d: again in %.2f s: %s", case.change.number, error.decision.seconds, error.decision.why)

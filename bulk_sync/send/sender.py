"""The workers: they take changes, send them, and put an outcome for each.

Invariants:

1. Each change that was taken ends in exactly one outcome, under its own id, also when the
   run is stopped: then it says `pending`, and whether the change may have been applied.
2. Every request takes a permit first, retries and the look at the API too.
3. A request that left is not cut short by a stop (only by `--timeout`, or `abandon`): its task
   is shielded but while it waits for something else, and between a reply and the putting of its
   outcome nothing waits.
4. Until the API was reached once, one change at a time is on its way: a refused key or
   a wrong address costs one request, not one for each worker.
5. At most `workers` requests are on their way. A row that waits to be tried again holds no
   worker; so many of them may wait, then no new ones are taken.
6. While the circuit is open one request at a time leaves, not before the gap is over, and
   nothing that fails then makes a row fail.
"""

from __future__ import annotations

import hashlib
import logging
import math
import random
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Protocol, assert_never
from urllib.parse import quote

import anyio
from anyio.abc import TaskGroup
from msgspec.structs import replace
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exception

from bulk_sync.clock import Clock, utc_text
from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly
from bulk_sync.model.rows import Change, Outcome, RowDecided, State, Tally
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget, NoPermit
from bulk_sync.send.circuit import FAILURES_IN_A_ROW, SHORT_GAP_SECONDS, Circuit, RetryBudget
from bulk_sync.send.decide import (
    Acknowledged,
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    acknowledgement,
    decide,
    may_be_the_apis,
    may_have_been_applied,
    pace_kind,
    shows_life,
)
from bulk_sync.send.headers import limits, retry_after
from bulk_sync.send.pace import LONGEST_PAUSE_SECONDS, Seen
from bulk_sync.send.transport.interface import Failure, Reply, Transport
from bulk_sync.timeline import latency_bucket

log = logging.getLogger("bulk_sync.send")

FORBIDDEN_IN_SEQUENCE = 10
"""So many 403s with nothing acknowledged in between mean the key, not the rows."""

MOST_WAITING = 256
"""So many rows may wait to be tried again."""

_LOOK_AGAIN_SECONDS = 0.05
_MOST_TAIL_RETRIES = 50.0


class Work(Protocol):
    """Where changes come from and outcomes go."""

    async def claim(self, limit: int) -> list[Change]:
        """Take up to `limit` changes; none when all are taken."""
        ...

    def take(self) -> Change | None:
        """The next change if one is at hand; never waits. None says nothing of what `claim` may
        bring.
        """
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


class _Case:
    """One change on its way: what was tried so far."""

    scope: anyio.CancelScope
    """Of the task that sees it through."""

    # Of the class until they change: most cases end with their first request.
    started: float | None = None
    begun: float = 0.0
    attempts: int = 0
    throttled: int = 0
    excused: int = 0
    may_have_arrived: bool = False
    has_worker: bool = True
    retry_costs: bool = False
    verdict: RowFailed | None = None
    failed_after: int | None = None  # so many had got through when it failed last
    known: bool = False  # it failed before and after others got through
    http_status: int | None = None
    sent_at: str | None = None
    duration_ms: int | None = None

    def __init__(self, change: Change, lost_before: float) -> None:
        self.change = change
        self.lost_before = lost_before

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
        )

    def undecided(self) -> Outcome:
        return self.outcome(State.PENDING)

    def failed(self, verdict: RowFailed) -> Outcome:
        return self.outcome(State.FAILED, error=verdict.error, message=verdict.message)


class Sender:
    """Sends what `work` holds through `transport`, paced by `budget`."""

    def __init__(
        self,
        transport: Transport,
        work: Work,
        *,
        budget: Budget,
        policy: RetryPolicy,
        bounds: Bounds,
        clock: Clock,
        dice: random.Random,
        tally: Tally,
        workers: int,
        key_accepted: bool = False,
        on_row: Callable[[RowDecided], None] | None = None,
    ) -> None:
        self._transport = transport
        self._work = work
        self._budget = budget
        self._policy = policy
        self._bounds = bounds
        self._clock = clock
        self._dice = dice
        self._tally = tally
        self._workers = workers
        self._key_accepted = key_accepted
        self._on_row = on_row
        self._forbidden = 0
        self._answered = False
        self._headers: Mapping[str, str] = {}  # of the last reply, and what they tell
        self._limits = limits(self._headers)
        self._tells_all = log.isEnabledFor(logging.DEBUG)
        self._circuit: Circuit[_Case] = Circuit()
        self._retry_budget = RetryBudget()
        self._lost_seconds = 0.0  # in outages
        self._fresh: deque[Change] = deque()
        self._again: deque[_Case] = deque()
        self._all_taken = False
        self._open_rows = 0
        self._started = 0  # tasks that send rows
        self._free = anyio.Semaphore(workers, fast_acquire=True)
        self._wanted = 0  # rows that are to be tried again and wait for a worker
        self._handed: deque[_Case] = deque()
        self._ready = anyio.Semaphore(0, fast_acquire=True)
        self._reached = anyio.Event()
        self._any_reached = False  # the same, for it is asked often
        self._sent_at = ""  # the time of day, to the millisecond, until the one below
        self._sent_at_until = -math.inf
        self._row_ended = anyio.Event()
        self._feed_waits = False  # for the one above
        self._turned = anyio.Event()  # the circuit was closed, or nothing is left but retries
        self._probing = anyio.Lock(fast_acquire=True)
        self._retry_turn = anyio.Lock(fast_acquire=True)
        self._waits = anyio.CancelScope()
        self._scopes: set[anyio.CancelScope] = set()
        self._retrying = AsyncRetrying(
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
        self.stop(Outage("Stopped at once"))
        for scope in self._scopes:
            scope.cancel()

    async def run(self) -> None:
        """Send until all is sent or the run is stopped; then `stopped` says why."""
        with self._waits:
            async with anyio.create_task_group() as tasks:
                if self._bounds.deadline < math.inf:
                    tasks.start_soon(self._end_at_the_deadline)
                await self._feed(tasks)
                tasks.cancel_scope.cancel()
        for case in (*self._handed, *self._circuit.suspects, *self._again):
            self._finish(case.undecided(), case)
        with anyio.CancelScope(shield=True):
            await self._budget.settle()
        self._tally.throttled_seconds = self._budget.throttled_seconds

    async def _end_at_the_deadline(self) -> None:
        left = self._bounds.deadline - self._clock.monotonic()
        if left > 0:  # staging may have outlasted it
            await self._clock.sleep(left)
        self.stop(StoppedEarly("The time that --deadline or --finish-by sets is over"))

    # Rows

    async def _feed(self, tasks: TaskGroup) -> None:
        """Hand every row to a worker, and see to those without a verdict in the end."""
        while True:
            if self._open_rows >= self._workers + MOST_WAITING:
                await self._until_a_row_ended()
                continue
            await self._free.acquire()
            case = await self._next_case()
            if case is not None:
                await self._begin(case, tasks)
                continue
            self._free.release()
            if self._open_rows:
                await self._until_a_row_ended()
            elif self._circuit.suspects:
                with suppress(_Stopping):  # then the scope around us is cancelled
                    await self._decide_suspects()
            elif not self._again:
                return

    async def _until_a_row_ended(self) -> None:
        self._turned.set()
        self._row_ended = anyio.Event()
        self._feed_waits = True
        await self._row_ended.wait()
        self._feed_waits = False

    async def _next_case(self) -> _Case | None:
        if self._again:
            return self._again.popleft()
        if not self._fresh and not self._all_taken:
            self._fresh.extend(await self._work.claim(self._workers))
            self._all_taken = not self._fresh
            if self._all_taken:
                self._turned.set()
        return _Case(self._fresh.popleft(), self._lost_seconds) if self._fresh else None

    async def _begin(self, case: _Case, tasks: TaskGroup) -> None:
        case.has_worker = True
        self._open_rows += 1
        self._handed.append(case)
        self._ready.release()
        if self._open_rows > self._started:
            tasks.start_soon(self._work_on)
            self._started += 1
        if not self._any_reached:
            await self._reached.wait()

    def _let_others_follow(self) -> None:
        """The first request has told whether there is anybody."""
        self._any_reached = True
        self._reached.set()

    async def _work_on(self) -> None:
        # One scope for all its requests, shielded but while it waits: to shield each request would
        # be dearer.
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            while True:
                await self._ready.acquire()
                case: _Case | None = self._handed.popleft()
                scope.shield = True
                while case is not None:
                    case.scope = scope
                    case = await self._see_through(case)
                scope.shield = False

    async def _see_through(self, case: _Case) -> _Case | None:
        """All that is to be done for a change; returns what its worker is to go on with, if it is
        to.
        """
        following: _Case | None = None
        try:
            try:
                outcome = await self._attempt(case)
            except _TryAgain as first:
                with _open_to_a_stop(case.scope):
                    outcome = await self._try_again(case, first.decision)
        except (anyio.get_cancelled_exc_class(), _Stopping) as ended:
            self._finish(case.undecided(), case)
            if not isinstance(ended, _Stopping):
                raise
        else:
            if outcome is not None:
                self._finish(outcome, case)
                following = self._next_at_hand() if case.has_worker else None
        finally:
            if following is None:
                self._open_rows -= 1
                self._let_go(case)
            if not self._any_reached:
                self._let_others_follow()
            if self._feed_waits:
                self._row_ended.set()
        return following

    def _next_at_hand(self) -> _Case | None:
        """A change to go on with at once; None where `_feed` has to see to more than that."""
        if self._wanted or self._again or self._circuit.open or self.stopped is not None:
            return None
        change = self._fresh.popleft() if self._fresh else self._work.take()
        return None if change is None else _Case(change, self._lost_seconds)

    async def _take_worker(self, case: _Case) -> None:
        self._wanted += 1
        try:
            await self._free.acquire()
        finally:
            self._wanted -= 1
        case.has_worker = True

    def _let_go(self, case: _Case) -> None:
        if case.has_worker:
            case.has_worker = False
            self._free.release()

    def _finish(self, outcome: Outcome, case: _Case) -> None:
        self._work.put(outcome)
        bad = outcome.state is State.REJECTED or outcome.state is State.FAILED
        if bad:
            told = _about(case, "row") | {"state": outcome.state.value}
            log.warning(
                "row %d: %s: %s",
                case.change.number,
                outcome.state.value,
                outcome.message,
                extra=told,
            )
        elif self._tells_all:
            told = _about(case, "row") | {"state": outcome.state.value}
            log.debug("row %d: %s", case.change.number, outcome.state.value, extra=told)
        self._tally.count(outcome)
        if self._on_row is not None and outcome.state is not State.PENDING:
            change = case.change
            self._on_row(
                RowDecided(
                    change.number,
                    change.target,
                    outcome.state,
                    outcome.http_status,
                    outcome.attempts,
                    0.0 if case.started is None else self._clock.monotonic() - case.started,
                    outcome.error,
                    outcome.message,
                )
            )
        if bad:
            reason = self._bounds.refusal(
                self._tally.decided, outcome, any_accepted=self._key_accepted
            )
            if reason is not None:
                self.stop(reason)

    # Attempts

    async def _try_again(self, case: _Case, first: RetryIn) -> Outcome | None:
        """All attempts for one change but the first: an outcome, or None for a suspect."""
        _log(case, first)
        await self._rest(case, first.seconds)
        # tenacity keeps the state of a call on the object and calls overlap here: hence the copy.
        retrying = self._retrying.copy(sleep=partial(self._rest, case))
        outcome: Outcome | None = await retrying(self._attempt_shielded, case)
        return outcome

    async def _attempt_shielded(self, case: _Case) -> Outcome | None:
        case.scope.shield = True
        try:
            return await self._attempt(case)
        finally:
            case.scope.shield = False

    async def _rest(self, case: _Case, seconds: float) -> None:
        """Between two attempts: let the worker go, wait, and ask the retry budget."""
        if not case.retry_costs:
            if self._circuit.open:
                await self._stand_back(case)
            return  # the pace says when
        self._let_go(case)
        await self._clock.sleep(seconds)
        async with self._retry_turn:
            while not self._retry_budget.take(
                self._clock.monotonic(),
                only_retries_left=self._only_retries_left(),
                per_second=min(_MOST_TAIL_RETRIES, self._budget.rate),
            ):
                await self._clock.sleep(_LOOK_AGAIN_SECONDS)
        await self._take_worker(case)

    async def _stand_back(self, case: _Case) -> None:
        """Let rows that were not tried yet probe: this one may be what the server chokes on."""
        self._let_go(case)
        while self._circuit.open and not self._only_retries_left():
            if self._turned.is_set():
                self._turned = anyio.Event()
            await self._turned.wait()
        await self._take_worker(case)

    def _only_retries_left(self) -> bool:
        none_fresh = self._all_taken and not self._fresh and not self._again
        return none_fresh or self._open_rows >= self._workers + MOST_WAITING

    async def _attempt(self, case: _Case) -> Outcome | None:
        """One request for one change: an outcome, None for a suspect, or _TryAgain."""
        ordinal = None if self._circuit.open else self._budget.at_once()
        if ordinal is not None:
            return await self._request(case, ordinal)
        while True:
            if self._circuit.open:
                with _open_to_a_stop(case.scope):
                    await self._probing.acquire()
                try:
                    if self._circuit.open:
                        with _open_to_a_stop(case.scope):
                            await self._until_the_next_probe()
                            ordinal = await self._permit()
                        return await self._request(case, ordinal)
                finally:
                    self._probing.release()
            ordinal = self._budget.at_once()
            if ordinal is None:
                with _open_to_a_stop(case.scope):
                    ordinal = await self._permit()
            if not self._circuit.open:
                return await self._request(case, ordinal)

    async def _permit(self) -> float:
        """A permit; when none comes in time the run ends now, not after an hour of silence."""
        patience = max(self._policy.retry_for_seconds, LONGEST_PAUSE_SECONDS)
        try:
            return await self._budget.permit(self._bounds.deadline, patience)
        except NoPermit as none:
            at = utc_text(self._clock.now() + timedelta(seconds=none.seconds))
            if none.asked:
                horizon = f"{self._policy.retry_for_seconds:.0f} s"
                self.stop(
                    Outage(
                        f"The API asks to wait until {at}, longer than --retry-for ({horizon}). Run again after that"
                    )
                )
            else:
                self.stop(
                    StoppedEarly(
                        f"The next request may leave at {at}, after the end that --deadline or --finish-by sets"
                    )
                )
            raise _Stopping from None

    async def _request(self, case: _Case, ordinal: float) -> Outcome | None:
        change, tally, clock = case.change, self._tally, self._clock
        case.begun = begun = clock.monotonic()
        case.sent_at = self._time_of_day(begun)
        if case.started is None:
            case.started = begun  # waiting for the first permit is no part of trying
        case.attempts += 1
        tally.requests += 1
        tally.retries += case.attempts > 1
        tally.in_flight += 1
        try:
            seen = await self._transport.patch(
                patch_path(change.target), change.body.encode(), idempotency_key(change)
            )
        except anyio.get_cancelled_exc_class():
            case.may_have_arrived = True
            raise
        finally:
            tally.in_flight -= 1
            ended = clock.monotonic()
            case.duration_ms = math.ceil((ended - begun) * 1000)
        self._note(case, seen, ordinal, ended - begun)
        if isinstance(seen, Failure):
            if seen.hopeless and self._answered:
                seen = replace(seen, hopeless=False)  # it worked a while ago, and may again
        elif 200 <= seen.status < 300:
            answer = acknowledgement(seen, change.target, change.body)
            if isinstance(answer, Acknowledged):
                return self._acknowledged(answer, case)
        decision = decide(
            seen,
            SoFar(
                attempts=case.attempts,
                throttled=case.throttled,
                excused=case.excused,
                elapsed_seconds=ended - case.started - (self._lost_seconds - case.lost_before),
                key_accepted=self._key_accepted and self._forbidden < FORBIDDEN_IN_SEQUENCE,
                left_seconds=self._bounds.deadline - ended,
            ),
            self._policy,
            target=change.target,
            sent=change.body,
            dice=self._dice.random(),
        )
        return self._carry_out(decision, case)

    def _time_of_day(self, now: float) -> str:
        """As reports show it: it is the same for all requests of a millisecond."""
        if now >= self._sent_at_until:
            moment = self._clock.now()
            self._sent_at = utc_text(moment)
            self._sent_at_until = now + (1000 - moment.microsecond % 1000) / 1e6
        return self._sent_at

    def _note(self, case: _Case, seen: Reply | Failure, ordinal: float, seconds: float) -> None:
        """Tell the pace, the log and the case what came."""
        tally, budget = self._tally, self._budget
        kind = pace_kind(seen)
        bucket = latency_bucket(seconds)
        tally.latencies[bucket] = tally.latencies.get(bucket, 0) + 1
        if may_have_been_applied(seen):
            case.may_have_arrived = True
        if isinstance(seen, Reply):
            if (
                seen.headers is not self._headers
            ):  # a transport that knows a head gives the very same
                self._headers, self._limits = seen.headers, limits(seen.headers)
                tally.notes.update(self._limits.ignored)
            asked = retry_after(seen.headers) if kind == "throttled" else None
            budget.saw(Seen(ordinal, kind, seconds, asked, self._limits.quotas))
            case.http_status = seen.status
            what = str(seen.status)
        else:
            budget.saw(Seen(ordinal, kind, seconds))
            case.http_status = None
            what = seen.kind
        self._answered = self._answered or may_be_the_apis(seen)
        if kind == "throttled":
            case.throttled += 1
            tally.throttled += 1
        tally.limit, tally.source = budget.limit, budget.source
        tally.waiting_until = budget.held_until
        if not self._any_reached and (isinstance(seen, Reply) or seen.may_have_arrived):
            self._let_others_follow()
        tally.statuses[what] = tally.statuses.get(what, 0) + 1
        if self._tells_all:
            text = what if isinstance(seen, Reply) else seen.message
            about = _about(case, "request")
            log.debug(
                "row %d: attempt %d: %s (%d ms)",
                case.change.number,
                case.attempts,
                text,
                case.duration_ms,
                extra=about,
            )

    def _acknowledged(self, answer: Acknowledged, case: _Case) -> Outcome:
        self._key_accepted = True
        self._forbidden = 0
        self._retry_budget.succeeded()
        if self._circuit.at_rest():
            self._circuit.successes += 1
        else:
            self._got_through(case.begun)
        showing_id, updated_at, note = answer
        return case.outcome(
            State.UPDATED, message=note, showing_id=showing_id, updated_at=updated_at
        )

    def _carry_out(self, decision: Decision, case: _Case) -> Outcome | None:
        match decision:
            case Acknowledged():
                return self._acknowledged(decision, case)
            case RowRejected(error, message):
                self._forbidden = self._forbidden + 1 if error == "forbidden" else 0
                self._retry_budget.succeeded()
                self._got_through(case.begun)
                return case.outcome(State.REJECTED, error=error, message=message)
            case RowFailed(final=True):
                return case.failed(decision)
            case RetryIn(everyone=True):
                case.retry_costs = False
                raise _TryAgain(decision)
            case RetryIn(why=why):
                case.retry_costs = self._counts(case, why)
                raise _TryAgain(decision)
            case RowFailed(message=message):
                if not self._counts(case, message):
                    case.retry_costs = False
                    raise _TryAgain(RetryIn(0.0, message))
                case.verdict = decision
                self._circuit.suspect(case, self._clock.monotonic())
                if not self._answered:
                    self._stop_for_outage(message)
                return None
            case StopRun(reason):
                self.stop(reason)
                raise _Stopping
            case _:
                assert_never(decision)

    # Is the API there?

    def _counts(self, case: _Case, why: str) -> bool:
        """Take a failure into account; True when it is an attempt of its row, False when an outage
        excuses it.
        """
        was_open = self._circuit.open
        counts = self._circuit.failed(
            case, case.begun, self._clock.monotonic(), self._dice.random()
        )
        case.excused += not counts
        if counts:
            case.known |= case.failed_after not in {None, self._circuit.successes}
            case.failed_after = self._circuit.successes
        if self._circuit.open:
            self._tally.trouble = why
            self._tally.waiting_until = self._circuit.probe_at
            if not was_open:
                log.warning(
                    "nothing gets through, sending pauses: %s", why, extra={"event": "outage"}
                )
                if not self._answered:
                    self._stop_for_outage(why)
        return counts

    def _got_through(self, begun: float) -> None:
        was_open = self._circuit.open
        failed, again, given_back = self._circuit.got_through(begun)
        for case in failed:
            self._give_up(case)
        for case in given_back:
            case.excused += 1
        for case in again:
            case.excused = case.attempts - case.throttled
        self._again.extend(again)
        if was_open and not self._circuit.open:
            self._lost_seconds += self._clock.monotonic() - self._circuit.began
            self._tally.trouble = None
            self._turned.set()
            log.info("requests get through again", extra={"event": "outage over"})

    def _give_up(self, case: _Case) -> None:
        assert case.verdict is not None  # noqa: S101 - a suspect has one
        self._finish(case.failed(case.verdict), case)

    async def _until_the_next_probe(self) -> None:
        """Wait out the gap; the run ends when the outage outlasts --retry-for."""
        deadline = self._circuit.began + self._policy.retry_for_seconds
        if (
            self._circuit.probe_at - self._clock.monotonic() > SHORT_GAP_SECONDS
            and await self._api_is_up()
        ):
            self._circuit.hurry(self._clock.monotonic() + SHORT_GAP_SECONDS)
        while (now := self._clock.monotonic()) < self._circuit.probe_at:
            if now >= deadline:
                self._stop_for_outage(self._tally.trouble or "no reply")
                raise _Stopping
            await self._clock.sleep(min(self._circuit.probe_at, deadline) - now)
        if self._all_taken and not self._fresh and self._is_about_few() and await self._api_is_up():
            self._circuit.trust()
            self._tally.trouble = None
            self._turned.set()

    def _is_about_few(self) -> bool:
        """True when the rows in trouble are few, or known for it: then the look at the API may
        speak for the rows.

        So many that it may be an outage of this one endpoint stay pending, unless they failed
        before: in an earlier run, or earlier in this one, with others getting through in between.
        """
        in_trouble = {
            id(case): case for case in (*self._circuit.in_a_row, *self._circuit.suspects)
        }.values()
        return len(in_trouble) < FAILURES_IN_A_ROW or all(
            case.known or case.change.tried for case in in_trouble
        )

    async def _decide_suspects(self) -> None:
        """All else is sent: ask the API itself whether these rows are to blame."""
        if self._circuit.open:
            await self._until_the_next_probe()
        if self._is_about_few() and await self._api_is_up():
            for case in self._circuit.acquit():
                self._give_up(case)
            return
        again = self._circuit.excuse(self._clock.monotonic(), self._dice.random())
        for case in again:
            case.excused = case.attempts - case.throttled
            self._tally.trouble = case.verdict.message if case.verdict else None
        self._again.extend(again)

    async def _api_is_up(self) -> bool:
        """Ask for `GET /v1/users/me`."""
        await self._permit()
        self._tally.requests += 1
        seen: Reply | Failure | None = None
        with anyio.CancelScope(shield=True) as scope:
            self._scopes.add(scope)
            seen = await self._transport.get("/v1/users/me")
        self._scopes.discard(scope)
        return isinstance(seen, Reply) and shows_life(seen)

    def _stop_for_outage(self, why: str) -> None:
        self.stop(Outage(f"Nothing gets through to the API: {why}"))


_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+").fullmatch


@contextmanager
def _open_to_a_stop(scope: anyio.CancelScope) -> Iterator[None]:
    """While a task waits for something else than a reply, a stop may end it."""
    scope.shield = False
    try:
        yield
    finally:
        scope.shield = True


def patch_path(target: str) -> str:
    """The path of a showing: its key percent-encoded down to unreserved characters (RFC 3986,
    section 2.3).
    """
    return "/v1/showings/" + (target if _UNRESERVED(target) else quote(target, safe=""))


def idempotency_key(change: Change) -> str:
    """The same for every attempt of the same patch on the same showing."""
    return hashlib.sha256(f"{change.target}\0{change.digest}".encode()).hexdigest()[:32]


def _seconds_of(error: BaseException) -> float:
    assert isinstance(error, _TryAgain)  # noqa: S101 - tenacity retries on nothing else
    return error.decision.seconds


def _log(case: _Case, decision: RetryIn) -> None:
    told = _about(case, "retry") | {"wait": round(decision.seconds, 3)}
    log.info(
        "row %d: again in %.2f s: %s",
        case.change.number,
        decision.seconds,
        decision.why,
        extra=told,
    )


def _about(case: _Case, event: str) -> dict[str, object]:
    """What a log line says beside its text."""
    change = case.change
    told = {
        "row": change.number,
        "key": change.target,
        "http_status": case.http_status,
        "attempt": case.attempts,
    }
    return {"event": event, **told}


def _log_retry(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _TryAgain):
        _log(state.args[0], error.decision)

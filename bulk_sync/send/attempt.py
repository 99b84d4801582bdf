"""One attempt at a change: permit, request, decision, outcome.

What follows a 404 with --create-missing is explained in `creating`.
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
from collections.abc import Mapping
from typing import assert_never
from urllib.parse import quote

import anyio
from msgspec.structs import replace

from bulk_sync.clock import utc_text
from bulk_sync.model.rows import Change, Outcome, State
from bulk_sync.send.acknowledgement import Acknowledged, acknowledgement
from bulk_sync.send.alone import Refusals
from bulk_sync.send.availability import Availability
from bulk_sync.send.backlog import Work
from bulk_sync.send.bounds import KeyTrust
from bulk_sync.send.case import Case, TryAgain
from bulk_sync.send.circuit import RetryBudget
from bulk_sync.send.context import Context
from bulk_sync.send.creating import (
    CREATE_PATH,
    SETTLE_SECONDS,
    after_post,
    creation_body,
    creation_key,
    patch_goes_first,
    settle_seconds,
    without_report,
)
from bulk_sync.send.decide import (
    Blocked,
    Decision,
    RetryIn,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    contradicted,
    decide,
    may_have_been_applied,
    pace_kind,
    wait_of_all,
)
from bulk_sync.send.evidence import OUT_OF_STEP, Doubt
from bulk_sync.send.halt import Stopping, interruptible
from bulk_sync.send.headers import limits
from bulk_sync.send.observation import Observation
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.timeline import latency_bucket

log = logging.getLogger("bulk_sync.send")


class Attempts:
    """Makes attempts for all cases of a run."""

    def __init__(
        self,
        context: Context,
        availability: Availability,
        key: KeyTrust,
        work: Work,
    ) -> None:
        self._transport = context.transport
        self._budget = context.budget
        self._policy = context.terms.policy
        self._deadline = context.terms.bounds.deadline
        self._clock = context.clock
        self._dice = context.dice
        self._tally = context.tally
        self._workers = context.terms.workers
        self._work = work
        self._creates = context.terms.create_missing
        self._report_id = context.terms.report_id
        self._availability = availability
        self._circuit = availability.circuit
        self._key = key
        self._evidence = context.evidence
        self.retry_budget = RetryBudget()
        self._headers: Mapping[str, str] = {}  # of the latest reply
        self._limits = limits(self._headers)
        self._sent_at = ""
        self._sent_at_until = -math.inf
        self._logs_all = log.isEnabledFor(logging.DEBUG)

    async def make(self, case: Case) -> Outcome | None:
        """Send one request; return the outcome, or None when the case becomes a suspect.

        Raises TryAgain when another attempt is due, Stopping when the run ends first.
        """
        circuit = self._circuit
        # Fast path: most permits come from a group that is already reserved, and need no await.
        is_blocked = circuit.open or self._work.is_behind()
        ordinal = None if is_blocked else self._budget.permit_nowait()
        if ordinal is not None:
            return await self._send(case, ordinal)
        availability = self._availability
        # The circuit may open or close during each wait, so its state is read again after it.
        # So is whether outcomes are kept in time.
        while True:
            if self._work.is_behind():
                with interruptible(case.scope):
                    await self._work.catch_up()
                continue
            if circuit.open:
                with interruptible(case.scope):
                    await availability.probing.acquire()
                try:
                    if circuit.open:  # the request before this one may have closed it
                        with interruptible(case.scope):
                            await availability.wait_for_probe()
                            ordinal = await availability.permit()
                        return await self._send(case, ordinal)
                finally:
                    availability.probing.release()
            ordinal = self._budget.permit_nowait()
            if ordinal is None:
                with interruptible(case.scope):
                    ordinal = await availability.permit()
            if not (self._work.is_behind() or circuit.open):
                return await self._send(case, ordinal)

    async def _send(self, case: Case, ordinal: float) -> Outcome | None:
        change, tally, clock = case.change, self._tally, self._clock
        begun = clock.monotonic()
        if case.started is not None:
            case.keep_attempt(begun)
        case.begun = begun
        case.sent_at = self._time_of_day(begun)
        if case.started is None:  # the wait for the first permit is no part of trying
            case.started = begun
            case.idle_seconds_before = self._availability.idle_seconds(begun)
            case.settled_at = begun + SETTLE_SECONDS if case.may_be_created else 0.0
        case.attempts += 1
        tally.requests += 1
        tally.retries += case.attempts > 1 and not case.begins_step
        case.begins_step = False
        tally.in_flight += 1
        tally.all_busy += tally.in_flight >= self._workers
        sent = change.body if case.creation is None or not case.posts else case.creation
        try:
            if case.posts:
                seen = await self._transport.post(CREATE_PATH, sent.encode(), creation_key(sent))
            else:
                seen = await self._transport.patch(
                    patch_path(change.target), sent.encode(), idempotency_key(change)
                )
        except anyio.get_cancelled_exc_class():
            case.may_have_arrived = True  # the transport can't say any more how far it came
            case.may_be_created |= case.posts
            raise
        finally:
            tally.in_flight -= 1
            ended = clock.monotonic()
            case.duration_ms = math.ceil((ended - begun) * 1000)
        self._note(case, seen, ordinal, ended - begun)
        if isinstance(seen, Reply) and 200 <= seen.status < 300:
            # Nearly every reply takes this path, so it skips what `decide` needs for the others.
            answer = acknowledgement(seen, change.target, sent, by_id=change.by_id)
            if isinstance(answer, Acknowledged):
                doubt = self._evidence.against(
                    change,
                    answer,
                    seen.status,
                    case.doubted,
                    may_repeat=self._policy.repeat_ambiguous and not case.posts,
                )
                if doubt is None and not case.doubted:
                    return self._acknowledged(answer, case)
                return await self._examined(doubt, answer, case, seen, ended)
            if answer.of_another:
                self._evidence.is_out_of_step = True
                await self._renew_connections()
        return await self._conclude(case, seen, self._decision(case, seen, sent, ended), ended)

    async def _examined(
        self, doubt: Doubt | None, answer: Acknowledged, case: Case, seen: Reply, ended: float
    ) -> Outcome | None:
        """Go on with an acknowledgement that is doubted, or that follows one that was.

        Raises TryAgain when another attempt is due.
        """
        await self._renew_connections()
        if doubt is None:
            return self._acknowledged(answer, case)
        if doubt.of_values:
            case.doubted = (*case.doubted, answer)
            decision: Decision = RetryIn(0.0, doubt.why, decided=True, costs_attempt=False)
        else:
            so_far, dice = self._so_far(case, ended), self._dice.random()
            decision = contradicted(doubt.why, so_far, self._policy, dice)
        return await self._conclude(case, seen, decision, ended)

    async def _renew_connections(self) -> None:
        """Let no reply that is still due be taken for the next one's."""
        is_out_of_step = self._evidence.is_out_of_step
        if is_out_of_step:
            self._tally.notes["out of step"] = OUT_OF_STEP
        await self._transport.renew(for_good=is_out_of_step)

    async def _conclude(
        self, case: Case, seen: Reply | Failure, decision: Decision, ended: float
    ) -> Outcome | None:
        """Carry out the decision about what is no plain acknowledgement."""
        case.decision = decision
        if may_have_been_applied(seen):
            case.may_have_arrived = True
        if case.posts:
            decision = self._after_post(case, seen, decision, ended)
        elif self._creates and case.http_status == 404 and isinstance(decision, RowRejected):
            decision = await self._follow_missing(case, decision)
        return self._carry_out(decision, case)

    async def _follow_missing(self, case: Case, rejected: RowRejected) -> RowRejected:
        """Go on with a row whose showing is missing, or return why it can't be created.

        Raises TryAgain when a POST, or another PATCH, is due.
        """
        wait = case.settled_at - self._clock.monotonic()
        if case.begun >= case.settled_at:
            wait = 0.0
            if case.creation is None:
                missing = await self._work.begin_creation(case.change, self._report_id)
                if missing is None:
                    return rejected
                patch, digest, report_id = missing
                if report_id is None:
                    return without_report(rejected)
                case.change = case.change._replace(body=patch, digest=digest)
                case.creation = creation_body(patch, case.change.target, report_id)
            case.posts = case.begins_step = True
        self._decided(case)
        case.excused += 1  # a step of the protocol, no failure
        case.retry_costs = not case.posts
        why = "creating it" if case.posts else "an earlier POST may be applied yet"
        case.decision = again = RetryIn(max(0.0, wait), f"404: {why}")
        raise TryAgain(again)

    def _after_post(
        self, case: Case, seen: Reply | Failure, decision: Decision, ended: float
    ) -> Decision:
        if may_have_been_applied(seen):
            case.may_be_created = True
            case.settled_at = ended + settle_seconds(ended - case.begun)
        case.posts = not patch_goes_first(seen)
        if isinstance(decision, RowRejected) and decision.error == "forbidden":
            self._key.creations_forbidden += 1
        return after_post(
            seen,
            decision,
            self._so_far(case, ended),
            self._policy,
            dice=self._dice.random(),
            forbidden=self._key.creations_forbidden,
        )

    def _time_of_day(self, now: float) -> str:
        """Return the time as reports show it, formatted once per millisecond."""
        if now >= self._sent_at_until:
            moment = self._clock.now()
            self._sent_at = utc_text(moment)
            self._sent_at_until = now + (1000 - moment.microsecond % 1000) / 1e6
        return self._sent_at

    def _note(self, case: Case, seen: Reply | Failure, ordinal: float, seconds: float) -> None:
        """Record a reply or failure in the case, the counts, the pace and the log."""
        tally, budget = self._tally, self._budget
        kind = pace_kind(seen)
        if kind == "throttled" and self._is_refused_alone(case):
            kind = "other"  # it says nothing about the limit
        bucket = latency_bucket(seconds)
        tally.latencies[bucket] = tally.latencies.get(bucket, 0) + 1
        if isinstance(seen, Reply):
            # A transport that recognises a head returns the same mapping, so identity is enough.
            if seen.headers is not self._headers:
                self._headers, self._limits = seen.headers, limits(seen.headers)
                tally.notes.update(self._limits.ignored)
            asked = wait_of_all(seen, self._policy) if kind == "throttled" else None
            budget.observe(Observation(ordinal, kind, seconds, asked, self._limits.quotas))
            case.http_status = seen.status
            name = str(seen.status)
        else:
            budget.observe(Observation(ordinal, kind, seconds))
            case.http_status = None
            name = case.failure_kind = seen.kind
        self._availability.observe(seen)
        if kind == "throttled" and isinstance(seen, Reply):
            case.throttled += 1
            self._availability.account.throttled()
            tally.throttled += 1
            self._availability.refused(seen)
        tally.statuses[name] = tally.statuses.get(name, 0) + 1
        if self._logs_all:
            log.debug(
                "row %d: attempt %d: %s (%d ms)",
                case.change.number,
                case.attempts,
                name if isinstance(seen, Reply) else seen.message,
                case.duration_ms,
                extra=case.log_fields("request"),
            )

    def _is_refused_alone(self, case: Case) -> bool:
        """Note that a row was throttled; return True once it is refused alone (see `alone`).

        Such a row fails by itself, and does not slow the others down.
        """
        availability, now = self._availability, self._clock.monotonic()
        passed, refused = self._circuit.successes, self._tally.throttled - case.throttled
        if case.refusals is None:
            case.refusals = Refusals(passed, refused)
        refusals = case.refusals
        refusals.add(now, availability.latest_through)
        case.is_refused_alone |= refusals.are_improbable(passed, refused) or refusals.are_alone(
            availability.refused_seconds(now), availability.longest_refused_seconds
        )
        return case.is_refused_alone

    def _decision(self, case: Case, seen: Reply | Failure, sent: str, ended: float) -> Decision:
        if isinstance(seen, Failure) and seen.hopeless and self._availability.answered:
            seen = replace(seen, hopeless=False)  # it worked a while ago, and may again
        return decide(
            seen,
            self._so_far(case, ended),
            self._policy,
            target=case.change.target,
            sent=sent,
            dice=self._dice.random(),
            by_id=case.change.by_id,
        )

    def _so_far(self, case: Case, ended: float) -> SoFar:
        assert case.started is not None  # noqa: S101 - it was sent
        # Time spent in outages and in waiting for the API doesn't count towards --retry-for.
        idle = self._availability.idle_seconds(ended) - case.idle_seconds_before
        return SoFar(
            attempts=case.attempts,
            throttled=case.throttled,
            excused=case.excused,
            elapsed_seconds=max(0.0, ended - case.started - idle),
            # The 404 before a POST shows that the key is accepted.
            key_accepted=case.posts or self._key.holds,
            left_seconds=self._deadline - ended,
            refused_seconds=self._availability.refused_seconds(ended),
            refused_alone=case.is_refused_alone,
            may_have_been_applied=case.may_have_arrived or case.change.in_doubt,
        )

    def _acknowledged(self, answer: Acknowledged, case: Case) -> Outcome:
        self._key.acknowledged()
        self.retry_budget.succeeded()
        self._availability.got_through(case.begun)
        showing_id, updated_at, note, echoes = answer
        if echoes and not case.change.by_id:
            showing_id = None  # the reply may be another showing's
        state = State.CREATED if case.posts or case.may_be_created else State.UPDATED
        outcome = case.outcome(state, message=note, showing_id=showing_id, updated_at=updated_at)
        return outcome._replace(echoes=echoes) if echoes else outcome

    def _decided(self, case: Case, *, forbidden: bool = False) -> None:
        """Record that the API is up and decided about a row, though not in its favour."""
        self._key.rejected(forbidden=forbidden)
        self.retry_budget.succeeded()
        self._availability.got_through(case.begun)

    def _carry_out(self, decision: Decision, case: Case) -> Outcome | None:
        match decision:
            case Acknowledged():
                return self._acknowledged(decision, case)
            case RowRejected(error, message):
                self._decided(case, forbidden=error == "forbidden" and not case.posts)
                return case.outcome(State.REJECTED, error=error, message=message)
            case RowFailed(final=True):
                case.verdict = decision
                return case.failure()
            case Blocked(why, otherwise):
                self._hold(case, why, otherwise)
                return None
            case RetryIn(decided=True, costs_attempt=costs_attempt):
                self._decided(case)
                case.excused += not costs_attempt
                case.retry_costs = True
                raise TryAgain(decision)
            case RetryIn(everyone=True):
                case.retry_costs = False
                raise TryAgain(decision)
            case RetryIn(why=why):
                case.retry_costs = self._availability.failed(case, why)
                raise TryAgain(decision)
            case RowFailed(message=message):
                # In an outage the attempt is given back, so the row still has one left.
                if not self._availability.failed(case, message):
                    case.retry_costs = False
                    raise TryAgain(RetryIn(0.0, message))
                self._suspect(case, decision)
                return None
            case StopRun(reason, again_in_seconds):
                self._availability.stop(reason, again_in_seconds)
                raise Stopping
            case _:
                assert_never(decision)

    def _hold(self, case: Case, why: str, otherwise: RetryIn | RowFailed) -> None:
        """Go on with a row that was blocked; `otherwise` holds if only this row is."""
        if not self._availability.blocked(case, why):
            case.retry_costs = False
            raise TryAgain(RetryIn(0.0, why))
        if isinstance(otherwise, RetryIn):
            case.retry_costs = True
            raise TryAgain(otherwise)
        self._suspect(case, otherwise)

    def _suspect(self, case: Case, verdict: RowFailed) -> None:
        case.verdict = verdict
        self._availability.suspect(case, verdict.message)


_is_unreserved = re.compile(r"[A-Za-z0-9._~-]+").fullmatch


def patch_path(target: str) -> str:
    """Return the path of a showing; all but unreserved characters (RFC 3986, 2.3) are encoded."""
    return "/v1/showings/" + (target if _is_unreserved(target) else quote(target, safe=""))


def idempotency_key(change: Change) -> str:
    """Return the idempotency key: equal for every attempt at the same patch of one showing."""
    return hashlib.sha256(f"{change.target}\0{change.digest}".encode()).hexdigest()[:32]

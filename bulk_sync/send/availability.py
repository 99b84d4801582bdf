"""Judge whether the API is up: permits, failures, probes, and rows that keep failing."""

from __future__ import annotations

import logging
import math
from datetime import timedelta

import anyio

from bulk_sync.clock import utc_text
from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly
from bulk_sync.quantities import duration_text
from bulk_sync.send.account_watch import AccountWatch
from bulk_sync.send.backlog import Backlog
from bulk_sync.send.budget import NoPermit
from bulk_sync.send.case import Case
from bulk_sync.send.circuit import FAILURES_IN_A_ROW, SHORT_GAP_SECONDS, Circuit
from bulk_sync.send.context import Context
from bulk_sync.send.decide import may_come_from_api, refused_too_long, shows_api_is_up
from bulk_sync.send.halt import Stopping
from bulk_sync.send.headers import retry_after
from bulk_sync.send.outcomes import Outcomes
from bulk_sync.send.transport.interface import Failure, Reply

log = logging.getLogger("bulk_sync.send")


class Availability:
    """Judges whether the API is up, from every reply and failure of a run.

    Waiting for the API is no failure, and has a bound of its own. A run is refused from the first
    throttled request after which none got through until one does. While it is refused, it waits for
    --max-wait in all, whatever the number of rows and workers; otherwise for that long at a time.
    """

    def __init__(self, context: Context, backlog: Backlog, outcomes: Outcomes) -> None:
        self._transport = context.transport
        self._budget = context.budget
        self._policy = context.terms.policy
        self._deadline = context.terms.bounds.deadline
        self._clock = context.clock
        self._dice = context.dice
        self._tally = context.tally
        self._halt = context.halt
        self._backlog = backlog
        self._outcomes = outcomes
        self.circuit: Circuit[Case] = Circuit()
        self.account = AccountWatch(context)
        self.outage_seconds = 0.0
        """The total length of outages that are over."""
        self._refused_since: float | None = None
        self._refusal: Reply | None = None  # the latest
        self.longest_refused_seconds = 0.0
        """The longest time that is over in which everything was refused."""
        self.latest_through = -math.inf
        """When the latest of the requests left that got through."""
        self.answered = False
        """True once something answered the way the API does."""
        self._may_doubt = not context.terms.account_was_asked
        """True until this run's first request: an allowance that was used up before is asked for
        again, because one absurd reset must not stop every later run.
        """
        self.is_reached = False
        """True once a request arrived, or the first one ended."""
        self._reached = anyio.Event()
        self._changed = anyio.Event()
        self.probing = anyio.Lock(fast_acquire=True)
        """Held by the one request that may leave while the circuit is open."""

    async def preflight(self) -> None:
        """Make the run's first request; raises Stopping when no row may be sent with the key."""
        if await self.account.preflight(self._permit):
            self.answered = True
            self.mark_reached()

    async def permit(self) -> float:
        """Wait for a permit; return its ordinal. Raises Stopping when none comes in time."""
        ordinal = await self._permit()
        while self.account.is_due():
            await self.account.ask_again(ordinal)
            ordinal = await self._permit()
        return ordinal

    async def _permit(self) -> float:
        """Wait for a permit; return its ordinal.

        When none would come in time the run stops immediately, rather than after an hour of
        silence. Raises Stopping then.
        """
        most, now = self._policy.max_wait_seconds, self._clock.monotonic()
        refused = self.refused_seconds(now)
        give_up_at = now + most - refused if self._is_refused else math.inf
        until = min(self._deadline, give_up_at)
        try:
            try:
                return await self._budget.permit(until, most - refused)
            except NoPermit as none:
                if not (none.asked_by_api and self._may_doubt):
                    raise
                await self._budget.doubt(most)
                return await self._budget.permit(until, most)
            finally:
                self._may_doubt = False
        except BulkSyncError as error:  # there are no permits any more
            self._halt.stop(error)
            raise Stopping from None
        except NoPermit as none:
            now = self._clock.monotonic()
            if not none.asked_by_api and now + none.seconds > self._deadline:
                at = utc_text(self._clock.now() + timedelta(seconds=none.seconds))
                self._halt.stop(
                    StoppedEarly(
                        f"The next request may leave at {at}, "
                        "after the end that --deadline or --finish-by sets"
                    )
                )
            elif self._is_refused and (
                none.seconds <= most or not (self._was_asked or none.by_allowance)
            ):
                assert self._refusal is not None  # noqa: S101 - it is refused
                refused = self.refused_seconds(now)
                self._halt.stop(refused_too_long(refused, self._refusal, self._policy))
            else:
                what = "An allowance is used up" if none.by_allowance else "The API asks to wait"
                what = "--rate or --leave allows no request" if none.by_user else what
                why = f"{what} for longer than --max-wait ({duration_text(most)})"
                self.stop(Outage(why), none.seconds)
            raise Stopping from None

    def stop(self, reason: BulkSyncError, again_in_seconds: float | None) -> None:
        """Stop the run, with the time from which to run again, if it is known."""
        if again_in_seconds is not None:
            at = utc_text(self._clock.now() + timedelta(seconds=again_in_seconds))
            reason = type(reason)(f"{reason}. Run again after {at}")
        self._halt.stop(reason)

    # Was everything refused? And how long did the run wait?

    def refused(self, reply: Reply) -> None:
        """Note a throttled request."""
        self._refusal = reply
        if self._refused_since is None:
            self._refused_since = self._clock.monotonic()

    async def ask_about(self, case: Case) -> None:
        """Ask users/me if the API answers others than this row, when no others are left to show it.

        Only where the answer can tell (see `alone`). Raises Stopping.
        """
        refusals = case.refusals
        if refusals is None or not self._backlog.is_tail:
            return
        if refusals.times or self.account.is_told:
            refusals.answer = await self.account.ask_about_others(await self._permit())

    @property
    def _was_asked(self) -> bool:
        """True unless all requests are refused without a word on when to come again."""
        refusal = self._refusal if self._refused_since is not None else None
        return refusal is None or retry_after(refusal.headers) is not None

    @property
    def _is_refused(self) -> bool:
        return self._refused_since is not None

    def refused_seconds(self, now: float) -> float:
        """Return how long every request has been throttled by now; 0 when they get through."""
        return 0.0 if self._refused_since is None else now - self._refused_since

    def idle_seconds(self, now: float) -> float:
        """Return the time until now that counts as no attempt: outages, and waits for a limit."""
        ahead = max(0.0, self._budget.held_until - now)
        return self.outage_seconds + self._budget.waited_seconds - ahead

    # Was the API reached at all?

    def observe(self, seen: Reply | Failure) -> None:
        """Note whether a request reached the API."""
        self.answered = self.answered or may_come_from_api(seen)
        if not self.is_reached and (isinstance(seen, Reply) or seen.may_have_arrived):
            self.mark_reached()

    def mark_reached(self) -> None:
        """Let more requests leave: the first one has shown whether anything listens."""
        self.is_reached = True
        self._reached.set()

    async def wait_until_reached(self) -> None:
        """Wait until the first request has arrived or ended."""
        await self._reached.wait()

    # Failures and successes

    def failed(self, case: Case, why: str) -> bool:
        """Record a failure.

        Returns True when it counts as an attempt, False when an outage excuses it.
        """
        circuit = self.circuit
        was_open = circuit.open
        counts = circuit.failed(case, case.begun, self._clock.monotonic(), self._dice.random())
        if counts:
            # Others got through since it failed last: the row is to blame, not an outage.
            case.is_suspicious |= case.failed_after not in {None, circuit.successes}
            case.failed_after = circuit.successes
        else:
            case.excused += 1
        if circuit.open:
            self._tally.trouble = why
            self._tally.waiting_until = circuit.probe_at
            if not was_open:
                log.warning(
                    "nothing gets through, sending pauses: %s", why, extra={"event": "outage"}
                )
                if not self.answered:  # nothing suggests that waiting would help
                    self._stop_for_outage(why)
        return counts

    def blocked(self, case: Case, why: str) -> bool:
        """Record a block: only probes may leave.

        Returns True when it counts as an attempt, because only this row is blocked.
        """
        circuit, now, dice = self.circuit, self._clock.monotonic(), self._dice.random()
        was_open = circuit.open
        alone = case.blocked_after not in {None, circuit.successes}
        counts = circuit.blocked(case, case.begun, now, dice, alone=alone)
        case.blocked_after = circuit.successes
        case.is_suspicious |= alone
        if not counts:
            case.excused += 1
        if circuit.open:
            self._tally.trouble = why
            self._tally.waiting_until = circuit.probe_at
            if not was_open:
                log.warning("sending pauses: %s", why, extra={"event": "outage"})
        return counts

    def suspect(self, case: Case, why: str) -> None:
        """Hold a case that has no attempts left until others are seen to get through."""
        self.circuit.suspect(case, self._clock.monotonic())
        if not self.answered:
            self._stop_for_outage(why)

    def got_through(self, begun: float) -> None:
        """Record that the API decided a request that left at `begun`."""
        if self._refused_since is not None:
            refused = self.refused_seconds(self._clock.monotonic())
            self.longest_refused_seconds = max(self.longest_refused_seconds, refused)
            self._refused_since = None
        self.latest_through = max(self.latest_through, begun)
        circuit = self.circuit
        if circuit.at_rest():  # called for every row, so skip the lists below
            circuit.successes += 1
            return
        was_open = circuit.open
        failed, again, given_back = circuit.got_through(begun)
        for case in failed:
            self._outcomes.add(case.failure(), case)
        for case in given_back:
            case.excused += 1
        for case in again:
            case.excuse_all()
        self._backlog.try_again(again)
        if was_open and not circuit.open:
            self.outage_seconds += self._clock.monotonic() - circuit.began
            self._recovered()
            log.info("requests get through again", extra={"event": "outage over"})

    def _recovered(self) -> None:
        self._tally.trouble = None
        self.wake()

    # Probes

    def wake(self) -> None:
        """Wake the cases that gave up their worker, to check again whether they may be sent."""
        self._changed.set()

    async def wait_for_wake(self) -> None:
        """Wait for the next `wake`."""
        if self._changed.is_set():
            self._changed = anyio.Event()
        await self._changed.wait()

    async def wait_for_probe(self) -> None:
        """Wait until a probe may leave; raise Stopping when the outage outlasts --retry-for."""
        circuit, clock = self.circuit, self._clock
        deadline = circuit.began + self._policy.retry_for_seconds
        # When the API itself answers, long gaps help nobody: look for a row that gets through.
        if circuit.probe_at - clock.monotonic() > SHORT_GAP_SECONDS and await self._api_is_up():
            circuit.hurry(clock.monotonic() + SHORT_GAP_SECONDS)
        while True:
            now = clock.monotonic()
            if now >= deadline:
                self._stop_for_outage(self._tally.trouble or "no reply")
                raise Stopping
            if now >= circuit.probe_at:
                break
            await clock.sleep(min(circuit.probe_at, deadline) - now)
        # Without new rows, nothing else could show that the API is up.
        if not self._backlog.has_new and self._concerns_few_rows() and await self._api_is_up():
            circuit.trust()
            self._recovered()

    def _concerns_few_rows(self) -> bool:
        """True when `GET /v1/users/me` may decide whether the failing rows are to blame.

        It may when they are few, or when each failed before: in an earlier run, or earlier in this
        one with others getting through in between. Many new failures may be an outage of this one
        endpoint.
        """
        circuit = self.circuit
        cases = (*circuit.in_a_row, *circuit.blocked_cases, *circuit.suspects)
        in_trouble = {id(case): case for case in cases}.values()
        return len(in_trouble) < FAILURES_IN_A_ROW or all(
            case.is_suspicious or case.change.tried for case in in_trouble
        )

    async def decide_suspects(self) -> None:
        """Once all else is sent, fail the suspects if the API itself answers, else retry them."""
        circuit = self.circuit
        if circuit.open:
            await self.wait_for_probe()
        if self._concerns_few_rows() and await self._api_is_up():
            for case in circuit.acquit():
                self._outcomes.add(case.failure(), case)
            return
        again = circuit.excuse(self._clock.monotonic(), self._dice.random())
        for case in again:
            case.excuse_all()
            self._tally.trouble = case.verdict.message if case.verdict else None
        self._backlog.try_again(again)

    async def _api_is_up(self) -> bool:
        await self.permit()
        self._tally.requests += 1
        seen: Reply | Failure | None = None  # `abandon` may cancel the scope before there is one
        with self._halt.request_scope(shield=True):
            seen = await self._transport.get("/v1/users/me")
        return isinstance(seen, Reply) and shows_api_is_up(seen)

    def _stop_for_outage(self, why: str) -> None:
        self._halt.stop(
            Outage(
                f"Nothing gets through to the API: {why}. Run again later; if it stays so, check "
                "--base-url, and what lies between"
            )
        )

"""Requests to `GET /v1/users/me`: the first of a run, and later ones about its allowance.

Invariants:

1. Each of them takes a permit first, as every request does.
2. Before the first row leaves, the run was told who the key acts for, or does without (`judge`).
3. The allowance is requested again only where users/me told one and headers tell nothing, after it
   was to reset or after a refusal, and at most once in `INTERVAL_SECONDS`. The worker that asks
   uses the permit of its row for it, which is the first one after a reset: all others are held.
   A run may begin just before a reset, so its preflight doesn't delay the request after it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import assert_never

import anyio
from msgspec.structs import replace

from bulk_sync.model.rows import RateSource
from bulk_sync.send.account import (
    LONGEST_SECONDS,
    PATH,
    Account,
    Known,
    Preflight,
    Refused,
    Unknown,
    allowance,
    judge,
    read_account,
    refusal_without_answer,
)
from bulk_sync.send.allowances import CERTAIN_SECONDS
from bulk_sync.send.alone import Answer
from bulk_sync.send.context import Context
from bulk_sync.send.decide import pace_kind, shows_api_is_up, wait_of_all
from bulk_sync.send.halt import Stopping
from bulk_sync.send.headers import limits
from bulk_sync.send.observation import Observation
from bulk_sync.send.transport.interface import Failure, Reply

log = logging.getLogger("bulk_sync.send")

INTERVAL_SECONDS = 60.0
"""The least time between two requests about the allowance."""

# Resets a minute apart are seen a little early or late, by the rounding of what is told.
_SLACK_SECONDS = 1.0

# The pace records a reply a little later than the request's end.
_EARLY_SECONDS = 0.01

MOST_TRIES = 4
"""Requests for an answer without which no row may leave; otherwise there is one."""


@dataclass(slots=True)
class Reminder:
    """Whether the allowance is to be requested again. Pure; instants are of the run's clock."""

    told: bool = False
    """True once users/me told an allowance."""
    asked_at: float = -math.inf
    asked_again_at: float = -math.inf
    """The latest request that was not the first one."""
    resets_at: float = math.inf
    refused: bool = False
    """True if a request was throttled since the last answer."""

    def is_due(self, now: float, source: RateSource) -> bool:
        """Return whether to ask now; `source` is where the limit in force comes from."""
        if not self.told or source is RateSource.HEADER:
            return False
        if now >= self.resets_at and now - self.asked_again_at >= INTERVAL_SECONDS - _SLACK_SECONDS:
            return True
        return self.refused and now - self.asked_at >= INTERVAL_SECONDS

    def asked(self, now: float) -> None:
        """Record that a request leaves."""
        if self.told:
            self.asked_again_at = now
        self.asked_at, self.resets_at, self.refused = now, math.inf, False

    def answered(self, now: float, reset_seconds: float) -> None:
        """Record an allowance that resets in `reset_seconds`."""
        # Not before the pace takes the window for over: the reply to an earlier permit would say
        # nothing of the new one.
        self.told, self.resets_at = True, now + reset_seconds + CERTAIN_SECONDS - _EARLY_SECONDS


class AccountWatch:
    """Asks users/me at the start of a run, and again when the allowance may have changed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._terms = context.terms.preflight
        self._reminder = Reminder()

    async def preflight(self, permit: Callable[[], Awaitable[float]]) -> bool:
        """Ask for the account before the first row; return whether the API was reached so.

        Raises Stopping when no row may be sent.
        """
        terms = self._terms
        if terms is None:
            return False
        if terms.known is not None:
            await self._take(terms.known, terms)
            return True
        most = MOST_TRIES if terms.wanted.needs_answer else 1
        tries = 0
        while True:
            judged = judge(await self._ask(terms.timeout_seconds, await permit()), terms.wanted)
            tries += 1
            match judged:
                case Known(account):
                    await self._take(account, terms)
                    return True
                case Refused(reason, team):
                    self._context.tally.team = team
                    self._context.halt.stop(reason)
                    raise Stopping
                case Unknown(for_now=True) if tries < most:
                    await self._context.clock.sleep(
                        self._context.terms.policy.backoff(tries, self._context.dice.random())
                    )
                case Unknown():
                    await self._do_without(judged, terms)
                    return False
                case _:
                    assert_never(judged)

    async def _take(self, account: Account, terms: Preflight) -> None:
        self._context.tally.team = account.team
        log.info(
            "the key acts for the team %s" if account.team else "GET %s names no team",
            account.team or PATH,
            extra={"event": "team", "team": str(account.team) if account.team else None},
        )
        await terms.record(account)

    async def _do_without(self, unknown: Unknown, terms: Preflight) -> None:
        reason = refusal_without_answer(unknown, terms.wanted)
        if reason is not None:
            self._context.halt.stop(reason)
            raise Stopping
        log.info("the team is unknown: GET %s: %s", PATH, unknown.why, extra={"event": "team"})
        await terms.record(None)

    # The allowance

    def throttled(self) -> None:
        """Record that a request was refused for the rate."""
        self._reminder.refused = True

    def is_due(self) -> bool:
        """Return whether the next permit is for users/me."""
        context = self._context
        return self._reminder.told and self._reminder.is_due(
            context.clock.monotonic(), context.budget.source
        )

    @property
    def is_told(self) -> bool:
        """True once users/me told an allowance."""
        return self._reminder.told

    async def ask_again(self, ordinal: float) -> None:
        """Ask what is left of the allowance, with this permit."""
        if self._terms is not None:
            await self._ask(self._terms.timeout_seconds, ordinal)

    async def ask_about_others(self, ordinal: float) -> Answer:
        """Ask, with this permit, whether the API answers while it refuses the rows that are left.

        That it does is no reason to send those faster.
        """
        timeout_seconds = self._terms.timeout_seconds if self._terms else LONGEST_SECONDS
        seen = await self._ask(timeout_seconds, ordinal, is_about_rows=False)
        if isinstance(seen, Failure) or not shows_api_is_up(seen):
            return Answer.NONE
        account = read_account(seen)
        return Answer.LEFT if account and account.remaining else Answer.PASSES

    async def _ask(
        self, timeout_seconds: float, ordinal: float, *, is_about_rows: bool = True
    ) -> Reply | Failure:
        """Request the account, for a bounded time, and let the pace see the reply.

        Unless it `is_about_rows`, that it got through says nothing of the limit.
        """
        context = self._context
        begun = context.clock.monotonic()
        self._reminder.asked(begun)
        context.tally.requests += 1
        seen: Reply | Failure = Failure(
            "timeout", f"no answer within {timeout_seconds:g} s", may_have_arrived=True
        )
        # Not shielded: no row depends on the answer, so a stop need not wait for it.
        with anyio.move_on_after(timeout_seconds):
            seen = await context.transport.get(PATH)
        now = context.clock.monotonic()
        kind = pace_kind(seen)
        if kind == "through" and not is_about_rows:
            kind = "other"
        self._observe(seen, Observation(ordinal, kind, now - begun, of_account=True), now)
        return seen

    def _observe(self, seen: Reply | Failure, observed: Observation, now: float) -> None:
        context = self._context
        if isinstance(seen, Failure):
            context.budget.observe(observed)
            return
        advertised = limits(seen.headers)
        context.tally.notes.update(advertised.ignored)
        asked = wait_of_all(seen, context.terms.policy)
        if observed.kind == "throttled":
            context.tally.throttled += 1
            self._reminder.refused = True
        quotas, source = advertised.quotas, RateSource.HEADER
        account = read_account(seen)
        told = account and allowance(account, seen.headers, context.clock.now())
        if told and not quotas:
            reset_seconds = told.reset_seconds or 0.0
            self._reminder.answered(now, reset_seconds)
            # The pace counts from the request's departure, and the API from its reply.
            told = replace(told, reset_seconds=reset_seconds + observed.seconds)
            quotas, source = (told,), RateSource.ACCOUNT
        context.budget.observe(observed._replace(asked_seconds=asked, quotas=quotas, source=source))

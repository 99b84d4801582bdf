"""The permits of one run: taken in groups from a source that other runs may share.

Invariants:

1. Each request has its own permit, from `permit_nowait` or `permit`, in the order of the calls.
2. No permit is used before the latest hold is over, whichever run was throttled: a run that slept
   asks its source again when it wakes. Above a hundred permits per second, those of the next 10 ms
   are taken as one group, and those of a second, five at most, by a run that alone keeps a limit.
   A hold that another run caused in that time is seen at the next reading, just as requests in
   flight don't see it; a hold that this run caused is seen immediately.
3. A permit that has to wait for a hold or an allowance is not reserved: whoever waits asks again
   when the wait is over, when a reply of its own run may have ended it, and every few seconds,
   because another run may have learnt more.
4. A permit that is too late (`Grant.late_seconds`) is dropped.
5. When a wait for a permit ends while another task waits behind it, the question that looks for
   holds reserves the next permit, too: it would be asked for immediately afterwards, and a question
   costs more than the request itself at a low rate. Such a permit is dropped when no task is left
   that waits for it.
6. Up to a limit of `MOST_SPACED` per second, no more requests leave in any second than it allows,
   also when one left late, or took longer than usual on its way (`spacing`). Only the one that
   would be too many waits, so that no time is lost. At higher rates, a late one makes no
   difference. There only --rate is kept in this way, where runs with a higher one share the pace.

`permits` says what a source is; the file that the runs on a host share is one (`pace_store`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta

import anyio

from bulk_sync.clock import Clock, utc_text
from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import TOLERANCE_SECONDS, Group, Reach
from bulk_sync.send.permits import Grant, NoneInTime, PermitSource, Request, Shown, Wait
from bulk_sync.send.spacing import Spacing

log = logging.getLogger("bulk_sync.send")

# How often a wait is interrupted to learn what other runs have learnt: a part of it, within bounds.
_POLL_PART, _SHORTEST_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.05, 0.5, 5.0

# A shorter wait for an allowance is not worth a word.
_NOTED_SECONDS = 1.0

FEW_WAITING, MANY_WAITING = 2, 4
"""Tasks that wait for a permit: with fewer than a few, a permit may come and find none. More than
many gain nothing, and each takes 7 KB and the collector's time, which counts with hundreds of runs.
"""

_NOTHING = Grant(Group(0.0, 0.0, 0, 0.0))


OpenPermits = Callable[[str, str, Clock], AbstractContextManager[PermitSource]]
"""Opens the source of permits for a base URL and the fingerprint of a key, for runs that share it
with others on other hosts.
"""


class NoPermit(Exception):
    """No permit comes in time; the next one is due in `seconds`."""

    def __init__(
        self, seconds: float, *, asked_by_api: bool, by_allowance: bool, by_user: bool
    ) -> None:
        super().__init__(f"no permit for {seconds:.0f} s")
        self.seconds = seconds
        self.by_user = by_user
        """True when the user's own limits are all that forbids a request now."""
        self.by_allowance = by_allowance
        """True when an allowance is used up for so long, rather than a hold in force."""
        self.asked_by_api = asked_by_api
        """True when a hold or an allowance means a longer wait than the caller's patience, False
        when the permit would come after the end of the run.
        """


class Budget:
    """The permits of one run, under the user's limits."""

    def __init__(self, source: PermitSource, clock: Clock, given: Given = NO_LIMITS) -> None:
        self._source = source
        self._clock = clock
        self._given = given
        self._unread: list[tuple[float, Observation]] = []
        self._turn = anyio.Lock(fast_acquire=True)
        self._waiting = 0  # tasks in `permit`
        self._room: anyio.Event | None = None  # set when few of them are left
        self._asking = anyio.Lock(fast_acquire=True)
        self._grant = _NOTHING
        self._next = 0  # index of the group's next permit
        self._used = 0  # permits of the group that were handed out
        self._is_prepared = False  # the next group was asked for
        self._is_for_next = False  # the group was reserved for tasks that wait
        self._is_stale = False  # an unread reply may change the pace
        self._readings = 0  # lets a sleeping `permit` notice that the source answered meanwhile
        self._news: anyio.Event | None = None  # set by a reply while `permit` waits for long
        self._spacing = Spacing()
        self._held_until = -math.inf
        self._listed_at = -math.inf
        self.held_until = -math.inf
        """The end of the latest wait for the API or an allowance."""
        self.throttled_seconds = 0.0
        """The time that the API asked to wait, or that its allowances were used up."""
        self.waited_seconds = 0.0
        """The same, and waits for the user's own allowances."""
        self.waits_for_user = False
        """True when the latest wait is for the user's own allowances alone."""
        self.rate = 0.0
        """The rate in force, per second. Like the limits below, as of the last reading."""
        self.limit: float | None = None
        self.source = RateSource.NONE
        self.allowances: tuple[Allowance, ...] = ()
        self.on_change: Callable[[], None] = lambda: None
        """Called when any of these may have changed, also at the beginning of a wait."""

    @property
    def has_many_waiting(self) -> bool:
        """True when so many tasks wait for a permit that another one would gain nothing."""
        return self._waiting >= MANY_WAITING

    async def wait_for_room(self) -> None:
        """Wait until only a few tasks wait for a permit; for one task at a time."""
        while self._waiting >= FEW_WAITING:
            self._room = anyio.Event()
            await self._room.wait()

    def permit_nowait(self) -> float | None:
        """Return the ordinal of a permit that is reserved and due; None if there is none.

        None also while another task waits for a permit.
        """
        if self._waiting:  # first come, first served
            return None
        now = self._clock.monotonic()
        due = self._next_due(now)
        if due is None or max(due, self._spaced()) > now:
            return None
        ordinal = self._take()
        self._spacing.left(ordinal, now)
        return ordinal

    async def permit(self, until: float = math.inf, patience_seconds: float = math.inf) -> float:
        """Wait for the next permit, in the order of the calls; return its ordinal.

        Raises NoPermit immediately when the permit would come after `until`, or after a wait that
        is longer than `patience_seconds`.
        """
        self._waiting += 1
        try:
            async with self._turn:
                while True:
                    now = self._clock.monotonic()
                    due = self._next_due(now)
                    if due is None:
                        wait_until = await self._take_group(until, patience_seconds)
                        if wait_until is not None:
                            await self._sleep(wait_until)
                            continue
                        due = self._grant.group.start
                    late = due + self._grant.late_seconds
                    due = max(due, self._spaced())
                    ordinal = self._take()
                    following = Request(until=until, patience_seconds=patience_seconds)
                    is_free = await self._wait_for(due, following)
                    now = self._clock.monotonic()
                    if is_free and now <= late:
                        self._spacing.left(ordinal, now)
                        return ordinal
        finally:
            self._waiting -= 1
            if self._room is not None and self._waiting < FEW_WAITING:
                self._room.set()
            if not self._waiting and self._is_for_next:
                self._grant, self._is_for_next = _NOTHING, False

    async def _wait_for(self, due: float, following: Request) -> bool:
        """Wait until a permit is due; return False when a hold came up that forbids it.

        `following` is the question for the next permit, but for the number.
        """
        reach = self._source.reach
        while (wait := due - self._clock.monotonic()) > 0:
            reading = self._readings
            is_long = wait > reach.longest and not _is_kept(self._grant.group, reach)
            early = reach.ahead_seconds if is_long else 0.0
            await self._clock.sleep(max(0.0, wait - early))
            # After a short sleep in which nothing changed, the permit is as it was.
            if is_long or reading != self._readings or self._is_stale:
                await self._look(following)
                if self._held_until > max(due, self._clock.monotonic()):
                    return False
        return True

    async def _look(self, following: Request) -> None:
        """Learn of holds, and reserve the next permit for the next task, if one waits.

        Not from a source whose answers take time: it is asked ahead instead (`prepare`).
        """
        is_last = self._next >= self._grant.group.number
        if self._waiting <= 1 or not is_last or self._source.reach.ahead_seconds:
            await self._ask(Request())
            return
        outcome = await self._ask(following._replace(most=self._most()))
        if isinstance(outcome, Grant) and self._held_until <= self._clock.monotonic():
            self._begin_group(outcome)
            self._is_for_next = True

    async def _sleep(self, until: float) -> None:
        """Wait until an instant, a reply of this run, or the next poll."""
        wait = until - self._clock.monotonic()
        poll = min(_LONGEST_POLL_SECONDS, max(_SHORTEST_POLL_SECONDS, _POLL_PART * wait))
        news = self._news = anyio.Event()
        async with anyio.create_task_group() as tasks:

            async def wake_up() -> None:
                await self._clock.sleep(max(0.0, min(wait, poll)))
                news.set()

            tasks.start_soon(wake_up)
            await news.wait()
            tasks.cancel_scope.cancel()
        self._news = None

    def _next_due(self, now: float) -> float | None:
        """Return when the group's next permit is due; None when it has none left.

        Permits that are too late are dropped, as `Pace.reserve` drops them.
        """
        group = self._grant.group
        if self._next >= group.number:
            return None
        # A task that waits for its permit anyway looks for holds when the wait is over.
        if self._is_stale and not (self._is_for_next and group.start > now):
            return None
        if group.interval:
            late = math.ceil((now - TOLERANCE_SECONDS - group.start) / group.interval)
            if late > self._next:
                self._next = late
                if late >= group.number:
                    return None
        return group.start + self._next * group.interval

    def _take(self) -> float:
        self._is_for_next = False
        self._next += 1
        self._used += 1
        group = self._grant.group
        if not self._is_prepared and group.number > 1 and 2 * self._next >= group.number:
            self._is_prepared = True
            self._source.prepare(self._with_news(Request(most=2 * group.number + 1)))
        return group.ordinal + self._next - 1

    def _spaced(self) -> float:
        """Return the instant before which one more request would be too many in a second."""
        if self.limit is None or self.source is RateSource.FOUND:  # that one is being looked for
            return -math.inf
        return self._spacing.next_at(self.limit, is_given=self.source is RateSource.OPTION)

    def _with_news(self, request: Request) -> Request:
        """Return a request with all observations: the source keeps them, whatever becomes of it."""
        now = self._clock.monotonic()
        request = request._replace(
            given=self._given,
            seen=tuple(self._unread),
            lists=now >= self._listed_at + _NOTED_SECONDS,
            time_of_day=self._clock.now().timestamp(),
        )
        self._unread.clear()
        return request

    async def _take_group(self, until: float, patience_seconds: float) -> float | None:
        """Take the next permits as the group; return the end of a wait that comes first, if any."""
        outcome = await self._ask(
            Request(most=self._most(), until=until, patience_seconds=patience_seconds)
        )
        if isinstance(outcome, NoneInTime):
            raise NoPermit(
                outcome.seconds,
                asked_by_api=outcome.asked_by_api,
                by_allowance=outcome.by_allowance,
                by_user=outcome.by_user,
            )
        if isinstance(outcome, Wait):
            self._grant = _NOTHING
            return outcome.until
        assert outcome is not None  # noqa: S101 - some were wanted
        self._begin_group(outcome)
        return None

    def _most(self) -> int:
        """Return the largest group to ask for.

        It is double the size of a group that was used up, else what was used of the last one: a run
        must not reserve permits that another run could use. A group of a second has no more permits
        than tasks wait for one: a permit that comes while all wait for replies would be lost.
        """
        used_up = self._used >= self._grant.group.number
        most = (2 if used_up else 1) * self._used + 1
        reach = self._source.reach
        if not reach.alone:
            return most
        return min(most, max(self._waiting, math.ceil(reach.longest * self.rate)))

    def _begin_group(self, grant: Grant) -> None:
        self._grant = grant
        self._next = self._used = 0
        self._is_prepared = self._is_for_next = False

    async def doubt(self, patience_seconds: float) -> None:
        """Let one request leave before stated resets that are further away than this."""
        await self._ask(Request(doubts=True, patience_seconds=patience_seconds))

    def observe(self, seen: Observation) -> None:
        """Keep an observation for the next question to the source, without waiting."""
        self._unread.append((self._clock.monotonic(), seen))
        self._spacing.replied(seen.ordinal, seen.seconds)
        reach = self._source.reach
        tells_what_is_left = bool(seen.quotas) and not (
            reach.stated or _is_kept(self._grant.group, reach)
        )
        if seen.kind in {"throttled", "busy"} or tells_what_is_left:
            self._is_stale = True
        if self._news is not None:
            self._news.set()

    async def settle(self) -> None:
        """Pass all observations on to the source."""
        self._listed_at = -math.inf
        await self._ask(Request())

    async def _ask(self, request: Request) -> Grant | Wait | NoneInTime | None:
        """Ask the source, with all observations, and note what it shows."""
        async with self._asking:
            is_stale, self._is_stale = self._is_stale, False
            try:
                answered = await self._source.ask(self._with_news(request))
            except BaseException:
                self._is_stale |= is_stale
                raise
            shown, outcome = answered.shown, answered.outcome
            now = self._clock.monotonic()
            if is_stale or shown.held_until > now:
                self._grant = _NOTHING
            self._readings += 1
            if isinstance(outcome, Wait) and outcome.until - now > _NOTED_SECONDS:
                self._count_wait(outcome.until, by_user=outcome.by_user)
            self._show(shown, now)
            return outcome

    def _show(self, shown: Shown, now: float) -> None:
        if shown.held_until > self._held_until:
            self._held_until = shown.held_until
            if shown.held_until > now:
                self._count_wait(shown.held_until)
        self.rate, self.limit, self.source = shown.rate, shown.limit, shown.source
        if shown.allowances is not None:
            self._listed_at = now
            self.allowances = shown.allowances
        self.on_change()

    def _count_wait(self, until: float, *, by_user: bool = False) -> None:
        """Count a wait that any run has to keep; overlapping waits count once.

        One `by_user` is for the user's own limits, which the API knows nothing of.
        """
        now = self._clock.monotonic()
        seconds = until - max(now, self.held_until)
        if seconds > 0:
            self.waits_for_user = by_user
            self.waited_seconds += seconds
            self.throttled_seconds += 0.0 if by_user else seconds
            self._listed_at = -math.inf  # it will be looked at for as long as the wait
            at = self._clock.now() + timedelta(seconds=until - now)
            log.info(
                "waiting for %s for %.2f s, until %s",
                "--rate or --leave" if by_user else "the API",
                until - now,
                utc_text(at),
                extra={
                    "event": "waiting" if by_user else "throttled",
                    "wait": round(seconds, 3),
                },
            )
        self.held_until = max(self.held_until, until)


def _is_kept(group: Group, reach: Reach) -> bool:
    """Return whether a group is of a run alone at a limit: it needs no look for news."""
    return reach.alone and group.number > 1

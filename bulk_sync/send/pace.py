"""The pace: the one place that decides when a request may leave. Pure.

Three bounds apply, and the tightest one counts (the third, `--workers`, is the sender's):

- Allowances with long windows are spent at once and then waited for: what the API states and the
  user's own (`allowances`), and what refusals have shown (`found`).
- Otherwise permits are evenly spaced: `due`, the instant of the next one, advances by one interval
  with each permit (GCRA, the virtual-scheduling form of the leaky bucket, ITU-T I.371, annex A).
  The interval follows the lowest of three rates: the user's, the one of quotas with short windows
  (`advertised`), and the one found by probing (`search`).

A refusal holds all permits for as long as the API asks, else briefly, and twice as long for each
further refusal in a row, unless the evidence says that it is a fault (`faults`).

Instants are in seconds on any monotonic clock, and every method takes the time as an argument. The
state consists of numbers only, so that runs can share it in a file (`budget`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from bulk_sync.model.rows import RateSource
from bulk_sync.send.advertised import Advertised
from bulk_sync.send.allowances import FREE, NO_LIMITS, Allowances, Given, Now, Room, tightest
from bulk_sync.send.faults import Faults, Suspicion, Verdict
from bulk_sync.send.found import Found
from bulk_sync.send.observation import Observation
from bulk_sync.send.search import Search

SPARE = 1.007
"""Intervals are this much longer than the rate requires. When some requests arrive 7 ms early or
late, a strict one-second window of the server still doesn't count one too many.
"""

TOLERANCE_SECONDS = 0.005
"""The part of a late wake-up that is made up for: permits missed in it may be used in a burst."""

GROUP_SECONDS = 0.01
"""The permits of this time may be reserved as one group."""

# The permits in a group where a run alone keeps a limit, and their time at most.
_KEPT_PERMITS, _KEPT_SECONDS = 5, 1.0

# The least rate, as a part of the limit, at which it is kept: after a refusal, it is soon back.
_KEPT_PART = 0.8

KEPT_AFTER_SECONDS = 10.0
"""The time after which a run that no other one has joined is alone."""

# An idle budget forgets the rate that it found after this time, because the server's may have
# changed. Allowances, and the contents of windows, are kept.
_FORGOTTEN_SECONDS = 600.0

# The rate after a long block, as a share of what got through in a second before it.
_AFTER_BLOCK = 0.95

# The longest pause after bare 503s: an overload ends without notice, and in an outage the circuit
# breaker paces the probes.
_LONGEST_BUSY_SECONDS = 5.0

# Below this rate, per second, a limit is likelier than faults, and slowing down costs little.
_LEAST_EARLY_RATE = 20.0

# A limit that was lowered by losses that the rate did not cause is raised by so much at once.
_MOST_RESTORED = 4.0
_CALM_AFTER_FAULTS = 10.0

# After a refusal that a stated limit explains, the rate falls to this part, and is back in about
# this time, in seconds. At most so many refusals in a row are explained.
_STATED_PART, _CALM_AFTER_STATED, _MOST_STATED = 0.85, 5.0, 3

_CALM_AFTER_LOCKOUT = 20.0
_DEPTH_AFTER_BLOCK = 0.15


class Reach(NamedTuple):
    """The seconds of permits that a source may hand out as one group, by what sets the rate.

    `stated` is for quotas that the API states, `found` for a rate found, `given` for the user's. 0
    allows one permit. A run `alone` gets longer groups where it keeps a stated or given limit: at a
    low rate a question costs more than the request itself. A permit may be used `late_seconds`
    after its instant. A question may take `ahead_seconds`, so that it is asked that much before its
    answer is needed. Intervals are `spare` times as long as the rate requires.
    """

    stated: float
    found: float
    given: float
    late_seconds: float = math.inf
    ahead_seconds: float = 0.0
    spare: float = SPARE
    alone: bool = False

    @property
    def longest(self) -> float:
        """The longest time of a group."""
        return max(self.stated, self.found, self.given)


NEAR = Reach(0.0, GROUP_SECONDS, GROUP_SECONDS)
"""That of a source on this host: each reply may change what the API states is left."""

ALONE = NEAR._replace(alone=True)
"""The same, while no other run uses it."""


class Group(NamedTuple):
    """Permits reserved as a group: the first is due at `start`, the next ones at each `interval`.

    `ordinal` is that of the first.
    """

    start: float
    interval: float
    number: int
    ordinal: float


@dataclass(slots=True)
class Pace:
    """The state of one budget: when the next permit is due, and the limits as far as known."""

    due: float = -math.inf
    spaced: float = 0.0
    """The permits to come that a user's own rate spaced, and their time, in seconds, below."""
    spaced_seconds: float = 0.0
    held_until: float = -math.inf
    taken: float = 0.0
    """The number of permits taken so far, which is the ordinal of the latest."""
    answered: float = 0.0
    """The highest ordinal of a permit whose request has ended."""
    used_at: float = -math.inf
    latency: float = 0.0
    """Seconds, smoothed."""
    rate_before: float = 0.0
    """The rate of the search before the latest loss; the limit likewise."""
    limit_before: float = 0.0
    proven: float = 1.0
    """Requests that got through in a second before the latest loss."""
    search: Search = field(default_factory=Search)
    advertised: Advertised = field(default_factory=Advertised)
    allowances: Allowances = field(default_factory=Allowances)
    found: Found = field(default_factory=Found)
    busy: Faults = field(default_factory=lambda: Faults(excused=1.0))
    throttled: Faults = field(default_factory=Faults)
    suspicion: Suspicion = field(default_factory=Suspicion)

    # Permits

    def wait_until(self, now: float, given: Given = NO_LIMITS) -> float:
        """Return the end of all waits that come before the next permit; -inf without any."""
        state = self._now(now, given)
        room = self._room(state, given)
        waits = (
            self.held_until,
            self.suspicion.wait_until(self.taken),
            -math.inf if room.permits >= 1 else room.until,
        )
        return max(waits)

    def reserve_group(
        self, now: float, most: int, given: Given = NO_LIMITS, reach: Reach = NEAR
    ) -> Group:
        """Take up to `most` permits of the time within `reach` as a group, at least one.

        Nothing may have to be waited for (`wait_until`). The group is a single permit until the
        search has recovered from a refusal, because then each reply may change the pace. A request
        that leaves late does not move the next permit.
        """
        self._forget_what_is_old(now)
        self._space_anew(now, given, reach)
        at = max(self.due, now - TOLERANCE_SECONDS)
        interval = reach.spare / self.per_second(max(at, now), given)
        is_given = given.ceiling is not None and interval >= reach.spare / given.ceiling
        spacing = interval
        if self.search.pauses:
            # After a refusal one request leaves alone: its reply is known before the next.
            interval = max(interval, 2 * self.latency)
        state = self._now(now, given)
        room = self._room(state, given)
        if self.search.pauses or self.suspicion.witnesses:
            span = 0.0
        elif (
            room.permits < math.inf  # permits of a group that are not used would be lost
            or self.advertised.known_until > now
            or self.advertised.spread_until > now
        ):
            span = reach.stated
        else:
            span = reach.given if is_given else reach.found
        permits = int(span / interval)
        if reach.alone and room.permits == math.inf and self._is_kept(now, given):
            permits = max(permits, min(_KEPT_PERMITS, int(_KEPT_SECONDS / interval)))
        number = max(1, min(most, permits, math.floor(min(room.permits, 1e6))))
        if number > 1:
            at = self.due if self.due >= now - TOLERANCE_SECONDS else now
        self.due = at + number * interval
        if is_given:
            self.spaced += number
            self.spaced_seconds += number * spacing
        if self.allowances.granted(state, given, max(now, self.due), number):
            self.found.begin_if_unknown(now)
        self.taken += number
        self.used_at = now
        first = self.taken - number + 1
        return (
            Group(at, interval, number, first) if number > 1 else Group(max(at, now), 0.0, 1, first)
        )

    def _is_kept(self, now: float, given: Given) -> bool:
        """Return whether the rate is nearly that of a stated or given limit, and nothing waits."""
        if self.search.pauses or self.suspicion.witnesses:
            return False
        limits = [] if given.ceiling is None else [given.ceiling]
        if self.advertised.is_known(now):
            limits.append(self.advertised.rate * self.advertised.correction.factor)
        is_over = now > max(self.search.loss_at, self.held_until) + _KEPT_SECONDS
        least = _KEPT_PART * min(limits, default=math.inf)
        return is_over and self.per_second(now, given) >= least

    def due_at(self, now: float, given: Given = NO_LIMITS, reach: Reach = NEAR) -> float:
        """Return when the next permit is due by the rate alone."""
        self._space_anew(now, given, reach)
        return self.due

    def _space_anew(self, now: float, given: Given, reach: Reach) -> None:
        """Keep a run from waiting at the lower --rate of another one.

        Only permits that such a rate spaced move together: the others already are as close as the
        limit of all allows.
        """
        ahead = max(0.0, self.due - now)
        if self.spaced_seconds > ahead:
            self.spaced *= ahead / self.spaced_seconds
            self.spaced_seconds = ahead
        if not self.spaced_seconds:
            return
        surplus = self.spaced_seconds - self.spaced * reach.spare / self.per_second(now, given)
        if surplus > 1e-6 * self.spaced_seconds:  # not what rounding left
            self.due -= surplus
            self.spaced = self.spaced_seconds = 0.0

    def doubt(self, now: float, until: float, given: Given = NO_LIMITS) -> None:
        """Let one request leave although stated resets, all after `until`, forbid it."""
        self.allowances.doubt(self._now(now, given), until)

    def hold(self, until: float) -> None:
        """Give no permit before `until`."""
        self.held_until = max(self.held_until, until)

    def per_second(self, now: float, given: Given = NO_LIMITS) -> float:
        """Return the rate in force while nothing has to be waited for."""
        ceiling = given.ceiling
        rates = [] if ceiling is None else [ceiling]
        rates += self.advertised.rates(now)
        if self.search.limit:
            rates.append(self.search.curve(now, self.held_until))
        elif ceiling is None:
            rates.append(self.search.rate)
        return min(rates)

    def limit(self, now: float, given: Given = NO_LIMITS) -> tuple[float | None, RateSource]:
        """Return the lowest known limit with a short window, per second, and its source.

        One that the API states counts rather than one that was found.
        """
        is_stated = self.advertised.is_known(now)
        limits = (
            (given.ceiling or 0.0, RateSource.OPTION),
            (
                self.advertised.rate * self.advertised.correction.factor if is_stated else 0.0,
                RateSource.HEADER,
            ),
            (0.0 if is_stated else self.search.limit, RateSource.FOUND),
        )
        known = [(rate, source) for rate, source in limits if rate]
        return min(known, default=(None, RateSource.NONE))

    # Observations

    def observe(
        self,
        now: float,
        seen: Observation,
        dice: float,
        given: Given = NO_LIMITS,
        offset: float = 0.0,
    ) -> None:
        """Take a reply into account.

        `dice`, 0 to 1, is for the jitter of a pause; `offset` turns an instant into a time of day,
        in seconds since 1970.
        """
        self.answered = max(self.answered, seen.ordinal)
        if seen.quotas or self.allowances.awaits_reply:
            short = self.allowances.observe(now - seen.seconds, self.taken, seen)
            if short:
                in_flight = max(0.0, self.taken - seen.ordinal)
                self.hold(self.advertised.observe(now, short, in_flight))
        if seen.kind == "through":
            self._got_through(now, seen, given, offset)
        elif seen.kind in {"throttled", "busy"} and self._is_limit(now, seen, given):
            self._lost(now, seen, dice, given, offset)

    def _got_through(self, now: float, seen: Observation, given: Given, offset: float) -> None:
        search = self.search
        stated = self.advertised.is_known(now) or self.allowances.are_stated or given.allowances
        was_in_pause = search.pauses
        search.got_through(now, seen, is_advertised=bool(stated))
        self.latency += (seen.seconds - self.latency) * (0.1 if self.latency else 1.0)
        if was_in_pause and search.pauses:  # it left before the refusal was known
            self.found.count += 1
        elif self.found.passed(now, offset):
            self._block_ended()
        if self.suspicion.is_refuted_by(seen.ordinal):  # go on at the same rate
            suspect = self._suspect
            suspect.dismissed()
            if suspect.excused:  # what was taken for a limit was a fault
                search.restore(search.limit or search.rate, 0.0)
        for kind in (self.busy, self.throttled):
            if kind.trial_share:
                if seen.ordinal > search.recovered:
                    kind.verdict(refused=False)
            elif kind.excused:
                kind.is_alarm(refused=False)
            elif search.limit:
                kind.is_futile(search.limit, refused=False)

    def _is_doubtful(self, now: float, seen: Observation, given: Given) -> bool:
        """Return whether a refusal without `Retry-After` may be a fault: the replies to the
        requests that leave after it decide. Once there are enough, none leaves until then.
        """
        if self.suspicion.is_shared():
            self._suspect.alone = 0.0
            return False
        if (
            seen.asked_seconds
            or self.search.pauses
            or seen.ordinal <= self.search.recovered
            or self.found.content
            or self.found.lockout
            or self.allowances.are_stated
            or self.per_second(now, given) < _LEAST_EARLY_RATE
        ):
            return False
        self.suspicion.begin(now, seen.ordinal, self.taken, busy=seen.kind == "busy")
        return True

    def _block_ended(self) -> None:
        """Go on after a long block, at a rate that got through before it."""
        search = self.search
        # Lower each time: at a rate near a limit that locks out, a late packet renews the lock-out.
        lowered = _AFTER_BLOCK ** max(1.0, min(4.0, self.found.agreed))
        # All that got through in less than a second did so in one, also after the refusal.
        proven = max(self.proven, self.found.content if self.found.spent < 1 else 0.0)
        proven = lowered * min(proven, self.found.slower())
        limit = min(self.limit_before or proven, proven)
        search.restore(self.rate_before, limit)
        search.blocked = 0.0
        search.depth = min(search.depth, _DEPTH_AFTER_BLOCK)
        search.calm = max(search.calm, _CALM_AFTER_LOCKOUT * self.found.pause)

    @property
    def _suspect(self) -> Faults:
        return self.busy if self.suspicion.of_busy else self.throttled

    def _is_limit(self, now: float, seen: Observation, given: Given) -> bool:
        """Return whether a refusal is taken for a limit's."""
        if any(quota.remaining is not None and quota.remaining < 1 for quota in seen.quotas):
            return True  # the API says so
        kind = self.busy if seen.kind == "busy" else self.throttled
        is_news = seen.ordinal > self.search.recovered
        if not kind.excused:
            return self._is_loss(now, kind, seen, given, is_news=is_news)
        if is_news:
            verdict = kind.verdict(refused=True)
            if verdict is Verdict.FUTILE:
                self.search.restore(kind.rate_before, kind.limit_before)
                self.search.pauses = 0.0
            elif verdict is Verdict.OVERLOAD:
                return True
        if seen.asked_seconds:  # the API asks for a wait, whatever the reason
            return True
        if self.search.pauses:  # one request at a time leaves, and this one was refused again
            return is_news
        if kind.trial_share or not kind.is_alarm(refused=True):
            return False
        kind.begin_trial(self.search.rate, self.search.limit)
        return True

    def _is_loss(
        self, now: float, kind: Faults, seen: Observation, given: Given, *, is_news: bool
    ) -> bool:
        """Return whether a refusal of a kind that is not excused lowers the rate."""
        rate, search = self.per_second(now, given), self.search
        if kind.may_be_alone(rate) and self._is_doubtful(now, seen, given):
            return False
        if seen.asked_seconds or search.pauses or not is_news:
            return True
        if search.limit and search.is_back(now, self.held_until):
            kind.settle(rate)
        highest = kind.highest
        if not kind.is_futile(rate, refused=True):
            return True
        search.restore(search.rate, min(highest, _MOST_RESTORED * search.limit))
        search.calm = min(search.calm, _CALM_AFTER_FAULTS)
        return False

    def _lost(
        self, now: float, seen: Observation, dice: float, given: Given, offset: float
    ) -> None:
        search = self.search
        if self.allowances.explain_refusal(self._now(now, given)):
            # It explains the refusal, and is waited for.
            self.hold(now + (seen.asked_seconds or 0.0))
            return
        # Requests that left before the last loss was known are refused by the same limit.
        is_news = seen.ordinal > search.recovered
        asked = seen.asked_seconds or 0.0
        # It states when its window ends, which is true unless it was wrong several times in a row.
        is_stated = self._is_stated(now, seen) and search.pauses < _MOST_STATED
        if is_news:
            # Bare 503s are no quota: they come from an overload or an outage.
            is_unknown = seen.kind == "throttled" and not is_stated
            is_window = is_unknown and self.found.refused(now, asked)
            if not search.pauses:
                self.proven = search.busiest_second
            if not search.pauses and not is_window:
                self._lower_the_rate(now, given, is_stated=is_stated)
            self.advertised.correction.refused(now)
            search.recovered = self.taken
            search.pauses += 1
            search.was_asked = float(bool(seen.asked_seconds))
        if seen.asked_seconds:
            # Servers round waits up to whole seconds, so up to one may be for nothing.
            search.last_pause = min(seen.asked_seconds, 1.0)
            self.found.pause = seen.asked_seconds
            self.hold(now + seen.asked_seconds)
        elif is_news and is_stated:
            self.hold(now + search.pause(dice))
        elif is_news and seen.kind == "throttled":
            self.hold(self.found.pause_until(now, search.pause(dice), offset))
        elif is_news:
            self.hold(now + min(_LONGEST_BUSY_SECONDS, search.pause(dice)))

    def _is_stated(self, now: float, seen: Observation) -> bool:
        """Return whether a refusal states that nothing is left of a known limit, and until when."""
        is_empty = any(
            quota.remaining is not None and quota.remaining < 1 and quota.reset_seconds is not None
            for quota in seen.quotas
        )
        return is_empty and self.advertised.is_known(now)

    def _lower_the_rate(self, now: float, given: Given, *, is_stated: bool) -> None:
        search = self.search
        at_loss = self.per_second(now, given)
        self.rate_before, self.limit_before = search.rate, search.limit
        is_limited = given.ceiling is not None or self.advertised.is_known(now)
        search.lost(
            now,
            at_loss,
            held_until=self.held_until,
            latency=self.latency,
            was_doubling=not search.limit and not is_limited,
        )
        if is_stated:
            # The limit is what the API states: the window was used unevenly, or by others, too.
            search.limit = max(search.limit, _STATED_PART * at_loss)
            search.calm = min(search.calm, _CALM_AFTER_STATED)
        if self.busy.trial_share or self.throttled.trial_share:
            search.limit = min(search.limit, at_loss / 2)  # low enough to make a difference

    def _room(self, now: Now, given: Given) -> Room:
        """Return the permits that fit into every allowance."""
        if not (given.rates or self.found.content or self.allowances.are_stated):
            return FREE  # as for most keys, and this is asked for twice a request
        return tightest([self.allowances.room(now, given), self.found.room(now)])

    def _now(self, now: float, given: Given) -> Now:
        return Now(now, self.taken, self.answered, self.used_at, self.latency, given.leave)

    def _forget_what_is_old(self, now: float) -> None:
        """Start the search over when the budget was unused for long."""
        if now - max(self.used_at, self.held_until) < _FORGOTTEN_SECONDS or not self.taken:
            return
        self.latency = 0.0
        if not self.found.content and not self.found.lockout:
            self.search = Search(recovered=self.taken)
        self.advertised = Advertised()
        self.busy, self.throttled = Faults(excused=1.0), Faults()

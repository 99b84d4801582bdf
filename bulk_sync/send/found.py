"""A long window that the API does not state, found by its refusals. Pure.

When refusals go on for over `LONG_SECONDS`, one of two things is true, and the requests after them
show which:

- A window was used up and has begun anew. Then as many requests get through as before, however fast
  they leave. The window's length is a usual one (a minute, a quarter of an hour, an hour, a day),
  counted from its first request or along the clock: the one that ends between the last refusal and
  the first request that got through.
- The API locks out whoever exceeds a rate, and each try renews the lock-out. Then many more get
  through at a lower rate, and the last pause was the lock-out's length or more.

While the first is believed, requests beyond the content of the window leave one at a time. Once
`_BELIEVED` windows agree, they aren't tried any more, but for one window in `_TRIED_AGAIN`, because
the content may have grown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bulk_sync.send.allowances import FREE, LONG_SECONDS, Now, Room, is_long

_TRIED = ((10.0, 3.0), (60.0, 8.0), (300.0, 60.0), (900.0, 60.0), (3600.0, 60.0), (86400.0, 60.0))
"""Lengths of windows whose ends are tried while refusals go on, and from how many seconds of
refusals on.
"""

_LOCK_OUTS = (30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
"""Usual lengths of lock-outs: once refusals go on for longer than `_LONG_BLOCK_SECONDS`, each pause
outlasts the next of them, as a try may renew the lock-out.
"""

_SHORTEST_LOCK_OUT_SECONDS = 28.0
_LIKELY_LOCK_OUT_SECONDS = 60.0

_SHORT_LENGTHS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Lengths of windows that a lock-out may follow."""

_LONG_BLOCK_SECONDS = 8.0
_OUTLASTS = 1.04

_LENGTHS = (
    1.0,
    2.0,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
    900.0,
    3600.0,
    86400.0,
)

_MARGIN_SECONDS = 1.2
"""A window is tried so much after its expected end, because clocks differ."""

_TRIED_AGAIN = 8.0

# So many windows must agree before their content isn't exceeded any more. Two may be the same
# number of requests at a rate that a lock-out forbids.
_BELIEVED = 3.0
_SHORT_MARGIN_SECONDS = 0.3

# A reply that takes longer than this is not waited for before the next request.
_LOST_SECONDS = 5.0

# A refusal is known so much later than the server decided it.
_LATE_SECONDS = 0.2


@dataclass(slots=True)
class Found:
    """The window as far as it is known; instants are on the pace's clock."""

    first_at: float = -math.inf
    """The first request that got through in this window."""
    count: float = 0.0
    """The number that got through in it."""
    loss_at: float = -math.inf
    """The first refusal of those going on; -inf when none is."""
    not_before: float = -math.inf
    """The window does not end before this: its latest refusal, and the wait that came with it."""
    content: float = 0.0
    """Requests per window; 0 if unknown."""
    seconds: float = 0.0
    """The length of the window; 0 if unknown."""
    agreed: float = 0.0
    """The number of windows that had this content."""
    untried: float = 0.0
    """The number of windows since more than the content was tried."""
    resets_at: float = math.inf
    lockout: float = 0.0
    """Seconds of a pause that outlasted a lock-out; 0 if none is known."""
    pause: float = 0.0
    """Seconds of the latest pause."""
    failed: float = 0.0
    """The longest pause among the refusals going on, or latest, that was followed by another."""
    possible: float = 0.0
    """Seconds of a lock-out that the long window may be instead; 0 when it is certain."""
    spent: float = 0.0
    """Seconds in which the latest window was used up."""

    def room(self, now: Now) -> Room:
        """Return the permits that may leave now."""
        if not self.content or self.resets_at == math.inf:
            return FREE
        in_flight = max(0.0, now.taken - now.answered)
        if now.at >= now.used_at + max(_LOST_SECONDS, 4 * now.latency):
            in_flight = 0.0  # a permit that a hold overtook is never used, so no reply comes
        one_by_one = Room(0.0, now.at + max(0.05, 2 * now.latency)) if in_flight else Room(1.0)
        if now.at >= self.resets_at:
            return one_by_one
        left = self.content - self.count - in_flight
        if left >= 1:
            return Room(left)
        if self.agreed >= _BELIEVED and self.untried < _TRIED_AGAIN:
            return Room(0.0, self.resets_at)
        return one_by_one

    def passed(self, now: float, offset: float) -> bool:
        """Count a request that got through; return True if a long window has just begun anew."""
        turned = False
        if self.loss_at > -math.inf:
            if now - self.loss_at > LONG_SECONDS and not self.lockout:
                turned = self._turn(now, offset)
            self.loss_at = -math.inf
        elif now >= self.resets_at:
            self.untried += 1
            self._begin(now)
        if self.first_at == -math.inf:
            self.first_at = now
        self.count += 1
        if self.content and self.count > 2 * self.content + 10:
            self._refute()
        return turned

    def refused(self, now: float, asked_seconds: float) -> bool:
        """Note a refusal; return True if it is due to the window rather than to a rate."""
        if self.loss_at == -math.inf:
            self.loss_at, self.failed = now, 0.0
            if now >= self.resets_at:  # the window is longer than was believed
                self.seconds, self.resets_at = 0.0, math.inf
        else:
            self.failed = max(self.failed, self.pause)
        # Servers round waits up to whole seconds.
        self.not_before = now + max(0.0, asked_seconds - 1)
        return self.is_used_up(now) or (asked_seconds > 0 and self._frees_slowly(now))

    def _frees_slowly(self, now: float) -> bool:
        """Return whether a window that slides is just coming free, as slowly as it was spent."""
        return self.count < self.content / 2 and now - self.first_at <= self.spent + 1

    def is_used_up(self, now: float) -> bool:
        """Return whether the content of the window is used up, or it is just about to end."""
        if not self.content:
            return False
        return self.count >= 0.9 * self.content or now >= self.resets_at

    def pause_until(self, now: float, nominal: float, offset: float) -> float:
        """Return when to try again after a refusal without `Retry-After`.

        `nominal` is the pause that the search proposes, in seconds; `offset` turns an instant into
        a time of day, in seconds.
        """
        going_on = now - self.loss_at
        if going_on >= _LONG_BLOCK_SECONDS:
            nominal = max(_OUTLASTS * self._next_lockout(), 2 * going_on if going_on > 60 else 0.0)
        until = now + nominal
        if self.lockout:
            until = now + max(nominal, _OUTLASTS * max(self.lockout, self._next_lockout()))
        elif self.content and self.count >= 0.9 * self.content and now < self.resets_at < math.inf:
            until = max(self.resets_at, now + _OUTLASTS * self.possible)
        else:
            ends = [
                at + (_MARGIN_SECONDS if is_long(seconds) else _SHORT_MARGIN_SECONDS)
                for seconds, tried_after in _TRIED
                if seconds >= going_on >= tried_after
                for at in self._ends(seconds, now, offset)
            ]
            soon = [at for at in ends if now + 0.05 * nominal < at <= now + 1.5 * nominal]
            until = min(soon, default=until)
        self.pause = until - now
        return until

    def _next_lockout(self) -> float:
        """Return the shortest usual lock-out that no pause has outlasted in vain."""
        return next((one for one in _LOCK_OUTS if one > self.failed), 2 * self.failed)

    def slower(self) -> float:
        """Return the rate at which the next window is spent, per second; `inf` for any.

        A lock-out after a short window looks like a long window, but at a rate just below that of
        the short one nothing is refused. So the content is spent in the next usual length, window
        by window, until the long window is certain.
        """
        if self.failed >= _LIKELY_LOCK_OUT_SECONDS or self.pause < _SHORTEST_LOCK_OUT_SECONDS:
            return math.inf
        seconds = next((one for one in _SHORT_LENGTHS if one > 1.05 * self.spent), math.inf)
        return self.content / seconds if seconds <= self.seconds / 2 else math.inf

    def _ends(self, seconds: float, now: float, offset: float) -> tuple[float, float]:
        """Return when a window of that length ends: from its first request, and by the clock."""
        by_clock = (math.floor((now + offset) / seconds) + 1) * seconds - offset
        return self.first_at + seconds, by_clock

    def _turn(self, now: float, offset: float) -> bool:
        """Learn from a window that has begun anew after refusals; return False if it is short."""
        length = self._length(now, offset)
        if 0 < length <= LONG_SECONDS and not self.possible:
            self.first_at, self.count = now, 0.0
            return False
        agrees = self.content and abs(self.count - self.content) <= max(2, 0.02 * self.content)
        self.untried = 0.0
        self.content, self.spent = self.count, self.loss_at - self.first_at
        if not (agrees and self.seconds):
            self.seconds = length
        is_certain = self.slower() == math.inf
        self.possible = 0.0 if is_certain else self._outlasted()
        self.agreed = self.agreed + 1 if agrees and is_certain else float(is_certain)
        self._begin(now)
        return True

    def _length(self, now: float, offset: float) -> float:
        """Return the shortest usual length of a window that ended since the last refusal."""
        for seconds in _LENGTHS:
            from_first = self.first_at + seconds
            by_clock = math.floor((now + offset) / seconds) * seconds - offset
            # A window along the clock must have held all of the requests.
            in_one = by_clock - seconds <= self.first_at < by_clock
            if self.not_before - _LATE_SECONDS <= from_first <= now:
                return seconds
            if in_one and self.not_before - _MARGIN_SECONDS <= by_clock <= now:
                return seconds
        return 0.0

    def begin_if_unknown(self, now: float) -> None:
        """Count from here, because a window that the API states begins anew."""
        if not self.content and self.loss_at == -math.inf:
            self.first_at, self.count = now, 0.0

    def _begin(self, now: float) -> None:
        self.first_at, self.count = now, 0.0
        self.resets_at = now + self.seconds + _MARGIN_SECONDS if self.seconds else math.inf

    def _refute(self) -> None:
        """Drop the belief in a window: what went on was a lock-out."""
        self.content = self.seconds = self.agreed = 0.0
        self.resets_at = math.inf
        self.lockout, self.possible = self.possible or self._outlasted(), 0.0

    def _outlasted(self) -> float:
        """Return the length of the lock-out that is over, if it was one."""
        return min(self._next_lockout(), self.pause)

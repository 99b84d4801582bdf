"""A scheduler's instants on a worker's clock, by the questions that went to and fro. Pure.

The two clocks need not agree. When a question leaves at `asked` and its answer, given at `at`,
arrives at `arrived`, then `at` lies between the two on the worker's clock. Of several answers, the
one that arrived fastest dates best: the clock filter of NTP (RFC 5905, section 10).

Invariant: an instant is never dated before it comes, as long as the clocks run at the same speed;
a clock that jumps (a virtual machine that was paused) makes it at most as early as that answer took
to arrive. It is never dated later than an answer that arrives now would date it.
"""

from __future__ import annotations

from collections import deque

_KEPT_SECONDS = 10.0
"""How long an answer dates others: clocks drift apart by less than a millisecond in that time."""

_MOST_KEPT = 64

# Differences of instants are rounded by less.
_ROUNDED_SECONDS = 1e-6


class Dating:
    """Dates the instants of another clock."""

    def __init__(self) -> None:
        self._ahead: deque[tuple[float, float]] = deque(maxlen=_MOST_KEPT)

    def date(self, asked: float, at: float, arrived: float) -> float:
        """Return on this clock when an answer was given at the latest; `at` is on the other one.

        Never before `asked`, never after `arrived`.
        """
        ahead = self._ahead
        ahead.append((arrived, arrived - at))
        while ahead[0][0] < arrived - _KEPT_SECONDS:
            ahead.popleft()
        dated = at + min(least for _, least in ahead)
        if dated < asked - _ROUNDED_SECONDS:  # a clock has jumped: what was known no longer holds
            ahead.clear()
            ahead.append((arrived, arrived - at))
            return arrived
        return max(asked, dated)

"""The space that a limit leaves between requests, by when earlier ones left and arrived. Pure.

A pace grants permits evenly, but a busy machine sends some requests late, and the network, or the
API itself, delays others on their way. Then those that follow come too soon after them, for an API
that counts the requests of any second.

A reply that took much longer than usual is taken for one whose request arrived that much later.
What is usual is judged as TCP does it (RFC 6298): smoothed, with the mean deviation. Where the API
takes now this long and now that long, the deviation is large, and no reply is unusual.

Instants are in seconds on any monotonic clock.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

MOST_SPACED = 64
"""The highest limit, per second, that is kept in this way; above it a late request makes no
difference.
"""

_SPACED_BY = 1.004
"""How much more than the limit asks for: the way to the API takes each request a little longer, or
less long.
"""

MOST_LATE_SECONDS = 0.25
"""The longest delay on the way that is believed: the rest is likelier the API's own time."""

# Requests whose times are kept: those of a second, or of a part of it at a higher rate.
_MOST_KEPT = 512

# RFC 6298, section 2: the weights of a new reply, and the deviations that are usual.
_SMOOTHED_BY, _DEVIATION_BY, _USUAL_DEVIATIONS = 1 / 8, 1 / 4, 4


@dataclass(slots=True)
class _Usual:
    """The usual time between a request and its reply, in seconds."""

    smoothed: float = 0.0
    deviation: float = 0.0

    def late(self, seconds: float) -> float:
        """Take in the time of a reply; return by how much it is later than is usual."""
        if not self.smoothed:
            self.smoothed, self.deviation = seconds, seconds / 2
            return 0.0
        error = seconds - self.smoothed
        is_usual = error <= _USUAL_DEVIATIONS * self.deviation
        self.deviation += _DEVIATION_BY * (abs(error) - self.deviation)
        self.smoothed += _SMOOTHED_BY * error
        return 0.0 if is_usual else min(error, MOST_LATE_SECONDS)


class Spacing:
    """The requests that left lately."""

    def __init__(self) -> None:
        # The instants from which they count, in ascending order, each with its permit's ordinal.
        self._left: list[tuple[float, float]] = []
        self._usual = _Usual()

    def left(self, ordinal: float, now: float) -> None:
        """Note that a request leaves."""
        self._add(now, ordinal)
        if len(self._left) > 2 * _MOST_KEPT:
            del self._left[:_MOST_KEPT]

    def replied(self, ordinal: float, seconds: float) -> None:
        """Note that its reply came so many seconds later."""
        late = self._usual.late(seconds)
        if not late:
            return
        for place in range(len(self._left) - 1, -1, -1):
            at, its = self._left[place]
            if its == ordinal:
                del self._left[place]
                self._add(at + late, ordinal)
                return

    def _add(self, at: float, ordinal: float) -> None:
        if self._left and at < self._left[-1][0]:
            insort(self._left, (at, ordinal))
        else:
            self._left.append((at, ordinal))

    def next_at(self, limit: float, *, is_given: bool) -> float:
        """Return the instant before which one more request would be too many in a second.

        -inf for immediately. Of limits over `MOST_SPACED`, only one that is given is kept.
        """
        if limit > MOST_SPACED and not is_given:
            return -math.inf
        by = _SPACED_BY if limit <= MOST_SPACED else 1.0
        left = self._left
        instants = [
            left[-number][0] + by * number / limit
            for number in {min(math.floor(limit), _MOST_KEPT), min(math.ceil(limit), _MOST_KEPT)}
            if 0 < number <= len(left)
        ]
        return max(instants, default=-math.inf)

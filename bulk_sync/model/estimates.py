"""How long sending takes under a rate and several allowances. Pure.

An allowance is spent as fast as the rate permits, waited for until it resets, and spent again. With
several of them, the longest decides when the last requests may leave, and the shorter ones how long
those take. A window whose length the API doesn't state counts as a minute, an hour or a day: the
shortest that the stated resets allow. Retries and refusals are not counted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.rows import Allowance
from bulk_sync.quantities import Rate, Share

SPACED_SECONDS = 10.0
"""Requests of a window up to this long are evenly spaced; those of a longer one leave at once."""

ALLOWANCE_SECONDS = 60.0
"""A --rate by this period or a longer one is an allowance."""

_USUAL_SECONDS = (60.0, 3600.0, 86400.0)

# A reset is stated in whole seconds, rounded up or down.
_ROUNDING_SECONDS = 1.0

_NOTHING = Share(count=0)


class KnownPace(Struct, frozen=True):
    """The API's limits as earlier runs on this host learnt them.

    `limit` is in requests per second. The API asked to wait for another
    `held_seconds`.
    """

    limit: float | None = None
    allowances: tuple[Allowance, ...] = ()
    held_seconds: float = 0.0


class Window(Struct, frozen=True):
    """An allowance as an estimate needs it: `contents` requests every `seconds`.

    `left` of them remain now, for `resets_in` seconds; None is a whole window, that begins now.
    """

    contents: float | None
    seconds: float | None
    left: float | None = None
    resets_in: float | None = None


def windows_for(
    rates: Iterable[Rate],
    allowances: Iterable[Allowance],
    now: datetime,
    leave: Share = _NOTHING,
) -> tuple[Window, ...]:
    """Return the user's allowances and the API's as windows, without what is left to others."""
    given = (
        Window(_less(rate.requests, leave.of(rate.requests)), rate.period_seconds)
        for rate in rates
        if rate.period_seconds >= ALLOWANCE_SECONDS
    )
    told = (_window(one, now, leave) for one in allowances)
    return (
        *given,
        *(one for one in told if one.contents is not None or one.left is not None),
    )


def _window(allowance: Allowance, now: datetime, leave: Share) -> Window:
    resets_at = allowance.resets_at
    resets_in = None if resets_at is None else max(0.0, (resets_at - now).total_seconds())
    whole = allowance.limit if allowance.limit is not None else allowance.remaining or 0.0
    return Window(
        _less(allowance.limit, leave.of(whole)),
        allowance.window_seconds or _usual_length(allowance.at_least_seconds, resets_in),
        _less(allowance.remaining, leave.of(whole)),
        resets_in,
    )


def _usual_length(*at_least: float | None) -> float | None:
    """Return the shortest usual length of a window that is known to last so long; None for none."""
    known = max(filter(None, at_least), default=None)
    if known is None:
        return None
    usual = (one for one in _USUAL_SECONDS if one >= known - _ROUNDING_SECONDS)
    return next(usual, known)


def spaced_rate(rates: Iterable[Rate]) -> float | None:
    """Return the lowest of the user's rates that are no allowances, in requests per second."""
    return min(
        (rate.per_second for rate in rates if rate.period_seconds < ALLOWANCE_SECONDS),
        default=None,
    )


def _less(value: float | None, reserve: float) -> float | None:
    return None if value is None else max(0.0, value - reserve)


def seconds_to_send(
    requests: float,
    per_second: float | None,
    windows: Sequence[Window] = (),
    *,
    held_seconds: float = 0.0,
) -> float:
    """Return the least time in which so many requests can be sent; infinity if they never can.

    The first one leaves after `held_seconds`. `per_second` None is a rate that is unknown, which
    counts as infinite.
    """
    if requests <= 0:
        return 0.0
    rate = math.inf if per_second is None else per_second
    long = []
    for window in windows:
        if window.seconds and window.contents and window.seconds <= SPACED_SECONDS:
            rate = min(rate, window.contents / window.seconds)
        else:
            long.append(_after(window, held_seconds))
    # Those whose length is unknown come last, because they are waited for once at most.
    long.sort(key=lambda window: window.seconds or 0.0, reverse=True)
    return held_seconds + _seconds(requests, rate, long)


def _after(window: Window, seconds: float) -> Window:
    """Return a window as it is after some time in which nothing is sent."""
    if window.resets_in is None or window.resets_in > seconds:
        left = None if window.resets_in is None else window.resets_in - seconds
        return replace(window, resets_in=left)
    return _whole(window)


def _whole(window: Window) -> Window:
    return replace(window, left=None, resets_in=None)


def _seconds(requests: float, rate: float, windows: Sequence[Window]) -> float:
    """Return the time under a rate and windows, the longest first."""
    if rate <= 0:
        return math.inf
    if not windows:
        return requests / rate
    window, shorter = windows[0], windows[1:]
    by_others = _seconds(requests, rate, shorter)
    left = window.contents if window.left is None else window.left
    if left is None or requests <= left:
        return by_others
    length = window.seconds
    until_reset = window.resets_in if window.resets_in is not None else length
    if until_reset is None or window.contents is None:
        # Nothing is known of the window after this one, but that it begins.
        return by_others + (until_reset or 0.0)
    if window.contents < 1:
        return math.inf
    whole = math.ceil((requests - left) / window.contents) - 1
    if whole and length is None:
        length = until_reset
    last = requests - left - whole * window.contents
    begins = until_reset + whole * (length or 0.0)
    return max(by_others, begins + _seconds(last, rate, [_whole(one) for one in shorter]))


def requests_within(
    seconds: float,
    requests: int,
    per_second: float | None,
    windows: Sequence[Window] = (),
    *,
    held_seconds: float = 0.0,
) -> int:
    """Return how many of the requests can be sent in a time."""
    least, most = 0, requests
    while least < most:
        middle = (least + most + 1) // 2
        if seconds_to_send(middle, per_second, windows, held_seconds=held_seconds) <= seconds:
            least = middle
        else:
            most = middle - 1
    return least

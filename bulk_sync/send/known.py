"""The limits that a pace knows, as reports show them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime

from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.send.allowances import SOURCES, Given, Now
from bulk_sync.send.pace import Pace


def allowances_of(pace: Pace, now: float, given: Given, offset: float) -> tuple[Allowance, ...]:
    """Return the allowances that hold now, those with shorter windows first.

    `offset` turns an instant into a time of day, in seconds since 1970.
    """
    found = [*_stated(pace, now, offset), *_given(pace, now, given, offset)]
    if pace.found.content:
        found.append(_found(pace, now, offset))
    return tuple(sorted(found, key=lambda one: one.window_seconds or math.inf))


def _stated(pace: Pace, now: float, offset: float) -> Iterator[Allowance]:
    for slot in pace.allowances.stated:
        if not slot.source:
            continue
        is_over = now >= slot.resets_at and not slot.refill
        left = slot.level(now, pace.taken) if slot.refill else slot.left(pace.taken)
        yield Allowance(
            limit=slot.limit or None,
            remaining=None if is_over else max(0.0, math.floor(left)),
            resets_at=None if is_over or slot.refill else _time_of(slot.resets_at + offset),
            source=SOURCES[int(slot.source)],
            window_seconds=slot.window or None,
            # What refills evenly has no windows: the stated time is that until it is full.
            at_least_seconds=None if slot.refill else slot.longest or None,
        )


def _given(pace: Pace, now: float, given: Given, offset: float) -> Iterator[Allowance]:
    state = Now(now, pace.taken, pace.answered, pace.used_at, pace.latency)
    for rate in given.allowances:
        room = pace.allowances.room_of(rate, state)
        yield Allowance(
            limit=rate.requests,
            remaining=math.floor(room.permits) if room.permits >= 1 else 0.0,
            resets_at=None if room.permits >= 1 else _time_of(room.until + offset),
            source=RateSource.OPTION,
            window_seconds=rate.period_seconds,
        )


def _found(pace: Pace, now: float, offset: float) -> Allowance:
    found = pace.found
    is_over = now >= found.resets_at
    return Allowance(
        limit=found.content,
        remaining=None if is_over else max(0.0, found.content - found.count),
        resets_at=None if is_over else _time_of(found.resets_at + offset),
        source=RateSource.FOUND,
        window_seconds=found.seconds or None,
    )


def _time_of(seconds: float) -> datetime | None:
    """Return a time of day, None for one that no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None

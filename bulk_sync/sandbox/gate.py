"""The limits of a sandbox together: what passes, and what replies say of each limit. Pure.

Time goes in as the sandbox's own, which runs `speed` times as fast; replies are in real seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bulk_sync.sandbox.behaviour import AllowanceTold, Behaviour
from bulk_sync.sandbox.limits import (
    All,
    LimitHeaders,
    LockOut,
    Quota,
    Verdict,
    limit_headers,
    make_allowance,
    make_limit,
    tightest,
)

_HEADERS: dict[AllowanceTold, LimitHeaders] = {
    "users-me": "none",
    "headers": "ratelimit",
    "x-headers": "x-ratelimit",
    "retry-after": "retry-after",
    "none": "none",
}

_WINDOW_NAMES = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a request passes, and the headers about the limits in its reply."""

    passes: bool
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Bound:
    """A limit and the headers that it is stated in."""

    limit: Quota
    kinds: Sequence[LimitHeaders]


class Gate:
    """The limit, the allowances and the lock-out of a sandbox."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._speed = behaviour.speed
        self._bounds: list[_Bound] = []
        if behaviour.limit is not None:
            limit = make_limit(behaviour.limit, behaviour.limit_style)
            self._bounds.append(_Bound(limit, (behaviour.limit_headers,)))
        allowances = [make_allowance(rate, behaviour.window) for rate in behaviour.allowances]
        kinds = tuple(_HEADERS[place] for place in behaviour.allowance_told)
        self._bounds += [_Bound(limit, kinds) for limit in allowances]
        # `users/me` has room for one allowance: the one whose reset is worth knowing.
        self._in_users_me = (
            max(allowances, key=lambda one: one.window_seconds)
            if allowances and "users-me" in behaviour.allowance_told
            else None
        )
        every = All([bound.limit for bound in self._bounds])
        seconds = behaviour.lock_out_seconds
        self._limit = every if seconds is None else LockOut(every, seconds)

    def ask(self, now: float, in_flight: int) -> Passage:
        """Judge a request that arrives now while `in_flight` others are being served."""
        passes = self._limit.ask(now, in_flight).passes
        # A server that locks clients out says nothing of it: that is what makes it hard.
        if isinstance(self._limit, LockOut) and not passes:
            return Passage(passes=False, headers={})
        return Passage(passes, self._headers(now, in_flight + passes, passes=passes))

    def allowance(self, now: float) -> Verdict | None:
        """Return the state of the allowance that `users/me` has, in real seconds."""
        return None if self._in_users_me is None else self._real(self._in_users_me.look(now, 0))

    def _headers(self, now: float, in_flight: int, *, passes: bool) -> dict[str, str]:
        stated = []
        for bound in self._bounds:
            state = self._real(bound.limit.look(now, in_flight))
            stated.append((bound, replace(state, passes=passes or state.passes)))
        headers: dict[str, str] = {}
        for kind in ("retry-after", "ratelimit", "x-ratelimit"):
            of_kind = [(bound.limit, state) for bound, state in stated if kind in bound.kinds]
            if kind == "x-ratelimit" and of_kind:
                # One set of names has room for one limit.
                hardest = tightest([state for _, state in of_kind])
                of_kind = [one for one in of_kind if one[1] is hardest]
            for limit, state in of_kind:
                name = "default" if len(of_kind) == 1 else _window_name(limit.window_seconds)
                told = limit_headers(kind, limit, state, name=name, speed=self._speed)
                headers = _together(headers, told)
        return headers

    def _real(self, verdict: Verdict) -> Verdict:
        return replace(
            verdict,
            next_seconds=verdict.next_seconds / self._speed,
            reset_seconds=verdict.reset_seconds / self._speed,
        )


def _window_name(seconds: float) -> str:
    return _WINDOW_NAMES.get(seconds, f"w{seconds:g}")


def _together(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of both: members are joined, and of two waits the longer one counts."""
    joined = {**one, **other}
    for name in one.keys() & other.keys():
        if name == "Retry-After":
            joined[name] = str(max(int(one[name]), int(other[name])))
        else:
            joined[name] = f"{one[name]}, {other[name]}"
    return joined

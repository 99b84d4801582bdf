"""Questions of a run to its source of permits, and the one way in which a pace answers. Pure.

A source keeps a `Pace` that several runs share: in memory or in a file of this host
(`pace_store`), or at the scheduler of a cluster (`bulk_sync.cluster`). Wherever it is kept,
`answer` decides.

Instants in a request are on the clock of the run that asks, those in its answer too. A source whose
clock is another's counts them from the moment of sending (`moved`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.send.allowances import NO_LIMITS, Given
from bulk_sync.send.header_values import LONGEST_WAIT
from bulk_sync.send.known import allowances_of
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import NEAR, Group, Pace, Reach


class Request(NamedTuple):
    """A run's question to its source.

    `seen` are the replies since the last one, each with the instant of its arrival. Up to `most`
    permits are wanted; 0 asks only for what is shown. None is reserved that would come after
    `until`, or after a wait of over `patience_seconds`.

    `doubts` lets one request leave before stated resets that are further away than the patience.
    An answer that `lists` the allowances, or means a wait, takes a `time_of_day`, in seconds since
    1970, for their resets.
    """

    given: Given = NO_LIMITS
    seen: tuple[tuple[float, Observation], ...] = ()
    most: int = 0
    until: float = float("inf")
    patience_seconds: float = float("inf")
    doubts: bool = False
    lists: bool = False
    time_of_day: float = 0.0


class Grant(Struct, frozen=True, tag=True, array_like=True):
    """Permits that are reserved; each must be used within `late_seconds` of its instant."""

    group: Group
    late_seconds: float = float("inf")


class Wait(Struct, frozen=True, tag=True, array_like=True):
    """Nothing may leave before `until`; `by_user` if only because of the user's own limits."""

    until: float
    by_user: bool


class NoneInTime(Struct, frozen=True, tag=True, array_like=True):
    """No permit comes before the end or within the patience; the next is due in `seconds`.

    The reasons are those of `budget.NoPermit`.
    """

    seconds: float
    asked_by_api: bool
    by_allowance: bool
    by_user: bool


class Shown(Struct, frozen=True, array_like=True):
    """The limit as the source knows it; `allowances` are None when they were not listed."""

    held_until: float
    rate: float
    limit: float | None
    source: RateSource
    allowances: tuple[Allowance, ...] | None


class Answer(Struct, frozen=True, array_like=True):
    """A source's answer; `outcome` is None when no permit was wanted."""

    outcome: Grant | Wait | NoneInTime | None
    shown: Shown


class PermitSource(Protocol):
    """The source of a run's permits.

    A permit that is due within the longest time of its groups needs no second question.
    """

    @property
    def reach(self) -> Reach:
        """The bounds of its permits as of now."""
        ...

    def prepare(self, request: Request) -> None:
        """Ask ahead of the next question that wants permits, where that takes time."""
        ...

    async def ask(self, request: Request) -> Answer:
        """Take in what was seen, and answer.

        What was seen counts once, also when the call is cancelled. Raises BulkSyncError when
        permits can't be had any more, which ends the run.
        """
        ...


def answer(
    pace: Pace,
    now: float,
    request: Request,
    dice: Callable[[], float],
    offset: float,
    reach: Reach = NEAR,
) -> Answer:
    """Answer a request whose instants are on the clock of the pace.

    `dice` returns 0 to 1, for the jitter of pauses; `offset` turns an instant into a time of day,
    in seconds since 1970.
    """
    for at, seen in request.seen:
        pace.observe(at, seen, dice(), request.given, offset)
    if request.doubts:
        pace.doubt(now, now + request.patience_seconds, request.given)
    outcome = _outcome(pace, now, request, reach) if request.most else None
    limit, source = pace.limit(now, request.given)
    allowances = None
    # A wait will be looked at for as long as it lasts.
    if request.lists or isinstance(outcome, Wait) or pace.held_until > now:
        allowances = allowances_of(pace, now, request.given, request.time_of_day - now)
    rate = pace.per_second(now, request.given)
    return Answer(outcome, Shown(pace.held_until, rate, limit, source, allowances))


def _outcome(pace: Pace, now: float, request: Request, reach: Reach) -> Grant | Wait | NoneInTime:
    given = request.given
    wait_until = pace.wait_until(now, given)
    next_at = max(pace.due_at(now, given, reach), wait_until)
    too_long = wait_until - now > request.patience_seconds
    if too_long or next_at > request.until:
        return NoneInTime(
            min(next_at - now, LONGEST_WAIT),
            asked_by_api=too_long,
            by_allowance=wait_until > pace.held_until,
            by_user=_is_by_user(pace, now),
        )
    if wait_until > now:
        return Wait(wait_until, _is_by_user(pace, now))
    return Grant(pace.reserve_group(now, request.most, given, reach), reach.late_seconds)


def _is_by_user(pace: Pace, now: float) -> bool:
    """Return whether nothing would have to be waited for without the user's own limits."""
    return pace.wait_until(now) <= now


def request_moved(request: Request, seconds: float) -> Request:
    """Return a request whose instants are on a clock that is ahead by so many seconds."""
    return request._replace(
        seen=tuple((at + seconds, seen) for at, seen in request.seen),
        until=request.until + seconds,
    )


def answer_moved(answered: Answer, seconds: float) -> Answer:
    """Return an answer whose instants are on a clock that is ahead by so many seconds."""
    outcome, shown = answered.outcome, answered.shown
    if isinstance(outcome, Grant):
        start = outcome.group.start + seconds
        outcome = replace(outcome, group=outcome.group._replace(start=start))
    elif isinstance(outcome, Wait):
        outcome = replace(outcome, until=outcome.until + seconds)
    return Answer(outcome, replace(shown, held_until=shown.held_until + seconds))

"""Budgets of keys and leases of jobs, as the plugin of a scheduler keeps them. Pure.

Invariants:

1. There is one `Pace` for each base URL and fingerprint of a key, so each permit is given once, and
   no window of time has more permits than that pace allows, whoever asks.
2. First come, first served: a question is answered from the pace as it is. Groups are bounded by
   `FAR` and by what the asking run used of its last one (`budget`), so that none takes all.
3. Only the holder of a job's lease gets permits, and every question renews the lease.
4. An observation counts once, also when a question is repeated because its answer was lost.
5. What is not used expires; nothing is given back. A dead worker wastes its last group at most.
"""

from __future__ import annotations

from collections.abc import Callable

from bulk_sync.cluster.desk_messages import (
    Acquire,
    Answered,
    Ask,
    Done,
    Leased,
    Question,
    Release,
    Reply,
    Restarted,
    Taken,
)
from bulk_sync.cluster.leases import Held, Leases
from bulk_sync.send.pace import Pace, Reach
from bulk_sync.send.permits import answer, answer_moved, request_moved

FAR = Reach(stated=0.02, found=0.02, given=0.1, late_seconds=0.1, ahead_seconds=0.05, spare=1.02)
"""The reach of permits at a scheduler.

A question takes milliseconds, so that a group lasts longer than on one host. A group at a rate that
was found, or that the API states, is short, because requests in it don't know the latest replies.
Workers keep time less exactly together than one does: the longer intervals make up for 20 ms
in a window of a second.
"""

_MOST_PACES = 10_000
"""Budgets that are kept: those used last."""


class Desk:
    """Answers the questions of workers; `epoch` is a random name for this life of it."""

    def __init__(self, epoch: str) -> None:
        self._epoch = epoch
        self._paces: dict[tuple[str, str], Pace] = {}
        self.leases = Leases()

    def reply(
        self, now: float, offset: float, question: Question, dice: Callable[[], float]
    ) -> Reply:
        """Answer a question at an instant of the scheduler's monotonic clock.

        `offset` turns it into a time of day, in seconds since 1970; `dice` returns 0 to 1.
        """
        if isinstance(question, Acquire):
            held = self.leases.acquire(now, question.job, question.holder, question.worker)
            if held is None:
                return Taken(self.leases.worker_of(question.job))
            return Leased(self._epoch, held.number)
        if question.epoch != self._epoch:
            return Restarted()
        held = self.leases.renewed(now, question.job, question.number)
        if isinstance(question, Release):
            self.leases.release(question.job, question.number)
            return Done()
        if held is None:
            return Taken(self.leases.worker_of(question.job))
        if isinstance(question, Ask):
            return self._answered(now, offset, question, held, dice)
        return Done()

    def _answered(
        self, now: float, offset: float, ask: Ask, held: Held, dice: Callable[[], float]
    ) -> Answered:
        seen = ask.request.seen
        known = held.seen.get(ask.source, 0)
        held.seen[ask.source] = max(known, ask.first - 1 + len(seen))
        news = seen[max(0, known + 1 - ask.first) :]
        request = request_moved(ask.request._replace(seen=news), now)
        pace = self._pace(ask.base_url, ask.key)
        return Answered(now, answer_moved(answer(pace, now, request, dice, offset, FAR), -now))

    def _pace(self, base_url: str, key: str) -> Pace:
        pace = self._paces.pop((base_url, key), None) or Pace()
        self._paces[base_url, key] = pace  # the one used last is the last in order
        if len(self._paces) > _MOST_PACES:
            del self._paces[next(iter(self._paces))]
        return pace

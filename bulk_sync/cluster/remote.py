"""A worker's side of the desk: the lease of a job, and the permits that it brings.

Invariants:

1. A lease is lost once the desk refuses its number. It is given up when nothing answers for
   `GIVE_UP_SECONDS`. Either ends the run that has it: with CheckpointBusy, or as for an outage.
2. A permit is used within `Reach.late_seconds` of its instant as `dating` has it, and not at all if
   its answer took over `_SLOWEST_SECONDS`. So a worker that was stopped, or cut off from its
   scheduler, has no permit left when it goes on.
3. Observations are kept until an answer confirms them.

What carries a question and its answer is an `Exchange`; `line` has Dask's.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

import anyio
import msgspec

from bulk_sync.clock import Clock, SystemClock
from bulk_sync.cluster.dating import Dating
from bulk_sync.cluster.desk import FAR
from bulk_sync.cluster.desk_messages import (
    Acquire,
    Answered,
    Ask,
    Leased,
    Question,
    Release,
    Renew,
    Reply,
    Restarted,
    Taken,
    encoded,
    reply_of,
)
from bulk_sync.cluster.leases import GIVE_UP_SECONDS
from bulk_sync.errors import BulkSyncError, CheckpointBusy, Outage
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import Reach
from bulk_sync.send.permits import Answer, Grant, Request, answer_moved, request_moved

Exchange = Callable[[bytes], "Future[bytes | None]"]
"""Carries a question to the desk. The answer is None when there is no desk at the other end; the
future raises OSError when nothing answers. To cancel it drops the question.
"""

_ANSWER_SECONDS = 2.0
"""How long an answer may take before the question is asked again."""

_SLOWEST_SECONDS = 1.0
"""Permits whose answer took longer are not used: they would come late."""

_PAUSE_SECONDS = 0.2

_TIMED = 8
"""The number of answers that show how long the next one may take."""

RENEWAL_SECONDS = 1.0
"""How often a lease is renewed."""

_NOTHING_ANSWERS = (
    "The scheduler does not answer any more, so that nothing may be sent. Run it again once the "
    "cluster is up"
)


class Lease:
    """A worker's lease of a job, renewed by a thread in `kept`.

    It is a `job.lock.Holding`: losing it ends a run as losing the lock of its checkpoint does.
    """

    def __init__(self, exchange: Exchange, job: str, clock: Clock, given: Leased) -> None:
        self.job = job
        self.number = given.number
        self.epoch = given.epoch
        self._exchange = exchange
        self._clock = clock
        self._answered_at = clock.monotonic()
        self._ended = threading.Event()
        self._turn = threading.Lock()
        self.is_lost = False
        self.is_given_up = False
        self.on_loss: Callable[[CheckpointBusy], None] = lambda _: None
        self._taken_by: str | None = None

    def error(self) -> CheckpointBusy:
        """Return the error for a run whose job another worker has."""
        by = f"the worker {self._taken_by} has" if self._taken_by else "another worker may have"
        return CheckpointBusy(
            f"{self.job}: {by} taken over this job, because this one was not heard of. "
            "It goes on there."
        )

    def check(self) -> None:
        """Raise CheckpointBusy if the lease is lost."""
        if self.is_lost:
            raise self.error()

    @contextmanager
    def permits(self, base_url: str, key: str, clock: Clock) -> Iterator[RemotePermits]:
        """Open the permits of a base URL and the key with a fingerprint (`budget.OpenPermits`)."""
        yield RemotePermits(self, self._exchange, base_url, key, clock)

    def keep(self) -> None:
        """Renew the lease until `end`, for a thread."""
        while not self._ended.wait(RENEWAL_SECONDS) and not self.is_lost:
            self.renew()

    def renew(self) -> None:
        """Ask once for more time, from any thread; `is_lost` says whether another has the job."""
        asked = self._clock.monotonic()
        with suppress(OSError, BulkSyncError):
            self.take(asked, _answer(self._exchange, Renew(self.epoch, self.job, self.number)))

    def end(self) -> None:
        """Release the lease."""
        self._ended.set()
        with suppress(OSError):
            _answer(self._exchange, Release(self.epoch, self.job, self.number))

    def take(self, asked: float, reply: Reply | None) -> None:
        """Take in the reply to a question that left at `asked`.

        Raises CheckpointBusy when another has the job, Outage when the desk lost its state.
        """
        if isinstance(reply, Taken):
            with self._turn:
                news, self.is_lost = not self.is_lost, True
                self._taken_by = reply.worker
            if news:
                self.on_loss(self.error())
            raise self.error()
        if isinstance(reply, Restarted) or reply is None:
            raise Outage(
                "The scheduler was started again, and knows nothing of this run. Run it again"
            )
        self._answered_at = max(self._answered_at, asked)

    def give_up_if_silent(self) -> None:
        """Raise Outage when no question was answered for too long."""
        if self._clock.monotonic() - self._answered_at > GIVE_UP_SECONDS:
            self.is_given_up = True
            raise Outage(_NOTHING_ANSWERS)


@contextmanager
def leased(exchange: Exchange, job: str, worker: str) -> Iterator[Lease]:
    """Hold the lease of a job in this block.

    Raises CheckpointBusy when another holds it, Outage when the scheduler doesn't answer.
    """
    clock, holder = SystemClock(), secrets.token_hex(8)
    until = clock.monotonic() + GIVE_UP_SECONDS
    pause = threading.Event()
    reply: Reply | None = None
    while True:
        asked = clock.monotonic()
        try:
            reply = _answer(exchange, Acquire(job, holder, worker))
            break
        except OSError:
            if clock.monotonic() > until:
                raise Outage(_NOTHING_ANSWERS) from None
            pause.wait(_PAUSE_SECONDS)
    if isinstance(reply, Taken):
        raise CheckpointBusy(
            f"{job}: the worker {reply.worker} works at this job. Wait until it ends."
        )
    if not isinstance(reply, Leased):
        raise Outage("The scheduler hands out no permits for this run. Run it again")
    lease = Lease(exchange, job, clock, reply)
    lease.take(asked, reply)
    thread = threading.Thread(target=lease.keep, name="renew the lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        lease.end()
        thread.join()


def _answer(exchange: Exchange, question: Question) -> Reply | None:
    """Ask from a thread; raises OSError without an answer."""
    future = exchange(encoded(question))
    try:
        return _reply(future.result(_ANSWER_SECONDS))
    except TimeoutError:
        future.cancel()
        raise


def _reply(data: bytes | None) -> Reply | None:
    try:
        return None if data is None else reply_of(data)
    except msgspec.MsgspecError as error:
        raise OSError(f"the scheduler's answer makes no sense: {error}") from None


class _Asked:
    """A question under way, and when its answer arrives."""

    def __init__(self, clock: Clock, first: int, count: int) -> None:
        self.at = self.arrived = clock.monotonic()
        self.first = first
        self.count = count
        """The number of its observations; `first` is the number of the first one."""
        self._clock = clock
        self._future: Future[bytes | None] = Future()

    def begin(self, exchange: Exchange, question: Question) -> None:
        """Send the question."""
        self._future = exchange(encoded(question))
        # In the thread of the connection: that of the run may take a moment to get there.
        self._future.add_done_callback(self._note_arrival)

    def _note_arrival(self, _: Future[bytes | None]) -> None:
        self.arrived = self._clock.monotonic()

    async def reply(self) -> Reply | None:
        """Wait for the reply; raises OSError without one."""
        left = self.at + _ANSWER_SECONDS - self._clock.monotonic()
        with anyio.fail_after(max(0.0, left)):
            return _reply(await asyncio.wrap_future(self._future))


class RemotePermits:
    """The permits of a scheduler's desk, for one run; see `send.permits.PermitSource`."""

    def __init__(
        self, lease: Lease, exchange: Exchange, base_url: str, key: str, clock: Clock
    ) -> None:
        self._lease = lease
        self._exchange = exchange
        self._base_url = base_url
        self._key = key
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._dating = Dating()
        self._unread: list[tuple[float, Observation]] = []
        self._confirmed = 0
        self._prepared: _Asked | None = None
        self._held_until = -math.inf
        self._took: deque[float] = deque(maxlen=_TIMED)

    @property
    def reach(self) -> Reach:
        """That of a desk, asked earlier while it answers slowly."""
        ahead = max(FAR.ahead_seconds, 2 * max(self._took, default=0.0))
        return FAR._replace(ahead_seconds=ahead)

    def prepare(self, request: Request) -> None:
        """Ask for the next permits now; `ask` takes the answer."""
        self._unread.extend(request.seen)
        self._prepared = self._begin(request)

    async def ask(self, request: Request) -> Answer:
        """Ask the desk until it answers in time.

        Raises Outage when it doesn't for too long, CheckpointBusy when the lease is lost.
        """
        self._unread.extend(request.seen)
        if request.most and self._prepared is not None:
            asked, self._prepared = self._prepared, None
            if not any(seen.kind in {"throttled", "busy"} for _, seen in request.seen):
                answer = await self._answer(asked)
                if answer is not None and self._is_usable(asked, answer, ahead=True):
                    return answer
        begun = self._clock.monotonic()
        while True:
            asked = self._begin(request)
            answer = await self._answer(asked)
            if answer is None:
                self._lease.give_up_if_silent()
                await self._clock.sleep(_PAUSE_SECONDS)
            elif self._is_usable(asked, answer):
                return answer
            elif asked.arrived - begun > GIVE_UP_SECONDS:
                raise Outage(
                    "The scheduler takes too long to answer: it is overloaded, or the way to it "
                    "is slow. Run it again with fewer jobs at once"
                )

    def _is_usable(self, asked: _Asked, answer: Answer, *, ahead: bool = False) -> bool:
        outcome = answer.outcome
        if isinstance(outcome, Grant):
            in_time = asked.arrived - asked.at <= _SLOWEST_SECONDS
            return in_time and outcome.group.start >= self._held_until
        return not ahead  # a wait may be over by now

    def _begin(self, request: Request) -> _Asked:
        lease, seen = self._lease, tuple(self._unread)
        asked = _Asked(self._clock, self._confirmed + 1, len(seen))
        question = Ask(
            lease.epoch,
            lease.job,
            lease.number,
            self._base_url,
            self._key,
            self._name,
            asked.first,
            request_moved(request._replace(seen=seen), -asked.at),
        )
        asked.begin(self._exchange, question)
        return asked

    async def _answer(self, asked: _Asked) -> Answer | None:
        """Wait for the answer to a question; None without one."""
        try:
            reply = await asked.reply()
        except OSError:
            return None
        self._lease.take(asked.at, reply)
        if not isinstance(reply, Answered):
            return None
        known = asked.first - 1 + asked.count - self._confirmed
        if known > 0:  # another question may have confirmed them before
            del self._unread[:known]
            self._confirmed += known
        self._took.append(asked.arrived - asked.at)
        given_at = self._dating.date(asked.at, reply.at, asked.arrived)
        answer = answer_moved(reply.answer, given_at)
        self._held_until = max(self._held_until, answer.shown.held_until)
        return answer

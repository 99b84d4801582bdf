"""The event loop that sends: a run's own, or one for the runs of several jobs.

With a loop for each of 300 jobs, each in a thread of its own, every reply wakes up a thread that
then waits with all others for the interpreter's lock, and most of the processor's time goes into
that. In a common loop one wake-up serves all jobs whose replies have come.

Invariants:

1. What runs in a common loop raises in the thread that asked for it, and nowhere else.
2. At most `at_once` threads have a turn at the processor. They get it in the order of asking. A
   thread has none while it waits for the loop: a job that sends, or waits for its API, keeps no
   other from reading its sheet.
3. A turn no longer counts after `LONGEST_TURN_SECONDS`: a large sheet, or a disk that hangs, delays
   the others for that time, and then competes with them.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

import anyio
from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from bulk_sync.clock import Clock
from bulk_sync.job.loop_time import LoopTime

T = TypeVar("T")

LONGEST_TURN_SECONDS = 1.0
"""Several times the time that a sheet of some thousand rows takes."""


SWITCH_SECONDS = 0.0005
"""The time after which a thread that wants the interpreter gets it; Python's default is 5 ms.

The loop gives the interpreter away with each call to a socket or to SQLite. While sheets are read
or results are written, it would wait for those 5 ms each time, and send a fifth of what it could.
"""


class Loop(Protocol):
    """A runner of the coroutines of a run."""

    @property
    def running(self) -> int:
        """The number of functions that run in it."""
        ...

    @property
    def for_writes(self) -> LoopTime | None:
        """The time in it for writes of checkpoints; None where each run has a loop of its own."""
        ...

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:  # noqa: ANN401 - any
        """Call a coroutine function with arguments, and return its result."""
        ...


class OwnLoop:
    """A new event loop for each call, in the calling thread."""

    running = 1
    for_writes = None

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:  # noqa: ANN401 - any
        """Run the loop until the function has returned."""
        return anyio.run(function, *args, backend_options=load_loop())


def load_loop() -> dict[str, bool]:
    """Import the event loop; return anyio's options for it.

    Imports must not count as sending time or as the first request's latency.
    """
    with_uvloop = find_spec("uvloop") is not None  # the extra "fast" brings it
    if with_uvloop:
        import_module("uvloop")
    return {"use_uvloop": with_uvloop}


class Turns:
    """The turns at the processor; see the invariants of this module."""

    def __init__(self, at_once: int, clock: Clock) -> None:
        self._at_once = at_once
        self._clock = clock
        self._lock = threading.Lock()
        self.waiting: deque[threading.Event] = deque()
        """The threads that wait for one, in the order of asking."""
        self._since: dict[threading.Event, float] = {}  # those that count

    def begin(self) -> threading.Event:
        """Wait for a turn, and return what `end` ends."""
        turn = threading.Event()
        with self._lock:
            self.waiting.append(turn)
            self._grant()
        while not turn.wait(LONGEST_TURN_SECONDS):
            with self._lock:
                self._grant()
        return turn

    def end(self, turn: threading.Event) -> None:
        """End a turn."""
        with self._lock:
            self._since.pop(turn, None)
            self._grant()

    def _grant(self) -> None:
        now = self._clock.monotonic()
        over = [one for one, since in self._since.items() if now - since > LONGEST_TURN_SECONDS]
        for turn in over:
            del self._since[turn]
        while self.waiting and len(self._since) < self._at_once:
            turn = self.waiting.popleft()
            self._since[turn] = now
            turn.set()


class _Shared:
    """The loop of all jobs, in its thread."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self.running = 0
        self.for_writes = LoopTime()

    def call(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:  # noqa: ANN401 - any
        """Run a function in the loop until it has returned."""

        async def counted() -> T:
            self.running += 1
            try:
                return await function(*args)
            finally:
                self.running -= 1

        return self._portal.call(counted)


class CommonLoop:
    """A job's access to the loop of all jobs."""

    def __init__(self, shared: _Shared, turns: Turns) -> None:
        self._shared = shared
        self._turns = turns
        self._turn: threading.Event | None = None

    @property
    def running(self) -> int:
        """The number of functions of all jobs that run in it."""
        return self._shared.running

    @property
    def for_writes(self) -> LoopTime:
        """The time in it for writes of all jobs."""
        return self._shared.for_writes

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have a turn at the processor in the block, but for the calls of `run` there."""
        self._turn = self._turns.begin()
        try:
            yield
        finally:
            self._turns.end(self._turn)
            self._turn = None

    def run(self, function: Callable[..., Awaitable[T]], *args: Any) -> T:  # noqa: ANN401 - any
        """Run a function in the loop of all jobs until it has returned."""
        if self._turn is None:
            return self._shared.call(function, *args)
        self._turns.end(self._turn)
        try:
            return self._shared.call(function, *args)
        finally:
            self._turn = self._turns.begin()


@contextmanager
def _quick_switches() -> Iterator[None]:
    """Let the threads of this process take turns at the interpreter more often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextmanager
def common_loop(jobs: int, processors: int, clock: Clock) -> Iterator[Callable[[], CommonLoop]]:
    """Run a loop in a thread for so many jobs at a time; yield what makes each job's access to it.

    Its threads for files and host names suffice for all of them, so that one whose network folder
    or name server hangs keeps no other waiting.
    """
    with (
        _quick_switches(),
        ThreadPoolExecutor(jobs, "names") as names,
        start_blocking_portal("asyncio", load_loop()) as portal,
    ):

        async def make_room() -> None:
            asyncio.get_running_loop().set_default_executor(names)
            to_thread.current_default_thread_limiter().total_tokens = 2 * jobs

        portal.call(make_room)
        shared, turns = _Shared(portal), Turns(processors, clock)
        yield lambda: CommonLoop(shared, turns)

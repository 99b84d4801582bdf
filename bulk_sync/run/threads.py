"""Run a push in a thread if the caller's thread runs an event loop: it can't run a second one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio
from anyio import from_thread, to_thread

T = TypeVar("T")


def outside_event_loop(
    work: Callable[[threading.Event | None], T], stop: threading.Event | None
) -> T:
    """Return the result of `work`, called in a thread if this one runs an event loop.

    `work` gets the event that stops it. An interrupt (Ctrl-C, or a notebook's) sets the event and
    is raised after the thread has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work(stop)
    stop = stop or threading.Event()
    with ThreadPoolExecutor(max_workers=1) as threads:
        working = threads.submit(work, stop)
        try:
            return working.result()
        except BaseException:  # KeyboardInterrupt among them
            stop.set()
            raise


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Return the result of `work`, called in a thread with the event that stops it.

    When cancelled, set the event, wait for the thread, and let the cancellation go on.
    """
    stop, ended = threading.Event(), anyio.Event()

    def work_and_signal() -> T:
        try:
            return work(stop)
        finally:
            from_thread.run_sync(ended.set)

    try:
        # Not shielded from cancellation, which must first set `stop` for the thread to end.
        return await to_thread.run_sync(work_and_signal, abandon_on_cancel=True)
    except anyio.get_cancelled_exc_class():
        stop.set()
        with anyio.CancelScope(shield=True):
            await ended.wait()
        raise

"""The way from a task to the plugin of its scheduler: a call over the worker's own connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING

from bulk_sync.cluster.desk_messages import HANDLER
from bulk_sync.cluster.remote import Exchange

if TYPE_CHECKING:
    from distributed import Worker


def exchange_of(worker: Worker) -> Exchange:
    """Return what carries questions of a worker's tasks to its scheduler, from any thread."""
    loop: asyncio.AbstractEventLoop = worker.loop.asyncio_loop  # type: ignore[attr-defined]  # tornado declares it of a subclass

    def exchange(question: bytes) -> Future[bytes | None]:
        async def call() -> bytes | None:
            try:
                answer: bytes | None = await getattr(worker.scheduler, HANDLER)(question=question)
            except RuntimeError:  # the pool of connections is closed
                raise ConnectionError("the worker closes") from None
            except asyncio.CancelledError:
                if carried.cancelled():
                    raise
                raise ConnectionError("the worker closes") from None
            return answer

        coroutine = call()
        try:
            carried = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:  # the loop is closed
            coroutine.close()
            carried = Future()
            carried.set_exception(ConnectionError("the worker has ended"))
        return carried

    return exchange

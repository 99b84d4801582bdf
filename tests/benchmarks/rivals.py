"""What others do about a rate limit, as small models, to be measured beside our own pace.

- No limiter: a row that is refused waits by exponential back-off with full jitter.
- A static limiter at half the true rate, for those who know it and play it safe.
- The adaptive retry mode of the AWS SDKs, as botocore documents and implements it
  (botocore/retries/adaptive.py, throttling.py, bucket.py): a client-side token bucket whose
  rate follows CUBIC, off until the first refusal.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable

import anyio

from bulk_sync.send.transport.interface import Reply
from tests.simulation import Server, in_virtual_time

_BASE, _LONGEST = 0.5, 20.0


class NoLimiter:
    async def before(self) -> None:
        return

    def after(self, *, throttled: bool) -> None:  # noqa: ARG002 - the protocol's
        return


class Static:
    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._due = 0.0

    async def before(self) -> None:
        now = asyncio.get_running_loop().time()
        self._due = max(now, self._due + self._interval)
        await anyio.sleep(self._due - now)  # noqa: TID251 - virtual time

    def after(self, *, throttled: bool) -> None:  # noqa: ARG002 - the protocol's
        return


class Adaptive:
    """CUBIC with botocore's constants: beta 0.7, scale 0.4, at least 0.5 requests a second."""

    beta, scale, least, smooth = 0.7, 0.4, 0.5, 0.8

    def __init__(self) -> None:
        now = asyncio.get_running_loop().time()
        self._on = False
        self._max_rate, self._last_fail = 0.0, now
        self._capacity, self._fill, self._at = 1.0, self.least, now
        self._tokens = 0.0
        self._measured, self._count, self._bucket_at = 0.0, 0, now
        self._turn = anyio.Lock()

    async def before(self) -> None:
        if not self._on:
            return
        async with self._turn:
            self._refill()
            while self._tokens < 1:
                await anyio.sleep((1 - self._tokens) / self._fill)  # noqa: TID251 - virtual time
                self._refill()
            self._tokens -= 1

    def after(self, *, throttled: bool) -> None:
        now = asyncio.get_running_loop().time()
        measured = self._measure(now)
        if throttled:
            rate = min(measured, self._fill) if self._on else measured
            self._max_rate, self._last_fail = rate, now
            calculated = self.beta * rate
            self._on = True
        else:
            window = (self._max_rate * (1 - self.beta) / self.scale) ** (1 / 3)
            calculated = self.scale * (now - self._last_fail - window) ** 3 + self._max_rate
        if self._on:
            self._refill()
            self._fill = max(self.least, min(calculated, 2 * measured))
            self._capacity = max(1.0, self._fill)
            self._tokens = min(self._tokens, self._capacity)

    def _refill(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._fill)
        self._at = now

    def _measure(self, now: float) -> float:
        self._count += 1
        if now - self._bucket_at >= 0.5:
            rate = self._count / (now - self._bucket_at)
            self._measured = rate * self.smooth + self._measured * (1 - self.smooth)
            self._count, self._bucket_at = 0, now
        return self._measured


Limiter = NoLimiter | Static | Adaptive


def simulate_rival(
    make: Callable[[], Limiter], server: Server, rows: int, *, workers: int, give_up_seconds: float
) -> tuple[float, int]:
    """Send with `workers` workers; return the seconds and the rows done when time is up."""

    async def main() -> tuple[float, int]:
        limiter, dice = make(), random.Random(server.seed)
        queue = deque(f"k{number}" for number in range(rows))
        done = 0

        async def work() -> None:
            nonlocal done
            while queue:
                key = queue.popleft()
                failures = 0
                while not await _through(limiter, server, key):
                    failures += 1
                    pause = dice.random() * min(_LONGEST, _BASE * 2.0 ** min(failures, 30))
                    await anyio.sleep(pause)  # noqa: TID251 - virtual time
                done += 1

        begun = asyncio.get_running_loop().time()
        with anyio.move_on_after(give_up_seconds):
            async with anyio.create_task_group() as tasks:
                for _ in range(workers):
                    tasks.start_soon(work)
        return asyncio.get_running_loop().time() - begun, done

    result: tuple[float, int] = in_virtual_time(main)
    return result


async def _through(limiter: Limiter, server: Server, key: str) -> bool:
    await limiter.before()
    sending: Awaitable[object] = server.patch(f"/v1/showings/{key}", b"{}", key)
    reply = await sending
    throttled = isinstance(reply, Reply) and reply.status in {429, 503}
    limiter.after(throttled=throttled)
    return isinstance(reply, Reply) and reply.status == 200

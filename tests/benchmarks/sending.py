"""Seconds that the workers take for the rows of a sheet, with the checkpoint or with the rows in
memory.

    python -m tests.benchmarks.sending SHEET BASE_URL checkpoint|memory

Part of `tests.benchmarks.peers`: the same push with the same sender, transport and budget; only
where rows come from while it sends, and where outcomes go, differs.
"""

from __future__ import annotations

import gc
import sys
from collections import deque
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
from pydantic import SecretStr

from bulk_sync import pipeline
from bulk_sync.cli.collector import start_collector
from bulk_sync.clock import SystemClock
from bulk_sync.job.outbox import Outbox
from bulk_sync.model.rows import Change, Creation, Outcome, State
from bulk_sync.quantities import parse_rate
from bulk_sync.run import send as run_send
from bulk_sync.send.backlog import NoWork
from bulk_sync.send.sender import Sender
from bulk_sync.settings.push import PushSettings


class Remembering(NoWork):
    """What the recorder does, without a disk: all changes are taken beforehand, outcomes stay in
    memory.
    """

    def __init__(self, outbox: Outbox, *_: Any, **__: Any) -> None:
        self._left = deque(outbox.exchange(limit=10_000_000))
        self._outcomes: list[Outcome] = []
        self._closed = anyio.Event()

    def take(self) -> Change | None:
        return self._left.popleft() if self._left else None

    async def claim(self, limit: int) -> list[Change]:
        return [self._left.popleft() for _ in range(min(limit, len(self._left)))]

    async def begin_creation(self, change: Change, report_id: str | None) -> Creation | None:  # noqa: ARG002
        raise AssertionError("nothing is created unless it was asked for")

    def put(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)

    def close(self) -> None:
        self._closed.set()

    async def run(self) -> None:
        await self._closed.wait()

    async def save(self) -> None:
        return


class Timed(Sender):
    """The sender, which prints how long it took."""

    async def run(self) -> None:
        clock = SystemClock()
        begun = clock.monotonic()
        await super().run()
        print(clock.monotonic() - begun)


def main() -> None:
    sheet, base_url, where = sys.argv[1:]
    gc.disable()
    start_collector()  # as for the program
    setattr(run_send, "Sender", Timed)  # noqa: B010 - not an export of its own
    if where == "memory":
        setattr(run_send, "Recorder", Remembering)  # noqa: B010 - same
    with TemporaryDirectory() as folder:
        summary = pipeline.push(
            PushSettings(
                input=Path(sheet),
                base_url=base_url,
                key=SecretStr("north_sk_test_000000000000000000000000peers"),
                rate=parse_rate("100000/s"),
                workers=32,
                out=Path(folder),
                state_folder=Path(folder, "state"),
            )
        )
    if summary.states != {State.UPDATED: summary.rows} and where == "checkpoint":
        raise SystemExit(f"not all rows arrived: {summary.states}")


if __name__ == "__main__":
    main()

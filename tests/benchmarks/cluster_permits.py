"""The permits of a cluster: how fast its scheduler hands them out, and how well workers share them.

    python -m tests.benchmarks.cluster_permits [--workers 4] [--seconds 30] [--clusters 1]
        [--only NAME]

A Dask cluster of processes on this machine. First the desk alone: questions and permits per second,
and the time that an answer takes. Then the workers share one key: each pushes its part of the rows
to one sandbox, as in `pace_socket`, which has the same cases for processes of one host. The span is
from the first request to the last reply by the sandbox's journal, over that of the greedy schedule.

With `--clusters 2`, two clusters that don't know of each other share the key, the limit and the
workers; an allowance that `users/me` states is a case too. For comparison, as many runs without
Dask share it, each with a state folder of its own. "Least share" is of the slowest cluster or run,
when half of all rows are applied: 1 if all are as fast, 0 if it starves.

A machine that is busy with other things makes all of it worse: the load is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from distributed import Client, get_worker
from pydantic import SecretStr

from bulk_sync.clock import SystemClock
from bulk_sync.cluster.line import exchange_of
from bulk_sync.cluster.plugin import DeskPlugin
from bulk_sync.cluster.remote import leased
from bulk_sync.model.rows import State
from bulk_sync.pipeline import push_in_run
from bulk_sync.quantities import Rate
from bulk_sync.run.follow import Callbacks
from bulk_sync.send.allowances import Given
from bulk_sync.send.budget import Budget
from bulk_sync.send.permits import Request
from bulk_sync.settings.push import PushSettings
from tests.benchmarks.pace_socket import (
    LATENCY_SECONDS,
    QUOTA,
    RATE,
    WINDOW,
    WORKERS,
    Case,
    Point,
    least_share,
    push,
)
from tests.dask_cluster import dask_cluster
from tests.helpers import numbered, sandbox_process, write_sheet
from tests.models.optimum import optimum_seconds
from tests.models.rules import FixedWindow, SlidingLog, TokenBucket
from tests.simulation import steady

_KEY = SecretStr("north_sk_test_cluster_permits")
_ASKED = 300
"""Questions of each worker, one after the other."""
_TAKING_SECONDS = 3.0
_TASKS = 16


def cases() -> Iterator[Case]:
    """Yield servers, with the goals of a budget that is shared over workers."""
    bucket, limit = TokenBucket(RATE, RATE), f"--limit {RATE}/s"
    sliding = SlidingLog(RATE, 1)
    option = Case("told by --rate", f"{limit} --limit-style sliding-window", sliding, 1.1, 0, RATE)
    yield replace(option, rate=f"{RATE}/s")
    headers = f"{limit} --limit-headers ratelimit"
    yield Case("told in headers", headers, bucket, 1.1, 0, RATE, plus=2)
    yield Case("Retry-After only", f"{limit} --limit-headers retry-after", bucket, 1.2, 1, RATE)
    yield Case("nothing told", limit, bucket, 1.2, 1, RATE)


def allowance() -> Case:
    """Return a server that states its allowance in `users/me`."""
    rule = FixedWindow(QUOTA, WINDOW)
    options = f"--allowance {QUOTA}/m --allowance-told users-me"
    return Case("told by users/me", options, rule, 1.1, 0, plus=2)


def ask(number: int) -> tuple[list[float], int]:
    """Return how long each answer takes, and how many permits come in `_TAKING_SECONDS`."""
    worker, clock = get_worker(), SystemClock()

    async def main() -> tuple[list[float], int]:
        seconds, taken = [], 0
        with lease.permits("https://api.example.com", f"idle {number}", clock) as source:
            for _ in range(_ASKED):
                begun = clock.monotonic()
                await source.ask(Request())
                seconds.append(clock.monotonic() - begun)
        with lease.permits("https://api.example.com", "shared", clock) as source:
            budget = Budget(source, clock, Given((Rate(50_000, 1.0),)))

            async def take() -> None:
                nonlocal taken
                while True:
                    if budget.permit_nowait() is None:
                        await budget.permit()
                    taken += 1
                    if taken % 16 == 0:
                        await clock.sleep(0)

            with anyio.move_on_after(_TAKING_SECONDS):
                async with anyio.create_task_group() as tasks:
                    for _ in range(_TASKS):
                        tasks.start_soon(take)
        return seconds, taken

    with leased(exchange_of(worker), f"asking {number}", worker.address) as lease:
        return asyncio.run(main())


def push_part(sheet: str, base_url: str, rate: str, workers: int) -> int:
    """Push a sheet from a worker; return how many rows it updated."""
    worker = get_worker()
    settings = PushSettings(
        input=Path(sheet), base_url=base_url, key=_KEY, rate=rate, workers=workers
    )
    with leased(exchange_of(worker), sheet, worker.address) as lease:
        summary = push_in_run(
            settings, None, Callbacks(open_permits=lease.permits, leases=(lease,))
        )
    return summary.states.get(State.UPDATED, 0)


def shared(clients: Sequence[Client], case: Case, rows: int) -> Point:
    """Let all workers of all clusters push a part of the rows each, with one key."""
    latency = ("--accept-any", "--latency", f"{LATENCY_SECONDS * 1000:g}ms")
    names = [
        (client, name)
        for client in clients
        for name in sorted(client.scheduler_info(n_workers=-1)["workers"])
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox_process(*latency, *case.options.split()) as witness,
    ):
        parts = []
        for number, (client, name) in enumerate(names):
            first, end = (rows * part // len(names) for part in (number, number + 1))
            sheet = write_sheet(Path(folder, f"{number}.csv"), numbered(end - first, first=first))
            parts.append(
                client.submit(
                    push_part,
                    str(sheet),
                    witness.base_url,
                    case.rate,
                    WORKERS // len(names),
                    workers=[name],
                    pure=False,
                )
            )
        sent = [part.result() for part in parts]
        journal = witness.journal()
    assert sum(sent) == rows, sent
    begins = min(float(entry["at"]) for entry in journal)
    ends = max(float(entry["ended_at"]) for entry in journal)
    refused = sum(entry["status"] == 429 for entry in journal)
    best = optimum_seconds(
        case.rule, rows, workers=WORKERS, latency=steady(LATENCY_SECONDS), start=begins
    )
    return Point(
        ends - begins,
        best,
        100 * refused / len(journal),
        least_share(journal, rows, len(clients)),
    )


def show_desk(client: Client) -> None:
    """Print how fast the desk answers."""
    names = sorted(client.scheduler_info(n_workers=-1)["workers"])
    asked = [
        client.submit(ask, number, workers=[name], pure=False) for number, name in enumerate(names)
    ]
    answers = client.gather(asked)
    seconds = sorted(one for took, _ in answers for one in took)
    alone = statistics.mean(sum(took) for took, _ in answers)
    print(f"{len(seconds) / alone:8.0f} questions/s by {len(names)} workers at once")
    print(f"{1000 * statistics.median(seconds):8.1f} ms until an answer, median")
    print(f"{1000 * seconds[int(0.99 * len(seconds))]:8.1f} ms, of 99 in 100")
    taken = sum(number for _, number in answers)
    print(f"{taken / _TAKING_SECONDS:8.0f} permits/s taken by {len(names)} workers at once")


def show(name: str, case: Case, point: Point) -> bool:
    """Print how a case went; return whether it misses its goal."""
    over = max(0.0, point.seconds - case.plus) / point.best
    misses = over > case.over or point.refused > case.refused + 0.005
    plus = f" + {case.plus:g} s" if case.plus else ""
    times = f"{over:8.3f}  {f'{case.over:.2f}{plus}':<12}"
    took = f"{point.seconds:7.1f} s of {point.best:.1f}{point.least_share:14.2f}"
    refusals = f"{point.refused:8.2f}  {case.refused:<5g}"
    print(f"{name:<30}{times}{refusals}{took}{'  MISSED' * misses}", flush=True)
    return misses


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=4, help="of all clusters together")
    parser.add_argument("--seconds", type=float, default=30, help="of each push")
    parser.add_argument("--clusters", type=int, default=1, help="that share the key")
    parser.add_argument("--only", default="", help="cases whose names hold this")
    asked: Any = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        clients = []
        for number in range(asked.clusters):
            own, workers = Path(folder, str(number)), asked.workers // asked.clusters
            state = str(own / "state")
            cluster = stack.enter_context(dask_cluster(own, workers, XDG_STATE_HOME=state))
            client = stack.enter_context(Client(cluster.address))
            client.wait_for_workers(workers)
            client.register_plugin(DeskPlugin())
            clients.append(client)
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        apart = asked.clusters > 1
        if not asked.only and not apart:
            show_desk(clients[0])
        print(f"{'':30}time over optimum      refused per 100{'least share':>31}")
        for case in (*cases(), *([allowance()] if apart else [])):
            if asked.only in case.name:
                rows = case.rows(asked.seconds, 1.5)
                missed += show(case.name, case, shared(clients, case, rows))
                if apart:
                    show("  without Dask", case, push(case, rows, asked.clusters, apart=True))
        print(f"load {os.getloadavg()[0]:.1f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

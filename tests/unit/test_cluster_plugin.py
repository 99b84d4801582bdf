"""Dask's own state of a scheduler with our plugin: a job gets whatever worker there is, or comes.

The state is without a server; the workers are names in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from operator import attrgetter
from typing import Any, cast

import pytest
from distributed.collections import HeapSet
from distributed.core import Status
from distributed.scheduler import Scheduler, SchedulerState, TaskState, WorkerState
from sortedcontainers import SortedDict  # type: ignore[import-untyped]

from bulk_sync.cluster.plugin import DeskPlugin

HOME, OTHER = "tcp://home:1", "tcp://other:1"
TASK = "bulk-sync-1-0-north"


class State(SchedulerState):
    """A scheduler's state without its server, which keeps the events."""

    handlers: dict[str, Any]

    def log_event(self, topic: str | Collection[str], msg: Any) -> None:
        pass


class Cluster:
    """Workers that come and go, and a job's task that prefers `HOME`."""

    def __init__(self) -> None:
        self.plugin = DeskPlugin()
        self.state = State(
            aliases={},
            clients={},
            workers=SortedDict(),
            host_info={},
            resources={},
            tasks={},
            unrunnable={},
            queued=HeapSet(key=attrgetter("priority")),
            validate=True,
            plugins=[self.plugin],
        )
        self.state.handlers = {}
        asyncio.run(self.plugin.start(cast("Scheduler", self.state)))

    def add(self, address: str) -> None:
        """Add a worker as Dask does: one that comes runs nothing at first."""
        self.state.workers[address] = WorkerState(
            address=address,
            status=Status.init,
            pid=1,
            name=address,
            nthreads=1,
            memory_limit=0,
            local_directory="",
            nanny=None,
            server_id=address,
            scheduler=self.state,
        )

    def begins(self, address: str) -> None:
        worker = self.state.workers[address]
        worker.status = Status.running
        self.state.running.add(worker)
        self._move(self.state.bulk_schedule_unrunnable_after_adding_worker(worker))

    def remove(self, address: str) -> None:
        worker = self.state.workers.pop(address)
        self.state.running.discard(worker)
        self.state.idle.pop(address, None)
        self._move({task.key: "released" for task in worker.processing})
        self.plugin.remove_worker(cast("Scheduler", self.state), address)

    def submit(self) -> TaskState:
        task = self.state.new_task(TASK, cast("Any", object()), "released")
        task.worker_restrictions, task.loose_restrictions, task.priority = {HOME}, True, (0,)
        client = self.state.clients["fire-and-forget"]
        task.who_wants = {client}
        client.wants_what.add(task)
        self._move({TASK: "waiting"})
        return task

    def _move(self, wanted: dict[Any, Any]) -> None:
        self.state._transitions(dict(wanted), {}, {}, "test")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # The last worker dies while the job is with it.
        (["add home", "begins home"], ["remove home", "add other", "begins other"]),
        # It is dead when the job is submitted, because the coordinator has not noticed yet.
        (["add home", "begins home", "remove home"], ["add other", "begins other"]),
        (["add other"], ["begins other"]),
        # The one that was there dies before it begins.
        (["add home"], ["remove home", "add other", "begins other"]),
        (["add home", "add other"], ["remove home", "begins other"]),
    ],
)
def test_a_job_whose_worker_is_gone_goes_to_one_that_comes(
    before: list[str], after: list[str]
) -> None:
    cluster = Cluster()

    def happens(steps: list[str]) -> None:
        for verb, name in map(str.split, steps):
            getattr(cluster, verb)(HOME if name == "home" else OTHER)

    happens(before)
    task = cluster.submit()
    happens(after)
    assert (task.state, task.processing_on) == ("processing", cluster.state.workers[OTHER])


def test_a_job_waits_for_its_own_worker_that_has_come_and_runs_nothing_yet() -> None:
    cluster = Cluster()
    cluster.add(HOME)
    task = cluster.submit()
    assert (task.state, task.worker_restrictions) == ("no-worker", {HOME})
    cluster.begins(HOME)
    assert task.processing_on is cluster.state.workers[HOME]

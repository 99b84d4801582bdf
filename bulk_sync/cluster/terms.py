"""The place and the terms of the jobs of a run on a cluster. Needs no Dask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from msgspec import Struct

from bulk_sync.clock import Clock
from bulk_sync.run.follow import OnRow, StopRequest
from bulk_sync.together import Standing


class Place(Struct, frozen=True):
    """The address of a scheduler, and what its workers have in common.

    `across_hosts` if other hosts may go on with a job: then checkpoints have a rollback journal,
    and permits come from the scheduler. Else permits come from the file of this host, which other
    runs here share. `watching_rows` is called on a worker for the callback of decided rows: it has
    to be importable there, as have the jobs' `make`.
    """

    address: str
    across_hosts: bool
    watching_rows: Callable[[], AbstractContextManager[OnRow | None]]


class Terms(Struct, frozen=True):
    """The number of jobs at once, their end, their observers: the arguments of `together.run`.

    When the scheduler is lost, `stop` is set, with an Outage.
    """

    at_once: int
    end: float
    clock: Clock
    stop: StopRequest
    watch: Callable[[Sequence[Standing]], None]
    on_end: Callable[[Standing], None]

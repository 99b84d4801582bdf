"""The jobs of a run on a Dask cluster: the one at an address, or one on this machine."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from subprocess import Popen, TimeoutExpired

from bulk_sync.address import DEFAULT_BASE_URL
from bulk_sync.child import start_module
from bulk_sync.cli.jobs_file import Entry
from bulk_sync.cli.traces import tracing
from bulk_sync.cluster.terms import Place, Terms
from bulk_sync.errors import Outage, UsageError
from bulk_sync.model.summaries import Finding, JobResult
from bulk_sync.run.follow import OnRow, StopRequest
from bulk_sync.settings.target import KEY_SOURCES
from bulk_sync.together import Job

# How long a cluster of this machine may take to end after its last job.
_END_SECONDS = 20.0


def absolute(entry: Entry) -> Entry:
    """Return a job with absolute paths, because a worker may be started in any folder."""
    given = {
        keyword: value.absolute() if isinstance(value, Path) else value
        for keyword, value in entry.given.items()
    }
    return replace(entry, files=tuple(path.absolute() for path in entry.files), given=given)


def run_on_cluster(
    address: str, entries: Sequence[Entry], jobs: Sequence[Job], terms: Terms
) -> tuple[JobResult, ...]:
    """Push jobs on the cluster at an address, or on `local:N`; see `cluster.coordinator.run`.

    Raises UsageError without the extra, and what that raises.
    """
    _refuse_without_extra()
    with _quiet():
        from bulk_sync.cluster import connect, coordinator

        workers = connect.local_workers(address)
        if workers is not None:
            _refuse_without_key(entries)
        with _local(workers) as own:
            place = Place(own or address, own is None, watching_rows)
            return coordinator.run(jobs, [_key_of(entry) for entry in entries], place, terms)


def examined(address: str, folders: Sequence[Path], stop: StopRequest) -> Sequence[Finding]:
    """Return the findings about a cluster and these folders; see `cluster.probe`."""
    _refuse_without_extra()
    with _quiet():
        from bulk_sync.cluster import connect, probe

        with _local(connect.local_workers(address)) as own:
            return probe.examine(own or address, folders, stop)


def _refuse_without_extra() -> None:
    if find_spec("distributed") is None:
        raise UsageError("--dask needs the extra dask: install bulk-sync again with it")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own messages from the terminal: what counts of them is a result or an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import distributed  # noqa: F401 - it sets up its loggers, each with a level of its own

        loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
        own = {one: one.level for one in loggers if one.name.partition(".")[0] == "distributed"}
        for logger in own:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for logger, level in own.items():
                logger.setLevel(level)


def _refuse_without_key(entries: Sequence[Entry]) -> None:
    """Refuse jobs that would take the key from the environment, which workers don't get."""
    for entry in entries:
        if not any(entry.given.get(source) for source in KEY_SOURCES):
            raise UsageError(
                f"job {entry.name} names no key: workers of --dask local:N don't get "
                "NORTH_API_KEY, so write key-file, key-command or keychain"
            )


def _key_of(entry: Entry) -> Hashable:
    """Return what identifies the key of a job and its API, without reading it."""
    source = tuple(str(entry.given.get(name) or "") for name in KEY_SOURCES)
    return source, str(entry.given.get("base_url") or DEFAULT_BASE_URL)


def watching_rows() -> AbstractContextManager[OnRow | None]:
    """Return the traces of a worker, if its environment configures them."""
    return tracing(os.environ)


def _first_line(child: Popen[bytes]) -> str:
    return "" if child.stdout is None else child.stdout.readline().decode().strip()


@contextmanager
def _local(workers: int | None) -> Iterator[str | None]:
    """Run a cluster on this machine in the block, and yield its address; None without workers."""
    if workers is None:
        yield None
        return
    # In a session of its own, so that Ctrl-C stops its tasks by message, as on any cluster.
    child = start_module("bulk_sync.cluster.local", str(workers), own_session=True)
    with child:
        try:
            address = _first_line(child)
            if not address:
                raise Outage("The cluster of --dask local:N could not be started. Run it again.")
            yield address
        finally:
            if child.stdin is not None:
                child.stdin.close()
            try:
                child.wait(_END_SECONDS)
            except TimeoutExpired:
                child.kill()

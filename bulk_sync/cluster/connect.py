"""Open the way to a cluster: its address, whether it answers, and its versions."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from distributed import Client
from msgspec import Struct

from bulk_sync.clock import SystemClock
from bulk_sync.errors import Outage, UsageError
from bulk_sync.run.follow import StopRequest
from bulk_sync.wording import enumerated

CONNECT_SECONDS = 10.0
"""How long a scheduler may take to answer."""

WORKERS_SECONDS = 30.0
"""How long a cluster may take to have its first worker."""

_ANSWER_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
_TRIES = 3
_POLL_SECONDS = 0.1

_LOCAL = re.compile(r"local:([1-9][0-9]{0,2})")

EXTRAS = {
    "httptools": "fast",
    "uvloop": "fast",
    "xlsxwriter": "xlsx",
    "keyring": "keyring",
    "opentelemetry": "otel",
}
"""The module by which an extra is recognised; jobs do the same with and without on all workers."""

SCHEDULER = "scheduler"
"""The scheduler's name among the addresses of workers."""

_MOST_NAMED = 5

T = TypeVar("T")


class Installed(Struct, frozen=True):
    """The versions in a process, and which modules of extras it has."""

    bulk_sync: str | None
    python: str
    modules: frozenset[str]


def local_workers(address: str) -> int | None:
    """Return the number of workers of `local:N`; None for the address of a scheduler.

    Raises UsageError for what is neither.
    """
    if not address.startswith("local"):
        return None
    found = _LOCAL.fullmatch(address)
    if found is None:
        raise UsageError(f"--dask {address}: write local:N with 1 to 999 workers, such as local:4")
    return int(found[1])


@asynccontextmanager
async def connected(address: str, stop: StopRequest) -> AsyncIterator[Client]:
    """Connect to the scheduler at an address, or to the one that a scheduler file names.

    Raises UsageError for an address that can't be one, Outage when nothing answers there.
    """
    client = await _client(address, stop)
    try:
        yield client
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    # A scheduler that is gone, or hangs, doesn't answer to this either.
    with suppress(Exception):
        await asyncio.wait_for(client._close(fast=True), _CLOSE_SECONDS)  # noqa: SLF001 - close() waits


async def _client(address: str, stop: StopRequest) -> Client:
    file = Path(address)
    is_file = file.suffix == ".json"
    if is_file and not file.is_file():  # noqa: ASYNC240 - nothing else runs yet
        raise UsageError(f"--dask {address}: there is no such scheduler file")
    try:
        client = Client(
            **({"scheduler_file": address} if is_file else {"address": address}),
            asynchronous=True,
            timeout=CONNECT_SECONDS,
            set_as_default=False,
        )
        try:
            return await until_stopped(_opened(client), stop, CONNECT_SECONDS + _CLOSE_SECONDS)
        except BaseException:
            await _close(client)
            raise
    except (OSError, TimeoutError):
        raise Outage(
            f"--dask {address}: no scheduler answers there. Start one with "
            "dask scheduler, or correct the address."
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"--dask {address}: this is no address of a scheduler ({_reason(error)}): write it as "
            "tcp://host:8786, tls://host:8786 or local:N"
        ) from None


async def _opened(client: Client) -> Client:
    opened: Client = await client
    return opened


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


async def until_stopped(what: Awaitable[T], stop: StopRequest, seconds: float) -> T:
    """Wait for something; raises TimeoutError, or the reason of a stop that comes before."""
    task = asyncio.ensure_future(what)
    try:
        async with asyncio.timeout(seconds):
            while not (await asyncio.wait({task}, timeout=_POLL_SECONDS))[0]:
                if stop.is_set():
                    raise stop.reason
        return task.result()
    finally:
        task.cancel()


async def wait_for_workers(client: Client, address: str, stop: StopRequest) -> None:
    """Wait until the cluster has a worker; raises Outage when none comes."""

    async def look() -> None:
        while not await client.nthreads():
            await SystemClock().sleep(_POLL_SECONDS)

    try:
        await until_stopped(look(), stop, WORKERS_SECONDS)
    except TimeoutError:
        raise Outage(
            f"--dask {address}: the cluster has no workers. Start some with dask worker {address}."
        ) from None


async def register(client: Client, plugin: Any, stop: StopRequest) -> None:  # noqa: ANN401 - of scheduler or worker
    """Give a plugin to the scheduler, or through it to all workers, also to those that come later.

    A worker that dies in that moment closes the connection: then the others have it. Raises Outage
    when nothing answers.
    """
    for number in range(_TRIES):
        try:
            giving: Any = client.register_plugin(plugin)
            await until_stopped(giving, stop, _ANSWER_SECONDS)
        except (OSError, TimeoutError) as error:
            if number == _TRIES - 1:
                raise Outage(
                    f"The cluster doesn't answer ({_reason(error)}). Run it again."
                ) from None
        else:
            return


async def refuse_differences(client: Client, address: str, stop: StopRequest) -> None:
    """Raise UsageError unless scheduler and workers have what this process has."""
    wrong = differences(own(), await installed(client, stop))
    if wrong:
        raise UsageError(
            f"--dask {address}: {'; '.join(wrong)}. Install the same on all of them, and start "
            "them again."
        )


async def installed(client: Client, stop: StopRequest) -> dict[str, Installed]:
    """Return the versions of the workers by address, and of the `scheduler`.

    Raises Outage when one doesn't answer.
    """
    here = own()
    try:
        asking: Any = client.get_versions()
        answers: Any = await until_stopped(asking, stop, _ANSWER_SECONDS)
        every = {SCHEDULER: answers["scheduler"], **answers["workers"]}
        found = {
            name: Installed(None, _short(one["host"]["python"]), frozenset())
            for name, one in every.items()
        }
        # A function goes as bytecode, which another Python doesn't understand.
        same = [name for name, one in found.items() if one.python == here.python]
        said: dict[str, Any] = {}
        if workers := [name for name in same if name != SCHEDULER]:
            asking = client.run(_question(), workers=workers, on_error="ignore")
            said |= await until_stopped(asking, stop, _ANSWER_SECONDS)
        if SCHEDULER in same:
            asking = client.run_on_scheduler(_question())
            said[SCHEDULER] = await until_stopped(asking, stop, _ANSWER_SECONDS)
    except (OSError, TimeoutError) as error:
        raise Outage(f"The cluster doesn't answer ({_reason(error)}). Run it again.") from None
    for name, (version, modules) in said.items():
        found[name] = Installed(version, here.python, frozenset(modules))
    return found


def own() -> Installed:
    """Return the versions of this process."""
    version, modules = _question()()
    return Installed(version, _short(sys.version), frozenset(modules))


def _short(python: str) -> str:
    """Return the language's version: bytecode and pickles of 3.11.4 are those of 3.11.9."""
    return ".".join(python.split(".")[:2])


def _question() -> Callable[[], tuple[str | None, list[str]]]:
    """Return a function that Dask sends as a whole, because it is in no module by its name.

    So it also runs where bulk-sync is missing.
    """
    names = sorted(EXTRAS)

    def versions() -> tuple[str | None, list[str]]:
        from importlib import import_module
        from importlib.util import find_spec

        try:
            version = import_module("bulk_sync.version").__version__
        except ImportError:
            version = None
        return version, [name for name in names if find_spec(name) is not None]

    return versions


def differences(here: Installed, others: Mapping[str, Installed]) -> list[str]:
    """Return a sentence for each difference, which names those that have it."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for name, other in others.items():
        for difference in _differences(here, other, is_worker=name != SCHEDULER):
            wrong.setdefault(difference, []).append(name)
    return [
        f"{_listed(names)} {verb if len(names) == 1 else _PLURAL[verb]} {what}"
        for (verb, what), names in wrong.items()
    ]


_PLURAL = {"has": "have", "lacks": "lack"}


def _differences(
    here: Installed, other: Installed, *, is_worker: bool
) -> Iterator[tuple[str, str]]:
    if other.python != here.python:
        yield "has", f"Python {other.python}, and this machine {here.python}"
    elif other.bulk_sync is None:
        yield "has", "no bulk-sync"
    elif other.bulk_sync != here.bulk_sync:
        yield "has", f"bulk-sync {other.bulk_sync}, and this machine {here.bulk_sync}"
    elif is_worker and (missing := here.modules - other.modules):
        extras = sorted({EXTRAS[name] for name in missing})
        yield "lacks", f"the extra {' and '.join(extras)} ({', '.join(sorted(missing))})"


def _listed(names: Sequence[str]) -> str:
    shown = ["the scheduler" if name == SCHEDULER else f"worker {name}" for name in names]
    return enumerated(shown[:_MOST_NAMED], len(shown) - _MOST_NAMED)

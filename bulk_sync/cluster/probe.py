"""Try a cluster before a night: does it answer, with one version, and what can its folders do?

In each folder of the jobs' checkpoints the coordinator makes a file and holds a lock. Each worker
reads the file, tries the lock, and makes a file of its own by fsync and rename, which the
coordinator reads. All are removed again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from distributed import Client
from filelock import FileLock, Timeout
from msgspec import Struct

from bulk_sync import platforms
from bulk_sync.cluster.connect import (
    SCHEDULER,
    connected,
    differences,
    installed,
    own,
    until_stopped,
    wait_for_workers,
)
from bulk_sync.errors import BulkSyncError, Outage
from bulk_sync.folders import NO_LOCKS
from bulk_sync.model.summaries import Finding
from bulk_sync.run.follow import StopRequest
from bulk_sync.wording import counted, listed

# A folder on a file server that hangs holds up a worker.
_LOOK_SECONDS = 60.0
_MOST_NAMED = 3


class Seen(Struct, frozen=True):
    """A worker's findings in a folder; `trouble` is why it could not write there.

    `lock` is True if the coordinator's lock kept it out, None if the folder keeps no locks.
    """

    is_same: bool
    lock: bool | None = None
    made: str = ""
    trouble: str = ""


def examine(address: str, folders: Sequence[Path], stop: StopRequest) -> tuple[Finding, ...]:
    """Return the findings about a cluster; a user's mistake is a finding, never an exception."""
    return tuple(asyncio.run(_examine(address, folders, stop)))


async def _examine(address: str, folders: Sequence[Path], stop: StopRequest) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with connected(address, stop) as client:
            await wait_for_workers(client, address, stop)
            found += await _versions(client, stop)
            if all(one.standing != "wrong" for one in found):
                for folder in folders:
                    found.append(await _folder(client, folder, stop))
    except BulkSyncError as error:
        found.append(Finding("cluster", str(error), "wrong", error.exit_code))
    return found


async def _versions(client: Client, stop: StopRequest) -> list[Finding]:
    here, others = own(), await installed(client, stop)
    wrong = differences(here, others)
    if wrong:
        return [Finding("cluster", f"{one}: install the same", "wrong", 2) for one in wrong]
    workers = len(others.keys() - {SCHEDULER})
    return [
        Finding(
            "cluster",
            f"the scheduler and {counted(workers, 'worker')} have bulk-sync {here.bulk_sync} and "
            f"Python {here.python}, as this machine",
        )
    ]


async def _folder(client: Client, folder: Path, stop: StopRequest) -> Finding:
    token = secrets.token_hex(8)
    with ExitStack() as stack:
        try:
            mark = folder / f".bulk-sync-{token}"
            mark.write_text(token, "utf-8")
            stack.callback(mark.unlink, missing_ok=True)
            lock = _lock_of(mark)
            stack.callback(Path(lock.lock_file).unlink, missing_ok=True)
            stack.enter_context(lock)
        except (OSError, Timeout, NotImplementedError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Finding("folder", f"{folder}: can't be written and locked: {reason}", "wrong", 8)
        asking: Any = client.run(look, str(mark), token, on_error="return")
        try:
            answers: Mapping[str, Any] = await until_stopped(asking, stop, _LOOK_SECONDS)
        except TimeoutError:
            raise Outage(f"{folder}: a worker didn't answer within {_LOOK_SECONDS:.0f} s") from None
        seen = {worker: one for worker, one in answers.items() if isinstance(one, Seen)}
        made = {one.made for one in seen.values() if one.made}
        arrived = {name for name in made if _has(folder / name, token)}
        for name in made:
            with suppress(OSError):
                (folder / name).unlink()
        silent = {
            worker: Seen(is_same=True, trouble=str(error))
            for worker, error in answers.items()
            if worker not in seen
        }
    return judged(folder, {**seen, **silent}, frozenset(arrived))


def judged(folder: Path, seen: Mapping[str, Seen], arrived: frozenset[str]) -> Finding:
    """Return the finding about a folder. Pure; `arrived` are the workers' files that came here."""
    wrong = {
        "don't see it as this machine does: mount the same storage there, at the same path": [
            worker for worker, one in seen.items() if not one.is_same
        ],
        "can't write to it": [
            f"{worker} ({one.trouble})"
            for worker, one in seen.items()
            if one.is_same and one.trouble
        ],
        "write files that don't arrive here": [
            worker
            for worker, one in seen.items()
            if one.is_same and not one.trouble and one.made not in arrived
        ],
    }
    for sentence, workers in wrong.items():
        if workers:
            return Finding(
                "folder", f"{folder}: {listed(workers, _MOST_NAMED)} {sentence}", "wrong", 8
            )
    if without := [worker for worker, one in seen.items() if one.lock is None]:
        text = "the file system keeps no locks, which a checkpoint needs: use another folder"
        return Finding("folder", f"{folder}: at {listed(without, _MOST_NAMED)} {text}", "wrong", 8)
    if alone := [worker for worker, one in seen.items() if not one.lock]:
        text = (
            "locks hold on each host alone. The scheduler keeps workers apart; don't push the same "
            "sheets on another host meanwhile"
        )
        return Finding("folder", f"{folder}: at {listed(alone, _MOST_NAMED)} {text}", "notice")
    every = counted(len(seen), "worker")
    return Finding("folder", f"{folder}: locks, fsync and rename work from {every}")


def _has(path: Path, token: str) -> bool:
    with suppress(OSError):
        return path.read_text("utf-8", "replace") == token
    return False


def _lock_of(mark: Path) -> FileLock:
    return FileLock(mark.with_name(f"{mark.name}.lock"), timeout=0, fallback_to_soft=False)


def look(name: str, token: str) -> Seen:
    """Look at the folder of a file of the coordinator's, on a worker."""
    mark = Path(name)
    if not _has(mark, token):
        return Seen(is_same=False)
    lock: bool | None = False
    try:
        with _lock_of(mark):
            pass
    except Timeout:
        lock = True
    except (OSError, NotImplementedError) as error:
        if getattr(error, "errno", None) not in {None, *NO_LOCKS}:
            return Seen(is_same=True, trouble=str(error))
        lock = None
    made = f"{mark.name}-{secrets.token_hex(4)}"
    part = mark.with_name(f"{made}.part")
    try:
        _write(part, token)
        part.rename(mark.with_name(made))
        platforms.sync_folder(mark.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        return Seen(is_same=True, lock=lock, trouble=error.strerror or str(error))
    return Seen(is_same=True, lock=lock, made=made)


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        platforms.sync(file.fileno())

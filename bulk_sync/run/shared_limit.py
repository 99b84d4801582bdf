"""The API's limit as shared by the runs on this host: one file for each host, API and key.

A state folder may be shared by hosts (a home folder on a file server): then each has its own file,
because instants are on a host's own clock.
"""

from __future__ import annotations

import hashlib
import math
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from pydantic import SecretStr

from bulk_sync import folders
from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.folders import NO_LOCKS, NO_STATE_FOLDER
from bulk_sync.host import boot_id, host_id
from bulk_sync.model.estimates import KnownPace
from bulk_sync.model.rows import Tally
from bulk_sync.platforms import why_refused
from bulk_sync.secret import fingerprint
from bulk_sync.send.allowances import NO_LIMITS
from bulk_sync.send.budget import OpenPermits
from bulk_sync.send.known import allowances_of
from bulk_sync.send.pace import Pace
from bulk_sync.send.pace_store import LocalPermits, PaceInFile, PaceInMemory, PaceStore
from bulk_sync.send.permits import PermitSource

_UNUSED_SECONDS = 30 * 86400
"""The age from which a file is removed."""

_EXAMINED_EVERY_SECONDS = 3600.0

_MOST_EXAMINED = 1000
"""Files that are looked at when a run begins: a bound for odd folders."""


def known_pace(base_url: str, key: SecretStr, state_folder: Path | None = None) -> KnownPace:
    """Return the API's limits as last known to runs on this host.

    Nothing is known while a run holds the file.
    """
    return known_pace_of(base_url, fingerprint(key), state_folder)


def known_pace_of(
    base_url: str, key_fingerprint: str, state_folder: Path | None = None
) -> KnownPace:
    """Do the same for a key of which only the fingerprint is known."""
    path = _file_of(base_url, key_fingerprint, state_folder)
    if path is None or not path.exists():  # opening it would create it
        return KnownPace()
    clock = SystemClock()
    try:
        shared = _open_file(path, lambda _: None)
    except OSError:
        return KnownPace()
    pace = shared.try_open(clock.monotonic)
    if pace is not None:
        shared.close(pace)
    shared.end()
    return KnownPace() if pace is None else _known(pace, clock)


def _open_file(path: Path, on_trouble: Callable[[OSError], None]) -> PaceInFile:
    clock = SystemClock()
    return PaceInFile(
        path,
        boot_id() or "",
        lambda: clock.now().timestamp() - clock.monotonic(),
        on_trouble,
    )


def _known(pace: Pace, clock: Clock) -> KnownPace:
    now = clock.monotonic()
    offset = clock.now().timestamp() - now
    return KnownPace(
        limit=pace.limit(now)[0],
        allowances=allowances_of(pace, now, NO_LIMITS, offset),
        held_seconds=max(0.0, pace.held_until - now),
    )


_last_examined: dict[Path, float] = {}


def _remove_unused(folder: Path, now: float) -> None:
    """Remove files that no run has used for a month, those of hosts and keys that are gone.

    A run that sends writes its file. A file that is removed all the same is only forgotten. One
    look an hour suffices, because a process may begin hundreds of runs at once.
    """
    if abs(now - _last_examined.get(folder, -math.inf)) < _EXAMINED_EVERY_SECONDS:
        return
    _last_examined[folder] = now
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in islice(entries, _MOST_EXAMINED):
            if entry.name.endswith(".pace"):
                with suppress(OSError):
                    if now - entry.stat(follow_symlinks=False).st_mtime > _UNUSED_SECONDS:
                        (folder / entry.name).unlink()


@contextmanager
def open_permits(
    base_url: str,
    key: SecretStr,
    state_folder: Path | None,
    tally: Tally,
    clock: Clock,
    elsewhere: OpenPermits | None = None,
) -> Iterator[PermitSource]:
    """Open a run's source of permits: `elsewhere` in a cluster, else that of this host.

    A rehearsal reaches nobody, and has its own.
    """
    if elsewhere is not None and base_url != SANDBOX_TARGET:
        with elsewhere(base_url, fingerprint(key), clock) as source:
            yield source
        return
    dice = random.Random()  # noqa: S311 - jitter, no secret
    with open_pace_store(base_url, key, state_folder, tally) as store:
        yield LocalPermits(store, clock, dice)


@contextmanager
def open_pace_store(
    base_url: str, key: SecretStr, state_folder: Path | None, tally: Tally
) -> Iterator[PaceStore]:
    """Open the pace that all runs on this host share; a rehearsal has its own.

    If the file can't be used, the run has its own pace too, and a note says so.
    """
    if base_url == SANDBOX_TARGET:
        yield PaceInMemory()
        return
    path = pace_file(base_url, key, state_folder)
    not_shared = "The limit is not shared with other runs on this host"
    if path is None:
        tally.notes["budget"] = f"{not_shared}: {NO_STATE_FOLDER}."
        yield PaceInMemory()
        return

    def note(error: OSError) -> None:
        hint = ""
        if error.errno in NO_LOCKS:
            hint = "; this folder keeps no locks: set XDG_STATE_HOME to a folder on a local disk"
        tally.notes["budget"] = f"{not_shared}: {path}: {why_refused(error)}{hint}."

    _remove_unused(path.parent, SystemClock().now().timestamp())
    try:
        shared = _open_file(path, note)
    except OSError as error:
        note(error)
        yield PaceInMemory()
        return
    try:
        yield shared
    finally:
        shared.end()


def pace_file(base_url: str, key: SecretStr, state_folder: Path | None = None) -> Path | None:
    """Return this host's file of an API and a key; its name reveals none of them.

    None for a user without a home folder.

    To delete it is to forget what is known of the limit, a wait that the API asked for included.
    """
    return _file_of(base_url, fingerprint(key), state_folder)


def _file_of(base_url: str, key_fingerprint: str, state_folder: Path | None) -> Path | None:
    names = f"{base_url} {key_fingerprint} {host_id()}"
    name = hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    folder = state_folder or folders.state_folder()
    return None if folder is None else folder / "budgets" / f"{name}.pace"

"""Check settings, key, clock and folders before a run is left unattended.

Each finding is a sentence, with a remedy if something is wrong. Nothing is changed: the API
gets one `GET /v1/users/me`, and a temporary file is created and removed in each folder.
"""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import mkstemp
from typing import Literal

import anyio
from filelock import FileLock
from msgspec import Struct
from pydantic import SecretStr

from bulk_sync import signals
from bulk_sync.clock import Clock, SystemClock
from bulk_sync.errors import BulkSyncError, Interrupted, OutputError, UsageError, install_with
from bulk_sync.folders import NO_STATE_FOLDER, state_folder
from bulk_sync.model.rows import Allowance, RateSource
from bulk_sync.model.summaries import Finding
from bulk_sync.report.words import allowance_text, local_time, rate, span
from bulk_sync.run.shared_limit import known_pace, pace_file
from bulk_sync.scratch import scratch_folder
from bulk_sync.secret import check_key
from bulk_sync.send.account import MISSING, PATH, RESOURCE, Account, read_account
from bulk_sync.send.decide import (
    block_text,
    is_about_the_route,
    is_block,
    is_throttled,
    no_route,
    shows_api_is_up,
)
from bulk_sync.send.headers import limits, retry_after
from bulk_sync.send.messages import api_message, is_own_error
from bulk_sync.send.transport.choose import Name, choose_transport, open_transport
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.settings.creating import Creating
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.target import Target
from bulk_sync.version import __version__
from bulk_sync.wording import counted

# A larger difference from the server's clock is reported: times in reports are this machine's.
_CLOCK_SECONDS = 30.0

_SCARCE_BYTES = 200 << 20
_ONE_MILLION_ROWS = "a job of a million rows takes about 1 GB"


class Subject(Struct, frozen=True):
    """The settings to check; `key` is an error if there is none."""

    target: Target
    key: SecretStr | UsageError
    sending: Sending
    creating: Creating
    folder: Path


def examine(subject: Subject, clock: Clock | None = None) -> Iterator[Finding]:
    """Yield the findings; a user's mistake is a finding, never an exception."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding("version", f"bulk-sync {__version__}, Python {python}, {sys.platform}")
    try:
        name = choose_transport(subject.sending.transport, subject.target.base_url)
        yield Finding("transport", _transport(name))
        key = _key(subject.key)
        if isinstance(key, Finding):
            yield key
        else:
            clock = clock or SystemClock()
            yield from _asked(subject, key, name, clock)
            yield _limit(subject.target.base_url, key, clock.now())
    except Interrupted:
        raise
    except BulkSyncError as error:
        yield Finding("API", str(error), "wrong", error.exit_code)
    except ValueError as error:
        yield Finding("API", str(error), "wrong", 2)
    yield _folder("output folder", subject.folder)
    state = state_folder()
    if state is None:
        yield Finding("state folder", f"{NO_STATE_FOLDER}; limits are not shared", "notice")
    else:
        yield _folder("state folder", state)
    yield _temporary_folder(subject.folder)


def _key(key: SecretStr | UsageError) -> SecretStr | Finding:
    """Return the key, or the finding that it can't be read or sent."""
    if isinstance(key, UsageError):
        return Finding("key", str(key), "wrong", key.exit_code)
    try:
        return check_key(key)
    except ValueError as error:
        return Finding("key", str(error), "wrong", 2)


def _transport(name: Name) -> str:
    try:
        loop = f", on uvloop {version('uvloop')}"
    except PackageNotFoundError:
        loop = ""
    hint = "" if name != "httpx" else f"; for a faster one, {install_with('fast')}"
    return f"{name} {version(name)}{loop}{hint}"


def _asked(subject: Subject, key: SecretStr, name: Name, clock: Clock) -> list[Finding]:
    """Ask the API; raises Interrupted for a signal, once the request was cut off."""

    async def ask() -> list[Finding]:
        loop = asyncio.get_running_loop()

        def cut_off(number: int) -> None:
            signalled.append(number)
            loop.call_soon_threadsafe(scope.cancel)

        with anyio.CancelScope() as scope, signals.handed_to(cut_off):
            return await _ask(subject, key, name, clock)
        return []

    signalled: list[int] = []
    with signals.held():
        found = anyio.run(ask)
    if signalled:
        raise Interrupted(signalled[0])
    return found


async def _ask(subject: Subject, key: SecretStr, name: Name, clock: Clock) -> list[Finding]:
    base_url = subject.target.base_url
    async with open_transport(
        name,
        base_url,
        key,
        timeout_seconds=subject.sending.timeout_seconds,
        connections=1,
        user_agent=f"bulk-sync/{__version__}",
    ) as transport:
        begun = clock.monotonic()
        seen = await transport.get(PATH)
        seconds = clock.monotonic() - begun
    found = [_answer(base_url, seen, seconds)]
    if found[0].standing == "well" and isinstance(seen, Reply):
        found += _account(read_account(seen) or Account(), subject)
        found += _stated(seen, clock.now())
    if isinstance(seen, Reply) and "date" in seen.headers:
        found.append(_clock(seen.headers["date"], clock.now()))
    return found


def _answer(base_url: str, seen: Reply | Failure, seconds: float) -> Finding:
    if isinstance(seen, Failure):
        return Finding("API", f"{base_url}: {seen.message}", "wrong", 6)
    reply = f"{base_url}: {api_message(seen)} ({seen.status})"
    if is_about_the_route(seen):
        return Finding("API", f"{base_url}: {no_route(seen)}", "wrong", 6)
    if is_throttled(seen):
        asked = retry_after(seen.headers)
        wait = "" if asked is None else f" for {span(math.ceil(asked))}"
        return Finding("API", f"{reply} asks to wait{wait}: run it again later", "wrong", 6)
    if seen.status == 401 or (seen.status == 403 and not is_block(seen)):
        return Finding(
            "API", f"the key is refused by {reply}: correct NORTH_API_KEY or --key-file", "wrong", 5
        )
    if is_block(seen):
        why = f"{block_text(seen)}: ask who runs it, such as a firewall, to let this machine pass"
        return Finding("API", f"{base_url}: {why}", "wrong", 6)
    if is_own_error(seen) and seen.status in MISSING:
        why = f"has no GET {PATH}: the first row of a push shows whether the key is accepted"
        return Finding("API", f"{reply} {why}, if --base-url is right", "notice")
    if seen.status >= 500:
        return Finding("API", f"{reply} fails: run it again later", "wrong", 6)
    if seen.status >= 400 or not shows_api_is_up(seen):
        return Finding("API", f"{reply} is not from North: check --base-url", "wrong", 6)
    return Finding("API", f"{base_url} accepts the key, after {seconds * 1000:.0f} ms")


def _account(account: Account, subject: Subject) -> Iterator[Finding]:
    """Yield what users/me tells of the key."""
    wanted, team = subject.target.team, account.team
    named = str(team) if team else f"GET {PATH} does not name it"
    if wanted is not None and not (team and team.is_meant_by(wanted)):
        why = "so a push is refused" if team else "so it can't be checked and a push is refused"
        yield Finding("team", f"{named}, and --team is {wanted}, {why}", "wrong", 5)
    else:
        yield Finding("team", named, "well" if team else "notice")
    yield _permissions(account, subject.creating.permissions)
    if account.remaining is not None:
        until = f" until {local_time(account.resets_at)}" if account.resets_at else ""
        left = counted(account.remaining, "request")
        text = f"{left} left{until}, as GET {PATH} says now"
        yield Finding("allowance", text, "well" if account.remaining else "notice")
    if account.calls_this_month is not None:
        until = (
            f", counted until {local_time(account.month_resets_at)}"
            if account.month_resets_at
            else ""
        )
        yield Finding("usage", f"{counted(account.calls_this_month, 'call')} this month{until}")


def _stated(seen: Reply, now: datetime) -> Iterator[Finding]:
    """Yield what the reply's headers state of the key's limits."""
    for quota in limits(seen.headers).quotas:
        reset = quota.reset_seconds
        stated = Allowance(
            quota.limit,
            quota.remaining,
            None if reset is None else now + timedelta(seconds=reset),
            RateSource.HEADER,
            quota.window_seconds,
        )
        standing: Literal["well", "notice"] = "notice" if quota.remaining == 0 else "well"
        yield Finding("allowance", allowance_text(stated), standing)


def _permissions(account: Account, needed: frozenset[str]) -> Finding:
    listed = "; ".join(
        f"{resource}: {', '.join(verbs) or 'none'}"
        for resource, verbs in account.permissions.items()
    )
    if missing := account.missing(needed):
        return Finding(
            "permissions",
            f"{listed}: the key may not {' and '.join(missing)} showings, so a push is refused",
            "wrong",
            5,
        )
    if RESOURCE in account.permissions:
        return Finding("permissions", listed)
    not_named = f"{listed}; showings are not among them" if listed else f"GET {PATH} names none"
    return Finding("permissions", f"{not_named}, so the first row of a push shows whether it may")


def _clock(date: str, now: datetime) -> Finding:
    try:
        apart = (now - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError):
        return Finding("clock", "the server sends no time to compare with")
    if abs(apart) <= _CLOCK_SECONDS:
        return Finding("clock", "agrees with the server's")
    which = "ahead of" if apart > 0 else "behind"
    return Finding(
        "clock",
        f"{abs(apart):.0f} s {which} the server's: times in reports are off; set this clock",
        "notice",
    )


def _limit(base_url: str, key: SecretStr, now: datetime) -> Finding:
    """Return what runs on this host know of the API's limit for this key."""
    known, path = known_pace(base_url, key), pace_file(base_url, key)
    if known.held_seconds:
        until = local_time(now + timedelta(seconds=known.held_seconds))
        return Finding(
            "limit",
            f"the API refused a push with this key, so all wait until {until}, "
            f"{span(math.ceil(known.held_seconds))} from now; to try earlier, delete {path}",
            "notice",
        )
    limits = [] if known.limit is None else [rate(known.limit)]
    limits += [allowance_text(one) for one in known.allowances]
    if not limits:
        return Finding("limit", "not known yet: the first push finds it")
    text = f"as earlier pushes on this host learnt, in {path}: {'; '.join(limits)}"
    if not any(one.remaining == 0 and (one.resets_at or now) > now for one in known.allowances):
        return Finding("limit", text)
    until = (
        "a push waits until then, or asks once more if that is beyond --max-wait; to forget it, "
        "delete that file"
    )
    return Finding("limit", f"{text}; {until}", "notice")


def _temporary_folder(instead: Path) -> Finding:
    """Return where copies of standard input and temporary checkpoints go."""
    about = "temporary folder"
    try:
        with scratch_folder(otherwise=instead) as made:
            free = shutil.disk_usage(made).free
    except OutputError as error:
        return Finding(about, f"{error} A sheet can be pushed, but not checked", "notice")
    room = f"{made.parent}, {free / 1e9:.1f} GB free"
    if made.parent == instead.absolute():
        return Finding(about, f"the system has none, so the output folder is used: {room}")
    return Finding(about, room)


def _folder(about: str, folder: Path) -> Finding:
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent  # the run creates it
    try:
        # Some network file systems accept files but no locks, and a checkpoint needs both.
        opened, name = mkstemp(dir=there, prefix=".bulk-sync-", suffix=".lock")
        os.close(opened)  # Windows opens a temporary file only once
        try:
            with FileLock(name, timeout=0, fallback_to_soft=False):
                pass
        finally:
            Path(name).unlink(missing_ok=True)
        free = shutil.disk_usage(there).free
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Finding(about, f"{folder}: can't be written and locked: {reason}", "wrong", 8)
    room = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
    if free < _SCARCE_BYTES:
        return Finding(about, f"{room}: {_ONE_MILLION_ROWS}", "notice")
    return Finding(about, room)

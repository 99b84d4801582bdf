"""What sending begins with, what ends it early, and what runs on a host share."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, time
from pathlib import Path

import anyio
import pytest
from anyio import from_thread
from pydantic import SecretStr

from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.clock import SystemClock
from bulk_sync.errors import BulkSyncError, Outage, StoppedEarly, UsageError
from bulk_sync.model.rows import RowDecided, State, Tally
from bulk_sync.plan import Start
from bulk_sync.run.follow import RowNotifier, only_error
from bulk_sync.run.send import End, choose_destination, count_rows, nothing_to_send, seconds_left
from bulk_sync.run.shared_limit import known_pace, open_pace_store, pace_file
from bulk_sync.run.stage import note_on_start
from bulk_sync.run.threads import in_thread, outside_event_loop
from bulk_sync.secret import fingerprint
from bulk_sync.send.headers import Quota
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace_store import PaceInFile, PaceInMemory
from bulk_sync.settings.sending import Sending
from bulk_sync.settings.stopping import Stopping
from bulk_sync.settings.target import Target
from tests.helpers import KEY, SimulatedClock

SECRET = SecretStr(KEY)
API = "https://api.example.com"


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "a header and no rows"),
        ({State.UNCHANGED: 3}, "acknowledged all of these values before"),
        ({State.UNCHANGED: 3, State.INVALID: 1}, "acknowledged all of these values before"),
        ({State.UPDATED: 3, State.UNCHANGED: 1}, "every row that can be sent was acknowledged"),
        ({State.UPDATED: 3, State.REJECTED: 1}, "every row that can be sent was acknowledged"),
        ({State.INVALID: 3}, "no row is a valid change"),
        ({State.INVALID: 3, State.SUPERSEDED: 1}, "other rows took the place"),
    ],
)
def test_why_there_is_nothing_to_send(counts: Mapping[State, int], words: str) -> None:
    assert words in nothing_to_send(counts)


def test_a_run_counts_what_was_settled_before_it() -> None:
    tally = Tally(requests=1)  # of users/me
    count_rows(tally, {State.PENDING: 4, State.UPDATED: 5, State.INVALID: 1})
    assert tally.requests == 1
    assert (tally.total, tally.settled_before, tally.done) == (10, 6, 0)


class NoonClock(SimulatedClock):
    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC)


def at_utc(moment: datetime) -> time:
    """A time of day on this machine."""
    return moment.astimezone().time()


@pytest.mark.parametrize(
    ("deadline", "finish_by", "seconds"),
    [
        (None, None, math.inf),
        (90.0, None, 90.0),
        (None, at_utc(datetime(2026, 3, 2, 12, 30, tzinfo=UTC)), 1800.0),
        (90.0, at_utc(datetime(2026, 3, 2, 12, 30, tzinfo=UTC)), 90.0),
        (3600.0, at_utc(datetime(2026, 3, 2, 12, 30, tzinfo=UTC)), 1800.0),
    ],
)
def test_the_earlier_bound_counts(
    deadline: float | None, finish_by: time | None, seconds: float
) -> None:
    stopping = Stopping(deadline_seconds=deadline, finish_by=finish_by)
    assert seconds_left(stopping, NoonClock()) == seconds
    assert End.of(stopping, NoonClock()).at == NoonClock().monotonic() + seconds


def test_time_that_the_user_was_asked_for_moves_the_deadline_and_no_time_of_day() -> None:
    stopping = Stopping(
        deadline_seconds=90.0, finish_by=at_utc(datetime(2026, 3, 2, 12, 30, tzinfo=UTC))
    )
    end = End.of(stopping, NoonClock())
    assert end.without(60.0).at == end.at + 60.0
    assert end.without(1e9).at == NoonClock().monotonic() + 1800.0
    assert End.of(Stopping(), NoonClock()).without(60.0).at == math.inf


def test_requests_of_a_rehearsal_go_to_its_sandbox() -> None:
    sending = Sending(transport="httpx")
    to = choose_destination(
        Target(base_url=SANDBOX_TARGET, team="Example Realty"),
        "http://127.0.0.1:9",
        SECRET,
        sending,
    )
    assert (to.base_url, to.address, to.transport, to.team) == (
        SANDBOX_TARGET,
        "http://127.0.0.1:9",
        "httpx",
        None,
    )
    assert to.key_fingerprint == fingerprint(SECRET)
    assert choose_destination(Target(base_url=API), None, SECRET, sending).address == API
    assert KEY not in repr(to)


def test_a_rehearsal_without_a_sandbox_is_refused() -> None:
    with pytest.raises(UsageError, match="pass its address as send_to"):
        choose_destination(
            Target(base_url=SANDBOX_TARGET, team="Example Realty"), None, SECRET, Sending()
        )


@pytest.mark.parametrize(
    ("start", "continues", "only_changed", "words"),
    [
        (Start.NEW, False, False, None),
        (Start.RESUME, True, False, "Continuing the job"),
        (Start.RESTAGE, True, True, "Continuing the job"),
        (Start.RESTAGE, False, False, "All of its rows are sent."),
        (Start.RESTAGE, False, True, "Only changed values are sent."),
    ],
)
def test_what_is_told_of_an_earlier_job(
    start: Start, continues: bool, only_changed: bool, words: str | None
) -> None:
    notes = note_on_start(start, continues=continues, only_changed=only_changed)
    assert (words is None and not notes) or (words is not None and words in notes[0])


# Callbacks


DECIDED = RowDecided(2, "a", State.UPDATED, 200, 1, 0.1, None, None)


def test_an_error_of_the_callback_stops_the_run_and_waits() -> None:
    seen: list[int] = []
    stops: list[BulkSyncError] = []

    def fail_on_the_second(row: RowDecided) -> None:
        seen.append(row.row)
        if len(seen) == 2:
            raise ZeroDivisionError

    notifier = RowNotifier(fail_on_the_second)
    notifier.stop = stops.append
    for _ in range(4):
        notifier(DECIDED)
    assert len(seen) == 2
    assert isinstance(notifier.raised, ZeroDivisionError)
    assert [type(reason) for reason in stops] == [StoppedEarly]


def test_an_error_for_the_user_comes_out_of_its_groups() -> None:
    outage = Outage("gone")
    assert only_error(ExceptionGroup("", [ExceptionGroup("", [outage]), Outage("late")])) is outage
    group = ExceptionGroup("", [outage, ValueError("a bug")])
    assert only_error(group) is group


# Threads


def test_without_an_event_loop_the_work_is_done_in_this_thread() -> None:
    assert outside_event_loop(lambda stop: (threading.current_thread(), stop), None) == (
        threading.current_thread(),
        None,
    )


@pytest.mark.asyncio
async def test_within_an_event_loop_the_work_is_done_in_another_thread() -> None:
    asked = threading.Event()
    thread, stop = outside_event_loop(lambda stop: (threading.current_thread(), stop), asked)
    assert thread is not threading.current_thread()
    assert stop is asked


@pytest.mark.asyncio
async def test_an_error_of_the_work_is_raised_and_its_event_set() -> None:
    asked = threading.Event()

    def fail(_: threading.Event | None) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        outside_event_loop(fail, asked)
    assert asked.is_set()


@pytest.mark.asyncio
async def test_work_in_a_thread_returns_its_value_or_raises() -> None:
    assert await in_thread(lambda stop: stop.is_set()) is False

    def fail(_: threading.Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(fail)


@pytest.mark.asyncio
async def test_a_cancellation_stops_the_work_and_waits_for_it() -> None:
    began, ended = anyio.Event(), threading.Event()

    def work(stop: threading.Event) -> None:
        from_thread.run_sync(began.set)
        assert stop.wait(30)
        ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(in_thread, work)
        await began.wait()
        tasks.cancel_scope.cancel()
    assert ended.is_set()


# What runs on a host share


def test_each_api_and_key_has_a_file_that_names_neither(tmp_path: Path) -> None:
    path = pace_file(API, SECRET, tmp_path)
    assert path == pace_file(API, SECRET, tmp_path)
    assert path != pace_file("https://other.example.com", SECRET, tmp_path)
    assert path != pace_file(API, SecretStr(KEY + "x"), tmp_path)
    assert KEY not in str(path)
    assert "example" not in str(path)


def test_a_rehearsal_shares_no_limit(tmp_path: Path) -> None:
    tally = Tally()
    with open_pace_store(SANDBOX_TARGET, SECRET, tmp_path, tally) as pace_store:
        assert isinstance(pace_store, PaceInMemory)
    assert not list(tmp_path.iterdir())
    assert not tally.notes


def test_a_folder_that_cannot_be_used_is_noted_and_the_run_goes_on(tmp_path: Path) -> None:
    occupied = tmp_path / "file"
    occupied.touch()
    tally = Tally()
    with open_pace_store(API, SECRET, occupied, tally) as pace_store:
        assert isinstance(pace_store, PaceInMemory)
    assert str(occupied) in tally.notes["budget"]
    assert known_pace(API, SECRET, occupied).limit is None


def test_a_limit_is_known_once_a_run_was_told_one(tmp_path: Path) -> None:
    assert known_pace(API, SECRET, tmp_path).limit is None
    clock = SystemClock()
    with open_pace_store(API, SECRET, tmp_path, Tally()) as pace_store:
        assert isinstance(pace_store, PaceInFile)
        pace = pace_store.try_open(clock.monotonic)
        assert pace is not None
        assert known_pace(API, SECRET, tmp_path).limit is None  # the run holds the file
        quotas = (Quota(limit=10, window_seconds=1, remaining=9, reset_seconds=1),)
        pace.observe(clock.monotonic(), Observation(1, "through", 0.02, quotas=quotas), dice=0.5)
        pace_store.close(pace)
    assert known_pace(API, SECRET, tmp_path).limit == pytest.approx(10, rel=0.1)
    assert known_pace("https://other.example.com", SECRET, tmp_path).limit is None

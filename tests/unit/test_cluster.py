"""The decisions of a run on a cluster: what differs, where a job goes, what a folder can do."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from distributed import Client
from distributed.comm.core import CommClosedError

from bulk_sync.cluster.connect import Installed, differences, local_workers, register
from bulk_sync.cluster.coordinator import _Placed
from bulk_sync.cluster.crew import Crew, _is_busy, run_job
from bulk_sync.cluster.messages import LEASH_SECONDS, Line, Order, Stop
from bulk_sync.cluster.probe import Seen, judged, look
from bulk_sync.errors import (
    BulkSyncError,
    CheckpointBusy,
    CheckpointLocked,
    Interrupted,
    Outage,
    OutputError,
    StoppedEarly,
    UsageError,
)
from bulk_sync.model.summaries import Batch, JobResult, Part
from bulk_sync.run.follow import StopRequest
from tests.benchmarks import namespaces
from tests.helpers import SimulatedClock, poll

HERE = Installed("0.1.0", "3.11", frozenset({"httptools", "uvloop"}))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (HERE, []),
        (Installed("0.1.0", "3.11", frozenset({"httptools", "uvloop", "keyring"})), []),
        (Installed(None, "3.11", frozenset()), ["worker w has no bulk-sync"]),
        (
            Installed("0.2.0", "3.11", HERE.modules),
            ["worker w has bulk-sync 0.2.0, and this machine 0.1.0"],
        ),
        (Installed(None, "3.12", frozenset()), ["worker w has Python 3.12, and this machine 3.11"]),
        (
            Installed("0.1.0", "3.11", frozenset({"uvloop"})),
            ["worker w lacks the extra fast (httptools)"],
        ),
    ],
)
def test_a_difference_is_said_with_what_has_it(other: Installed, said: list[str]) -> None:
    assert differences(HERE, {"w": other}) == said


def test_workers_with_one_difference_are_named_together() -> None:
    old = Installed("0.2.0", "3.11", HERE.modules)
    (said,) = differences(HERE, {"scheduler": old, "a": old, "b": HERE, "c": old})
    assert said.startswith("the scheduler, worker a and worker c have bulk-sync 0.2.0")
    (said,) = differences(HERE, {f"w{number}": old for number in range(9)})
    assert "4 more" in said
    # Nothing of the scheduler is needed for sending.
    assert differences(HERE, {"scheduler": Installed("0.1.0", "3.11", frozenset())}) == []


def test_a_local_cluster_has_a_number_of_workers() -> None:
    assert local_workers("local:4") == 4
    assert local_workers("tcp://here:8786") is None
    for text in ("local", "local:", "local:0", "local:x", "local:1000"):
        with pytest.raises(UsageError, match="write local:N"):
            local_workers(text)


def test_jobs_of_a_key_go_to_one_worker_while_it_lives() -> None:
    placed = _Placed(frozenset({"a", "b"}))
    assert [placed.place(key) for key in ("k", "k", "l", "k", "l")] == ["a", "a", "b", "a", "b"]
    placed.workers = frozenset({"b", "c"})
    assert placed.place("k") == "c"  # which has fewest jobs
    assert placed.place("l") == "b"
    placed.workers = frozenset()
    assert placed.place("k") is None


def test_each_key_goes_to_the_worker_with_fewest_jobs() -> None:
    placed = _Placed(frozenset({"a", "b", "c"}))
    found = [placed.place(number) for number in range(6)]
    assert sorted(map(str, found)) == ["a", "a", "b", "b", "c", "c"]
    placed.ended("b")
    placed.ended(None)
    assert placed.place("another") == "b"


A, B = Seen(is_same=True, lock=True, made="a"), Seen(is_same=False)


@pytest.mark.parametrize(
    ("seen", "standing", "words"),
    [
        ([A, A], "well", "work from 2 workers"),
        ([A, B], "wrong", "w1 don't see it as this machine does"),
        (
            [A, Seen(is_same=True, lock=True, trouble="No room")],
            "wrong",
            "w1 (No room) can't",
        ),
        (
            [A, Seen(is_same=True, lock=True, made="b")],
            "wrong",
            "w1 write files that don't",
        ),
        ([Seen(is_same=True, lock=None, made="a")], "wrong", "keeps no locks"),
        (
            [A, Seen(is_same=True, lock=False, made="a")],
            "notice",
            "w1 locks hold on each host",
        ),
    ],
)
def test_a_folder_is_judged_by_what_workers_saw(
    seen: list[Seen], standing: str, words: str
) -> None:
    found = judged(
        Path("/s"), {f"w{number}": one for number, one in enumerate(seen)}, frozenset({"a"})
    )
    assert found.standing == standing
    assert words in found.text
    assert (found.exit_code == 8) is (standing == "wrong")


def test_a_worker_that_sees_another_folder_writes_nothing_to_it(tmp_path: Path) -> None:
    assert look(str(tmp_path / "mark"), "token") == Seen(is_same=False)
    (tmp_path / "mark").write_text("another", "utf-8")
    assert not look(str(tmp_path / "mark"), "token").is_same
    assert [path.name for path in tmp_path.iterdir()] == ["mark"]


def test_what_a_worker_makes_is_renamed_when_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "mark").write_text("token", "utf-8")
    seen = look(str(tmp_path / "mark"), "token")
    assert (seen.is_same, seen.lock, seen.trouble) == (True, False, "")
    assert (tmp_path / seen.made).read_text("utf-8") == "token"
    assert not list(tmp_path.glob("*.part"))


def test_a_worker_of_another_version_that_came_later_runs_nothing() -> None:
    with pytest.raises(UsageError, match="came later has bulk-sync"):
        run_job("9.9.9", b"")


# The messages


def travelled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


@pytest.mark.parametrize("reason", [Interrupted(2), Interrupted(15), StoppedEarly("enough")])
def test_a_stop_arrives_as_it_was_sent(reason: Any) -> None:
    stop = travelled(Stop.of(reason, hurry=True))
    assert (str(stop.reason), stop.reason.exit_code) == (str(reason), reason.exit_code)
    assert stop.hurry


def test_an_interruption_can_be_copied() -> None:
    for copied in (copy.copy(Interrupted(15)), travelled(Interrupted(15))):
        assert (str(copied), copied.exit_code) == ("Stopped by SIGTERM.", 143)


def test_a_log_line_keeps_its_fields_and_drops_what_does_not_travel() -> None:
    record = logging.makeLogRecord(
        {"name": "bulk_sync.run", "levelno": 20, "msg": "sent %d", "args": (3,), "event": "sent",
         "row": 3, "odd": object()}
    )  # fmt: skip
    there = travelled(Line.of(record, "vale")).record()
    assert (there.name, there.levelno, there.getMessage()) == ("bulk_sync.run", 20, "sent 3")
    assert (there.created, there.process) == (record.created, record.process)
    assert (there.event, there.row, hasattr(there, "odd")) == ("sent", 3, False)


# The crew


def test_a_task_that_hears_nothing_of_its_run_stops() -> None:
    clock = SimulatedClock()
    crew = Crew(clock)
    with crew.task():
        crew.take(Order("run", None))
        assert not crew.stop.is_set()
        clock.seconds += LEASH_SECONDS + 1
        poll(crew.stop.is_set)
    assert isinstance(crew.stop.reason, Outage)


def test_a_crew_that_was_cut_off_takes_a_job_again_once_it_is_heard_of() -> None:
    clock = SimulatedClock()
    crew = Crew(clock)
    with crew.task():
        clock.seconds += LEASH_SECONDS + 1
        poll(crew.stop.is_set)
        assert crew.is_cut_off
    with crew.task():
        assert (crew.stop.is_set(), crew.is_cut_off) == (False, False)
    crew.end(StoppedEarly("enough"))
    with crew.task():
        assert crew.stop.is_set()  # a stop of the run is for good


def test_the_first_reason_to_stop_counts_and_a_later_one_may_hurry() -> None:
    crew = Crew(SimulatedClock())
    crew.take(Order("run", Stop.of(Interrupted(2), hurry=False)))
    assert (crew.stop.is_set(), crew.stop.hurry) == (True, False)
    crew.take(Order("run", Stop.of(Interrupted(15), hurry=True)))
    assert (crew.stop.reason.exit_code, crew.stop.hurry) == (130, True)


# The beginning of a run


@pytest.mark.parametrize(("failures", "is_over"), [(0, False), (2, False), (3, True)])
def test_a_worker_that_dies_while_a_run_begins_ends_no_run(failures: int, is_over: bool) -> None:
    tries = []

    class Dask:
        async def register_plugin(self, plugin: str) -> None:
            tries.append(plugin)
            if len(tries) <= failures:
                raise CommClosedError("in <TCP (closed) Scheduler Broadcast>: Stream is closed")

    async def main() -> None:
        await register(cast("Client", Dask()), "plugin", StopRequest())

    if is_over:
        with pytest.raises(Outage, match="The cluster doesn't answer"):
            asyncio.run(main())
    else:
        asyncio.run(main())
    assert tries == ["plugin"] * min(failures + 1, 3)


def test_a_benchmark_without_the_right_to_namespaces_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: str) -> None:
        raise subprocess.CalledProcessError(1, "ip", stderr="Operation not permitted\n")

    monkeypatch.setattr(namespaces, "_ip", refuse)
    assert namespaces.enter("tests.benchmarks.cluster_faults", ()) == 2
    assert "not permitted here: Operation not permitted. Run it as root" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (CheckpointBusy("x"), True),
        (CheckpointLocked("x"), True),  # by a task that was stopped in the middle of a commit
        (OutputError("x"), False),
        (Outage("x"), False),
        (None, False),
    ],
)
def test_a_task_waits_for_another_one_that_has_the_checkpoint(
    error: BulkSyncError | None, waits: bool
) -> None:
    assert _is_busy(JobResult("north", error=error)) is waits
    part = Part("x.csv", error=error)
    assert _is_busy(JobResult("north", Batch((Part("w.csv"), part), ()))) is waits

"""Jobs on a Dask cluster: as in a local run, whatever becomes of workers, scheduler and command."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import re
import signal
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from distributed import Client
from msgspec.structs import replace

from bulk_sync.cli import cluster as in_cli
from bulk_sync.clock import SystemClock
from bulk_sync.cluster import connect
from bulk_sync.cluster.recorded import recorded
from bulk_sync.errors import Outage
from bulk_sync.model.rows import State, Tally
from bulk_sync.settings.outputs import Outputs
from bulk_sync.together import Job, Standing
from tests.conftest import Program
from tests.dask_cluster import DaskCluster, dask_cluster
from tests.faultserver import Deed, Request, Script, all_good, always, held, refuses
from tests.helpers import numbered, poll, read_csv, started, when_sent, write_sheet
from tests.wire.test_together import ROWS, Office, team_key

pytestmark = pytest.mark.slow  # processes of Dask, which takes seconds to import


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A cluster that no test harms, on machines in another time zone."""
    with dask_cluster(tmp_path_factory.mktemp("dask"), TZ="Asia/Tokyo") as made:
        yield made


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.delenv("NORTH_API_KEY")
    with ExitStack() as opened:
        yield Office(tmp_path, opened)


def dask_run(office: Office, address: object, *arguments: object) -> Any:
    return started(
        "run", "--jobs", office.jobs_file, "--dask", address, "--json", *arguments,
        env={name: value for name, value in os.environ.items() if name != "NORTH_API_KEY"},
    )  # fmt: skip


def ended(running: subprocess.Popen[str], within: float = 120) -> tuple[int, dict[str, Any], str]:
    out, err = running.communicate(timeout=within)
    summary = json.loads(out) if out else {}
    return running.returncode, summary, err


def journal_mode(checkpoint: Path) -> str:
    with sqlite3.connect(checkpoint) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_jobs_end_as_in_a_local_run(office: Office, cluster: DaskCluster) -> None:
    for name in ("vale", "hill", "dated"):
        office.team(name)
    here = datetime(2026, 3, 14, 16, 30).astimezone()
    dated = [("ext_1", f"{here:%Y-%m-%d %H:%M}")]
    write_sheet(office.folder / "dated" / "x.csv", dated, ("unique_showing_key", "showing_date"))
    office.team("refused", me=refuses(401, "Invalid API key"))
    office.team("keyless", key=False)
    office.team("broken")
    (office.folder / "broken" / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    log = office.folder / "x.log"
    with dask_run(office, cluster.address, "--log-file", log, "--log-format", "json") as running:
        code, summary, err = ended(running)
    codes = {job["job"]: job["exit_code"] for job in summary["jobs"]}
    good = dict.fromkeys(("vale", "hill", "dated"), 0)
    assert codes == good | {"refused": 5, "keyless": 2, "broken": 4}, err
    assert code == summary["exit_code"] == 5
    assert "keyless: --key-file" in err
    for name in ("vale", "hill"):
        assert len(office.servers[name].patched) == ROWS
        results = read_csv(office.folder / name / "x.results.csv")
        assert [row["state"] for row in results] == ["updated"] * ROWS
        assert journal_mode(office.folder / name / "x.checkpoint.sqlite") == "delete"
    (sent,) = [json.loads(one.body) for one in office.servers["dated"].requests if one.body]
    assert datetime.fromisoformat(sent["showing_date"]) == here
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    events = [line["event"] for line in lines if line.get("job") == "vale"]
    assert events[:1] == ["begin"]
    assert {"staged", "team", "end", "job_end"} <= set(events)
    told = cluster.log() + log.read_text("utf-8")
    assert not any(team_key(name) in told for name in office.servers)


def known_to_the_scheduler(dask_scheduler: Any) -> bytes:
    """Return what its dashboard and its events can show, on the scheduler: names, arguments, all.

    A task's argument is pickled bytes, whose strings are readable in it.
    """
    tasks = {repr(key): task.run_spec for key, task in dask_scheduler.tasks.items()}
    return repr(tasks).encode() + pickle.dumps((tasks, dask_scheduler.get_events()))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_jobs_tidily(
    office: Office, cluster: DaskCluster, number: signal.Signals
) -> None:
    release = threading.Event()
    for name in ("a", "b"):
        office.team(name, always(held(release)), rows=1000, options={"workers": "2"})
    office.team("c")
    with dask_run(office, cluster.file, "--at-once", 2) as running:
        for name in ("a", "b"):
            when_sent(2, office.servers[name].requests, running)
        with Client(cluster.address, set_as_default=False) as client:
            known = client.run_on_scheduler(known_to_the_scheduler)
        assert b"bulk-sync-" in known
        assert b"a.key" in known
        assert not any(team_key(name).encode() in known for name in ("a", "b"))
        running.send_signal(number)
        release.set()
        code, summary, err = ended(running)
    assert code == 128 + number, err
    a, b, c = summary["jobs"]
    for job in (a, b):
        states = job["files"][0]["states"]
        assert states["updated"] >= 1
        assert states["updated"] + states["pending"] == 1000
        assert job["exit_code"] == 128 + number
    assert (c["begun"], office.servers["c"].requests) == (False, [])


def good_then_held(good: int, release: threading.Event) -> Script:
    """Answer so many requests at once, and the others once `release` is set."""
    come = itertools.count()

    def script(request: Request, count: int) -> Deed:
        return (all_good if next(come) < good else always(held(release)))(request, count)

    return script


def holder(office: Office, cluster: DaskCluster, job: str) -> subprocess.Popen[bytes]:
    """Return the worker that holds the checkpoint of a job."""
    note = json.loads((office.folder / job / "x.checkpoint.sqlite.holder").read_text("utf-8"))
    return next(worker for worker in cluster.workers if worker.pid == note["pid"])


def counted(program: Program, office: Office, job: str) -> int:
    """Return how many rows of a job its checkpoint has as updated."""
    states = program("status", office.folder / job / "x.csv", "--json").summary["states"]
    return int(states["updated"])


def test_other_versions_are_refused_before_anything_is_sent(
    program: Program, office: Office, cluster: DaskCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(connect.own(), bulk_sync="9.9.9")
    monkeypatch.setattr(connect, "own", lambda: here)
    office.team("vale")
    ran = program("run", "--jobs", office.jobs_file, "--dask", cluster.address)
    assert (ran.code, ran.out) == (2, "")
    assert re.search(
        r"the scheduler, worker tcp://\S+ and worker tcp://\S+ have bulk-sync \S+, and this "
        r"machine 9\.9\.9\. Install the same",
        ran.err,
    )
    assert office.servers["vale"].requests == []


def test_without_the_extra_a_sentence_says_so(
    program: Program, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_cli, "find_spec", lambda _: None)
    office.team("vale")
    for command in (("run",), ("doctor",)):
        ran = program(*command, "--jobs", office.jobs_file, "--dask", "local:2")
        assert (ran.code, ran.out) == (2, "")
        assert "--dask needs the extra dask" in ran.err


def test_doctor_tries_the_cluster_and_its_folders(
    program: Program, office: Office, cluster: DaskCluster
) -> None:
    for name in ("vale", "hill"):
        office.team(name)
    given = ("--dask", cluster.address, "--jobs", office.jobs_file, "--json")
    ran = program("doctor", *given)
    assert ran.code == 0, ran.err
    found = ran.summary["findings"]
    assert "2 workers have bulk-sync" in found[0]["text"]
    for folder, one in zip(("vale", "hill"), found[1:], strict=True):
        assert one["text"].startswith(f"{office.folder / folder}: locks, fsync and rename work")
        assert [path.name for path in (office.folder / folder).iterdir()] == ["x.csv"]
    ran = program("doctor", "--dask", cluster.folder / "none.json", "--json")
    assert ran.code == 2
    assert any("no such scheduler file" in one["text"] for one in ran.summary["findings"])


def test_the_jobs_of_a_killed_worker_go_on_elsewhere(
    program: Program, office: Office, tmp_path: Path
) -> None:
    release = threading.Event()
    office.team("vale", good_then_held(10, release), rows=30, options={"workers": "4"})
    server = office.servers["vale"]
    with (
        dask_cluster(tmp_path / "dask") as cluster,
        dask_run(office, cluster.address) as running,
    ):
        when_sent(14, server.requests, running)
        poll(lambda: counted(program, office, "vale") == 10)
        worker = holder(office, cluster, "vale")
        worker.kill()
        worker.wait()
        release.set()
        code, summary, err = ended(running)
    assert (code, summary["states"]["updated"]) == (0, 30), err
    sent = Counter(server.patched)
    assert len(sent) == 30
    assert sum(sent.values()) <= 30 + 4  # those in flight, and at most once more each
    assert max(sent.values()) <= 2


def test_a_killed_scheduler_leaves_rows_pending_for_the_next_run(
    program: Program, office: Office, tmp_path: Path
) -> None:
    release = threading.Event()
    office.team("vale", good_then_held(10, release), rows=30, options={"workers": "4"})
    server = office.servers["vale"]
    note = office.folder / "vale" / "x.checkpoint.sqlite.holder"
    with (
        dask_cluster(tmp_path / "dask", workers=1) as cluster,
        dask_run(office, cluster.address) as running,
    ):
        when_sent(14, server.requests, running)
        # The command may not have heard of them: it looks at the checkpoint.
        poll(lambda: counted(program, office, "vale") == 10)
        assert cluster.scheduler is not None
        cluster.scheduler.kill()
        code, summary, err = ended(running)
        assert (code, summary["jobs"][0]["exit_code"]) == (6, 6), err
        assert summary["states"]["updated"] == 10
        assert summary["states"]["pending"] == 20
        assert err.count("The scheduler of the cluster is gone") == 1
        assert "vale: " + str(office.folder / "vale" / "x.csv") + ": It was cut off" in err
        assert "Traceback" not in err
        release.set()
        poll(lambda: not note.exists())  # the worker has ended its job
    assert program("run", "--jobs", office.jobs_file).code == 0
    sent = Counter(server.patched)
    assert len(sent) == 30
    assert sum(sent.values()) <= 30 + 4


def test_a_checkpoint_counts_for_a_lost_job_if_it_is_of_its_sheet(
    program: Program, office: Office
) -> None:
    office.team("vale")
    sheet, why = office.folder / "vale" / "x.csv", Outage("It was cut off.")
    standing = Standing(Job("vale", (sheet.parent,), Outputs(), make=NotImplemented))
    now = SystemClock().now()
    assert recorded(standing, why, now) is None
    assert program("run", "--jobs", office.jobs_file).code == 0
    found = recorded(standing, why, now)
    assert found is not None
    (part,) = found.parts
    assert part.summary is not None
    assert (part.summary.states[State.UPDATED], part.error) == (ROWS, None)
    write_sheet(sheet, numbered(ROWS + 1))  # tonight's, which the job may not have read
    assert recorded(standing, why, now) is None
    standing.file, standing.tally = str(sheet), Tally(ROWS)
    assert recorded(standing, why, now) is not None  # it was seen to send from it


def test_a_cluster_of_this_machine_has_no_key_in_its_environment(
    program: Program, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("vale", "hill"):
        office.team(name)
    monkeypatch.setenv("NORTH_API_KEY", team_key("mine"))
    told = office.folder / "told"
    script = office.folder / "key"
    script.write_text(f"#!/bin/sh\nenv > {told}\ncat {office.folder / 'vale.key'}\n", "utf-8")
    script.chmod(0o700)
    text = office.jobs_file.read_text("utf-8")
    named = f'key-file = "{office.folder / "vale.key"}"'
    assert named in text
    path = office.folder / "commands.toml"
    path.write_text(text.replace(named, f'key-command = "{script}"'), encoding="utf-8")
    path.chmod(0o600)
    with started(
        "run", "--jobs", path, "--dask", "local:2", "--json", env=dict(os.environ)
    ) as running:
        code, summary, err = ended(running)
    assert (code, summary["states"]["updated"]) == (0, 2 * ROWS), err
    assert "PATH=" in told.read_text("utf-8")
    assert team_key("mine") not in told.read_text("utf-8")
    named_none = office.folder / "none.toml"
    named_none.write_text(text.replace(named, ""), encoding="utf-8")
    named_none.chmod(0o600)
    ran = program("run", "--jobs", named_none, "--dask", "local:2")
    assert (ran.code, ran.out) == (2, "")
    assert "job vale names no key" in ran.err


@pytest.mark.parametrize(
    ("address", "code", "words"),
    [
        ("local:0", 2, "write local:N"),
        ("local", 2, "write local:N"),
        ("ftp://here:1", 2, "no address of a scheduler"),
        ("none/scheduler.json", 2, "no such scheduler file"),
        ("tcp://127.0.0.1:1", 6, "no scheduler answers there"),
    ],
)
def test_an_address_that_does_not_do_is_said_before_anything_is_sent(
    program: Program,
    office: Office,
    address: str,
    code: int,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connect, "CONNECT_SECONDS", 1.0)
    office.team("vale")
    ran = program("run", "--jobs", office.jobs_file, "--dask", address)
    assert (ran.code, ran.out) == (code, "")
    assert words in ran.err
    assert "Traceback" not in ran.err
    assert office.servers["vale"].requests == []

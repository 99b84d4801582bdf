"""Jobs of several teams at the same time: none touches another."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Script,
    all_good,
    always,
    fault_server,
    held,
    refuses,
    team,
)
from tests.helpers import numbered, read_csv, started, when_sent, write_sheet

ROWS = 5


def team_key(name: str) -> str:
    return f"north_sk_test_{name}{'0' * (32 - len(name))}"


class Office:
    """A folder with a jobs file; each team has a server, a key and a sheet of its own."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self.folder = folder
        self.servers: dict[str, Journal] = {}
        self._opened = opened
        self._jobs: list[str] = []

    def team(
        self,
        name: str,
        script: Script = all_good,
        *,
        key: bool = True,
        rows: int = ROWS,
        me: Deed | None = None,
        options: Mapping[str, str] = {},
    ) -> None:
        self.servers[name] = self._opened.enter_context(
            fault_server(script, me=me or team(name.title(), name))
        )
        (self.folder / name).mkdir()
        write_sheet(self.folder / name / "x.csv", numbered(rows))
        file = self.folder / f"{name}.key"
        if key:
            file.write_text(team_key(name), encoding="utf-8")
            file.chmod(0o600)
        given = {
            "base-url": self.servers[name].base_url,
            "key-file": str(file),
            "rate": "1000/s",
            **options,
        }
        lines = "".join(f"{option} = {json.dumps(value)}\n" for option, value in given.items())
        self._jobs.append(f'[[job]]\nname = "{name}"\nfiles = "{name}/*.csv"\n{lines}')

    @property
    def jobs_file(self) -> Path:
        path = self.folder / "teams.toml"
        path.write_text("\n".join(self._jobs), encoding="utf-8")
        path.chmod(0o600)
        return path


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Office]:
    monkeypatch.delenv("NORTH_API_KEY")
    with ExitStack() as opened:
        yield Office(tmp_path, opened)


def test_each_team_is_sent_with_its_own_key(program: Program, office: Office) -> None:
    for name in ("vale", "hill", "lake"):
        office.team(name)
    ran = program("run", "--jobs", office.jobs_file, "--json")
    assert (ran.code, ran.err) == (0, "")
    jobs = {job["job"]: job for job in ran.summary["jobs"]}
    for name, server in office.servers.items():
        assert {request.headers["authorization"] for request in server.requests} == {
            f"Bearer {team_key(name)}"
        }
        assert len(server.patched) == ROWS
        assert jobs[name]["files"][0]["team"]["name"] == name.title()
        results = read_csv(office.folder / name / "x.results.csv")
        assert [row["state"] for row in results] == ["updated"] * ROWS
    assert ran.summary["states"]["updated"] == 3 * ROWS
    assert ran.summary["exit_code"] == 0


def test_whatever_ends_one_job_the_others_go_on(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("refused", me=refuses(401, "Invalid API key"))
    office.team("keyless", key=False)
    office.team("foreign", options={"team": "Somebody Else"})
    office.team("broken")
    (office.folder / "broken" / "x.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    office.team("down", always(refuses(503, "down")), options={"retry-for": "0s", "max-wait": "1s"})
    office.team("wrong", options={"rate": "fast"})
    office.team("empty")
    (office.folder / "empty" / "x.csv").unlink()
    ran = program("run", "--jobs", office.jobs_file, "--json")
    codes = {job["job"]: job["exit_code"] for job in ran.summary["jobs"]}
    down = codes.pop("down")
    assert codes == {
        "vale": 0,
        "refused": 5,
        "keyless": 2,
        "foreign": 5,
        "broken": 4,
        "wrong": 2,
        "empty": 0,
    }
    assert down in {3, 6}
    assert ran.code == ran.summary["exit_code"] == 5
    assert ran.summary["states"]["updated"] == ROWS
    assert "keyless: --key-file" in ran.err


def test_jobs_wait_for_their_turn(program: Program, office: Office) -> None:
    for name in ("a", "b", "c", "d"):
        office.team(name)
    ran = program("run", "--jobs", office.jobs_file, "--at-once", 1, "--json")
    assert ran.code == 0
    times = [[request.at for request in server.requests] for server in office.servers.values()]
    for earlier, later in pairwise(times):
        assert max(earlier) < min(later)


def test_jobs_of_one_key_share_its_limit(program: Program, office: Office) -> None:
    office.team("a", rows=20, options={"rate": "10/s"})
    office.team("b", rows=20, options={"rate": "10/s"})
    shared = office.servers["a"].base_url
    text = office.jobs_file.read_text("utf-8").replace(office.servers["b"].base_url, shared)
    (office.folder / "b.key").write_text(team_key("a"), encoding="utf-8")
    path = office.folder / "one.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    assert program("run", "--jobs", path).code == 0
    server = office.servers["a"]
    assert len(server.requests) == 40
    at = sorted(request.at for request in (*server.requests, *server.account))
    # Any second has at most the rate and the burst of one.
    assert all(later - earlier >= 0.9 for earlier, later in zip(at, at[12:], strict=False))


def test_two_jobs_of_one_sheet_are_refused_before_one_begins(
    program: Program, office: Office
) -> None:
    office.team("vale")
    text = office.jobs_file.read_text("utf-8")
    path = office.folder / "twice.toml"
    path.write_text(text + text.replace('name = "vale"', 'name = "again"'), encoding="utf-8")
    path.chmod(0o600)
    ran = program("run", "--jobs", path)
    assert (ran.code, ran.out) == (2, "")
    assert "the jobs vale and again would both push it" in ran.err
    assert office.servers["vale"].requests == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_jobs_tidily(office: Office, number: signal.Signals) -> None:
    release = threading.Event()
    for name in ("a", "b"):
        office.team(name, always(held(release)), rows=3000, options={"workers": "2"})
    office.team("c")
    with started("run", "--jobs", office.jobs_file, "--at-once", 2, "--json") as running:
        when_sent(2, office.servers["a"].requests, running)
        when_sent(2, office.servers["b"].requests, running)
        running.send_signal(number)
        release.set()
        out, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    summary = json.loads(out)
    assert summary["exit_code"] == 128 + number
    a, b, c = summary["jobs"]
    for job in (a, b):
        states = job["files"][0]["states"]
        assert states["updated"] >= 1
        assert states["updated"] + states["pending"] == 3000
        assert job["exit_code"] == 128 + number
    assert (c["begun"], office.servers["c"].requests) == (False, [])


def test_log_lines_and_metrics_name_the_job(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("hill")
    log = office.folder / "x.log"
    assert (
        program("run", "--jobs", office.jobs_file, "--log-file", log, "--log-format", "json").code
        == 0
    )
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    for name in ("vale", "hill"):
        events = [line["event"] for line in lines if line.get("job") == name]
        assert events[:1] == ["begin"]
        assert {"staged", "team", "end", "job_end"} <= set(events)
    log.unlink()
    assert program("run", "--jobs", office.jobs_file, "--log-file", log).code == 0
    assert "INFO [vale] begins: " in log.read_text("utf-8")


def test_a_run_goes_on_where_the_last_one_stopped(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("hill")
    assert program("run", "vale", "--jobs", office.jobs_file).code == 0
    assert office.servers["hill"].requests == []
    assert program("run", "--jobs", office.jobs_file).code == 0
    assert [len(server.patched) for server in office.servers.values()] == [ROWS, ROWS]

"""Jobs of several teams at the same time: none touches another."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bulk_sync.clock import SystemClock
from tests.conftest import Program
from tests.faultserver import (
    Deed,
    Journal,
    Request,
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
    # Each job asks for its account first. A busy machine lets some requests come late, and then
    # several at once, but none early.
    begun = min(request.at for request in server.account)
    came = sorted(request.at - begun for request in server.requests)
    assert all(seconds >= (number - 1) / 10 for number, seconds in enumerate(came))


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
    write_sheet(office.folder / "a" / "y.csv", numbered(200, first=3000))
    office.team("c")
    page = office.folder / "all.html"
    options = ("--at-once", 2, "--json", "--page", page)
    with started("run", "--jobs", office.jobs_file, *options) as running:
        when_sent(2, office.servers["a"].requests, running)
        when_sent(2, office.servers["b"].requests, running)
        running.send_signal(number)
        release.set()
        out, err = running.communicate(timeout=120)
    assert running.returncode == 128 + number, err
    summary = json.loads(out)
    assert summary["exit_code"] == 128 + number
    a, b, c = summary["jobs"]
    for job in (a, b):
        states = job["files"][0]["states"]
        assert states["updated"] >= 1
        assert states["updated"] + states["pending"] == 3000
        assert job["exit_code"] == 128 + number
    assert (a["files"][1]["rows"], a["files"][1]["states"]["pending"]) == (200, 200)
    assert (a["rows"], summary["rows"]) == (3200, 6200)
    assert summary["states"]["updated"] + summary["states"]["pending"] == 6200
    assert (c["begun"], office.servers["c"].requests) == (False, [])
    text = page.read_text("utf-8")
    assert "200 pending; not started" in text
    assert "The rows of 1 job are unknown and not counted." in text
    assert "0 of 3 jobs are done; 3 have to run again." in text
    assert "2 stopped" in text
    assert "1 not started" in text


def test_a_second_signal_cuts_off_what_is_in_flight_and_the_report_is_written(
    office: Office,
) -> None:
    release = threading.Event()
    for name in ("a", "b"):
        office.team(name, always(held(release)), options={"workers": "2"})
    page = office.folder / "all.html"
    with started("run", "--jobs", office.jobs_file, "--json", "--page", page) as running:
        when_sent(2, office.servers["a"].requests, running)
        when_sent(2, office.servers["b"].requests, running)
        running.send_signal(signal.SIGINT)
        running.send_signal(signal.SIGTERM)  # another one, because equal ones may become one
        out, err = running.communicate(timeout=120)
        release.set()
    summary = json.loads(out)
    assert running.returncode == summary["exit_code"], err
    # Of two at the same moment, either may be the first.
    assert running.returncode in {130, 143}
    assert [job["files"][0]["in_flight"] for job in summary["jobs"]] == [2, 2]
    assert "2 have to run again" in page.read_text("utf-8")


def test_every_line_of_a_jobs_push_names_it(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("hill", always(refuses(404, "No such showing")))
    office.team("keyless", key=False)
    office.team("odd")
    odd = "unique_showing_key,feedback\na,caf\u00c3\u00a9\nb,caf\u00c3\u00a9\n"
    (office.folder / "odd" / "x.csv").write_text(odd, encoding="utf-8")
    log = office.folder / "x.log"
    options = ("--log-file", log, "-v")
    program("run", "--jobs", office.jobs_file, *options, "--log-format", "json")
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    of_run = [line for line in lines if line["job"] not in office.servers]
    assert {(line["job"], line["event"]) for line in of_run} == {(str(office.jobs_file), "end")}
    events = {
        name: [one["event"] for one in lines if one["job"] == name] for name in office.servers
    }
    assert events["vale"][0] == "begin"
    assert {"staged", "team", "request", "end", "job_end"} <= set(events["vale"])
    assert events["hill"].count("row") == ROWS
    assert events["keyless"] == ["end", "job_end"]
    assert "note" in events["odd"]
    log.unlink()
    program("run", "--jobs", office.jobs_file, *options)
    plain = log.read_text("utf-8")
    for name in office.servers:
        assert f"ERROR [{name}]" in plain or f"INFO [{name}] begins: " in plain


def test_metrics_have_series_for_each_job_and_the_hook_runs_once(
    program: Program, office: Office
) -> None:
    office.team("vale")
    office.team("hill", me=refuses(401, "Invalid API key"))
    metrics, told = office.folder / "x.prom", office.folder / "told"
    hook = f"{{ cat; echo; }} >> {told}"
    options = ("--jobs", office.jobs_file, "--metrics-file", metrics, "--on-finish", hook)
    assert program("run", *options).code == 5
    families = text_string_to_metric_families(metrics.read_text("utf-8"))
    codes = {
        sample.labels["job"]: sample.value
        for family in families
        for sample in family.samples
        if sample.name == "bulk_sync_exit_code"
    }
    assert codes == {str(office.jobs_file): 5, "vale": 0, "hill": 5}
    (summary,) = map(json.loads, told.read_text("utf-8").splitlines())
    assert [job["job"] for job in summary["jobs"]] == ["vale", "hill"]
    assert summary["jobs"][1]["next"]["command"].startswith("bulk-sync run --jobs ")
    assert summary["jobs"][1]["next"]["command"].endswith(" hill")
    office.jobs_file.write_text("[[job]", encoding="utf-8")
    path = office.folder / "teams.toml"
    path.write_text("[[job]", encoding="utf-8")
    assert program("run", "--jobs", path, *options[2:]).code == 2
    *_, last = map(json.loads, told.read_text("utf-8").splitlines())
    assert last["exit_code"] == 2
    assert 'job="vale"' in metrics.read_text("utf-8")


def test_one_page_has_all_jobs_and_links_to_their_own(program: Program, office: Office) -> None:
    office.team("vale", options={"page": str(office.folder / "vale" / "own.html")})
    office.team("hill", always(refuses(422, "Rating <b>is</b> for others")))
    office.team("lake", me=refuses(401, "Invalid API key"))
    page = office.folder / "all.html"
    ran = program("run", "--jobs", office.jobs_file, "--page", page, "--json")
    assert (ran.code, ran.summary["page"]) == (5, str(page))
    text = page.read_text("utf-8")
    assert "1 of 3 jobs is done; 2 need attention." in text
    assert 'href="vale/own.html"' in text
    assert (office.folder / "vale" / "own.html").exists()
    assert "Rating &lt;b&gt;is&lt;/b&gt; for others" in text
    assert not list(office.folder.glob(".bulk-sync-*"))


def test_a_page_that_cannot_be_written_keeps_no_row_from_being_sent(
    program: Program, office: Office
) -> None:
    page = office.folder / "all.html"

    def takes_the_name(request: Request, _: int) -> Deed:
        page.write_text("<p>mine", encoding="utf-8")
        return all_good(request, _)

    office.team("vale", takes_the_name)
    ran = program("run", "--jobs", office.jobs_file, "--page", page, "--json")
    assert (ran.code, ran.summary["exit_code"]) == (8, 8)
    assert ran.summary["states"]["updated"] == ROWS
    assert ran.summary["page"] is None
    assert str(page) in ran.summary["page_error"]
    assert page.read_text("utf-8") == "<p>mine"
    sent = len(office.servers["vale"].requests)
    assert program("run", "--jobs", office.jobs_file, "--page", page).code == 8
    assert len(office.servers["vale"].requests) == sent


@pytest.mark.parametrize(
    "name", ["vale/x.csv", "vale/x.results.csv", "vale/x.checkpoint.sqlite-wal", "teams.toml"]
)
def test_the_page_takes_no_other_files_place(program: Program, office: Office, name: str) -> None:
    office.team("vale")
    before = office.jobs_file.read_bytes()
    ran = program("run", "--jobs", office.jobs_file, "--page", office.folder / name)
    assert (ran.code, office.servers["vale"].account) == (2, [])
    assert "--page" in ran.err
    assert "can't be the same file" in ran.err
    assert office.jobs_file.read_bytes() == before


@pytest.mark.parametrize("option", ["page", "results", "undo-file"])
def test_two_jobs_that_would_write_one_file_are_refused_before_one_begins(
    program: Program, office: Office, option: str
) -> None:
    for name in ("vale", "hill"):
        office.team(name, options={option: str(office.folder / "one.csv")})
    ran = program("run", "--jobs", office.jobs_file)
    assert ran.code == 2
    assert f"--{option} of vale and --{option} of hill can't be the same file" in ran.err
    assert not any(server.account for server in office.servers.values())


def test_jobs_may_share_a_ledger(program: Program, office: Office) -> None:
    for name in ("vale", "hill"):
        office.team(name, options={"ledger": str(office.folder / "ledger.sqlite")})
    ran = program("run", "--jobs", office.jobs_file, "--at-once", 1)
    assert "same file" not in ran.err


def test_without_a_terminal_the_end_has_each_job_and_the_next_commands(
    program: Program, office: Office
) -> None:
    office.team("vale")
    office.team("hill", me=refuses(401, "Invalid API key"))
    ran = program("run", "--jobs", office.jobs_file, "--page", "all.html")
    lines = ran.out.splitlines()
    assert lines[1].split() == ["vale", *["5", "5"], *lines[1].split()[3:5], "done"]
    assert lines[2].endswith("key refused (5)")
    assert f"    bulk-sync run --jobs {office.jobs_file} hill" in lines
    quiet = program("run", "--jobs", office.jobs_file, "--quiet")
    assert quiet.out == ""
    assert quiet.err.startswith("Error: hill: ")


def test_a_run_goes_on_where_the_last_one_stopped(program: Program, office: Office) -> None:
    office.team("vale")
    office.team("hill")
    assert program("run", "vale", "--jobs", office.jobs_file).code == 0
    assert office.servers["hill"].requests == []
    assert program("run", "--jobs", office.jobs_file).code == 0
    assert [len(server.patched) for server in office.servers.values()] == [ROWS, ROWS]


def test_a_job_that_had_to_wait_past_its_time_of_day_sends_nothing(
    program: Program, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `finish-by` is not taken for tomorrow's."""
    hours = [0]
    now, monotonic = SystemClock.now, SystemClock.monotonic
    monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + timedelta(hours=hours[0]))
    monkeypatch.setattr(SystemClock, "monotonic", lambda clock: monotonic(clock) + 3600 * hours[0])

    def hours_pass(request: Request, number: int) -> Deed:
        hours[0] = 2
        return all_good(request, number)

    soon = (now(SystemClock()).astimezone() + timedelta(hours=1)).strftime("%H:%M")
    office.team("a", hours_pass, rows=1)
    office.team("b", options={"finish-by": soon})
    ran = program("run", "--jobs", office.jobs_file, "--at-once", 1, "--json")
    assert (ran.code, [job["exit_code"] for job in ran.summary["jobs"]]) == (6, [0, 6])
    assert office.servers["b"].patched == []


def test_a_key_command_that_hangs_holds_up_no_job_with_a_key_file(
    office: Office, tmp_path: Path
) -> None:
    office.team("asking", key=False)
    office.team("vale")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    jobs = office.jobs_file
    own = f"key-file = {json.dumps(str(tmp_path / 'asking.key'))}"
    text = jobs.read_text("utf-8")
    assert own in text
    jobs.write_text(text.replace(own, f'key-command = "cat {fifo}"'), encoding="utf-8")
    with started("run", "--jobs", jobs, "--json") as running:
        with fifo.open("w", encoding="utf-8") as answer:  # waits until the command reads
            when_sent(ROWS, office.servers["vale"].requests, running)
            answer.write(team_key("asking"))
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err
    assert json.loads(out)["states"]["updated"] == 2 * ROWS

"""A run of many jobs on a terminal: the live table, and the end."""

from __future__ import annotations

import dataclasses
import io
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from bulk_sync.cli.catalogue import COMMANDS
from bulk_sync.cli.next_step import runs_of_jobs
from bulk_sync.clock import SystemClock
from bulk_sync.errors import InputError, Interrupted
from bulk_sync.model.rows import Allowance, RateSource, State, Tally
from bulk_sync.model.summaries import Batch, JobResult, JobsResult, Part
from bulk_sync.report.as_json import jobs_json
from bulk_sync.report.jobs import (
    Counts,
    NextStep,
    counts_of,
    jobs_verdict,
    next_steps,
    pressing_first,
)
from bulk_sync.report.terminal import progress
from bulk_sync.report.terminal.jobs import (
    Look,
    Seen,
    Watcher,
    jobs_lines,
    live_jobs,
    live_lines,
    show_jobs,
    state_of,
    totals,
)
from bulk_sync.report.terminal.table import Cell, Column, shortened, table_lines
from bulk_sync.report.verdict import Tone
from tests.unit.jobs import GONE, bad_rows, cut, good, job, of_every_kind, sixty, summary

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
SIZES = [(80, 24), (120, 40), (200, 60), (30, 8), (80, 3), (1, 1)]


class Still(SystemClock):
    """A clock that is set by hand."""

    at = 0.0

    def monotonic(self) -> float:
        return self.at

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.at)


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def again(names: Sequence[str]) -> str:
    return shlex.join(["bulk-sync", "run", "--jobs", "teams.toml", *names])


def steps_of(*jobs: JobResult) -> tuple[NextStep, ...]:
    return next_steps(jobs, again)


# The live table


def night(jobs: int) -> list[Seen]:
    """Jobs in every state, in turn."""
    sending = Seen("", "sending", done=90, total=2000, per_second=4.9, seconds_left=390.0)
    kinds = [
        replace(sending, limit="5/s"),
        replace(
            sending,
            limit="15 of 1,000/h",
            resets_at="13:00",
            waits=3300.0,
            until="13:00",
            seconds_left=None,
        ),
        replace(
            sending,
            limit="9 of 10/min",
            resets_at="13:00",
            trouble="503 Service Unavailable",
            waits=12.0,
            errors=3,
            seconds_left=None,
        ),
        replace(sending, waits=7.0, errors=1),
        Seen("", "reading"),
        Seen("", "waiting"),
        Seen("", "ended", exit_code=0, done=2000, total=2000),
        Seen("", "ended", exit_code=5, done=0, total=2000),
        Seen("", "not started"),
    ]
    return [replace(kinds[n % len(kinds)], name=f"team-{n:03}") for n in range(jobs)]


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("jobs", [1, 5, 60, 300])
def test_the_live_table_fits_any_terminal(jobs: int, width: int, height: int) -> None:
    for stopping in (False, True):
        lines = live_lines(night(jobs), width, height, stopping=stopping)
        assert len(lines) <= height
        assert all(cell_len(line.plain) <= width for line in lines)


def test_many_jobs_in_trouble_and_those_that_run_come_first_and_the_others_are_counted() -> None:
    lines = [line.plain for line in live_lines(night(300), 120, 40)]
    assert lines[0].split() == ["job", "rows", "rate", "limit", "resets", "at", "state"]
    shown = lines[1:-3]
    assert "outage, next try in 12 s: 503 Service Unavailable" in shown[0]
    assert not any("turn" in line or line.endswith("done") for line in shown)
    assert lines[-3].startswith(
        "not shown: 31 with problems, 67 waiting for a limit, 67 running, "
        "33 waiting for their turn, 33 done"
    )
    assert lines[-2] == (
        "300 jobs: 168 running (34 in an outage), 33 waiting for their turn, 33 done, "
        "33 need attention, 33 not started"
    )
    # The rates add up to 661.5, and from Python 3.12 on `sum` loses less of that.
    pattern = r"78,150 of 402,000 rows, 66[12]/s, at least 55 min left for those that run"
    assert re.fullmatch(pattern, lines[-1])


def test_jobs_that_a_person_stopped_need_no_attention() -> None:
    jobs = [Seen(f"team-{code}", "ended", exit_code=code) for code in (0, 3, 130, 143)]
    assert live_lines(jobs, 120, 24)[-2].plain == "4 jobs: 1 done, 1 needs attention, 2 stopped"


def test_jobs_that_fit_keep_their_order_and_need_no_count() -> None:
    lines = [line.plain for line in live_lines(night(9), 120, 24)]
    assert [line.split()[0] for line in lines[1:10]] == [f"team-{n:03}" for n in range(9)]
    assert len(lines) == 12


@pytest.mark.parametrize(
    ("width", "columns"),
    [
        (160, ["job", "rows", "rate", "limit", "resets at", "left", "state"]),
        (80, ["job", "rows", "rate", "limit", "left", "state"]),
        (45, ["job", "rows", "state"]),
        (30, ["job", "state"]),
    ],
)
def test_a_narrow_terminal_loses_the_least_important_columns(
    width: int, columns: list[str]
) -> None:
    header = live_lines(night(9), width, 24)[0].plain
    assert header.replace("resets at", "resets_at").split() == [
        one.replace(" ", "_") for one in columns
    ]


@pytest.mark.parametrize(
    ("seen", "words", "style"),
    [
        (Seen("a", "sending"), "sending", "green"),
        (Seen("a", "sending", errors=2), "sending, 2 rows with errors", "green"),
        (Seen("a", "reading"), "reading", "green"),
        (Seen("a", "reading", read=1200), "reading, 1,200 rows", "green"),
        (Seen("a", "reading", done=5, total=5, read=5), "finishing a file", "green"),
        (Seen("a", "sending", waits=5.2), "throttled: waiting 5 s", "yellow"),
        (Seen("a", "sending", waits=0.4), "sending", "green"),
        (
            Seen("a", "sending", waits=900, until="17:00:05"),
            "waiting for the API until 17:00:05",
            "yellow",
        ),
        (
            Seen("a", "sending", waits=900, until="17:00:05", for_user=True),
            "waiting for its own limit until 17:00:05",
            "yellow",
        ),
        (
            Seen("a", "sending", trouble="no\x1b reply", waits=3),
            "outage, next try in 3 s: no\\x1b reply",
            "red",
        ),
        (Seen("a", "waiting"), "waiting for its turn", "dim"),
        (Seen("a", "ended", exit_code=0), "done", "green"),
        (Seen("a", "ended", exit_code=3), "rows to correct (3)", "yellow"),
        (Seen("a", "ended", exit_code=5), "key refused (5)", "red"),
        (Seen("a", "ended", exit_code=6), "stopped early (6)", "yellow"),
    ],
)
def test_a_state_is_green_while_healthy_yellow_while_waiting_red_in_trouble(
    seen: Seen, words: str, style: str
) -> None:
    assert state_of(seen)[:2] == (words, style)


def test_a_narrow_terminal_keeps_the_time_at_which_a_wait_ends() -> None:
    jobs = [Seen("a" * 16, "sending", done=1, total=2, waits=900, until="17:00:05")]
    assert live_lines(jobs, 45, 10)[1].plain.endswith("waits until 17:00:05")


def test_rates_are_those_of_the_last_seconds_and_add_up() -> None:
    clock = Still()
    watcher = Watcher(clock)
    tally = Tally(total=500, settled_before=100, limit=5.0, source=RateSource.OPTION)
    look = Look("vale", "sending", tally=tally, earlier=(Tally(total=50, settled_before=50),))
    seen = watcher.look([look])[0]
    assert (seen.done, seen.total, seen.per_second, seen.limit) == (150, 550, 0.0, "5/s")
    for _ in range(100):  # five rows a second, then none
        clock.at += 1
        # From a worker elsewhere each report has a tally of its own.
        before = look.tally or tally
        count = before.decided.get(State.UPDATED, 0) + (clock.at <= 60) * 5
        look.tally = dataclasses.replace(before, decided={State.UPDATED: count})
        seen = watcher.look([look])[0]
        if clock.at == 60:
            assert seen.per_second == pytest.approx(5)
            assert seen.seconds_left == pytest.approx(20)
    assert seen.per_second == 0
    assert look.tally is not None
    look.tally.trouble, look.tally.waiting_until = "no reply", 130.0
    seen = watcher.look([look])[0]
    assert (seen.trouble, seen.waits) == ("no reply", 30.0)
    jobs, rows = totals([seen, replace(seen, name="b"), Seen("c", "waiting")])
    assert jobs == "3 jobs: 2 running (2 in an outage), 1 waiting for their turn"
    assert rows.startswith("900 of 1,100 rows")


def test_a_job_that_sends_already_is_timed_from_its_first_row() -> None:
    clock = Still()
    clock.at = 110.0
    tally = Tally(total=200, decided={State.UPDATED: 100})
    seen = Watcher(clock).look([Look("vale", "sending", tally=tally, since=90.0)])[0]
    assert seen.seconds_left == pytest.approx(20)


@pytest.mark.usefixtures("utc")
def test_an_allowance_is_shown_while_it_does_not_suffice() -> None:
    clock = Still()
    tally = Tally(total=100, limit=10.0, source=RateSource.HEADER)
    tally.allowances = (
        Allowance(1000, 15, NOON + timedelta(hours=5), RateSource.HEADER, 3600),
        Allowance(5000, 400, NOON + timedelta(hours=9), RateSource.HEADER, 86400),
    )
    seen = Watcher(clock).look([Look("vale", "sending", tally=tally)])[0]
    assert (seen.limit, seen.resets_at) == ("15 of 1,000/h", "17:00")
    tally.allowances = tally.allowances[1:]
    assert Watcher(clock).look([Look("vale", "sending", tally=tally)])[0].limit == "10/s"
    tally.limit, tally.allowances = None, (Allowance(remaining=7),)
    assert Watcher(clock).look([Look("vale", "sending", tally=tally)])[0].limit == "7 left"


def test_a_file_that_ends_is_counted_once() -> None:
    tally = Tally(total=5, decided={State.UPDATED: 5})
    look = Look("vale", "sending", tally=tally, earlier=(tally,))
    seen = Watcher(Still()).look([look])[0]
    assert (seen.done, seen.total) == (5, 5)


def test_rows_of_files_to_come_count_and_take_time() -> None:
    clock = Still()
    clock.at = 100.0
    tally = Tally(total=800, decided={State.UPDATED: 500})
    (seen,) = Watcher(clock).look([Look("vale", "sending", tally=tally, to_come=600)])
    assert (seen.done, seen.total) == (500, 1400)
    (seen,) = Watcher(clock).look([Look("vale", "sending", tally=tally, since=0.0, to_come=600)])
    assert seen.seconds_left == pytest.approx(900 / 5)
    (seen,) = Watcher(clock).look([Look("vale", "reading", earlier=(tally,), to_come=600)])
    assert (seen.done, seen.total) == (500, 1400)
    assert "500 of 1,400 rows" in totals([seen])[1]


def test_rows_of_files_that_have_not_begun_are_pending_and_unknown_ones_are_named() -> None:
    sent = summary("vale", {State.UPDATED: 351, State.PENDING: 449}, stopped=Interrupted(2))
    batch = Batch((Part("a.csv", sent), Part("b.csv", unsent=600)), ())
    broken = Batch((Part("c.csv", error=InputError("c.csv: no header")), Part("d.csv")), ())
    jobs = (replace(job("vale"), batch=batch), replace(job("hill"), batch=broken))
    assert counts_of(jobs[:1]) == Counts(1400, 351, 0, 1049)
    (line,) = [one for one in ended(JobsResult(jobs), None) if "rows done" in one]
    assert "351 of 1,400 rows done, 1,049 pending." in line
    assert line.endswith("The rows of 2 files are unknown and not counted.")
    told = jobs_json(JobsResult(jobs))
    assert (told["rows"], told["states"]["pending"]) == (1400, 1049)
    first = told["jobs"][0]
    assert (first["rows"], first["states"]["pending"]) == (1400, 1049)
    assert (first["files"][1]["rows"], first["files"][1]["states"]["pending"]) == (600, 600)
    assert not {"rows", "states"} & set(told["jobs"][1]["files"][0])


KNOWN = Seen("a", "sending", done=9, total=20, seconds_left=43.0)


@pytest.mark.parametrize(
    ("other", "left"),
    [
        (replace(KNOWN, seconds_left=100.0), "about 2 min left"),
        (replace(KNOWN, seconds_left=50.0, waits=42.0), "about 50 s left"),
        (replace(KNOWN, seconds_left=None, waits=42.0), "at least 43 s left"),
        (replace(KNOWN, seconds_left=None, waits=119.0), "at least 1 min left"),
        (replace(KNOWN, seconds_left=None, waits=12.0, trouble="503"), "at least 43 s left"),
        (replace(KNOWN, seconds_left=None, done=20), "about 43 s left"),
        (Seen("b", "reading"), "at least 43 s left"),
        (Seen("b", "reading", done=9, total=20), "at least 43 s left"),
        (Seen("b", "reading", done=20, total=20), "about 43 s left"),
        (Seen("b", "ended", exit_code=3, done=9, total=20), "about 43 s left"),
        (Seen("b", "waiting"), "about 43 s left for those that run"),
    ],
)
def test_the_time_of_all_is_at_least_that_of_the_known_ones(other: Seen, left: str) -> None:
    assert totals([KNOWN, other])[1].endswith(f", {left}")


def test_no_time_is_claimed_if_none_is_known_or_next_to_none() -> None:
    unknown = replace(KNOWN, seconds_left=None)
    assert "left" not in totals([unknown])[1]
    assert "left" not in totals([unknown, replace(KNOWN, seconds_left=4.0)])[1]


def test_elsewhere_the_totals_come_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_SECONDS", 0.001)
    said: list[str] = []
    written = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        written.set()

    with jobs_lines(lambda: night(9), say):
        assert written.wait(60)
    assert said[0].startswith(
        "9 jobs: 5 running (1 in an outage), 1 waiting for their turn, 1 done"
    )
    assert "; 2,360 of 12,000 rows, 19.6/s" in said[0]


def test_a_terminal_gets_the_table_and_keeps_nothing_of_it() -> None:
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True)
    with live_jobs(console, lambda: night(60), lambda: True):
        pass
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert "team-002" in shown
    assert "stopping: requests in flight end" in shown
    assert shown.endswith("\x1b[2K")


# The table


@given(
    rows=st.lists(
        st.lists(st.text("ab 漢,", max_size=30), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    width=st.integers(1, 90),
)
def test_a_table_never_exceeds_its_width(rows: list[list[str]], width: int) -> None:
    columns = (Column("name", least=8), Column("count", rank=1, right=True), Column("x", least=6))
    for line in table_lines(columns, [[Cell(text) for text in row] for row in rows], width):
        assert cell_len(line.plain) <= width


@given(
    words=st.lists(st.text("abc", min_size=1, max_size=9), min_size=2), width=st.integers(11, 60)
)
def test_words_are_never_broken(words: list[str], width: int) -> None:
    text = " ".join(words)
    found = shortened(text, width)
    assert len(found) <= width
    if found != text:
        kept = found.removesuffix("…").split()
        assert kept == words[: len(kept)]


def test_the_first_word_alone_is_cut_if_it_is_too_long() -> None:
    assert shortened("x" * 20, 8) == "xxxxxxx…"


# The end


@pytest.mark.parametrize(
    ("name", "ended", "step"),
    [
        ("bug", "a bug in bulk-sync (1)", "Report the bug"),
        ("no-key", "wrong settings (2)", "Correct the settings"),
        ("to-correct", "rows to correct (3)", "Correct these rows"),
        ("failed", "rows failed (3)", "Run the job again"),
        ("no-header", "unusable sheet (4)", "Correct the sheet"),
        ("refused", "key refused (5)", "Correct the API key"),
        ("outage", "stopped early (6)", "Run the job again"),
        ("disk", "can't write (8)", "Make room"),
        ("interrupted", "stopped (130)", "Run the job again"),
        ("left", "not started", "Run the job again"),
    ],
)
def test_each_way_to_end_has_its_next_step_with_a_command(name: str, ended: str, step: str) -> None:
    one = {job.name: job for job in of_every_kind()}[name]
    (found,) = steps_of(good("other"), one)
    assert (found.jobs, found.ended) == ((name,), ended)
    assert found.step.startswith(step)
    assert found.command == f"bulk-sync run --jobs teams.toml {name}"


def test_values_that_came_back_changed_need_a_look_and_no_command() -> None:
    (found,) = steps_of(job("x", summary("x", {State.UPDATED: 3}, echo_differs=2)))
    assert found.command is None
    assert found.ended == "values came back changed (3)"


def test_rows_in_doubt_are_looked_up_before_they_are_sent_again() -> None:
    one = summary("x", {State.FAILED: 2})
    doubtful = replace(one, causes=tuple(replace(c, left_in_doubt=True) for c in one.causes))
    (found,) = steps_of(job("x", doubtful))
    assert found.step.startswith("Look the rows up in North")


def test_the_most_pressing_comes_first_and_those_that_only_run_again_are_one_step() -> None:
    steps = steps_of(*sixty())
    assert [step.jobs for step in steps] == [
        ("bug",),
        ("refused",),
        ("disk",),
        ("no-key",),
        ("no-header",),
        ("to-correct",),
        ("changed",),
        ("interrupted", "outage", "failed", "left"),
    ]
    assert steps[-1].command == "bulk-sync run --jobs teams.toml interrupted outage failed left"
    order = [job.name for job in pressing_first(sixty())]
    assert order[:7] == [step.jobs[0] for step in steps[:7]]
    assert set(order[11:]) == {job.name for job in sixty() if job.begun and not job.exit_code}


def test_a_run_that_was_stopped_as_a_whole_is_run_again_as_it_was() -> None:
    jobs = (cut("a", Interrupted(2)), JobResult("b"))
    (step,) = steps_of(*jobs)
    assert step.command == "bulk-sync run --jobs teams.toml"
    assert (step.ended, step.reasons) == ("1 stopped (130), 1 not started", ())
    found = jobs_verdict(JobsResult(jobs, Interrupted(2)), (step,))
    assert found.tone is Tone.STOPPED
    assert found.sentence == "0 of 2 jobs are done; 2 have to run again."


def test_more_jobs_than_a_person_reads_are_run_again_with_all() -> None:
    many = [cut(f"t{n}", Interrupted(2)) for n in range(50)]
    (few,) = steps_of(good("a"), *many[:12])
    assert few.command is not None
    assert few.command.endswith("t10 t11")
    (step,) = steps_of(good("a"), *many)
    assert (len(step.jobs), step.ended) == (50, "stopped (130)")
    assert step.command == "bulk-sync run --jobs teams.toml"
    assert step.step.startswith("Run all jobs again")


def test_a_step_of_many_jobs_is_said_once() -> None:
    jobs = tuple(bad_rows(f"t{n}") for n in range(9))
    text = "\n".join(ended(JobsResult(jobs), None))
    assert text.count("Correct these rows in the sheet") == 1
    assert text.count("10 rows to correct: ") == 9
    assert text.count("bulk-sync run --jobs teams.toml t") == 9


def test_the_verdict_counts_the_jobs() -> None:
    def sentence(*jobs: JobResult) -> tuple[str, Tone]:
        found = jobs_verdict(JobsResult(jobs), steps_of(*jobs))
        return found.sentence, found.tone

    assert sentence(good("a")) == ("The job a is done.", Tone.GOOD)
    assert sentence(good("a"), good("b")) == ("All 2 jobs are done.", Tone.GOOD)
    assert sentence(good("a"), cut("b", GONE)) == (
        "1 of 2 jobs is done; 1 has to run again.",
        Tone.STOPPED,
    )
    assert sentence(*sixty()) == (
        "49 of 60 jobs are done; 7 need attention, 4 have to run again.",
        Tone.ATTENTION,
    )


def ended(result: JobsResult, width: int | None) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=width is not None, color_system=None
    )
    show_jobs(console, result, next_steps(result.jobs, again), "night.html")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [None, 80, 120, 40])
def test_sixty_jobs_have_a_line_each_then_totals_and_what_to_do(width: int | None) -> None:
    lines = ended(JobsResult(sixty()), width)
    assert [line.split()[0] for line in lines[1:61]] == [job.name for job in sixty()]
    text = " ".join("\n".join(lines[61:]).split())
    assert "96,220 of 96,415 rows done, 15 with errors, 180 pending." in text
    assert "The rows of 5 jobs are unknown and not counted." in text
    assert "night.html" in text
    for step in next_steps(sixty(), again):
        assert step.command is None or f"    {step.command}" in lines
    if width is not None:
        commands = {f"    {step.command}" for step in next_steps(sixty(), again)}
        assert all(len(line) <= width for line in lines if line not in commands)


def test_a_note_of_many_jobs_is_said_once() -> None:
    jobs = tuple(
        job(f"t{n}", summary(f"t{n}", {State.UPDATED: 1}, notes=("The clock is wrong.",)))
        for n in range(9)
    )
    text = "\n".join(ended(JobsResult(jobs), None))
    assert text.count("The clock is wrong.") == 1
    assert "t0, t1, t2, t3, t4 and 4 more: The clock is wrong." in text


def test_the_notes_of_many_jobs_dont_hide_what_comes_next() -> None:
    jobs = tuple(
        job(f"t{n}", summary(f"t{n}", {State.UPDATED: 1}, notes=(f"Assumed: {n} cells.",)))
        for n in range(50)
    )
    text = "\n".join(ended(JobsResult(jobs), None))
    assert text.count("Assumed") == 12
    assert "and 38 more notes; --json has all of them" in text


def test_names_and_reasons_cant_control_the_terminal() -> None:
    text = "\n".join(ended(JobsResult((cut("a\x1b[2J", GONE), good("b\nc"))), None))
    assert "\x1b" not in text
    assert "a\\x1b[2J" in text
    assert "b\\nc" in text


def test_the_json_has_the_next_step_of_each_job() -> None:
    jobs = of_every_kind()
    found = {one["job"]: one for one in jobs_json(JobsResult(jobs), steps_of(*jobs))["jobs"]}
    assert found["done"]["next"] is None
    assert found["refused"]["next"] == {
        "step": "Correct the API key or the team of the job, then run it again:",
        "command": "bulk-sync run --jobs teams.toml refused",
    }
    assert found["left"]["begun"] is False
    assert "secret value" not in str(found)


@pytest.mark.parametrize(
    ("typed", "for_vale", "for_all"),
    [
        ("run", "run vale", "run"),
        ("run --jobs t.toml", "run --jobs t.toml vale", "run --jobs t.toml"),
        ("run --dask local:2", "run --dask local:2 vale", "run --dask local:2"),
        (
            "run --jobs=t.toml hill vale --page p.html --finish-by 06:00 --quiet -v",
            "run --jobs=t.toml vale",
            "run --jobs=t.toml hill vale --page p.html --finish-by 06:00 --quiet -v",
        ),
        (
            "run vale --at-once 3 --jobs vale --metrics-file m.prom",
            "run --jobs vale --metrics-file m.prom vale",
            "run vale --at-once 3 --jobs vale --metrics-file m.prom",
        ),
        (
            "run --on-finish 'curl x/token' --config --jobs --log-file --metrics-file",
            "run --config --jobs vale",
            "run --on-finish ... --config --jobs --log-file --metrics-file",
        ),
        ("run -- --jobs", "run vale", "run -- --jobs"),
    ],
)
def test_the_command_for_a_job_keeps_what_chooses_and_drops_what_is_about_all(
    monkeypatch: pytest.MonkeyPatch, typed: str, for_vale: str, for_all: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["bulk-sync", *shlex.split(typed)])
    command = runs_of_jobs(COMMANDS["run"].options)
    assert command(["vale"]) == f"bulk-sync {for_vale}"
    assert command([]) == f"bulk-sync {for_all}"
    assert command(["-x", "a b"]).endswith(" -- -x 'a b'")


def test_files_left_for_later_are_named() -> None:
    waits = replace(good("a"), batch=Batch((), (Path("in/new.csv"),), 60.0))
    lines = ended(JobsResult((waits,)), None)
    assert lines[1].endswith("no sheet yet")
    assert any(line.startswith("a: 1 sheet changed less than") for line in lines)

"""What a night leaves for the morning: log lines, metrics, and the command that is told how it
ended.
"""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime, time
from pathlib import Path
from time import tzset
from zoneinfo import ZoneInfo

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bulk_sync.cli.finish import write_metrics
from bulk_sync.clock import SystemClock, seconds_until
from bulk_sync.errors import OutputError
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.faultserver import always, answers, fault_server, for_keys, good, in_turn
from tests.helpers import KEY, after_sending_line, numbered, poll, write_sheet


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "s.csv", numbered(20))


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def metrics(path: Path) -> dict[str, float]:
    """Samples by name and by their labels but the job's."""
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))
    return {
        " ".join(
            [sample.name, *(value for name, value in sample.labels.items() if name != "job")]
        ): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.usefixtures("fast_time")
def test_json_lines_on_standard_error_tell_the_whole_run_and_nothing_else_is_there(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    faults = (parse_fault("20%:503"), parse_fault("20%:404"))
    with sandboxes(faults=faults, seed=3) as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--log-format", "json", "--json", "-v"
        )
    lines = lines_of(ran.err)
    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(line["time"])) for line in lines
    )
    assert {line["job"] for line in lines} == {str(sheet)}
    assert lines[0]["event"] == "begin"
    assert (lines[-1]["event"], lines[-1]["exit_code"], lines[-1]["level"]) == ("end", 3, "WARNING")
    requests = [line for line in lines if line["event"] == "request"]
    assert 1 + len(requests) == ran.summary["requests"]
    retries = [line for line in lines if line["event"] == "retry"]
    assert len(retries) == ran.summary["retries"] > 0
    assert all(line["http_status"] == 503 and line["wait"] != "" for line in retries)
    decided = {line["row"]: line["state"] for line in lines if line["event"] == "row"}
    assert len(decided) == 20
    assert list(decided.values()).count("rejected") == ran.summary["states"]["rejected"] > 0
    assert KEY not in ran.err


def test_a_log_file_grows_by_run_and_leaves_out_requests(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes(faults=(parse_fault("20%:404"),)) as witness:
        for _ in range(2):
            program(
                "push",
                sheet,
                "--base-url",
                witness.base_url,
                "--log-file",
                "run.log",
                "--quiet",
                "--fresh",
            )
    text = Path("run.log").read_text(encoding="utf-8")
    assert Path("run.log").stat().st_mode & 0o777 == 0o600
    assert text.count(" INFO begins: ") == text.count("ends with exit code 3") == 2
    assert "rejected: " in text
    assert "attempt 1: 200" not in text


def test_an_error_is_told_once_by_the_log(program: Program) -> None:
    ran = program("push", "none.csv", "--log-format", "json")
    assert (ran.code, ran.out) == (4, "")
    assert lines_of(ran.err)[-1] == {
        **lines_of(ran.err)[-1],
        "level": "ERROR",
        "event": "end",
        "exit_code": 4,
        "message": "none.csv: there is no such file.",
    }
    assert program("push", "none.csv", "--log-file", "run.log").err.startswith("Error: none.csv")
    assert "ERROR none.csv" in Path("run.log").read_text(encoding="utf-8")
    assert program("push", "none.csv", "--log-file", "absent/run.log").code == 8


@pytest.mark.usefixtures("fast_time")
def test_being_throttled_is_logged_and_counted_once(program: Program, sheet: Path) -> None:
    throttles = answers(429, {"error": {"message": "Too many requests"}}, "Retry-After: 2")
    with fault_server(for_keys({"ext_7": in_turn(throttles, good)})) as journal:
        push = ("push", sheet, "--base-url", journal.base_url)
        ran = program(*push, "--json", "--log-format", "json")
    (wait,) = (line for line in lines_of(ran.err) if line["event"] == "throttled")
    assert 0 < float(str(wait["wait"])) <= 2  # what is left of it
    assert 0 < ran.summary["throttled_seconds"] <= ran.summary["seconds"] + 2
    assert ran.summary["statuses"] == {"200": 20, "429": 1}
    assert (ran.summary["throttled"], ran.summary["requests"]) == (1, 1 + 21)


def test_metrics_say_how_the_run_ended_and_keep_the_last_success(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    path = Path("bulk.prom")
    with sandboxes() as witness:
        options = ("--base-url", witness.base_url, "--metrics-file", path)
        assert program("push", sheet, *options).code == 0
    told = metrics(path)
    assert told["bulk_sync_rows updated"] == 20
    assert told["bulk_sync_requests 200"] == 20
    assert told["bulk_sync_exit_code"] == 0
    success = told["bulk_sync_last_success_timestamp_seconds"]
    assert success == told["bulk_sync_last_run_timestamp_seconds"]
    sheet.write_text("nothing of use\n", encoding="utf-8")
    assert program("push", sheet, *options).code == 4
    told = metrics(path)
    assert told["bulk_sync_exit_code"] == 4
    assert (
        told["bulk_sync_last_success_timestamp_seconds"]
        == success
        < told["bulk_sync_last_run_timestamp_seconds"]
    )
    assert path.stat().st_mode & 0o777 == 0o644
    assert not [found for found in Path().iterdir() if found.name.startswith("bulk.prom.")]


def test_metrics_that_cannot_be_written_stop_the_run_before_it_sends(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes() as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--metrics-file", "absent/bulk.prom"
        )
        assert ran.code == 8
        assert witness.journal() == []
    with pytest.raises(OutputError, match="--metrics-file"):
        write_metrics(Path("absent/bulk.prom"), "s.csv", {"exit_code": 4}, SystemClock().now())
    Path("torn.prom").write_text("bulk_sync_last_success{", encoding="utf-8")
    write_metrics(Path("torn.prom"), "s.csv", {"exit_code": 4}, SystemClock().now())
    assert "bulk_sync_last_success_timestamp_seconds" not in metrics(Path("torn.prom"))


@pytest.mark.parametrize("found", [True, False])
def test_the_command_at_the_end_gets_summary_and_exit_code_and_no_key(
    program: Program, sandboxes: Sandboxes, sheet: Path, found: bool
) -> None:
    hook = 'cat > told.json; env > told.env; echo "code $BULK_SYNC_EXIT_CODE"'
    with sandboxes() as witness:
        name = sheet if found else "none.csv"
        ran = program("push", name, "--base-url", witness.base_url, "--json", "--on-finish", hook)
    told = json.loads(Path("told.json").read_text(encoding="utf-8"))
    environment = Path("told.env").read_text(encoding="utf-8")
    assert told["exit_code"] == ran.code == (0 if found else 4)
    assert f"BULK_SYNC_EXIT_CODE={ran.code}" in environment
    assert KEY not in environment
    assert f"code {ran.code}" in ran.err.splitlines()
    if found:
        assert told == ran.summary
    else:
        assert "no such file" in told["error"]


def test_a_command_that_fails_is_said_and_changes_nothing(
    program: Program, sandboxes: Sandboxes, sheet: Path
) -> None:
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--on-finish", "exit 7")
    assert ran.code == 0
    assert (
        after_sending_line(ran.err) == "Error: --on-finish: the command ended with 7.\n"
    )  # the command may have a token in it


def test_the_command_at_the_end_hears_of_a_run_that_had_no_key(
    program: Program, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NORTH_API_KEY")
    options = (
        "--on-finish",
        "cat > told.json",
        "--metrics-file",
        "bulk.prom",
        "--log-file",
        "run.log",
    )
    ran = program("push", sheet, *options)
    told = json.loads(Path("told.json").read_text(encoding="utf-8"))
    assert (ran.code, told["exit_code"], told["input"]) == (2, 2, str(sheet))
    assert "NORTH_API_KEY" in told["error"]
    assert metrics(Path("bulk.prom"))["bulk_sync_exit_code"] == 2
    assert "NORTH_API_KEY" in Path("run.log").read_text(encoding="utf-8")


@pytest.mark.slow  # its time passes
def test_a_command_that_never_ends_is_ended_with_all_that_it_started(
    program: Program, sandboxes: Sandboxes, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.cli.finish.HOOK_SECONDS", 1)
    hook = "sleep 60 & echo $! > child; wait"
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--on-finish", hook)
    assert ran.code == 0
    assert after_sending_line(ran.err) == "Error: --on-finish: the command was killed after 1 s.\n"
    child = Path("/proc", Path("child").read_text(encoding="utf-8").strip(), "stat")

    def is_dead() -> bool:  # or nobody has waited for it yet
        return not child.exists() or child.read_text(encoding="utf-8").split()[2] == "Z"

    poll(is_dead)


def test_a_key_among_the_words_of_the_command_line_is_not_told_on(program: Program) -> None:
    hook = ("--on-finish", "cat > told.json", "--log-file", "run.log")
    ran = program("push", "none.csv", "--profile", KEY, *hook)
    assert ran.code != 0
    for text in (
        Path("told.json").read_text(encoding="utf-8"),
        Path("run.log").read_text(encoding="utf-8"),
        ran.err,
    ):
        assert KEY not in text
        assert "north_sk_***" in text


@pytest.mark.usefixtures("fast_time")
def test_a_run_ends_by_the_time_of_day_that_it_is_told(
    program: Program, sandboxes: Sandboxes, sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for a permit that comes too late."""
    now = datetime(2026, 3, 2, 9, 59, 30).astimezone()
    monkeypatch.setattr(SystemClock, "now", lambda _: now.astimezone(UTC))
    with sandboxes() as witness:
        to = ("push", sheet, "--base-url", witness.base_url, "--json")
        ran = program(*to, "--rate", "2/m", "--finish-by", "10:00")
        assert len(witness.patches()) == 1
    assert ran.code == 6
    assert "--finish-by" in ran.summary["stopped"]
    assert ran.summary["states"]["pending"] == 19


@pytest.mark.usefixtures("fast_time")
def test_check_says_whether_the_window_suffices_at_the_limit_as_last_met(
    program: Program, sheet: Path
) -> None:
    policy = 'RateLimit-Policy: "default";q=40;w=10'
    with fault_server(always(answers(200, {"data": {}}, policy))) as journal:
        to = ("--base-url", journal.base_url)
        before = program("check", sheet, *to, "--deadline", "1h", "--json").summary
        assert (before["requests_per_second"], before["window_suffices"]) == (None, None)
        pushed = program("push", sheet, *to, "--rate", "auto", "--json").summary
    sheet = Path(shutil.copy(sheet, sheet.with_name("not pushed.csv")))
    known = program("check", sheet, *to, "--deadline", "1h", "--json").summary
    limit = pushed["rate_limit"]
    assert limit["source"] == "header"
    assert known["requests_per_second"] == pytest.approx(limit["requests_per_second"], rel=1e-3)
    assert known["seconds"] == pytest.approx(20 / known["requests_per_second"], rel=0.1)
    assert (known["window_seconds"], known["window_suffices"]) == (3600, True)
    short = program("check", sheet, *to, "--deadline", "0.1s")
    assert "the API's limit when last met" in short.out
    assert "would stay pending (exit code 6)" in short.out
    slow = program("check", sheet, *to, "--rate", "1/s", "--finish-by", "23:59", "--json").summary
    assert slow["requests_per_second"] == 1
    assert 0 < slow["window_seconds"] <= 86400


@pytest.mark.parametrize(
    ("now", "at", "hours"),
    [
        ("2026-03-02T02:15", time(6), 3.75),
        ("2026-03-02T22:00", time(6), 8),
        ("2026-03-02T06:00", time(6), 24),
        ("2026-03-08T00:30", time(6), 4.5),  # the clock goes forward in that night
        ("2026-11-01T00:30", time(6), 6.5),  # and back in this one
    ],
)
def test_the_time_of_day_is_the_machines_also_when_its_clock_changes(
    monkeypatch: pytest.MonkeyPatch, now: str, at: time, hours: float
) -> None:
    class Clock(SystemClock):
        def now(self) -> datetime:
            return (
                datetime.fromisoformat(now)
                .replace(tzinfo=ZoneInfo("America/Chicago"))
                .astimezone(UTC)
            )

    monkeypatch.setenv("TZ", "America/Chicago")
    tzset()
    try:
        assert seconds_until(at, Clock()) == hours * 3600
    finally:
        monkeypatch.undo()
        tzset()


@pytest.mark.parametrize("option", ["--log-file", "--metrics-file"])
@pytest.mark.parametrize(
    "taken",
    ["s.csv", "hard.csv", "soft.csv", "s.results.csv", "s.checkpoint.sqlite", "key", "p.toml"],
)
def test_the_log_and_the_metrics_replace_no_other_file_of_the_run(
    program: Program, sheet: Path, option: str, taken: str
) -> None:
    folder = sheet.parent
    (folder / "hard.csv").hardlink_to(sheet)
    (folder / "soft.csv").symlink_to(sheet)
    key = folder / "key"
    key.write_text(KEY, encoding="utf-8")
    key.chmod(0o600)
    (folder / "p.toml").write_text("strict = true\n", encoding="utf-8")
    options = (
        "--base-url",
        "http://127.0.0.1:9",
        "--profile",
        folder / "p.toml",
        "--key-file",
        key,
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for inputs in ((sheet,), (folder,)):
        ran = program("push", *inputs, *options, option, folder / taken)
        assert (ran.code, ran.out) == (2, "")
        assert f" and {option} " in ran.err
        assert "can't be the same file" in ran.err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before

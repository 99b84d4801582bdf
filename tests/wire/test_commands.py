"""Every error a user can meet: one sentence, the right exit code, no traceback, and nothing left
lying about.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

import bulk_sync
from bulk_sync import errors, pipeline
from tests.conftest import Program, Sandboxes
from tests.helpers import (
    no_file_beyond,
    numbered,
    read_csv,
    run,
    write_sheet,
)


def one_sentence(text: str) -> bool:
    return (
        text.startswith("Error: ")
        and text.rstrip().endswith((".", "--help"))
        and "Traceback" not in text
        and text.count("\n") == 1
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["none.csv"], 4, "none.csv: there is no such file"),
        (["nokey.csv"], 4, "no column names the showings (unique_showing_key)"),
        (["empty.csv"], 4, "the file is empty"),
        (["latin.csv"], 4, "is not UTF-8 text, and its encoding can't be found"),
        (["broken.csv"], 4, "not well-formed CSV"),
        (["mostly-bad.csv"], 4, "2 of 3 rows can't be sent, more than --max-problems allows (50%)"),
        (["good.csv", "--workers", "0"], 2, "--workers"),
        (["good.csv", "--base-url", "http://api.example.com"], 2, "unencrypted"),
        (["good.csv", "--base-url", "https://a b"], 2, "is not a base URL"),
        (["good.csv", "--base-url", "https://é..x"], 2, "is not a base URL"),
        (["good.csv", "--base-url", "https://xn--a"], 2, "can't be used"),
        (["good.csv", "--base-url", "http://127.0.0.1:0"], 2, "is not a base URL"),
        (
            ["good.csv", "--base-url", "https://me:hunter2@api.example.com"],
            2,
            "no user name or password",
        ),
        (["good.csv", "--key-file", "none"], 2, "no such file"),
        (["good.csv", "--out", "good.csv"], 8, "no checkpoint can be made here"),
        (["good.csv", "--out", "good.csv/deeper"], 8, "no checkpoint can be made here"),
        (["good.csv", "--results", "folder"], 8, "this is a folder"),
        (["good.csv", "--results", "absent/results.csv"], 8, "no such file or folder"),
        (["good.csv", "--checkpoint", "latin.csv"], 4, "damaged"),
        (
            ["good.csv", "--results", "good.csv"],
            2,
            "the input and --results can't be the same file",
        ),
        (
            ["good.csv", "--checkpoint", "good.csv"],
            2,
            "the input and --checkpoint can't be the same file",
        ),
        (["good.csv", "--results", "good.checkpoint.sqlite"], 2, "can't be the same file"),
        (["good.csv", "--results", "/dev/null"], 8, "not a regular file"),
    ],
)
def test_push_refuses_with_one_sentence(
    program: Program, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    write_sheet(tmp_path / "good.csv", numbered(3))
    write_sheet(tmp_path / "nokey.csv", [["x", 1]], ["Key", "rating"])
    write_sheet(tmp_path / "mostly-bad.csv", [["a", "", 0], ["b", "", "x"], ["c", "", 1]])
    (tmp_path / "empty.csv").touch()
    (tmp_path / "latin.csv").write_bytes(
        b"unique_showing_key,feedback\next_1,caf\x81 " + b"-" * 600 + b"\n"
    )
    (tmp_path / "broken.csv").write_text(
        'unique_showing_key,feedback\next_1,"open\n', encoding="utf-8"
    )
    (tmp_path / "folder").mkdir()
    before = {path.name for path in tmp_path.iterdir()}
    ran = program("push", "--base-url", "http://127.0.0.1:9", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert one_sentence(ran.err), ran.err
    assert words in ran.err
    assert "hunter2" not in ran.err
    made = {path.name for path in tmp_path.iterdir()} - before
    assert not {name for name in made if name.endswith(".part")}
    if arguments[0] in {"none.csv", ".", "empty.csv", "nokey.csv"} or (
        code == 2 and "xn--" not in arguments[-1]
    ):
        assert made == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["push"],
        ["push", "x.csv", "--rate", "fast"],
        ["push", "x.csv", "--rate", "0/s"],
        ["push", "x.csv", "--retry-for", "soon"],
        ["push", "x.csv", "--max-problems", "many"],
        ["push", "x.csv", "--unknown"],
        ["sandbox", "--fault", "often"],
        ["sandbox", "--latency", "slow"],
        ["sandbox", "--limit-style", "none"],
        ["sandbox", "--port", "99999"],
        ["nonsense"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_would_be_right(
    program: Program, arguments: list[str]
) -> None:
    ran = program(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert one_sentence(ran.err), ran.err


def test_without_a_command_the_help_is_shown(program: Program) -> None:
    ran = program()
    assert ran.code == 2
    assert "Usage: bulk-sync" in ran.out


def test_without_a_key_it_says_where_to_put_one(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NORTH_API_KEY")
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    ran = program("push", sheet)
    assert ran.code == 2
    assert one_sentence(ran.err)
    assert "NORTH_API_KEY" in ran.err


def test_a_header_without_rows_sends_nothing_and_says_so(program: Program, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [])
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9")
    assert ran.code == 0
    assert "a header and no rows" in ran.out


def test_a_sheet_without_any_valid_row_is_complete_when_that_is_allowed(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [["a", "", 9]])
    ran = program("push", sheet, "--base-url", "http://127.0.0.1:9", "--max-problems", "100%")
    assert ran.code == 3
    assert "no row is a valid change" in ran.out


@pytest.mark.parametrize("name", ["status", "report"])
def test_status_and_report_of_a_file_that_was_never_pushed(
    program: Program, tmp_path: Path, name: str
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    ran = program(name, sheet)
    assert ran.code == 4
    assert one_sentence(ran.err)
    assert "never pushed" in ran.err


def test_a_bug_of_ours_is_a_sentence_with_code_1_and_a_traceback_only_when_asked(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("north_sk_test_in_the_text")

    monkeypatch.setattr(pipeline, "stage_sheet", broken)
    ran = program("push", sheet)
    assert ran.code == 1
    assert one_sentence(ran.err)
    assert "a bug in bulk-sync (ZeroDivisionError at " in ran.err
    assert "north_sk_test_in_the_text" not in ran.err
    debug = program("--debug", "push", "--checkpoint", "/dev/null/x", sheet)
    assert debug.code == 8  # an error for the user stays a sentence
    assert "Traceback" not in debug.err


def test_report_writes_the_same_files_again(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [*numbered(2), ("ext_9", "", 9)])
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
    before = {name: (tmp_path / name).read_bytes() for name in ("x.results.csv", "x.failed.csv")}
    for name in before:
        (tmp_path / name).unlink()
    assert program("report", sheet).code == 0
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert (
        program("report", tmp_path / "x.checkpoint.sqlite", "--out", elsewhere, "--quiet").code == 0
    )
    assert (elsewhere / "x.results.csv").read_bytes() == before["x.results.csv"]


def test_a_failed_file_goes_when_nothing_is_left_to_mend(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("ext_1", "", 4), ("ext_9", "", 9)])
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
        assert (tmp_path / "x.failed.csv").exists()
        write_sheet(sheet, [("ext_1", "", 4), ("ext_9", "", 5)])
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
    assert not (tmp_path / "x.failed.csv").exists()


def test_the_status_of_a_job_has_limit_and_seconds_of_killed_runs(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(20))
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--rate", "40/s", "--json")
    with sqlite3.connect(tmp_path / "x.checkpoint.sqlite") as checkpoint:
        checkpoint.execute("UPDATE job SET seconds = 0")  # as a kill leaves it
    found = program("status", sheet, "--json").summary
    assert found["rate_limit"]["requests_per_second"] == 40
    assert found["rate_limit"]["source"] == ran.summary["rate_limit"]["source"]
    assert 0 < found["rows_per_second"] < 60


def test_a_failed_file_that_somebody_is_mending_is_never_overwritten(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("ext_1", "", 4), ("ext_8", "", 0), ("ext_9", "", 9)])
    failed = tmp_path / "x.failed.csv"
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url, "--max-problems", "100%")
        assert "edited" not in program("report", sheet).out
        assert (
            "edited"
            not in program(
                "push", sheet, "--base-url", witness.base_url, "--max-problems", "3", "--fresh"
            ).out
        )
        for name in ("x.failed.edited.csv", "x.failed.edited-2.csv"):
            failed.write_text(
                failed.read_text(encoding="utf-8").replace("ext_9,,9", f"ext_9,{name},5"),
                encoding="utf-8",
            )
            mended = failed.read_bytes()
            ran = program("report", sheet)
            assert f"it is kept as {tmp_path / name}" in ran.out
            assert (tmp_path / name).read_bytes() == mended
            assert read_csv(failed)[1]["rating"] == "9"
    assert not list(tmp_path.glob("*-wal"))
    assert not list(tmp_path.glob("*-shm"))


def test_a_failed_file_of_another_job_is_kept(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", [("ext_1", "", 4), ("ext_9", "", 9)])
    with sandboxes() as witness:
        push = ("push", sheet, "--base-url", witness.base_url)
        assert "edited" not in program(*push).out
        ran = program(*push, "--checkpoint", tmp_path / "other.sqlite")
    assert "x.failed.csv was edited, or written by another job" in ran.out
    assert (tmp_path / "x.failed.edited.csv").exists()


def test_a_full_disk_ends_with_8_and_the_run_resumes(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(
        tmp_path / "x.csv", [(key, text * 20, rating) for key, text, rating in numbered(800)]
    )
    with sandboxes() as witness:
        with no_file_beyond(200_000):
            ran = program("push", sheet, "--base-url", witness.base_url)
        assert ran.code == 8, ran.err
        assert "Traceback" not in ran.err
        assert not list(tmp_path.glob("*.part"))
        again = program("push", sheet, "--base-url", witness.base_url, "--json")
        assert (again.code, again.summary["states"]["updated"]) == (0, 800)


def test_a_file_whose_name_is_not_utf_8_is_pushed_like_any_other(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.csv")), numbered(2))
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 0
    assert program("status", sheet, "--json").summary["states"]["updated"] == 2


@pytest.mark.parametrize(
    ("transport", "variable", "value", "words"),
    [
        (
            "httpx",
            "HTTPS_PROXY",
            "ftp://127.0.0.1:9",
            "a proxy that the environment names, can't be used",
        ),
        ("httpx", "ALL_PROXY", "socks5://127.0.0.1:9", "httpx[socks]"),
        ("httpx", "SSL_CERT_FILE", "/nowhere", "the certificates /nowhere (SSL_CERT_FILE"),
        ("httptools", "SSL_CERT_FILE", "/nowhere", "the certificates /nowhere (SSL_CERT_FILE"),
    ],
)
def test_an_environment_that_cannot_be_used_is_said(
    program: Program,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    transport: str,
    variable: str,
    value: str,
    words: str,
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    monkeypatch.setenv(variable, value)
    ran = program("push", sheet, "--base-url", "https://api.example.com", "--transport", transport)
    assert ran.code == 2
    assert one_sentence(ran.err)
    assert words in ran.err


@pytest.mark.slow  # the demo takes its time, also when that goes fast
@pytest.mark.usefixtures("fast_time")
def test_demo_updates_all_samples_and_leaves_its_files_here(
    program: Program, tmp_path: Path
) -> None:
    ran = program("demo")
    assert ran.code == 0
    assert "updated" in ran.out
    results = read_csv(tmp_path / "sample-showings.results.csv")
    assert len(results) == 200
    assert {line["state"] for line in results} == {"updated"}
    assert any(int(line["attempts"]) > 1 for line in results)
    assert program("demo", "--json").summary["states"]["updated"] == 200


def test_version_and_module() -> None:
    assert run("--version").out == f"bulk-sync {bulk_sync.__version__}\n"


def test_the_library_offers_push_and_its_types() -> None:
    assert bulk_sync.push is pipeline.push
    assert bulk_sync.PushSettings.__name__ == "PushSettings"
    assert bulk_sync.Summary.__name__ == "Summary"
    with pytest.raises(AttributeError, match="no attribute 'pull'"):
        _ = bulk_sync.pull


def test_every_error_of_the_tree_has_the_exit_code_that_the_contract_names() -> None:
    found = {
        error.__name__: error.exit_code
        for error in _tree(errors.BulkSyncError)
        if error is not errors.Interrupted
    }
    assert found == {
        "BulkSyncError": 1,
        "UsageError": 2,
        "InputError": 4,
        "ReadFailed": 4,
        "CheckpointError": 4,
        "CheckpointDamaged": 4,
        "KeyRefused": 5,
        "WrongTeam": 5,
        "Outage": 6,
        "StoppedEarly": 6,
        "CheckpointBusy": 7,
        "OutputError": 8,
        "CheckpointLocked": 8,
        "NameTaken": 8,
        "Declined": 130,
    }
    assert [errors.Interrupted(number).exit_code for number in (1, 2, 15)] == [129, 130, 143]


def _tree(root: type[errors.BulkSyncError]) -> list[type[errors.BulkSyncError]]:
    return [root, *(found for child in root.__subclasses__() for found in _tree(child))]


def test_a_check_of_a_folder_without_sheets_has_nothing_to_do(program: Program) -> None:
    ran = program("check", ".")
    assert (ran.code, ran.err) == (0, "")
    assert "no sheet found" in ran.out

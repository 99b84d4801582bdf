"""Several sheets in one run: one summary, each its own checkpoint; folders, what is left alone,
what is moved away.
"""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bulk_sync import batch
from bulk_sync.clock import SystemClock
from bulk_sync.run.archive import PREFIX
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import numbered, read_csv, write_sheet


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two good sheets, one with a row to mend, one that is none."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    write_sheet(folder / "a.csv", numbered(3))
    write_sheet(folder / "b.csv", [*numbered(3, first=10), ("ext_13", "fine", 9)])
    (folder / "c.csv").write_text("no,key,here\n1,2,3\n", encoding="utf-8")
    write_sheet(folder / "d.csv", numbered(3, first=20))
    return folder


def test_a_folder_is_pushed_file_by_file_with_one_summary(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        ran = program("push", inbox, "--base-url", witness.base_url, "--settle", "0s", "--json")
        assert len(witness.patches()) == 9
    told = ran.summary
    assert (
        ran.code == told["exit_code"] == 4
    )  # a file that can't be used is more pressing than rows to mend
    assert [Path(file["input"]).name for file in told["files"]] == [
        "a.csv",
        "b.csv",
        "c.csv",
        "d.csv",
    ]
    assert [file["exit_code"] for file in told["files"]] == [0, 3, 4, 0]
    assert told["states"]["updated"] == told["statuses"]["200"] == 9
    assert told["requests"] == 3 + 9  # users/me for each file that is sent
    assert told["states"]["invalid"] == 1
    assert len(read_csv(inbox / "a.results.csv")) == 3
    assert (inbox / "d.checkpoint.sqlite").exists()
    with sandboxes() as witness:
        (inbox / "c.csv").unlink()
        again = program("push", inbox, "--base-url", witness.base_url, "--settle", "0s")
    assert (
        again.code == 2
    )  # the checkpoints belong to the other address; their own results are no inputs
    assert again.err.count("Error: ") == 3


def test_files_that_are_named_and_their_text(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        ran = program("push", inbox / "d.csv", inbox / "b.csv", "--base-url", witness.base_url)
    assert ran.code == 3
    lines = ran.out.splitlines()
    assert lines[0].split() == ["file", "rows", "updated", "invalid", "exit", "code"]
    assert lines[1].split()[-4:] == ["3", "3", "0", "0"]
    assert f"To correct: {inbox / 'b.failed.csv'}" in lines
    rehearsed = program("push", inbox / "d.csv", inbox / "b.csv", "--sandbox", "--out", "rehearsal")
    assert (
        f"{inbox / 'd.csv'}: Rehearsal: sent to a sandbox on this machine, nothing reached North."
        in rehearsed.out
    )


def test_a_refused_key_or_an_outage_ends_the_whole_run(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes(revoke_after=2) as witness:
        ran = program("push", inbox, "--base-url", witness.base_url, "--settle", "0s", "--json")
        assert len(witness.journal()) <= 4
    assert ran.code == 5
    assert [file["exit_code"] for file in ran.summary["files"]] == [5, 0, 0, 0]
    assert "not begun" in ran.summary["files"][1]["error"]


@pytest.mark.usefixtures("fast_time")
def test_one_deadline_holds_for_all_files(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        to = ("push", inbox, "--base-url", witness.base_url, "--settle", "0s", "--json")
        ran = program(*to, "--rate", "2/m", "--deadline", "30s")
        assert len(witness.patches()) == 1
    assert ran.code == 6
    assert ran.summary["states"]["updated"] == 1


def test_a_file_that_is_still_written_is_left_alone(
    program: Program, sandboxes: Sandboxes, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)  # a busy machine may take ten seconds for what follows
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    old = datetime.now(UTC).timestamp() - 3600
    os.utime(
        inbox / "a.csv", (old, old)
    )  # as cp -p and rsync do: the content is from now all the same
    with sandboxes() as witness:
        ran = program("push", inbox, "--base-url", witness.base_url, "--json")
        text = program("push", inbox, "--base-url", witness.base_url)
        assert witness.journal() == []
    assert (ran.code, text.code) == (0, 0)
    assert [Path(path).name for path in ran.summary["unsettled"]] == [
        "a.csv",
        "b.csv",
        "c.csv",
        "d.csv",
    ]
    assert "4 sheets changed less than 10s ago and were left for the next run" in text.out
    assert "no sheet found" not in text.out
    later = batch.inputs_of([inbox], 10, datetime.now(UTC) + timedelta(seconds=11))
    assert [path.name for path in later.files] == ["a.csv", "b.csv", "c.csv", "d.csv"]


@pytest.mark.parametrize(
    "name",
    ["x.results.csv", "x.failed.csv", "x.xlsx.failed.edited.csv", ".x.csv", "~$x.xlsx", "x.md"],
)
def test_what_is_no_input_in_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x", encoding="utf-8")
    later = datetime.now(UTC) + timedelta(days=1)
    assert batch.inputs_of([tmp_path], 10, later) == batch.Inputs((), ())


def test_finished_sheets_are_moved_away_and_others_stay(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    done = inbox.parent / "done"
    before = {name: (inbox / name).read_bytes() for name in ("a.csv", "b.csv", "d.csv")}
    with sandboxes() as witness:
        options = ("--base-url", witness.base_url, "--archive", done)
        program("push", inbox, *options, "--settle", "0s", "--quiet")
        assert sorted(path.name for path in done.iterdir()) == ["a.csv", "d.csv"]
        assert {path.name for path in inbox.glob("?.csv")} == {"b.csv", "c.csv"}
        assert (done / "a.csv").read_bytes() == before["a.csv"]
        write_sheet(inbox / "a.csv", numbered(4, first=40))
        ran = program("push", inbox / "a.csv", *options)
    assert ran.code == 0
    assert (done / "a.csv").read_bytes() == before["a.csv"]
    (kept,) = (path for path in done.iterdir() if path.name not in {"a.csv", "d.csv"})
    assert kept.name.startswith("a.20")
    assert f"{inbox / 'a.csv'} is now {kept}" in ran.out


def test_a_sheet_that_cannot_be_moved_has_its_summary_all_the_same(
    program: Program, sandboxes: Sandboxes, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = inbox.parent / "done"
    done.mkdir()

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    with sandboxes() as witness:
        options = ("--base-url", witness.base_url, "--archive", done)
        monkeypatch.setattr(os, "rename", refused)
        alone = program("push", inbox / "a.csv", *options)
        together = program("push", inbox / "b.csv", inbox / "d.csv", *options, "--json")
    assert alone.code == 8
    assert "updated  3" in alone.out
    assert alone.err.count("Error: ") == 1
    assert together.code == 8
    assert together.err.count("Error: ") == 1
    assert [
        (file["exit_code"], file["states"]["updated"]) for file in together.summary["files"]
    ] == [(3, 3), (8, 3)]
    assert "done" in together.summary["files"][1]["error"]
    assert (inbox / "a.csv").exists()


def test_an_archive_that_is_no_folder_is_refused_before_anything_is_sent(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    (inbox.parent / "done").write_text("no folder", encoding="utf-8")
    with sandboxes() as witness:
        options = ("--base-url", witness.base_url, "--archive", inbox.parent / "done")
        for named in (inbox, inbox / "a.csv"):
            assert program("push", named, *options, "--settle", "0s").code == 8
        assert witness.journal() == []


def test_the_log_names_the_sheet_that_each_line_is_about(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        ran = program(
            "push",
            inbox,
            "--base-url",
            witness.base_url,
            "--settle",
            "0s",
            "--log-format",
            "json",
            "--quiet",
        )
    lines = [json.loads(line) for line in ran.err.splitlines()]
    ends = {Path(line["job"]).name: line["exit_code"] for line in lines if line["event"] == "end"}
    assert ends == {"a.csv": 0, "b.csv": 3, "c.csv": 4, "d.csv": 0}


def test_a_killed_move_is_ended_by_the_next_run(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    done = inbox.parent / "done"
    with sandboxes() as witness:
        options = ("--base-url", witness.base_url, "--archive", done)
        assert program("push", inbox / "a.csv", "--base-url", witness.base_url).code == 0
        sent = len(witness.patches())
        for named in (inbox / "a.csv", inbox):
            private = inbox / f"{PREFIX}0123456789abcdef"
            private.mkdir(mode=0o700)
            (inbox / "a.csv").rename(private / "a.csv")
            ran = program("push", named, *options, "--settle", "0s", "--json")
            assert "a.csv" in str(ran.summary)
            assert not private.exists()
            (moved,) = done.glob("a.csv")
            moved.rename(inbox / "a.csv")
        assert len(witness.patches()) == sent + 6, "rows of the moved sheet were sent again"


def test_an_archive_in_which_the_sheets_are_already_is_refused(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        for named in (inbox, inbox / "a.csv"):
            ran = program("push", named, "--base-url", witness.base_url, "--archive", inbox)
            assert (ran.code, ran.out) == (2, "")
            assert "the sheets are in this folder already" in ran.err
        assert witness.journal() == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["a.csv", "d.csv", "--results", "r.csv"], 2, "name a folder with --out"),
        (["a.csv", "a.csv"], 2, "named twice"),
        (["a.csv", "e/a.csv", "--out", "out"], 2, "push them in two runs"),
        (["a.csv", "-"], 2, "standard input"),
        (
            ["a.csv", "--archive", "done", "--limit", "1"],
            2,
            "with --sandbox, --limit, --rows or --where no sheet is finished",
        ),
        (
            [".", "--archive", "done", "--sandbox"],
            2,
            "with --sandbox, --limit, --rows or --where no sheet is finished",
        ),
    ],
)
def test_what_several_files_can_not_share(
    program: Program,
    inbox: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(inbox)
    (inbox / "e").mkdir()
    shutil.copy("a.csv", "e")
    ran = program("push", *arguments, "--base-url", "http://127.0.0.1:9")
    assert ran.code == code
    assert words in ran.err


def test_the_command_at_the_end_is_told_once_of_all_files(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes(faults=(parse_fault("0.1%:503"),)) as witness:
        program(
            *(
                "push",
                inbox / "a.csv",
                inbox / "d.csv",
                "--base-url",
                witness.base_url,
                "--metrics-file",
                "m.prom",
            ),
            *("--on-finish", "cat >> told.jsonl; echo >> told.jsonl"),
        )
    (line,) = Path("told.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(json.loads(line)["files"]) == 2
    assert 'state="updated"} 6.0' in Path("m.prom").read_text(encoding="utf-8")

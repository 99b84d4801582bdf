"""One showing in several files of a run: judged as in one file, sent once or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bulk_sync import batch
from bulk_sync.clock import SystemClock
from bulk_sync.errors import OutputError
from bulk_sync.run.archive import archived
from bulk_sync.run.several import judged_together
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Program, Sandboxes
from tests.helpers import Ran, Witness, numbered, poll, read_csv, started, write_sheet

Sent = list[tuple[str, Any]]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Two sheets with four showings each; ext_3 is in both, with the same values."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    write_sheet(folder / "a.csv", numbered(4))
    write_sheet(folder / "b.csv", numbered(4, first=3))
    return folder


def differing(inbox: Path) -> None:
    """Let ext_3 have another value in the second sheet."""
    write_sheet(inbox / "b.csv", [("ext_3", "Too dark", 1), *numbered(3, first=4)])


def pushing(inbox: Path, witness: Witness, *options: object) -> tuple[object, ...]:
    return ("push", inbox, "--base-url", witness.base_url, "--settle", "0s", *options)


def sent(witness: Witness, after: int = 0) -> Sent:
    found = [(entry["key"], json.loads(entry["body"])) for entry in witness.patches(after)]
    return sorted(found, key=str)


def states(folder: Path, name: str) -> list[str]:
    return [row["state"] for row in read_csv(folder / f"{name}.results.csv")]


def codes(ran: Ran) -> list[int]:
    return [file["exit_code"] for file in ran.summary["files"]]


def test_different_values_are_sent_for_neither_file_and_each_names_the_other(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    differing(inbox)
    with sandboxes() as witness:
        ran = program(*pushing(inbox, witness, "--json"))
        assert [key for key, _ in sent(witness)] == [f"ext_{n}" for n in (0, 1, 2, 4, 5, 6)]
        assert (ran.code, codes(ran)) == (3, [3, 3])
        (first,) = (row for row in read_csv(inbox / "a.results.csv") if row["state"] == "invalid")
        (second,) = (row for row in read_csv(inbox / "b.results.csv") if row["state"] == "invalid")
        assert (first["error"], second["error"]) == ("duplicate_key", "duplicate_key")
        assert f"row 2 of {inbox / 'b.csv'}" in first["message"]
        assert f"row 5 of {inbox / 'a.csv'}" in second["message"]
        # Nobody has decided yet, so nothing changes by pushing again, or a part alone.
        before = len(witness.patches())
        again = program(*pushing(inbox, witness, "--json"))
        failed = ("push", inbox / "b.failed.csv", "--base-url", witness.base_url)
        alone = program(*failed, "--max-problems", "100%", "--json")
        assert (again.code, alone.code) == (3, 3)
        assert again.summary["states"] == ran.summary["states"]
        assert len(witness.patches()) == before


@pytest.mark.parametrize(
    ("policy", "patch"),
    [
        ("last", {"feedback": "Too dark", "rating": 1}),
        ("merge", {"feedback": "Too dark", "rating": 1}),
    ],
)
def test_a_policy_takes_the_values_of_the_later_file(
    program: Program, sandboxes: Sandboxes, inbox: Path, policy: str, patch: dict[str, object]
) -> None:
    differing(inbox)
    with sandboxes() as witness:
        ran = program(*pushing(inbox, witness, "--on-duplicate", policy, "--json"))
        assert ("ext_3", patch) in sent(witness)
        assert len(sent(witness)) == 7
    assert (ran.code, states(inbox, "a")[3], states(inbox, "b")[0]) == (0, "superseded", "updated")


def test_equal_values_are_sent_once_and_the_second_run_sends_nothing(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    (inbox / "c.csv").write_bytes((inbox / "a.csv").read_bytes())
    with sandboxes() as witness:
        ran = program(*pushing(inbox, witness, "--json"))
        assert [key for key, _ in sent(witness)] == [f"ext_{n}" for n in range(7)]
        assert ran.code == 0
        assert (states(inbox, "b")[0], states(inbox, "c")) == ("superseded", ["superseded"] * 4)
        assert "row 5 of" in read_csv(inbox / "b.results.csv")[0]["message"]
        assert any("other files of this run" in note for note in ran.summary["files"][2]["notes"])
        again = program(*pushing(inbox, witness, "--json"))
        assert again.summary["states"] == ran.summary["states"]
        assert len(witness.patches()) == 7


def test_values_that_one_of_two_sheets_sent_alone_are_not_sent_again(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        for name in ("a.csv", "b.csv"):
            assert program("push", inbox / name, "--base-url", witness.base_url).code == 0
        before = len(witness.patches())
        assert before == 8
        ran = program(*pushing(inbox, witness, "--json"))
        assert (ran.code, len(witness.patches())) == (0, before)
        # A sheet saved anew, with its rows in another order, is the same.
        write_sheet(inbox / "b.csv", numbered(4, first=3)[::-1])
        ran = program(*pushing(inbox, witness, "--json"))
        assert (ran.code, len(witness.patches())) == (0, before)


def test_a_file_that_comes_later_contradicts_one_that_is_done(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        assert program(*pushing(inbox, witness)).code == 0
        last = max(entry["seq"] for entry in witness.journal())
        write_sheet(inbox / "c.csv", [("ext_0", "Sold", 1), ("ext_9", "Sunny", 5)])
        ran = program(*pushing(inbox, witness, "--json"))
        assert (ran.code, codes(ran)) == (3, [3, 0, 3])
        assert [key for key, _ in sent(witness, last)] == ["ext_9"]
        # The user decides by leaving one of them out.
        write_sheet(inbox / "a.csv", numbered(3, first=1))
        ran = program(*pushing(inbox, witness, "--json"))
        assert ran.code == 0
        assert [key for key, _ in sent(witness, last)] == ["ext_0", "ext_9"]


def test_an_edit_in_one_file_is_judged_with_the_others(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes() as witness:
        assert program(*pushing(inbox, witness)).code == 0
        last = max(entry["seq"] for entry in witness.journal())
        differing(inbox)
        assert program(*pushing(inbox, witness)).code == 3
        write_sheet(inbox / "a.csv", [*numbered(3), ("ext_3", "Too dark", 1)])
        assert program(*pushing(inbox, witness)).code == 0
        changed = [patch for patch in sent(witness, last) if patch[0] == "ext_3"]
        assert changed == [("ext_3", {"feedback": "Too dark", "rating": 1})]


@pytest.mark.parametrize("policy", ["error", "last", "merge"])
def test_a_run_that_is_killed_ends_like_an_undisturbed_one(
    sandboxes: Sandboxes, program: Program, tmp_path: Path, policy: str
) -> None:
    def make(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        write_sheet(folder / "a.csv", [*numbered(20), ("ext_90", "Dark", 2), ("ext_91", "", 3)])
        write_sheet(folder / "b.csv", [*numbered(20, first=15), ("ext_90", "Bright", 2)])
        write_sheet(folder / "c.csv", [("ext_91", "Fine", 3), *numbered(9, first=30)])
        return folder

    options = ("--on-duplicate", policy)
    undisturbed, killed = make("undisturbed"), make("killed")
    with sandboxes() as witness:
        expected = program(*pushing(undisturbed, witness, *options, "--json"))
        patches = sent(witness)
    with sandboxes(latency_seconds=0.05) as witness:
        for reached in (8, 30):
            with started(*pushing(killed, witness, *options, "--workers", 2)) as process:
                poll(lambda reached=reached: len(witness.patches()) >= reached)  # type: ignore[misc]
                process.kill()
        found = program(*pushing(killed, witness, *options, "--json"))
        unique = {json.dumps(patch) for patch in sent(witness)}
    assert unique == {json.dumps(patch) for patch in patches}
    assert found.code == expected.code
    assert found.summary["states"] == expected.summary["states"]
    for name in ("a", "b", "c"):
        assert states(killed, name) == states(undisturbed, name)


def test_files_with_showings_in_common_are_moved_when_all_are_finished(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    done = inbox.parent / "done"
    write_sheet(inbox / "b.csv", [*numbered(4, first=3), ("ext_8", "fine", 9)])
    write_sheet(inbox / "c.csv", numbered(2, first=20))
    with sandboxes() as witness:
        ran = program(*pushing(inbox, witness, "--archive", done, "--json"))
        assert codes(ran) == [0, 3, 0]
        assert [path.name for path in done.iterdir()] == ["c.csv"]
        assert f"in common with {inbox / 'b.csv'}" in ran.summary["files"][0]["note"]
        write_sheet(inbox / "b.csv", numbered(4, first=3))
        ran = program(*pushing(inbox, witness, "--archive", done, "--json"))
        assert len(witness.patches()) == 9
    assert ran.code == 0
    assert sorted(path.name for path in done.iterdir()) == ["a.csv", "b.csv", "c.csv"]


@pytest.mark.parametrize(("policy", "left"), [("error", "a.csv"), ("last", "b.csv")])
def test_the_file_that_was_sent_is_moved_last(
    program: Program,
    sandboxes: Sandboxes,
    inbox: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    left: str,
) -> None:
    """The run after one that was cut off while it moved files sends nothing."""
    real = archived
    moved: list[str] = []

    def one_only(file: Path, *rest: Any) -> str:
        if moved:
            raise OutputError("the disk is full")
        moved.append(file.name)
        return real(file, *rest)

    monkeypatch.setattr(batch, "archived", one_only)
    with sandboxes() as witness:
        options = ("--archive", inbox.parent / "done", "--on-duplicate", policy)
        assert program(*pushing(inbox, witness, *options)).code == 8
        before = len(witness.patches())
        assert [path.name for path in inbox.glob("?.csv")] == [left]
        monkeypatch.undo()
        monkeypatch.setenv("NORTH_API_KEY", "north_sk_test_c4n4ryc4n4ryc4n4ryc4n4ryc4n4ry")
        assert program(*pushing(inbox, witness, *options)).code == 0
        assert len(witness.patches()) == before == 7


def test_nothing_is_sent_before_all_files_were_read(
    program: Program, sandboxes: Sandboxes, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    with sandboxes() as witness:

        @contextmanager
        def judged(sheets: Any, _: Any) -> Iterator[Any]:
            read: list[int] = []
            with judged_together(sheets, read.append) as found:
                seen.append((read[-1], len(witness.journal())))
                yield found

        monkeypatch.setattr("bulk_sync.batch.judged_together", judged)
        assert program(*pushing(inbox, witness)).code == 0
        assert len(witness.patches()) == 7
    assert seen == [(8, 0)]


def test_files_share_a_ledger_and_change_nothing_in_turns(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    differing(inbox)
    options = ("--ledger", inbox.parent / "north.ledger", "--on-duplicate", "last")
    with sandboxes() as witness:
        for _ in range(3):
            assert program(*pushing(inbox, witness, *options)).code == 0
            assert len(witness.patches()) == 7


def test_a_row_that_failed_is_not_sent_from_another_file_instead(
    program: Program, sandboxes: Sandboxes, inbox: Path
) -> None:
    with sandboxes(accept_any=False, faults=(parse_fault("100%:404"),)) as witness:
        ran = program(*pushing(inbox, witness, "--max-failures", "100%", "--json"))
        assert len({key for key, _ in sent(witness)}) == len(sent(witness)) == 7
    assert ran.code == 3
    assert (states(inbox, "a")[3], states(inbox, "b")[0]) == ("rejected", "superseded")


@pytest.mark.parametrize("policy", ["error", "last", "merge"])
def test_a_check_predicts_what_a_push_of_the_same_files_does(
    program: Program, sandboxes: Sandboxes, inbox: Path, policy: str
) -> None:
    write_sheet(inbox / "c.csv", [("ext_0", "Sold", 1), ("ext_9", "Sunny", 9), *numbered(2)])
    (inbox / "d.csv").write_text("no,key\n1,2\n", encoding="utf-8")
    options = ("--settle", "0s", "--on-duplicate", policy, "--json")
    checked = program("check", inbox, *options)
    with sandboxes() as witness:
        pushed = program(*pushing(inbox, witness, *options))
        patches = len(witness.patches())
        again = program("check", inbox, *options, "--base-url", witness.base_url)
    assert checked.code == pushed.code == 4
    assert codes(checked) == codes(pushed)
    assert checked.summary["requests"] == patches == pushed.summary["states"]["updated"]
    assert again.summary["requests"] == 0
    for before, after in zip(checked.summary["files"], pushed.summary["files"], strict=True):
        refused = before.get("error") or before["stopped"]
        assert bool(refused) == bool(after.get("error"))
        if not refused:
            states = dict(after["states"])
            states["pending"] += states.pop("updated")
            assert {**before["states"], "updated": 0} == {**states, "updated": 0}


def test_a_check_of_several_files_shows_each_and_their_sum(program: Program, inbox: Path) -> None:
    differing(inbox)
    ran = program("check", inbox / "a.csv", inbox / "b.csv")
    assert ran.code == 3
    assert f"with different values, also in {inbox / 'b.csv'}" in ran.out
    assert f"with different values, also in {inbox / 'a.csv'}" in ran.out
    assert "All files:  8 rows, 6 patches to send" in ran.out.splitlines()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--save-profile", "p.toml"), "--save-profile names one file"),
        (("--checkpoint", "c.sqlite"), "--checkpoint names one file"),
        (("--rows", "2-3"), "with --where"),
    ],
)
def test_what_a_check_of_several_files_cannot_take(
    program: Program, inbox: Path, options: tuple[str, ...], words: str
) -> None:
    ran = program("check", inbox, "--settle", "0s", *options)
    assert ran.code == 2
    assert words in ran.err


def test_a_check_leaves_files_out_that_are_still_written(
    program: Program, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)  # a busy machine may take ten seconds for what follows
    monkeypatch.setattr(SystemClock, "now", lambda _: now)
    ran = program("check", inbox)
    assert (ran.code, ran.err) == (0, "")
    assert "2 sheets changed less than 10s ago and were left for the next run" in ran.out
    assert "no sheet found" not in ran.out

"""Standard output, hook and metrics say the exit code that the process has, whatever happens."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bulk_sync.job.lock import held
from tests.conftest import Program
from tests.faultserver import Deed, Journal, Request, answers, fault_server, good, refuses
from tests.helpers import KEY, numbered, write_sheet

Way = Callable[[Path], Mapping[str, object]]
"""Prepares a folder; returns the options by name, and `deed`, the server's answer to a PATCH."""

ROWS = 5


def when_sent(do: Callable[[], object]) -> Callable[[Request], Deed]:
    """Do something in mid-run, at the third row."""

    def deed(request: Request) -> Deed:
        if request.key == "ext_2":
            do()
        return good

    return deed


def becomes_a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.touch()


def without_folder(option: str, name: str) -> Way:
    """The folder of an output becomes a file while rows are sent."""

    def way(folder: Path) -> Mapping[str, object]:
        (folder / "out").mkdir()
        return {
            option: folder / "out" / name,
            "deed": when_sent(lambda: becomes_a_file(folder / "out")),
        }

    return way


def blocked_archive(folder: Path) -> Mapping[str, object]:
    (folder / "done").mkdir()
    return {
        "--archive": folder / "done",
        "deed": when_sent(lambda: becomes_a_file(folder / "done")),
    }


def wrong_row(folder: Path) -> Mapping[str, object]:
    write_sheet(folder / "s.csv", [*numbered(ROWS), ("x", "y", 99)])
    return {}


def no_key_column(folder: Path) -> Mapping[str, object]:
    write_sheet(folder / "s.csv", [("a", 1)], header=("feedback", "rating"))
    return {}


WAYS: dict[str, tuple[int, Way]] = {
    "all is well": (0, lambda _: {}),
    "a row is wrong": (3, wrong_row),
    "a row is refused": (3, lambda _: {"deed": lambda _: refuses(422, "no")}),
    "the sheet is refused": (4, no_key_column),
    "an option is wrong": (2, lambda _: {"--rate": "quick"}),
    "the key is refused": (5, lambda _: {"deed": lambda _: answers(401, {"error": "no"})}),
    "the time is over": (6, lambda _: {"--deadline": "0.001s"}),
    "most rows fail": (
        6,
        lambda _: {"--max-failures": "1", "deed": lambda _: refuses(422, "no")},
    ),
    "the hook fails": (0, lambda _: {"hook": "; exit 3"}),
    "the log can't be opened": (8, lambda folder: {"--log-file": folder}),
    "the results can't be written": (8, without_folder("--results", "r.csv")),
    "the page can't be written": (8, without_folder("--page", "p.html")),
    "the undo file can't be written": (8, without_folder("--undo-file", "u.csv")),
    "the sheet can't be archived": (8, blocked_archive),
    "the metrics can't be written at the end": (0, without_folder("--metrics-file", "m.prom")),
    "a signal while rows are sent": (
        143,
        lambda _: {"deed": when_sent(lambda: os.kill(os.getpid(), signal.SIGTERM))},
    ),
}


def said_at_the_end(folder: Path) -> dict[str, int]:
    """The exit codes that hook and metrics got."""
    told = json.loads((folder / "hook.json").read_text(encoding="utf-8"))
    said = {
        "hook": told["exit_code"],
        "environment": int((folder / "hook.code").read_text(encoding="utf-8")),
    }
    if (folder / "m.prom").is_file():
        lines = (folder / "m.prom").read_text(encoding="utf-8").split("\n")
        (line,) = (one for one in lines if one.startswith("bulk_sync_exit_code{"))
        said["metrics"] = int(float(line.split()[-1]))
    return said


def options_of(folder: Path, given: Mapping[str, object], journal: Journal) -> list[object]:
    hook = f"cat > {folder}/hook.json; echo $BULK_SYNC_EXIT_CODE > {folder}/hook.code"
    options = {
        "--base-url": journal.base_url,
        "--rate": "1000/s",
        "--workers": "1",
        "--on-finish": hook + str(given.get("hook", "")),
        "--metrics-file": folder / "m.prom",
        **{name: value for name, value in given.items() if name.startswith("--")},
    }
    return ["--json", *(word for pair in options.items() for word in pair)]


@pytest.mark.parametrize("way", WAYS)
def test_everybody_gets_the_exit_code_of_the_process(
    tmp_path: Path, program: Program, way: str
) -> None:
    code, prepare = WAYS[way]
    sheet = write_sheet(tmp_path / "s.csv", numbered(ROWS))
    given = prepare(tmp_path)
    deed: Callable[[Request], Deed] = given.get("deed", lambda _: good)  # type: ignore[assignment]
    with fault_server(lambda request, _: deed(request), me=answers(200, {"data": {}})) as journal:
        ran = program("push", sheet, *options_of(tmp_path, given, journal))
    assert ran.code == code, ran.err
    assert "bug" not in ran.err
    if ran.out:
        assert json.loads(ran.out)["exit_code"] == code
    assert set(said_at_the_end(tmp_path).values()) == {code}


@pytest.mark.parametrize(("stdout", "code"), [("/dev/full", 8), (None, 0)])
def test_an_output_that_nobody_can_read_is_no_other_exit_code(
    tmp_path: Path, stdout: str | None, code: int
) -> None:
    if stdout is not None and not Path(stdout).exists():
        pytest.skip(f"the system has no {stdout}")
    sheet = write_sheet(tmp_path / "s.csv", numbered(ROWS))
    with (
        fault_server(lambda *_: good, me=answers(200, {"data": {}})) as journal,
        Path(stdout or os.devnull).open("wb") as output,
    ):
        words = map(str, options_of(tmp_path, {}, journal))
        ran = subprocess.run(
            [sys.executable, "-m", "bulk_sync", "push", sheet, *words],
            stdout=output,
            preexec_fn=None if stdout else lambda: os.close(1),
            env={"NORTH_API_KEY": KEY, "PATH": os.environ["PATH"], "XDG_STATE_HOME": str(tmp_path)},
            timeout=60,
            check=False,
        )
    assert ran.returncode == code
    assert set(said_at_the_end(tmp_path).values()) == {code}


def test_a_checkpoint_in_use_is_said_to_everybody(tmp_path: Path, program: Program) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(ROWS))
    with (
        held(tmp_path / "s.checkpoint.sqlite"),
        fault_server(lambda *_: good, me=answers(200, {"data": {}})) as journal,
    ):
        ran = program("push", sheet, *options_of(tmp_path, {}, journal))
    assert (ran.code, ran.out) == (7, "")
    assert set(said_at_the_end(tmp_path).values()) == {7}


def test_reconcile_says_the_exit_code_of_the_command(tmp_path: Path, program: Program) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(ROWS))
    same = write_sheet(tmp_path / "same.csv", numbered(ROWS))
    other, third = (
        write_sheet(tmp_path / name, [(f"ext_{one}", name, one + 1) for one in range(ROWS)])
        for name in ("o.csv", "t.csv")
    )
    with fault_server(lambda *_: good, me=answers(200, {"data": {}})) as journal:
        to = ("--json", "--base-url", journal.base_url, "--rate", "1000/s")
        for code, *words in (
            (0, "--with", same),
            (3, "--with", other),
            (0, "--with", same, "--push"),
            (0, "--with", other, "--push"),
            (6, "--with", third, "--push", "--deadline", "0.001s"),
        ):
            ran = program("reconcile", sheet, *words, *to)
            assert (ran.code, ran.summary["exit_code"]) == (code, code), (words, ran.err)

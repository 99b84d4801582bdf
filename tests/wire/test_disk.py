"""Disks that are full, broken or not for us, by the kernel's own limits: exit code 8, a sentence,
nothing lost.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.benchmarks.crash_findings import Findings
from tests.benchmarks.crashes import Job, sweep
from tests.conftest import Program, Sandboxes
from tests.helpers import command, environment, numbered, write_sheet

NONE: dict[str, int] = dict.fromkeys(Findings().must_not_be(), 0)


def held_out(findings: Findings) -> bool:
    """True when nothing was found; else the notes are shown."""
    assert findings.must_not_be() == NONE, findings.notes
    return True


def push(job: Job, before: Callable[[], None] | None = None) -> int:
    """A push in a process of its own, looked at as after a disk error."""
    ended = subprocess.run(
        command(*job.arguments()),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=before,
        check=False,
    )
    job.look_after_error(ended.returncode, ended.stderr)
    return ended.returncode


def mounting(program: str, *arguments: object) -> bool:
    path = shutil.which(program)
    if path is None:
        return False
    return (
        subprocess.run([path, *map(str, arguments)], capture_output=True, check=False).returncode
        == 0
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB in memory; skipped where mounting isn't allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if not mounting("mount", "-t", "tmpfs", "-o", "size=8m", "none", place):
        pytest.skip("no permission to mount a file system")
    try:
        yield place
    finally:
        mounting("umount", place)


@pytest.mark.slow  # the program runs twice
@pytest.mark.parametrize("kilobytes", [4, 60, 150])
def test_a_limit_on_the_size_of_files_stops_the_run_and_the_next_one_goes_on(
    tmp_path: Path, sandboxes: Sandboxes, kilobytes: int
) -> None:
    findings = Findings()
    with sandboxes() as witness:
        job = Job(tmp_path / "job", witness, findings, good=200, bad=2)
        size = kilobytes * 1024
        assert push(job, partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))) == 8
        job.finish()
    assert held_out(findings)


@pytest.mark.slow  # same
def test_a_report_that_does_not_fit_leaves_the_one_before_and_no_half_of_itself(
    tmp_path: Path, sandboxes: Sandboxes
) -> None:
    findings = Findings()
    with sandboxes() as witness:
        job = Job(tmp_path / "job", witness, findings, good=20, bad=1500)
        assert push(job) == 3
        results = job.folder / "showings.results.csv"
        before = results.read_bytes()
        limit = (len(before) // 2,) * 2
        again = subprocess.run(
            command("report", job.sheet),
            env=environment(),
            capture_output=True,
            text=True,
            preexec_fn=partial(resource.setrlimit, resource.RLIMIT_FSIZE, limit),
            check=False,
        )
        assert (again.returncode, results.read_bytes()) == (8, before)
        assert again.stderr == f"Error: {results}: can't be written: File too large.\n"
        job.finish()
    assert held_out(findings)


@pytest.mark.slow  # same
@pytest.mark.parametrize("left", [8, 120, 200])
def test_a_full_disk_stops_the_run_and_with_room_the_next_one_goes_on(
    small_disk: Path, sandboxes: Sandboxes, left: int
) -> None:
    findings = Findings()
    with sandboxes() as witness:
        job = Job(small_disk / "job", witness, findings, good=200, bad=2)
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            file.write(bytes(max(0, shutil.disk_usage(small_disk).free - left * 1024)))
        assert push(job) == 8
        ballast.unlink()
        job.finish()
    assert held_out(findings)


@pytest.mark.slow  # same
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace makes system calls fail")
@pytest.mark.parametrize(
    ("error", "call", "first"),
    [("EIO", "fdatasync", 3), ("ENOSPC", "pwrite64", 36), ("EIO", "rename", 1)],
)
def test_a_system_call_that_fails_stops_the_run_and_the_next_one_goes_on(
    sandboxes: Sandboxes, error: str, call: str, first: int
) -> None:
    with sandboxes() as witness:
        findings = sweep([call], strike=f"error={error}", first=first, most=1, witness=witness)
    assert findings.stopped_with_8
    assert held_out(findings)


def test_what_cannot_be_written_is_refused_before_the_first_request(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "showings.csv", numbered(3))
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "file").touch()
    with sandboxes() as witness:
        for option, path in (
            ("--results", folder),
            ("--results", tmp_path / "missing" / "results.csv"),
            ("--checkpoint", tmp_path / "file" / "x.sqlite"),
            ("--out", tmp_path / "file"),
        ):
            ran = program("push", sheet, "--base-url", witness.base_url, option, path)
            assert ran.code == 8, (option, path, ran.err)
            assert str(path) in ran.err
            assert ran.err.count("\n") == 1
        assert witness.journal() == []
    assert not list(tmp_path.rglob("*.part"))


def test_a_read_only_disk_is_refused_before_the_first_request(
    program: Program, small_disk: Path, sandboxes: Sandboxes
) -> None:
    sheet = write_sheet(small_disk / "showings.csv", numbered(3))
    assert mounting("mount", "-o", "remount,ro", small_disk)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
        assert witness.journal() == []
    assert ran.code == 8
    assert "the file system is read-only" in ran.err
    assert list(small_disk.iterdir()) == [sheet]

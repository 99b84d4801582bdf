"""Differences between systems: simulated here, at least as strict as the real ones."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import bulk_sync
from bulk_sync import open_files, platforms
from bulk_sync.errors import OutputError, UsageError
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import part_file, replacing
from bulk_sync.scratch import PREFIX, scratch_folder
from bulk_sync.send.observation import Observation
from bulk_sync.send.pace_store import PaceInFile
from tests import like_windows

pytestmark = pytest.mark.skipif(os.name != "posix", reason="this is Windows itself")


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files as Windows has them, in this process."""
    handles = like_windows.Handles()
    monkeypatch.setattr(like_windows.MSVCRT, "locking", handles.locking, raising=False)
    monkeypatch.setattr(platforms, "_fcntl", None)
    monkeypatch.setattr(platforms, "_msvcrt", like_windows.MSVCRT)
    monkeypatch.setattr(platforms, "OPEN_FILES_MOVE", False)
    monkeypatch.setattr(platforms, "HAS_OWNERS", False)
    monkeypatch.setattr(platforms, "BINARY", like_windows.BINARY)
    for name, function in like_windows.of_files(handles).items():
        monkeypatch.setattr(os, name, function)
    for name in ("pread", "pwrite", "geteuid"):
        monkeypatch.delattr(os, name)
    monkeypatch.setattr(shutil, "_use_fd_functions", False)


def opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | platforms.BINARY, 0o600)


# Locks of Windows


@pytest.mark.usefixtures("windows")
def test_a_lock_keeps_others_out_until_it_is_released_or_its_file_is_closed(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "x"), opened(tmp_path / "x")
    platforms.lock(one, wait=False)
    with pytest.raises(BlockingIOError):
        platforms.lock(other, wait=False)
    platforms.unlock(one)
    platforms.lock(other, wait=False)
    os.close(other)
    platforms.lock(one, wait=False)
    os.close(one)


@pytest.mark.usefixtures("windows")
def test_the_content_of_a_locked_file_can_be_read_and_written_by_all(tmp_path: Path) -> None:
    one, other = opened(tmp_path / "x"), opened(tmp_path / "x")
    platforms.lock(one, wait=False)
    platforms.write_at(other, b"a\nb\x1ac", 0)
    assert platforms.read_at(one, 100, 0) == b"a\nb\x1ac"
    assert (tmp_path / "x").stat().st_size == 5
    os.close(one)
    os.close(other)


@pytest.mark.usefixtures("windows")
def test_a_lock_that_is_waited_for_is_asked_for_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = opened(tmp_path / "x"), opened(tmp_path / "x")
    platforms.lock(one, wait=False)
    real, asked = like_windows.MSVCRT.locking, 0

    def locking(descriptor: int, mode: int, length: int) -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            platforms.unlock(one)
        real(descriptor, mode, length)

    monkeypatch.setattr(like_windows.MSVCRT, "locking", locking)
    platforms.lock(other, wait=True)
    assert asked == 4, "with the release of the first"
    os.close(one)
    os.close(other)


@pytest.mark.usefixtures("windows")
def test_an_error_that_is_no_lock_of_another_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "Bad file descriptor")

    one = opened(tmp_path / "x")
    monkeypatch.setattr(like_windows.MSVCRT, "locking", refuse)
    with pytest.raises(OSError, match="Bad file descriptor"):
        platforms.lock(one, wait=False)
    os.close(one)


@pytest.mark.usefixtures("windows")
def test_runs_share_a_pace_where_locks_are_mandatory(tmp_path: Path) -> None:
    path = tmp_path / "x.pace"
    one, other = PaceInFile(path), PaceInFile(path)
    pace = one.try_open(lambda: 10.0)
    assert pace is not None
    assert other.try_open(lambda: 10.0) is None, "the first one holds it"
    group = pace.reserve_group(10.0, 1)
    pace.observe(10.0, Observation(group.ordinal, "throttled", 0.05, asked_seconds=7), 0.0)
    one.close(pace)
    again = other.try_open(lambda: 10.5)
    assert again is not None
    assert again.held_until >= 17.0
    other.close(again)
    one.end()
    other.end()


@pytest.mark.parametrize(("boot", "restarted"), [("", True), ("3c90c3cc", False)])
def test_without_a_name_of_the_boot_the_clocks_tell_that_it_is_another(
    tmp_path: Path, boot: str, *, restarted: bool
) -> None:
    """The machine was started again, and has been on for longer than it was before."""
    path = tmp_path / "x.pace"
    before = PaceInFile(path, boot, lambda: 1_000_000.0)
    pace = before.try_open(lambda: 100.0)
    assert pace is not None
    group = pace.reserve_group(100.0, 1)
    pace.observe(100.0, Observation(group.ordinal, "throttled", 0.05, asked_seconds=3600), 0.0)
    held = pace.held_until
    before.close(pace)
    before.end()
    after = PaceInFile(path, boot, lambda: 1_000_900.0)
    pace = after.try_open(lambda: 200.0)
    assert pace is not None
    assert pace.held_until == pytest.approx(held - 900 if restarted else held)
    after.end()


@pytest.mark.parametrize("corrected", [-59.0, 59.0])
def test_a_corrected_time_of_day_is_no_other_boot(tmp_path: Path, corrected: float) -> None:
    path = tmp_path / "x.pace"
    before = PaceInFile(path, "", lambda: 1_000_000.0)
    pace = before.try_open(lambda: 100.0)
    assert pace is not None
    pace.used_at = 100.0
    before.close(pace)
    before.end()
    after = PaceInFile(path, "", lambda: 1_000_000.0 + corrected)
    pace = after.try_open(lambda: 200.0)
    assert pace is not None
    assert pace.used_at == 100.0
    after.end()


# Open files of Windows


@pytest.mark.usefixtures("windows")
def test_a_report_is_replaced_though_open_files_cant_be(tmp_path: Path) -> None:
    path = tmp_path / "x.results.csv"
    line = "2026-03-14T21:30:00.000Z INFO 1 updated\n"
    for text in (line, line * 2):
        with replacing(path, Output.LOG) as file:
            file.write(text)
    assert path.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("windows")
def test_a_report_that_excel_has_open_is_left_with_a_sentence_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platforms, "_REPLACE_PAUSE_SECONDS", 0.0)
    path = tmp_path / "x.log"
    path.touch()
    with (
        path.open(encoding="utf-8"),
        pytest.raises(OutputError, match="if it is open in another program, such as Excel, close"),
        replacing(path, Output.LOG) as file,
    ):
        file.write("x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_a_scanner_has_open_for_a_moment_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, refusals = os.replace, [3]
    waited: list[float] = []

    def replace(*paths: Path) -> None:
        if refusals[0]:
            refusals[0] -= 1
            raise PermissionError(errno.EACCES, "in use")
        real(*paths)

    source, target = tmp_path / "a", tmp_path / "b"
    source.touch()
    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(PermissionError):
        platforms.replace(source, target, waited.append)
    monkeypatch.setattr(platforms, "OPEN_FILES_MOVE", False)
    refusals[0] = 3
    platforms.replace(source, target, waited.append)
    assert target.exists()
    assert waited == [0.05] * 3
    refusals[0] = 1000
    with pytest.raises(PermissionError):
        platforms.replace(target, source, waited.append)
    assert sum(waited) < 2


@pytest.mark.usefixtures("windows")
def test_a_report_that_was_just_closed_is_not_taken_for_abandoned(tmp_path: Path) -> None:
    old, new = (tmp_path / f".bulk-sync-{letter * 16}.part" for letter in "ab")
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    with part_file(tmp_path):
        assert (old.exists(), new.exists()) == (False, True)


@pytest.mark.usefixtures("windows")
def test_copies_of_sheets_are_removed_when_nobody_holds_them_any_more(tmp_path: Path) -> None:
    left = tmp_path / f"{PREFIX}left"
    left.mkdir()
    (left / "copy.csv").touch()
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        (first / "copy.csv").touch()
        (second / "copy.csv").touch()
        with scratch_folder(tmp_path) as third:
            assert set(tmp_path.iterdir()) == {first, second, third}
        assert (first / "copy.csv").exists()
    assert list(tmp_path.iterdir()) == []


# macOS


class Fcntl(SimpleNamespace):
    """The part of fcntl that macOS has more; `number` is its error, if any."""

    F_FULLFSYNC = 51

    def fcntl(self, descriptor: int, command: int) -> int:
        self.asked.append((descriptor, command))
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        return 0


@pytest.mark.parametrize("number", [0, errno.ENOTSUP, errno.ENOTTY])
def test_what_is_written_on_macos_leaves_the_drives_memory(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fake = Fcntl(asked=[], number=number)
    synced: list[int] = []
    monkeypatch.setattr(platforms, "_fcntl", fake)
    monkeypatch.setattr(os, "fsync", synced.append)
    platforms.sync(7)
    assert fake.asked == [(7, 51)]
    assert synced == ([7] if number else []), "a file system may know fsync alone"


@pytest.mark.parametrize("refuses_over", [10_240, 100])
def test_a_limit_of_open_files_that_cant_be_raised_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, refuses_over: int
) -> None:
    """macOS names an endless limit, and raises it no further than its kernel allows."""
    resource = SimpleNamespace(RLIMIT_NOFILE=8, RLIM_INFINITY=2**63 - 1)
    raised: list[int] = []

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        if limits[0] > refuses_over:
            raise ValueError("current limit exceeds maximum limit")
        raised.append(limits[0])

    resource.getrlimit = lambda _: (256, resource.RLIM_INFINITY)
    resource.setrlimit = setrlimit
    monkeypatch.setattr(platforms, "_resource", resource)
    if refuses_over == 100:
        with pytest.raises(UsageError, match=r"need 524 open files, but the limit is 256"):
            open_files.allow_files_of_jobs(50)
        with pytest.raises(UsageError, match=r"--workers 400: .* the limit is 256"):
            open_files.allow_open_files(400)
    else:
        open_files.allow_files_of_jobs(500)  # 12,024 would be comfortable, 5,024 do
        assert raised == [5024]


def test_a_system_without_limits_of_open_files_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "_resource", None)
    open_files.allow_files_of_jobs(100_000)


# Children


def test_a_child_is_in_a_group_of_its_own_on_each_system(monkeypatch: pytest.MonkeyPatch) -> None:
    assert platforms.in_own_group() == {"start_new_session": True}
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    assert platforms.in_own_group() == {"creationflags": 0x200}


# Disks


def test_what_is_no_disk_of_this_host_is_not_taken_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.platforms.sys.platform", "linux")
    if Path("/proc/self/status").exists():
        assert not platforms.is_on_own_disk(Path("/proc/self/status"))
    majors = iter([0, 8, 259])
    monkeypatch.setattr(os, "major", lambda _: next(majors))
    assert [platforms.is_on_own_disk(tmp_path) for _ in range(3)] == [False, True, True]
    assert not platforms.is_on_own_disk(tmp_path / "gone")
    monkeypatch.delattr(os, "major")
    assert not platforms.is_on_own_disk(tmp_path)


# One place

_SYSTEMS = re.compile(
    r"^\s*(?:import|from) (?:fcntl|msvcrt|resource|pwd|grp|termios|winreg|_winapi|posix)\b"
    r"|\bos\.(?:name|uname|fsync|kill|killpg|geteuid|getuid|O_(?!(?:RDONLY|WRONLY|RDWR|CREAT|EXCL"
    r"|APPEND)\b)\w+)\b|\bsys\.platform\b",
    re.MULTILINE,
)
_ELSEWHERE = {
    "clock.py": "the clocks of systems",
    "host.py": "the names of machines and boots",
    "doctor.py": "shows the system's name",
    "send/transport/choose.py": "a proxy of the system's settings, which Linux has not",
}


def test_systems_are_told_apart_in_one_module() -> None:
    package = Path(bulk_sync.__file__).parent
    others = {
        path.relative_to(package).as_posix(): found
        for path in package.rglob("*.py")
        if path.name != "platforms.py" and (found := _SYSTEMS.findall(path.read_text("utf-8")))
    }
    assert others.keys() == _ELSEWHERE.keys(), others

"""Which host this is, and which boot of it."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bulk_sync.clock import SystemClock
from bulk_sync.folders import NO_LOCKS
from bulk_sync.host import boot_id, host_id
from bulk_sync.model.estimates import KnownPace
from bulk_sync.model.rows import Tally
from bulk_sync.run import shared_limit
from bulk_sync.run.shared_limit import known_pace, open_pace_store, pace_file

MACHINE = "0123456789abcdef0123456789abcdef"
BOOT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
API, KEY = "https://north.example.com", SecretStr("north_sk_test_" + "a" * 32)


@pytest.mark.parametrize(
    ("content", "machine"),
    [
        (MACHINE + "\n", MACHINE),
        (MACHINE.upper(), MACHINE),
        (BOOT, BOOT),  # as /etc/hostid of FreeBSD
        ("", ""),  # as images of containers have it
        ("uninitialized\n", ""),
        (MACHINE[:-1], ""),
        (MACHINE * 3, ""),
        ("\xff\x00", ""),
        (None, ""),
    ],
)
def test_a_host_is_its_machine_id_and_its_name(
    tmp_path: Path, content: str | None, machine: str
) -> None:
    file = tmp_path / "machine-id"
    if content is not None:
        file.write_text(content, encoding="latin-1")
    assert host_id([file], "Alpha.Example.com") == f"{machine} alpha.example.com"


def test_the_first_file_with_an_id_counts(tmp_path: Path) -> None:
    blank, first, second = (tmp_path / name for name in "abc")
    blank.touch()
    first.write_text(MACHINE, encoding="ascii")
    second.write_text(MACHINE[::-1], encoding="ascii")
    folder = tmp_path
    assert host_id([folder, blank, first, second], "x") == f"{MACHINE} x"


def test_a_machine_id_that_several_share_is_told_apart_by_the_name(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text(MACHINE, encoding="ascii")
    assert len({host_id([file], name) for name in ("pod-1", "pod-2", "pod-1")}) == 2


def test_this_host_stays_the_same() -> None:
    assert host_id() == host_id() != " "


def test_a_boot_is_named_by_the_kernel(tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    assert boot_id(file, "linux") is None
    file.write_text(BOOT + "\n", encoding="ascii")
    assert boot_id(file, "linux") == BOOT
    file.write_text("soon", encoding="ascii")
    assert boot_id(file, "linux") is None


def test_a_c_library_that_names_no_boot_is_none() -> None:
    """Only macOS has `kern.bootsessionuuid`: asked elsewhere, the answer is that it is unknown."""
    named = boot_id(platform="darwin")
    assert (named is None) == (sys.platform != "darwin")


def test_this_boot_stays_the_same() -> None:
    known = sys.platform in {"linux", "darwin"}
    assert (boot_id() is not None) == known
    assert boot_id() == boot_id()


# The files of a shared folder


def test_each_host_has_a_file_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = set()
    for name in (f"{MACHINE} a", f"{MACHINE} b", " a", f"{MACHINE} a", "\udcff"):
        monkeypatch.setattr(shared_limit, "host_id", lambda name=name: name)
        paths.add(pace_file(API, KEY, tmp_path))
        assert MACHINE not in str(pace_file(API, KEY, tmp_path))
    assert len(paths) == 4


def used(path: Path, days_ago: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    at = SystemClock().now().timestamp() - days_ago * 86400
    os.utime(path, (at, at))
    return path


def test_files_that_no_run_used_for_a_month_are_removed(tmp_path: Path) -> None:
    own = used(pace_file(API, KEY, tmp_path) or Path(), 400)
    old = used(own.with_name("a.pace"), 31)
    recent = used(own.with_name("b.pace"), 29)
    ahead = used(own.with_name("c.pace"), -400)
    other = used(own.with_name("notes.txt"), 400)
    folder = own.with_name("d.pace")
    folder.mkdir()
    used(folder, 400)
    with open_pace_store(API, KEY, tmp_path, Tally()):
        left = set(own.parent.iterdir())
    assert left == {own, recent, ahead, other, folder}
    assert old not in left


def test_a_file_that_cannot_be_removed_keeps_no_run_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pace_file(API, KEY, tmp_path) or Path()
    old = used(own.with_name("a.pace"), 31)

    def refuse(_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse)
    tally = Tally()
    with open_pace_store(API, KEY, tmp_path, tally):
        assert old.exists()
    assert tally.notes == {}


@pytest.mark.parametrize("call", ["flock", "pread"])
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EIO, errno.ESTALE])
def test_where_the_file_cannot_be_shared_the_run_has_a_pace_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    tally, now = Tally(), SystemClock().monotonic
    with open_pace_store(API, KEY, tmp_path, tally) as store:
        pace = store.try_open(now)
        assert pace is not None
        store.close(pace)
        monkeypatch.setattr(f"{'fcntl' if call == 'flock' else 'os'}.{call}", refuse)
        pace = store.try_open(now)
        assert pace is not None
        group = pace.reserve_group(now(), 1)
        store.close(pace)
        monkeypatch.undo()
        again = store.try_open(now)
        assert again is pace, "it stays in memory"
        assert again.reserve_group(now(), 1).ordinal != group.ordinal
        store.close(again)
    assert os.strerror(number) in tally.notes["budget"]
    assert ("XDG_STATE_HOME" in tally.notes["budget"]) == (number in NO_LOCKS)


def test_a_user_without_a_home_folder_shares_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bulk_sync.folders.state_folder", lambda: None)
    tally = Tally()
    with open_pace_store(API, KEY, None, tally) as store:
        assert store.try_open(SystemClock().monotonic) is not None
    assert "set XDG_STATE_HOME" in tally.notes["budget"]
    assert known_pace(API, KEY) == KnownPace()

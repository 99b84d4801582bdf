"""Sheets are moved into the archive whatever happens meanwhile: kills, races, other disks."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bulk_sync.errors import OutputError, UsageError
from bulk_sync.run.archive import PREFIX, archived, identity, refuse_archive, settle

NOW = datetime(2026, 3, 2, 2, 15, tzinfo=UTC)
SHEET = b"unique_showing_key,rating\r\next_1,4\r\n" * 50
OTHER = b"unique_showing_key,rating\r\next_2,5\r\n" * 50

# The calls that change something, each a step at which a run may be killed or disturbed.
_CALLS = ("mkdir", "rename", "replace", "link", "unlink", "rmdir", "open", "fsync")


class Killed(BaseException):
    """The process is gone: no later call has an effect."""


class Steps:
    """Counts the calls that change something, and strikes at one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int, strike: Callable[[], None]) -> None:
        self.count = 0
        self._at, self._strike, self._dead = at, strike, False
        for name in _CALLS:
            patch.setattr(os, name, self._counted(getattr(os, name)))
        patch.setattr(shutil, "copyfileobj", self._half_copied)

    def step(self) -> None:
        if self._dead:
            raise Killed
        self.count += 1
        if self.count == self._at:
            try:
                self._strike()
            except Killed:
                self._dead = True
                raise

    def _counted(self, real: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            self.step()
            return real(*arguments, **named)

        return call

    def _half_copied(self, source: Any, target: Any) -> None:
        target.write(source.read(len(SHEET) // 2))
        target.flush()
        self.step()
        target.write(source.read())


@pytest.fixture(params=["same disk", "other disk", "no links"])
def done(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A folder to move to; on another file system where there is one, else it looks so."""
    real = os.link

    def other_disk(source: Any, target: Any, **named: Any) -> None:
        if Path(source).parent != Path(target).parent and "done" in Path(target).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target, **named)

    def no_links(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if request.param == "no links":
        monkeypatch.setattr(os, "link", no_links)
    if request.param == "other disk":
        shared = Path("/dev/shm")  # noqa: S108 - memory, another file system than the disk's
        if shared.is_dir() and shared.stat().st_dev != tmp_path.stat().st_dev:
            with tempfile.TemporaryDirectory(dir=shared) as folder:
                (Path(folder) / "done").mkdir()
                yield Path(folder) / "done"
            return
        monkeypatch.setattr(os, "link", other_disk)
    (tmp_path / "done").mkdir()
    yield tmp_path / "done"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def put(path: Path, content: bytes = SHEET) -> Path:
    path.write_bytes(content)
    return path


def move(sheet: Path, done: Path, before: tuple[int, ...] | None = None) -> str:
    digest = hashlib.sha256(SHEET).hexdigest()
    return archived(sheet, done, before or identity(sheet), digest, NOW)


def copies(*folders: Path, of: bytes = SHEET) -> list[Path]:
    """The complete copies, each file once, those that people see before those in private."""
    found: dict[tuple[int, int], Path] = {}
    paths = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: PREFIX in str(path)):
        if path.read_bytes() == of:
            found.setdefault((path.stat().st_dev, path.stat().st_ino), path)
    return list(found.values())


def seen(paths: list[Path]) -> list[Path]:
    return [path for path in paths if PREFIX not in str(path)]


def in_private(inbox: Path) -> list[Path]:
    return list(inbox.glob(f"{PREFIX}*"))


def test_a_kill_at_any_step_leaves_the_sheet_and_the_next_run_ends_the_move(
    inbox: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill() -> None:
        raise Killed

    kills, sheet, target = 0, inbox / "a.csv", done / "a.csv"
    while True:
        shutil.rmtree(done)
        done.mkdir()
        put(sheet)
        before = identity(sheet)
        with monkeypatch.context() as patch:
            steps = Steps(patch, kills + 1, kill)
            try:
                move(sheet, done, before)
                break
            except Killed:
                kills += 1
        left = copies(inbox, done)
        assert left, f"nothing is left after a kill at step {kills}"
        assert len(seen(left)) <= 1
        refuse_archive(done, [inbox])  # as every run begins
        settle(inbox, done, NOW)
        assert in_private(inbox) == []
        (left_over,) = copies(inbox, done)
        if left_over == sheet:
            move(sheet, done)
        (moved,) = copies(inbox, done)
        assert moved.parent == done
        assert not sheet.exists()
        assert list(done.glob(".*")) == []  # the half of a copy is gone, too
    assert kills == steps.count >= 6
    assert copies(inbox, done) == [target]


class Stranger:
    """Somebody who takes the sheet's name, its content, or its name in the archive."""

    def __init__(self, kind: str, inbox: Path, done: Path) -> None:
        self.kind, self.inbox, self.done = kind, inbox, done
        self.left_the_sheet = True
        # Not the calls that a test counts.
        self._open, self._replace, self._mkdir = os.open, os.replace, os.mkdir
        self._unlink = os.unlink

    def come(self) -> None:
        sheet = self.inbox / "a.csv"
        with suppress(OSError):
            if self.kind == "moved over":
                self._write(self.inbox / "b.csv", os.O_TRUNC)
                self._replace(self.inbox / "b.csv", sheet)
            elif self.kind == "edited":
                self._write(sheet, 0)  # the size stays
            elif self.kind == "taken":
                self._write(self.done / "a.csv", os.O_EXCL)
            else:
                self._take_the_place(sheet)
        self.left_the_sheet = bool(copies(self.inbox, self.done))

    def _take_the_place(self, sheet: Path) -> None:
        with suppress(FileNotFoundError):
            self._unlink(sheet)
        if self.kind == "linked":
            self._write(self.inbox / "b.csv", os.O_TRUNC)
            sheet.symlink_to("b.csv")
        if self.kind == "folder":
            self._mkdir(sheet)
            self._write(sheet / "b.csv", os.O_TRUNC)

    def _write(self, path: Path, flags: int) -> None:
        opened = self._open(path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
        os.write(opened, OTHER)
        os.close(opened)


@pytest.mark.parametrize("kind", ["moved over", "edited", "deleted", "linked", "folder", "taken"])
def test_whoever_comes_in_between_loses_nothing(
    inbox: Path, done: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """At each step somebody does something to the sheet's name, or takes the one in the archive."""
    sheet, target, step, count = inbox / "a.csv", done / "a.csv", 0, 1
    while step < count:
        step += 1
        for folder in (inbox, done):
            shutil.rmtree(folder)
            folder.mkdir()
        put(sheet)
        before, stranger = identity(sheet), Stranger(kind, inbox, done)
        with monkeypatch.context() as patch:
            steps = Steps(patch, step, stranger.come)
            with suppress(OutputError):
                move(sheet, done, before)
        count = steps.count
        assert in_private(inbox) == []
        assert len(copies(inbox, done)) == stranger.left_the_sheet
        came = kind != "deleted" and (kind != "taken" or target.read_bytes() == OTHER)
        assert len(copies(inbox, done, of=OTHER)) == came
        if kind != "taken" and target.exists():
            assert target.read_bytes() == SHEET, "what was not pushed is in the archive"
    assert step >= 6


def test_moving_overwrites_nothing(inbox: Path, done: Path) -> None:
    (done / "a.csv").write_bytes(OTHER)
    sheet = put(inbox / "a.csv")
    assert "is now" in move(sheet, done)
    assert (done / "a.20260302T021500Z.csv").read_bytes() == SHEET
    with pytest.raises(OutputError, match="exists already, also with a time stamp"):
        move(put(sheet), done)
    assert (sheet.read_bytes(), (done / "a.csv").read_bytes()) == (SHEET, OTHER)
    assert in_private(inbox) == []


def test_a_sheet_that_changed_or_is_another_one_stays(inbox: Path, done: Path) -> None:
    sheet = put(inbox / "a.csv")
    before = identity(sheet)
    assert before is not None
    os.utime(sheet, ns=(0, before[3]))
    sheet.write_bytes(OTHER)
    os.utime(sheet, ns=(0, before[3]))  # the same inode, size and time: the content says it
    assert "was changed" in move(sheet, done, before)
    assert sheet.read_bytes() == OTHER
    assert list(done.iterdir()) == []
    sheet.unlink()
    assert "was changed" in move(sheet, done, before)
    (inbox / "b.csv").write_bytes(SHEET)
    sheet.symlink_to("b.csv")
    assert "symbolic link" in move(sheet, done)
    assert sheet.is_symlink()


def test_the_name_in_the_archive_is_cut_to_what_fits(inbox: Path, done: Path) -> None:
    name = "é" * 125 + ".csv"
    (done / name).write_bytes(OTHER)
    assert "is now" in move(put(inbox / name), done)
    (kept,) = copies(done)
    assert kept.name.endswith(".20260302T021500Z.csv")


def test_a_killed_move_is_not_ended_while_it_lives_nor_where_a_stranger_planted_it(
    inbox: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, ...]] = []
    with monkeypatch.context() as patch:
        Steps(patch, 4, lambda: found.append(settle(inbox, done, NOW)))
        move(put(inbox / "a.csv"), done)
    assert found == [()]
    assert copies(inbox, done) == [done / "a.csv"]
    planted = inbox / f"{PREFIX}0123456789abcdef"
    planted.mkdir(mode=0o755)
    put(planted / "b.csv")
    elsewhere = inbox.parent / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    put(elsewhere / "c.csv")
    (inbox / f"{PREFIX}fedcba9876543210").symlink_to(elsewhere)
    assert settle(inbox, done, NOW) == ()
    assert (planted / "b.csv").exists()
    assert (elsewhere / "c.csv").exists()


def test_a_name_that_is_taken_when_a_killed_move_is_ended_is_left_alone(
    inbox: Path, done: Path
) -> None:
    private = inbox / f"{PREFIX}0123456789abcdef"
    private.mkdir(mode=0o700)
    put(private / "a.csv")
    put(inbox / "a.csv", OTHER)
    with pytest.raises(OutputError, match=r"a\.kept\.csv"):
        settle(inbox, done, NOW)
    assert (inbox / "a.csv").read_bytes() == OTHER
    assert (inbox / "a.kept.csv").read_bytes() == SHEET


def test_an_archive_that_can_not_be_one_is_refused_before_anything_is_sent(
    tmp_path: Path, inbox: Path
) -> None:
    sheet = put(inbox / "a.csv")
    (tmp_path / "link").symlink_to(inbox)
    for named in (inbox, sheet):
        for folder in (inbox, tmp_path / "link", inbox / ".." / "inbox"):
            with pytest.raises(UsageError, match="in this folder already"):
                refuse_archive(folder, [named])
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    for folder in (sheet, tmp_path / "dangling"):
        with pytest.raises(OutputError, match="this is no folder"):
            refuse_archive(folder, [inbox])
    with pytest.raises(OutputError, match="no folder can be made"):
        refuse_archive(sheet / "done", [inbox])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "to").symlink_to(tmp_path / "elsewhere")
    for folder in (inbox / "done", tmp_path / "to", tmp_path / "new" / "done"):
        refuse_archive(folder, [inbox])
    assert list((tmp_path / "elsewhere").iterdir()) == []

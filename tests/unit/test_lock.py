"""The lock on a checkpoint: who holds it is told truthfully, a crash frees it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointBusy, OutputError
from bulk_sync.job.lock import held, is_held, lock_path, note_path, read_holder
from tests.helpers import poll

HOLD = (
    "import sys, pathlib; from bulk_sync.job.lock import held\n"
    "with held(pathlib.Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
)


def hold(checkpoint: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(checkpoint)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_who_holds_it_is_named_and_a_crash_frees_it(tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.sqlite"
    process = hold(checkpoint)
    assert is_held(checkpoint)
    with (
        pytest.raises(
            CheckpointBusy, match=f"process {process.pid} on {socket.gethostname()}, since 20"
        ),
        held(checkpoint),
    ):
        pass
    process.kill()
    process.communicate()
    assert note_path(checkpoint).exists()
    assert not is_held(checkpoint)
    assert read_holder(checkpoint) is None
    with held(checkpoint):
        note = json.loads(note_path(checkpoint).read_text(encoding="utf-8"))
        assert note["pid"] == os.getpid()
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert not note_path(checkpoint).exists()


@pytest.mark.parametrize(
    "change",
    [{"pid": 2**22 + 1}, {"pid": 2**70}, {"pid": "x"}, {"started": "1"}, {"colour": "red"}, None],
)
def test_a_note_that_a_crash_left_names_nobody(
    tmp_path: Path, change: dict[str, object] | None
) -> None:
    checkpoint = tmp_path / "x.sqlite"
    process = hold(checkpoint)
    try:
        text = note_path(checkpoint).read_text(encoding="utf-8")
        stale = "{" if change is None else json.dumps({**json.loads(text), **change})
        note_path(checkpoint).write_text(stale, encoding="utf-8")
        with (
            pytest.raises(CheckpointBusy, match=r"another run holds this checkpoint\. Wait"),
            held(checkpoint),
        ):
            pass
    finally:
        process.communicate("")


def test_a_holder_on_another_machine_is_named(tmp_path: Path) -> None:
    checkpoint = tmp_path / "x.sqlite"
    note_path(checkpoint).write_text(
        json.dumps({"pid": 1, "host": "elsewhere", "since": "2026-03-02", "started": None}),
        encoding="utf-8",
    )
    assert str(read_holder(checkpoint)) == "process 1 on elsewhere, since 2026-03-02"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP])
def test_a_filesystem_without_locks_is_named_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    checkpoint = tmp_path / "x.sqlite"
    with (
        pytest.raises(OutputError, match=r"keeps no locks .*local disk with --checkpoint"),
        held(checkpoint),
    ):
        pass
    assert not note_path(checkpoint).exists()
    lock_path(checkpoint).touch()
    assert not is_held(checkpoint)


def test_a_folder_in_which_no_lock_can_be_made_is_not_held_by_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """filelock takes ENOENT for a file that was just removed, and waits."""
    opened = os.open

    def absent(path: str, flags: int, *mode: int, **at: int) -> int:
        if str(path).endswith(".lock"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return opened(path, flags, *mode, **at)

    monkeypatch.setattr(os, "open", absent)
    with (
        pytest.raises(
            OutputError,
            match=r"made here: its folder takes no files.*--checkpoint",
        ),
        held(tmp_path / "x.sqlite"),
    ):
        pass


def test_a_lock_is_held_by_one_and_freed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    assert not is_held(path)
    with held(path):
        assert is_held(path)
    assert not is_held(path)


def of_another_host(**changes: object) -> str:
    """A note that another host's run has left, or writes now."""
    own = {"pid": 1, "host": "elsewhere", "since": "2026-03-02", "started": None}
    return json.dumps({**own, "boot": "other boot", "token": "other", "renewals": 7, **changes})


@pytest.mark.parametrize("written", [of_another_host(), None], ids=["taken", "taken and ended"])
def test_a_holder_that_finds_anothers_note_has_lost_its_lock(
    tmp_path: Path, written: str | None
) -> None:
    checkpoint, told = tmp_path / "x.sqlite", list[str]()
    note = note_path(checkpoint)
    with held(checkpoint) as hold:
        hold.on_loss = lambda error: told.append(str(error))
        hold.check()
        if written is None:
            note.unlink()
        else:
            note.write_text(written, encoding="utf-8")
        for _ in range(2):
            with pytest.raises(CheckpointBusy, match="locks hold on one host only"):
                hold.check()
        assert len(told) == 1
        assert ("process 1 on elsewhere" in told[0]) == (written is not None)
    # The other's note is not ours to remove.
    assert (note.read_text(encoding="utf-8") if note.exists() else None) == written


def test_a_holder_renews_its_note_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.job.lock.RENEWAL_SECONDS", 0.001)
    checkpoint = tmp_path / "x.sqlite"
    with held(checkpoint) as hold:
        poll(lambda: json.loads(note_path(checkpoint).read_bytes())["renewals"] > 2)

        def other_host_renews() -> bool:
            note_path(checkpoint).write_text(of_another_host(), encoding="utf-8")
            return hold.is_lost

        # Again and again: a renewal may fall between this holder's look at the note and its write.
        poll(other_host_renews)


@pytest.mark.parametrize(
    "content",
    [
        b"{", b"", b"[]", b'{"pid": 1}', b"\xff\xfe\x00", b"[" * 100_000, b" " * (2 << 20),
        b'{"x":' * 100_000, b'{"pid":1e999}', b"[" + b"9" * 5000 + b"]",
        b'{"pid": "1", "host": [], "since": {}, "started": 5, "boot": 1, "renewals": "x"}',
    ],
)  # fmt: skip
def test_a_note_that_cannot_be_read_ends_no_run(tmp_path: Path, content: bytes) -> None:
    checkpoint = tmp_path / "x.sqlite"
    note_path(checkpoint).write_bytes(content)
    assert read_holder(checkpoint) is None
    with held(checkpoint) as hold:
        note_path(checkpoint).write_bytes(content)
        hold.check()


@pytest.mark.skipif(os.name != "posix", reason="pipes and devices are files there")
@pytest.mark.timeout(30)
@pytest.mark.parametrize("target", [None, "/dev/zero"], ids=["a pipe", "a device"])
def test_a_note_that_never_ends_is_not_read(tmp_path: Path, target: str | None) -> None:
    checkpoint = tmp_path / "x.sqlite"
    note = note_path(checkpoint)
    if target is None:
        os.mkfifo(note)
    else:
        note.symlink_to(target)
    assert read_holder(checkpoint) is None
    with held(checkpoint) as hold:
        hold.check()


def test_a_note_of_another_host_that_is_renewed_keeps_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "x.sqlite"
    note = note_path(checkpoint)
    note.write_text(of_another_host(), encoding="utf-8")

    class Pause:
        def wait(self, seconds: float) -> None:
            assert seconds > 0
            note.write_text(of_another_host(renewals=8), encoding="utf-8")

    monkeypatch.setattr("bulk_sync.job.lock.threading.Event", Pause)
    with pytest.raises(CheckpointBusy, match="process 1 on elsewhere"), held(checkpoint):
        pass
    assert not is_held(checkpoint)


def test_a_lock_that_cannot_be_released_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(_: int, operation: int) -> None:
        if operation == fcntl.LOCK_UN:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(fcntl, "flock", flock)
    with held(tmp_path / "x.sqlite"):
        pass


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_lock_that_a_broken_disk_refuses_is_an_output_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(_: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(OutputError, match=r"can't be locked .*file server.*with --ledger"),
        held(tmp_path / "ledger.sqlite", "--ledger"),
    ):
        pass

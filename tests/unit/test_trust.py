"""Only this user, and root, may have written what decides what is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bulk_sync.errors import CheckpointError
from bulk_sync.job import trust
from bulk_sync.job.ledger_file import read_shared
from bulk_sync.job.store import Store
from bulk_sync.job.trust import Ownership, note_on_folder, objection, refuse_untrusted

ME, ROOT, STRANGER, NOBODY = 1000, 0, 1001, 65534


@pytest.mark.parametrize(
    ("found", "usual", "words"),
    [
        (Ownership(ME, 0o600), None, None),
        (Ownership(ME, 0o644), None, None),
        (Ownership(ROOT, 0o644), None, None),
        (Ownership(STRANGER, 0o600), None, "belongs to another user"),
        (Ownership(STRANGER, 0o600), Ownership(ME, 0o600), "belongs to another user"),
        (Ownership(ME, 0o620), None, "chmod go-w"),
        (Ownership(ME, 0o602), Ownership(ME, 0o600), "chmod go-w"),
        # A network folder that gives every file of root's to nobody.
        (Ownership(NOBODY, 0o600), Ownership(NOBODY, 0o600), None),
        (Ownership(NOBODY, 0o620), Ownership(NOBODY, 0o600), "chmod go-w"),
        # A drive without owners and modes: chmod would change nothing.
        (Ownership(STRANGER, 0o777), Ownership(STRANGER, 0o777), None),
        (Ownership(STRANGER, 0o777), Ownership(ME, 0o777), "belongs to another user"),
    ],
)
def test_who_may_have_written_a_file(
    found: Ownership, usual: Ownership | None, words: str | None
) -> None:
    why = objection(found, ME, usual)
    assert why is None if words is None else why is not None and words in why


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal"])
def test_each_file_of_a_checkpoint_and_of_a_ledger_is_looked_at(
    tmp_path: Path, ending: str
) -> None:
    checkpoint, ledger = tmp_path / "a b.sqlite", tmp_path / "north.ledger"
    with Store.open(checkpoint, ledger):
        pass
    for path in (checkpoint, ledger):
        one = path.with_name(path.name + ending)
        if ending:
            one.touch()
        one.chmod(0o606)
    with pytest.raises(CheckpointError, match=r"chmod go-w '.*a b.*--checkpoint"):
        refuse_untrusted(checkpoint)
    with pytest.raises(CheckpointError, match="chmod go-w"), Store.open(checkpoint):
        pass
    with pytest.raises(CheckpointError, match="chmod go-w"), Store.read(checkpoint):
        pass
    with pytest.raises(CheckpointError, match="--ledger"), read_shared(ledger):
        pass
    with (
        pytest.raises(CheckpointError, match="--ledger"),
        Store.open(tmp_path / "new.sqlite", ledger),
    ):
        pass


def test_a_link_in_place_of_a_wal_is_refused(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite"):
        pass
    (tmp_path / "x.sqlite-wal").symlink_to("elsewhere")
    with (
        pytest.raises(CheckpointError, match="not a regular file"),
        Store.read(tmp_path / "x.sqlite"),
    ):
        pass


def test_a_file_is_made_for_comparison_only_where_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def like_the_drive(folder: Path) -> Ownership:
        asked.append(folder)
        return Ownership(os.geteuid(), 0o777)

    monkeypatch.setattr(trust, "_usual_ownership", like_the_drive)
    path = tmp_path / "x.sqlite"
    path.touch(0o600)
    refuse_untrusted(path)
    assert asked == []
    path.chmod(0o777)
    refuse_untrusted(path)
    assert asked == [tmp_path]


@pytest.mark.parametrize(
    ("mode", "noted"), [(0o755, False), (0o775, False), (0o1777, False), (0o777, True)]
)
def test_a_folder_in_which_everybody_may_replace_a_file_is_noted(
    tmp_path: Path, mode: int, *, noted: bool
) -> None:
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(mode)
    assert bool(note_on_folder(folder)) == noted
    assert [*folder.iterdir()] == []


@pytest.mark.skipif(os.name != "posix", reason="owners and modes are looked at there")
def test_a_link_is_called_one_and_not_a_file_that_others_can_write(tmp_path: Path) -> None:
    ledger = tmp_path / "north.ledger"
    ledger.touch(0o600)
    link = tmp_path / "link"
    link.symlink_to(ledger)
    with pytest.raises(CheckpointError) as raised:
        refuse_untrusted(link, "--ledger")
    assert str(raised.value) == (
        f"{link}: this is a symbolic link; name the file itself: --ledger {ledger}"
    )

"""Reports take their place at once; two writers don't meet, and what a crash left goes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bulk_sync.errors import OutputError
from bulk_sync.recognise import Output
from bulk_sync.report.written.atomic import check_writable, replacing


def test_two_writers_of_one_report_do_not_share_a_file_and_the_later_one_counts(
    tmp_path: Path,
) -> None:
    path = tmp_path / ("x" * 251 + ".csv")
    with replacing(path, Output.METRICS) as first, replacing(path, Output.METRICS) as second:
        first.write("# HELP bulk_sync_x\n" * 10_000)
        second.write("# HELP bulk_sync_y")
        assert len(list(tmp_path.iterdir())) == 2
    assert path.read_text(encoding="utf-8") == "# HELP bulk_sync_x\n" * 10_000
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_one_that_fails_leaves_the_older_report_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), replacing(path, Output.METRICS) as file:
        file.write("half" * (1 // 0))
    with pytest.raises(OutputError), replacing(tmp_path / "absent" / "x.csv", Output.METRICS):
        pass
    assert path.read_text(encoding="utf-8") == "old"
    assert [found.name for found in tmp_path.iterdir()] == ["x.csv"]


def test_what_a_crash_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    left, foreign = tmp_path / ".bulk-sync-0123456789abcdef.part", tmp_path / "film.part"
    for path in (left, foreign):
        path.touch()
    with replacing(tmp_path / "y.csv", Output.METRICS) as file:
        file.write("under way")
        check_writable(tmp_path / "x.csv", Output.METRICS)
        assert not left.exists()
    assert foreign.exists()
    assert (tmp_path / "y.csv").read_text(encoding="utf-8") == "under way"


def test_a_replaced_report_is_for_its_owner_only_whatever_the_one_before_was(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.csv"
    path.touch(0o666)
    before = os.umask(0)
    try:
        with replacing(path, Output.METRICS) as file:
            file.write("new")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_not_ours_under_the_name_of_a_temporary_file_is_left_alone(tmp_path: Path) -> None:
    """Nothing waits for a pipe, is written through a link, or removes somebody else's file."""
    names = [tmp_path / f".bulk-sync-{number:016x}.part" for number in range(4)]
    precious = tmp_path / "precious.csv"
    precious.write_text("theirs", encoding="utf-8")
    os.mkfifo(names[0])
    names[1].symlink_to(precious)
    names[2].mkdir()
    names[3] = tmp_path / ".bulk-sync-mine.part"
    names[3].write_text("theirs", encoding="utf-8")
    with replacing(tmp_path / "y.csv", Output.METRICS) as file:
        file.write("ours")
    assert all(map(os.path.lexists, names))
    assert precious.read_text(encoding="utf-8") == "theirs"
    assert names[3].read_text(encoding="utf-8") == "theirs"

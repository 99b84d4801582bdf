"""Temporary folders: for one user, and gone in the end."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZipFile

import pytest

import bulk_sync
from bulk_sync.errors import OutputError
from bulk_sync.recognise import Output
from bulk_sync.report.written.workbook import _detachable, write_workbook
from bulk_sync.scratch import PREFIX, scratch_folder, sweep

KILLED = """
import os, signal, sys
from bulk_sync.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "copy").write_text("Ana Ruiz")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def make_old(folder: Path) -> Path:
    os.utime(folder, (0, 0))
    return folder


def test_it_is_for_its_user_alone_and_is_removed(there: Path) -> None:
    with scratch_folder() as folder:
        assert folder.parent == there
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "copy").write_text("x", encoding="utf-8")
    assert list(there.iterdir()) == []


def test_one_that_a_killed_run_left_is_removed_by_the_next(there: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED],
        env=os.environ | {"TMPDIR": str(there)},
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(ran.stdout.strip())
    assert (left / "copy").exists()
    with scratch_folder():
        assert not left.exists()


def test_a_run_that_makes_none_removes_them_too(there: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    for folder in (there, results):
        (Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder)) / "copy").touch()
    with scratch_folder(results) as held:
        (held / "copy").touch()
        sweep(results, results / "none")
        assert (held / "copy").exists()
    assert [*there.glob(f"{PREFIX}*"), *results.iterdir()] == []


def test_an_empty_one_is_removed_once_it_is_old(there: Path) -> None:
    left = Path(tempfile.mkdtemp(prefix=PREFIX, dir=there))
    with scratch_folder():
        assert left.exists()  # it may be about to be locked
    make_old(left)
    with scratch_folder():
        assert not left.exists()


def test_one_in_use_and_what_is_not_ours_stay(there: Path) -> None:
    (there / f"{PREFIX}file").touch()
    other = make_old(Path(tempfile.mkdtemp(prefix="other-", dir=there)))
    (there / f"{PREFIX}link").symlink_to(other)
    with scratch_folder() as one, scratch_folder() as another:
        make_old(one)
        (another / "copy").touch()
        with scratch_folder():
            assert one.exists()
            assert another.exists()
    assert {path.name for path in there.iterdir()} == {f"{PREFIX}file", f"{PREFIX}link", other.name}


def test_without_a_place_for_it_the_sentence_names_tmpdir(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="can't be written"), scratch_folder(there / "none"):
        pass
    monkeypatch.setattr(tempfile, "tempdir", str(there / "none"))
    with pytest.raises(OutputError, match="set TMPDIR"), scratch_folder():
        pass


def test_where_the_system_has_none_the_folder_of_the_run_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with scratch_folder(otherwise=tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    with scratch_folder(otherwise=tmp_path / "not made yet" / "out") as folder:
        assert folder.parent == tmp_path
    (tmp_path / "file").touch()
    for otherwise in (None, tmp_path / "file"):
        with (
            pytest.raises(OutputError, match=r"No temporary folder can be written.*set TMPDIR"),
            scratch_folder(otherwise=otherwise),
        ):
            pass


# They only see whether a folder can be written, and hold no data.
_PROBES = {"doctor.py", "job/trust.py", "job/filesystem.py"}


def test_no_other_module_makes_temporary_files_for_data() -> None:
    """A copy of a sheet in a file of `tempfile` itself would outlive a kill."""
    package = Path(bulk_sync.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import))
        named = {alias.name for node in imports for alias in node.names}
        named |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        if "tempfile" in named:
            found.add(path.relative_to(package).as_posix())
    assert found == _PROBES | {"scratch.py"}


def test_what_zipfile_writes_at_its_end_after_an_error_is_discarded(tmp_path: Path) -> None:
    """The two are finalized in any order, and Python prints what a finalizer raises."""
    with (tmp_path / "x").open("wb") as file:
        with _detachable(file) as target:
            archive = ZipFile(target, "w")
            archive.writestr("part", b"text")
        written = file.tell()
        target.close()
        archive.close()
        assert file.tell() == written


def test_a_workbook_is_collected_in_such_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XlsxWriter's own temporary files have mode 0600, but outlive a kill."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    write_workbook(
        tmp_path / "x.xlsx", Output.REPORT, ["state"], [["failed"]] * 10, coloured="state"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.xlsx"]

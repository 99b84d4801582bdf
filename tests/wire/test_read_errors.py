"""A disk that fails while a sheet is read: an input error with the file's name, and no more."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.benchmarks import workbooks
from tests.faultserver import all_good, fault_server
from tests.helpers import Ran, command, environment, numbered, run, write_sheet

pytestmark = [
    pytest.mark.slow,  # each of them runs the program several times
    pytest.mark.skipif(not shutil.which("strace"), reason="strace makes system calls fail"),
]

FORMATS: dict[str, Callable[[Path, int], None]] = {
    "csv": workbooks.write_csv,
    "xlsx": workbooks.write_xlsx,
    "xls": workbooks.write_xls,
    "xlsb": workbooks.write_xlsb,
    "ods": workbooks.write_ods,
}


def failing(sheet: Path, error: str, when: str, *arguments: object) -> Ran:
    """Run the program with reads of a file that fail from the nth on, or at the nth.

    The file is standard input, too.
    """
    calls = "read,pread64"
    injected = f"inject={calls}:error={error}:when={when}"
    strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(sheet), "-e", f"trace={calls}"]
    with sheet.open("rb") as stdin:
        done = subprocess.run(
            [*strace, "-e", injected, *command(*arguments)],
            env=environment(),
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("error", "when"), [("EIO", "1+"), ("ESTALE", "3"), ("EIO", "5+")])
def test_a_read_that_fails_is_an_input_error_with_the_files_name(
    tmp_path: Path, suffix: str, error: str, when: str
) -> None:
    sheet = tmp_path / f"sheet.{suffix}"
    # In a process of its own, because the writers leave files open.
    writing = get_context("spawn").Process(target=FORMATS[suffix], args=(sheet, 3000))
    writing.start()
    writing.join()
    ran = failing(sheet, error, when, "check", sheet, "--timezone", "UTC")
    assert (ran.code, ran.out) == (4, "")
    (sentence,) = ran.err.splitlines()
    assert sentence.startswith(f"Error: {sheet}: can't be read on: ")
    assert {"EIO": "Input/output error", "ESTALE": "Stale file handle"}[error] in sentence


def test_a_read_of_standard_input_that_fails_is_an_input_error(tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(3000))
    ran = failing(sheet, "EIO", "2", "check", "-")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.startswith("Error: Standard input can't be read on: Input/output error.")


def test_a_run_over_several_sheets_goes_on_with_the_next(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    sheets: Sequence[Path] = [
        write_sheet(inbox / f"{name}.csv", numbered(3, first=10 * place))
        for place, name in enumerate("abc")
    ]
    with fault_server(all_good) as journal:
        push = ("push", inbox, "--settle", "0s", "--base-url", journal.base_url)
        ran = failing(sheets[1], "EIO", "1+", *push, "--json")
        assert ran.code == 4
        parts = {Path(part["input"]).name: part for part in ran.summary["files"]}
        assert [parts[f"{name}.csv"]["exit_code"] for name in "abc"] == [0, 4, 0]
        assert f"{sheets[1]}: can't be read on" in ran.err
        assert sorted(journal.patched) == sorted(f"ext_{n}" for n in (0, 1, 2, 20, 21, 22))
        assert run(*push, program=command).code == 0
        assert len(journal.patched) == 9


def test_the_reader_is_told_even_if_it_took_a_failed_read_for_the_end(tmp_path: Path) -> None:
    """Foreign code may swallow an error; what was read then is not the sheet."""
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from bulk_sync.read.opened import fingerprint, opened, refuse_if_changed, ReadFailed\n"
        "path = Path(sys.argv[1])\n"
        "try:\n"
        "    with opened(path) as file:\n"
        "        before = fingerprint(file)\n"
        "        try: file.read(100)\n"
        "        except ReadFailed: pass\n"
        "        refuse_if_changed(file, path, before, '')\n"
        "except ReadFailed as failed: print('failed', failed.exit_code)\n"
    )
    sheet = write_sheet(tmp_path / "sheet.csv", numbered(3))
    strace = ["strace", "-qq", "-o", "/dev/null", "-P", str(sheet), "-e", "trace=read"]
    done = subprocess.run(
        [*strace, "-e", "inject=read:error=EIO:when=1", sys.executable, "-c", code, str(sheet)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.stdout, done.stderr) == ("failed 4\n", "")

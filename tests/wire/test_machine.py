"""The machine under a run: its limit on open files, and a wall clock that jumps or is far off."""

from __future__ import annotations

import os
import socket
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.faultserver import always, fault_server, for_keys, good, in_turn, says
from tests.helpers import command, environment, numbered, read_csv, write_sheet

pytestmark = pytest.mark.slow  # processes under a limit, or a clock of their own


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "x.csv", numbered(20))


def results(sheet: Path) -> list[dict[str, str]]:
    return read_csv(sheet.with_name("x.results.csv"))


def limited(number: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The program in a shell that allows so many open files."""
    return subprocess.run(
        ["/bin/sh", "-c", f'ulimit -n {number} && exec "$@"', "sh", *command(*arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.skipif(os.name != "posix", reason="open files are limited by the shell")
def test_more_connections_than_open_files_are_refused_before_anything_is_sent(sheet: Path) -> None:
    with fault_server(always(good)) as journal:
        refused = limited(32, "push", sheet, "--base-url", journal.base_url, "--workers", 64)
        assert journal.requests == []
        ran = limited(32, "push", sheet, "--base-url", journal.base_url, "--workers", 8)
    assert (refused.returncode, ran.returncode) == (2, 0)
    assert "--workers 64" in refused.stderr
    assert "ulimit -n" in refused.stderr


@pytest.mark.skipif(os.name != "posix", reason="open files are limited by the shell")
@pytest.mark.parametrize("number", [13, 19, 24])
@pytest.mark.parametrize("rehearsal", [False, True])
def test_too_few_open_files_for_any_push_are_named_before_anything_is_opened(
    sheet: Path, number: int, rehearsal: bool
) -> None:
    with fault_server(always(good)) as journal:
        to = ("--sandbox",) if rehearsal else ("--base-url", journal.base_url)
        refused = limited(number, "push", sheet, *to)
        assert journal.requests == []
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("Error: ") == 1
    assert f"the limit of open files is {number}" in refused.stderr
    assert [path.name for path in sheet.parent.iterdir()] == [sheet.name]


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


def under(shift: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the program with a wall clock that is off by what a file says at each reading."""
    faked = environment(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(shift),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    return subprocess.run(
        command(*arguments), env=faked, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize(
    "jump", ["+3600", "-3600", "+15768000"], ids=["an hour on", "an hour back", "past a DST change"]
)
def test_a_clock_that_jumps_neither_ends_waits_nor_prolongs_them(
    sheet: Path, tmp_path: Path, jump: str
) -> None:
    shift = tmp_path / "shift"
    shift.write_text("+0", encoding="ascii")

    def jumps(connection: socket.socket) -> None:
        shift.write_text(jump, encoding="ascii")
        says(b"HTTP/1.1 429 X\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")(connection)

    with fault_server(for_keys({"ext_7": in_turn(jumps, good)})) as journal:
        ran = under(shift, "push", sheet, "--base-url", journal.base_url, "--retry-for", "20s")
    assert ran.returncode == 0, ran.stderr
    assert Counter(journal.patched) == {
        f"ext_{number}": 2 if number == 7 else 1 for number in range(20)
    }
    assert {line["state"] for line in results(sheet)} == {"updated"}
    assert all(line["sent_at"].endswith("Z") for line in results(sheet))


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
@pytest.mark.parametrize("year", ["1970", "2100"])
def test_in_another_century_all_works(sheet: Path, tmp_path: Path, year: str) -> None:
    shift = tmp_path / "shift"
    shift.write_text(f"@{year}-06-01 00:00:00", encoding="ascii")
    with fault_server(always(good)) as journal:
        ran = under(shift, "push", sheet, "--base-url", journal.base_url)
    assert ran.returncode == 0, ran.stderr
    assert {line["sent_at"][:4] for line in results(sheet)} == {year}

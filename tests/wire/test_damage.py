"""Checkpoints that are damaged, foreign or out of reach: a sentence, the file as it was, and never
a wrong claim.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bulk_sync.job.outbox import Outbox
from bulk_sync.job.schema import SCHEMA_VERSION
from bulk_sync.model.rows import Change, Outcome
from bulk_sync.timeline import Unsaved
from tests.conftest import Program, Sandboxes
from tests.helpers import (
    Ran,
    Witness,
    after_sending_line,
    examples,
    numbered,
    read_csv,
    write_sheet,
)

pytestmark = pytest.mark.uncovered

SHEET = [*numbered(12), ("ext_90", "", 9)]
COMMANDS = ("status", "report", "push")
DOCUMENTED = {0, 2, 3, 4, 5, 6, 7, 8}


def one_sentence(text: str) -> bool:
    return (
        text.startswith("Error: ")
        and text.count("\n") == 1
        and "Traceback" not in text
        and "bug" not in text
    )


def sql(script: str) -> Callable[[Path], None]:
    def change(checkpoint: Path) -> None:
        with closing(sqlite3.connect(checkpoint)) as db:
            db.executescript(script)

    return change


def content(make: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda checkpoint: void(checkpoint.write_bytes(make(checkpoint.read_bytes())))


def void(_: object) -> None:
    return None


def flip_page(number: int) -> Callable[[bytes], bytes]:
    return lambda data: (
        data[: number * 4096]
        + bytes(byte ^ 1 for byte in data[number * 4096 :][:200])
        + (data[number * 4096 + 200 :])
    )


def rows_page(data: bytes) -> bytes:
    """One letter of one key, in the table of rows and not in its index."""
    damaged, count = re.subn(rb"ext_3ext_3(?=[0-9a-f]{32}\{)", b"ext_zext_z", data)
    assert count == 1
    return damaged


DAMAGES: dict[str, Callable[[Path], None]] = {
    "emptied": content(lambda _: b""),
    "cut by a byte": content(lambda data: data[:-1]),
    "cut by a page": content(lambda data: data[:-4096]),
    "cut within its head": content(lambda data: data[:50]),
    "binary rubbish": content(lambda data: bytes(range(256)) * (len(data) // 256)),
    "NULs appended": content(lambda data: data + bytes(5000)),
    "head flipped": content(flip_page(0)),
    "page flipped": content(flip_page(1)),
    "a key flipped": content(rows_page),
    "no version": sql("PRAGMA user_version = 0"),
    "negative version": sql("PRAGMA user_version = -3"),
    "no table": sql("DROP TABLE report; DROP VIEW row"),
    "unknown state": sql("UPDATE staged SET state = 'upfated' WHERE id = 3"),
    "cells that are no list": sql("UPDATE staged SET cells = '[\"a' WHERE id = 3"),
    "text that is no text": sql("UPDATE staged SET reasons = x'ff' WHERE id = 3"),
    "a generation of no sheet": sql("UPDATE staged SET generation = 77 WHERE id = 3"),
    "another one's patch": sql("UPDATE staged SET key = 'ext_9' WHERE id = 3"),
    "a pending row without a patch": sql(
        "UPDATE outcome SET state = 'pending' WHERE id = 3; UPDATE staged SET body = NULL WHERE "
        "id = 3"
    ),
    "an outcome that is gone": sql("DELETE FROM outcome WHERE id = 3"),
    "an outcome of a row that was not to be sent": sql(
        "INSERT INTO outcome (id, state) VALUES (13, 'updated')"
    ),
    "more ended than taken": sql("UPDATE job SET ended = taken + 1"),
    "counts of no state": sql("UPDATE job SET staged_states = '{\"pendant\": 12}'"),
    "no counts": sql("UPDATE job SET staged_states = '{'"),
    "a column of another name": sql("ALTER TABLE outcome RENAME COLUMN sent_at TO bent_at"),
    "counts of other rows": sql(
        "UPDATE job SET staged_states = json_set(staged_states, '$.pending', 11)"
    ),
    "an outcome of an unknown state": sql("UPDATE outcome SET state = 'upfated' WHERE id = 3"),
    "an outcome's text that is no text": sql("UPDATE outcome SET showing_id = x'ff' WHERE id = 3"),
}


def fifo(checkpoint: Path) -> None:
    checkpoint.unlink()
    os.mkfifo(checkpoint)


@pytest.fixture
def pushed(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> Iterator[tuple[Path, Witness]]:
    sheet = write_sheet(tmp_path / "x.csv", SHEET)
    with sandboxes() as witness:
        assert program("push", sheet, "--base-url", witness.base_url).code == 3
        yield sheet, witness


def contents(folder: Path) -> dict[str, bytes]:
    """What stands in the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_told_kept_and_put_aside_by_fresh(
    program: Program, pushed: tuple[Path, Witness], tmp_path: Path, damage: str
) -> None:
    sheet, witness = pushed
    checkpoint = tmp_path / "x.checkpoint.sqlite"
    DAMAGES[damage](checkpoint)
    there = contents(tmp_path)
    for name in COMMANDS:
        ran = program(name, sheet, *(["--base-url", witness.base_url] if name == "push" else []))
        assert (ran.code, ran.out) == (4, ""), ran
        assert one_sentence(ran.err), ran.err
        assert "damaged" in ran.err
        assert contents(tmp_path) == there
    assert len(witness.patches()) == 12
    ran = program("push", sheet, "--base-url", witness.base_url, "--fresh")
    kept = tmp_path / "x.checkpoint.damaged.sqlite"
    assert (ran.code, len(witness.patches())) == (3, 24)
    assert f"{checkpoint} was damaged; it is now {kept}." in ran.out
    assert kept.read_bytes() == there[checkpoint.name]


def test_a_second_damaged_checkpoint_is_put_beside_the_first(
    program: Program, pushed: tuple[Path, Witness], tmp_path: Path
) -> None:
    sheet, witness = pushed
    for kept in ("x.checkpoint.damaged.sqlite", "x.checkpoint.damaged-2.sqlite"):
        DAMAGES["emptied"](tmp_path / "x.checkpoint.sqlite")
        ran = program("push", sheet, "--base-url", witness.base_url, "--fresh")
        assert kept in ran.out
        assert (tmp_path / kept).read_bytes() == b""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (sql(f"PRAGMA user_version = {SCHEMA_VERSION + 1}"), "a newer version of bulk-sync"),
        (sql("PRAGMA application_id = 7"), "not a checkpoint of bulk-sync"),
        (lambda path: (path.unlink(), path.mkdir()), "this is a folder"),
        (lambda path: (path.rename(path.parent / "y"), path.symlink_to("y")), "a symbolic link"),
        (lambda path: (path.unlink(), path.symlink_to("nowhere")), "a symbolic link"),
        (fifo, "not a regular file"),
    ],
)
def test_what_is_not_ours_to_use_is_refused_also_with_fresh(
    program: Program,
    pushed: tuple[Path, Witness],
    tmp_path: Path,
    change: Callable[[Path], Any],
    words: str,
) -> None:
    sheet, witness = pushed
    change(tmp_path / "x.checkpoint.sqlite")
    there = {path.name: path.lstat().st_ino for path in tmp_path.iterdir()}
    for name in (*COMMANDS, "fresh"):
        options = ["push", "--fresh"] if name == "fresh" else [name]
        ran = program(
            *options, sheet, *(["--base-url", witness.base_url] if "push" in options else [])
        )
        assert (ran.code, ran.out) == (4, "")
        assert one_sentence(ran.err), ran.err
        assert words in ran.err
    assert {path.name: path.lstat().st_ino for path in tmp_path.iterdir()} == there
    assert len(witness.patches()) == 12


def test_a_file_of_the_users_is_not_taken_for_a_damaged_checkpoint_by_fresh(
    program: Program, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(1))
    other = write_sheet(tmp_path / "clients.csv", numbered(9))
    ran = program(
        "push", sheet, "--checkpoint", other, "--fresh", "--base-url", "http://127.0.0.1:9"
    )
    assert ran.code == 4
    assert "not a checkpoint" in ran.err
    assert other.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only the administrator can become somebody else")
def test_a_checkpoint_of_somebody_else_is_said_to_be_out_of_reach(
    program: Program, pushed: tuple[Path, Witness], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sheet, witness = pushed
    elsewhere = Path("/tmp") / f"bulk-sync-test-{os.getpid()}"  # noqa: S108 - where anybody may look
    shutil.copytree(tmp_path, elsewhere)
    elsewhere.chmod(0o755)
    monkeypatch.chdir(elsewhere)
    program("status", sheet)  # all is imported
    os.seteuid(65534)
    try:
        ends = [
            program(name, "x.csv", "--base-url", witness.base_url)
            if name == "push"
            else program(name, "x.csv")
            for name in COMMANDS
        ]
    finally:
        os.seteuid(0)
        shutil.rmtree(elsewhere)
    assert [ran.code for ran in ends] == [8, 8, 8]
    assert all(one_sentence(ran.err) for ran in ends), ends


def test_damage_in_mid_run_ends_the_run_with_a_sentence(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(60))
    exchange = Outbox.exchange

    def hurt(
        outbox: Outbox, outcomes: Sequence[Outcome], points: Unsaved | None, limit: int
    ) -> list[Change]:
        outbox._db.execute("PRAGMA cache_size = 0")
        for path in tmp_path.glob("x.checkpoint.sqlite*"):
            if path.suffix in {".sqlite", ".sqlite-wal"}:
                with path.open("r+b") as file:
                    file.write(os.urandom(path.stat().st_size))
        return exchange(outbox, outcomes, points, limit)

    monkeypatch.setattr(Outbox, "exchange", hurt)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url, "--workers", 4)
    assert (ran.code, ran.out) == (8, "")
    assert one_sentence(after_sending_line(ran.err)), ran.err
    assert "damaged while it was in use" in ran.err


# Any damage whatever


def with_wal(program: Program, witness: Witness, folder: Path) -> Path:
    """A finished job whose last writes are still in the side file, as after a crash."""
    sheet = write_sheet(folder / "x.csv", SHEET)
    program("push", sheet, "--base-url", witness.base_url)
    rows = [*SHEET, *numbered(6, first=50)]
    write_sheet(sheet, rows)
    checkpoint = folder / "x.checkpoint.sqlite"
    with closing(
        sqlite3.connect(checkpoint)
    ) as reader:  # as long as somebody reads, the side file stays
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM row").fetchone()
        program("push", sheet, "--base-url", witness.base_url)
        kept = folder / "kept"
        kept.mkdir()
        for name in (checkpoint.name, f"{checkpoint.name}-wal", "x.csv"):
            shutil.copy(folder / name, kept / name)
    assert (kept / f"{checkpoint.name}-wal").stat().st_size > 4096
    return kept


@st.composite
def injuries(draw: st.DrawFn) -> list[tuple[str, str, int, int]]:
    one = st.tuples(
        st.sampled_from(["", "", "-wal"]),
        st.sampled_from(["flip", "flip", "flip", "set", "cut", "append", "remove"]),
        st.integers(0, 2**24),
        st.integers(0, 255),
    )
    return draw(st.lists(one, min_size=1, max_size=4))


def injure(path: Path, kind: str, place: int, value: int) -> None:
    data = bytearray(path.read_bytes()) if path.exists() else bytearray()
    match kind:
        case "flip" if data:
            data[place % len(data)] ^= 1 << value % 8
        case "set" if data:
            data[place % len(data)] = value
        case "cut":
            del data[place % (len(data) + 1) :]
        case "append":
            data += bytes([value]) * (place % 5000)
        case _:
            pass
    if kind == "remove" and path.suffix != ".sqlite":
        path.unlink(missing_ok=True)
    else:
        path.write_bytes(data)


@pytest.mark.slow  # three runs for each example
def test_no_damage_makes_a_traceback_or_a_row_that_the_api_never_acknowledged(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    with sandboxes() as witness:
        kept = with_wal(program, witness, tmp_path)
        acknowledged = {entry["key"] for entry in witness.patches() if entry["applied"]}
        ended: list[int] = []

        @settings(
            max_examples=examples(0.4), suppress_health_check=[HealthCheck.function_scoped_fixture]
        )
        @given(wounds=injuries())
        def check(wounds: list[tuple[str, str, int, int]]) -> None:
            folder = tmp_path / "hurt"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(kept, folder)
            checkpoint, sheet = folder / "x.checkpoint.sqlite", folder / "x.csv"
            for side, *wound in wounds:
                injure(checkpoint.with_name(checkpoint.name + side), *wound)  # type: ignore[arg-type]
            ends: list[Ran] = []
            for name, *options in (
                ["status"],
                ["report"],
                ["push", "--base-url", witness.base_url],
            ):
                ran = program(name, sheet, *options)
                ends.append(ran)
                assert ran.code in DOCUMENTED, (wounds, ran)
                assert "Traceback" not in ran.err
                fine = {0, 3, 6} if name == "status" else {0, 3}
                assert ran.code in fine or ran.err.startswith("Error: "), ran
                results = folder / "x.results.csv"
                if results.exists():
                    claimed = {
                        line["unique_showing_key"]
                        for line in read_csv(results)
                        if line["state"] == "updated"
                    }
                    assert claimed <= acknowledged, (wounds, claimed - acknowledged)
            ended.extend(ran.code for ran in ends)

        check()
    assert 4 in ended
    assert {0, 3} & set(ended)

"""A checkpoint that goes away, comes back in parts or was cut off: said, and nothing lost."""

from __future__ import annotations

import resource
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from bulk_sync.job.outbox import Outbox
from bulk_sync.job.sealing import wal_path
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Change, Outcome, State
from bulk_sync.timeline import Unsaved
from tests.conftest import Program, Sandboxes
from tests.forged import CHECKPOINT, LEDGER, Judge, forgeries, make_folder
from tests.helpers import examples, numbered, read_csv, write_sheet
from tests.wire.test_damage import one_sentence

# Gone in mid-run


def removed(path: Path) -> None:
    path.unlink()


def renamed(path: Path) -> None:
    path.rename(path.with_name("elsewhere.sqlite"))


def replaced(path: Path) -> None:
    copy = path.with_name("copy.sqlite")
    shutil.copy(path, copy)
    copy.replace(path)


@pytest.mark.parametrize("change", [removed, renamed, replaced])
@pytest.mark.parametrize("name", ["x.checkpoint.sqlite", "north.ledger"])
def test_a_file_that_goes_away_in_mid_run_ends_it_and_the_results_have_what_was_sent(
    program: Program,
    sandboxes: Sandboxes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    name: str,
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(400))
    exchange, lost = Outbox.exchange, tmp_path / name

    def exchange_after_loss(
        outbox: Outbox,
        outcomes: Sequence[Outcome] = (),
        points: Unsaved | None = None,
        limit: int = 0,
    ) -> list[Change]:
        if outcomes and outbox._database.missing() is None:
            change(lost)
        return exchange(outbox, outcomes, points, min(limit, 20))

    monkeypatch.setattr(Outbox, "exchange", exchange_after_loss)
    with sandboxes() as witness:
        ran = program(
            "push", sheet, "--base-url", witness.base_url, "--ledger", tmp_path / "north.ledger"
        )
        sent = {entry["key"] for entry in witness.patches()}
    assert ran.code == 8
    assert f"{lost}: this file was removed, moved or replaced while the run used it" in " ".join(
        ran.err.split()
    )
    assert "Traceback" not in ran.err
    assert 0 < len(sent) < 400
    states = {
        row["unique_showing_key"]: row["state"] for row in read_csv(tmp_path / "x.results.csv")
    }
    assert {key for key, state in states.items() if state == "updated"} == sent
    assert len(states) == 400


def test_a_checkpoint_that_goes_away_before_the_first_row_ends_the_run(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    requeue = Outbox.begin

    def begin(outbox: Outbox) -> None:
        (tmp_path / "x.checkpoint.sqlite").unlink(missing_ok=True)
        requeue(outbox)

    monkeypatch.setattr(Outbox, "begin", begin)
    with sandboxes() as witness:
        ran = program("push", sheet, "--base-url", witness.base_url)
        assert witness.patches() == []
    assert (ran.code, ran.out) == (8, "")
    assert "Nothing was sent. Put it back, then run again." in ran.err


# What is left of one


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_new_checkpoint_never_takes_over_what_is_left_of_one_that_was_removed(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, ending: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    checkpoint = new / "x.checkpoint.sqlite"
    with sandboxes() as witness:
        address = ["--base-url", witness.base_url]
        program("push", write_sheet(old / "x.csv", numbered(30, first=500)), *address)
        before = old / "x.checkpoint.sqlite"
        with closing(sqlite3.connect(before)) as db:
            db.execute("UPDATE job SET seconds = 7")
            db.commit()
            left = before.with_name(before.name + "-wal").read_bytes()
        assert len(left) > 4096
        side = checkpoint.with_name(checkpoint.name + ending)
        side.write_bytes(left)
        ran = program("push", write_sheet(new / "x.csv", numbered(3)), *address)
        assert ran.code == 0
        kept = new / f"x.checkpoint.removed.sqlite{ending}"
        assert kept.read_bytes() == left
        assert str(kept) in ran.out
        states = program("status", new / "x.csv", "--json").summary["states"]
        assert (states["updated"], sum(states.values())) == (3, 3)


# The disk is full


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let a write beyond this size fail, as on a full disk: in the middle, after what fits."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.skipif(sys.platform != "linux", reason="as Linux writes beyond a limit")
@pytest.mark.parametrize("pages", [1, 3, 9, 14, 20, 27])
def test_a_checkpoint_after_a_short_write_is_used(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, pages: int
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(300))
    checkpoint = tmp_path / "x.checkpoint.sqlite"
    with sandboxes() as witness:
        address = ["--base-url", witness.base_url]
        assert program("push", sheet, *address, "--limit", 100).code == 0
        with closing(sqlite3.connect(checkpoint)) as reader:
            # As long as somebody reads, pages stay in the WAL; then a part of them is moved.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM job").fetchone()
            assert program("push", sheet, *address, "--limit", 200).code == 0
            size = checkpoint.stat().st_size
            kept = wal_path(checkpoint).read_bytes()
            reader.execute("COMMIT")
            with (
                files_up_to(size + (pages - 1) * 4096 + 1000),
                closing(sqlite3.connect(checkpoint)) as other,
            ):
                with pytest.raises(sqlite3.Error):
                    other.execute("PRAGMA wal_checkpoint").fetchone()
                shutil.copy(checkpoint, tmp_path / "cut")
        (tmp_path / "cut").replace(checkpoint)
        wal_path(checkpoint).write_bytes(kept)
        assert checkpoint.stat().st_size % 4096
        assert program("status", sheet).code == 0
        assert program("push", sheet, *address).code == 0
        assert len(witness.patches()) == 300


def test_a_part_of_a_page_without_a_wal_is_damage(
    program: Program, sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(3))
    with sandboxes() as witness:
        program("push", sheet, "--base-url", witness.base_url)
    with (tmp_path / "x.checkpoint.sqlite").open("ab") as file:
        file.write(bytes(1000))
    ran = program("status", sheet)
    assert ran.code == 4
    assert "no whole number of pages" in ran.err
    assert one_sentence(ran.err)


# The clock


@pytest.mark.parametrize("ledger", [None, "north.ledger"])
def test_a_clock_that_was_set_back_by_a_day_changes_nothing(
    program: Program,
    sandboxes: Sandboxes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ledger: str | None,
) -> None:
    sheet = write_sheet(tmp_path / "x.csv", numbered(9))
    options = ["--ledger", tmp_path / ledger] if ledger else []
    now = SystemClock.now
    with sandboxes() as witness:
        push = ["push", sheet, "--base-url", witness.base_url, *options]
        assert program(*push, "--limit", 4).code == 0
        with monkeypatch.context() as patch:
            patch.setattr(SystemClock, "now", lambda clock: now(clock) - timedelta(days=1))
            # As after a boot: files are a day newer than the clock, and the holder's note is gone.
            assert program("status", sheet).code == 0
            assert program(*push, "--page", tmp_path / "x.html").code == 0
            assert len(witness.patches()) == 9
            assert program(*push, "--only-changed").code == 0
        assert program(*push, "--only-changed").code == 0
        assert len(witness.patches()) == 9
    with Store.read(tmp_path / "x.checkpoint.sqlite") as store:
        first, second = store.views.runs()
        assert first.began > second.began
        assert sum(point.counts.states.get(State.UPDATED, 0) for point in first.points) == 4


# Forged files


@pytest.mark.slow  # four commands for each
def test_forged_files_end_in_a_sentence_and_send_nothing_of_their_own(
    program: Program, sandboxes: Sandboxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.job.bounded.BASE_SECONDS", 1.0)
    with sandboxes() as witness:
        sound = tmp_path / "sound"
        make_folder(sound, program, witness)
        judge = Judge(sound, program, witness, tmp_path / "forged")
        for name in (CHECKPOINT, LEDGER):
            known = list(forgeries(sound / name))
            assert len(known) >= 262
            step = len(known) // examples(0.1)
            wrong = [line for forgery in known[::step] for line in judge.judge(name, forgery)]
            assert wrong == []

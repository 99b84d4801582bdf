"""A deadline that is over before the first row ends the run with 6, whatever used the time up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bulk_sync.clock import SystemClock
from bulk_sync.model.rows import LeftOut, Problem, Record
from bulk_sync.run.sheet import Sheet
from tests.conftest import Program, Sandboxes
from tests.helpers import SimulatedClock, Witness, numbered, write_sheet

ROWS = 20


@pytest.fixture
def witness(sandboxes: Sandboxes) -> Iterator[Witness]:
    with sandboxes() as witness:
        yield witness


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return write_sheet(tmp_path / "s.csv", numbered(ROWS))


@pytest.fixture
def slow_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour passes whenever a sheet is read; the time of day is 9:45 before."""
    passed = timedelta()
    monotonic, rows = SystemClock.monotonic, Sheet.checked_rows
    clock = SystemClock()
    began = monotonic(clock)
    morning = datetime(2026, 3, 2, 9, 45).astimezone().astimezone(UTC)

    def read(self: Sheet) -> Iterator[Record | Problem | LeftOut]:
        nonlocal passed
        passed += timedelta(minutes=30)
        return rows(self)

    def now(self: SystemClock) -> datetime:
        return morning + timedelta(seconds=self.monotonic() - began)

    def later(self: SystemClock) -> float:
        return monotonic(self) + passed.total_seconds()

    monkeypatch.setattr(SystemClock, "monotonic", later)
    monkeypatch.setattr(SystemClock, "now", now)
    monkeypatch.setattr(Sheet, "checked_rows", read)


@pytest.mark.parametrize("transport", ["httpx", "httptools"])
@pytest.mark.parametrize("deadline", ["0.001s", "0.01s"])
def test_it_is_no_bug(
    program: Program, witness: Witness, sheet: Path, transport: str, deadline: str
) -> None:
    to = ("push", sheet, "--base-url", witness.base_url, "--transport", transport)
    ran = program(*to, "--deadline", deadline, "--json")
    assert ran.code == 6
    assert "--deadline" in ran.summary["stopped"]
    states = ran.summary["states"]
    assert states["pending"] + states["updated"] == ROWS
    assert len(witness.patches()) == states["updated"]
    # A service manager runs it again.
    assert program(*to).code == 0
    assert len({entry["key"] for entry in witness.patches()}) == ROWS


BOUNDS = [("--finish-by", "10:00"), ("--deadline", "20m")]


@pytest.mark.usefixtures("slow_reading")
@pytest.mark.parametrize("bound", BOUNDS)
def test_it_may_pass_while_the_sheet_is_read(
    program: Program, witness: Witness, sheet: Path, bound: tuple[str, str]
) -> None:
    ran = program("push", sheet, "--base-url", witness.base_url, *bound, "--json")
    assert (ran.code, ran.summary["states"]["pending"]) == (6, ROWS)
    at = datetime.fromisoformat(ran.summary["stopped"].rpartition(" ")[2]).astimezone()
    assert f"{at:%H:%M}" == ("10:00" if bound[0] == "--finish-by" else "10:05")
    assert witness.patches() == []


@pytest.mark.usefixtures("slow_reading")
@pytest.mark.parametrize("bound", BOUNDS)
def test_it_may_pass_during_a_rehearsal(
    program: Program, sheet: Path, bound: tuple[str, str]
) -> None:
    ran = program("push", sheet, "--sandbox", *bound, "--json")
    assert (ran.code, ran.summary["states"]["pending"]) == (6, ROWS)


@pytest.mark.usefixtures("slow_reading")
@pytest.mark.parametrize("bound", BOUNDS)
@pytest.mark.parametrize("other", ["sheet", "ledger"])
def test_it_may_pass_during_the_comparison_before_a_push(
    program: Program,
    witness: Witness,
    sheet: Path,
    tmp_path: Path,
    bound: tuple[str, str],
    other: str,
) -> None:
    if other == "ledger":
        to = "ledger"
        program("push", sheet, "--base-url", witness.base_url)
        write_sheet(sheet, [(key, "Changed", 1) for key, *_ in numbered(ROWS)])
        if bound[0] == "--finish-by":
            bound = ("--finish-by", "10:30")  # because the first push took half an hour
    else:
        to = str(write_sheet(tmp_path / "b.csv", [(key, "", 1) for key, *_ in numbered(ROWS)]))
    sent = len(witness.patches())
    ran = program(
        *("reconcile", sheet, "--with", to, "--push", "--base-url", witness.base_url),
        *("--json", *bound),
    )
    assert ran.code == 6
    assert ran.summary["push"]["states"]["pending"] > 0
    assert len(witness.patches()) == sent


@pytest.mark.usefixtures("slow_reading")
@pytest.mark.parametrize("bound", BOUNDS)
def test_it_may_pass_while_the_first_of_several_sheets_is_read(
    program: Program, witness: Witness, sheet: Path, tmp_path: Path, bound: tuple[str, str]
) -> None:
    other = write_sheet(tmp_path / "t.csv", numbered(3))
    ran = program("push", sheet, other, "--base-url", witness.base_url, *bound, "--json")
    assert (ran.code, ran.summary["states"]["pending"]) == (6, ROWS + 3)
    assert witness.patches() == []


@pytest.mark.asyncio
async def test_the_clock_waits_no_negative_time() -> None:
    await SystemClock().sleep(-1.0)
    with pytest.raises(AssertionError, match="negative"):
        await SimulatedClock().sleep(-0.001)

"""bulk-sync in somebody's program: the docstring's example, with and without an event loop, stopped
and followed.
"""

from __future__ import annotations

import asyncio
import doctest
import threading
from pathlib import Path

import anyio
import pytest

import bulk_sync
from bulk_sync import PushSettings, RowDecided, State, Summary, push, push_async, results
from bulk_sync.clock import SystemClock
from bulk_sync.errors import UsageError
from bulk_sync.model.own import RESULT_COLUMNS
from bulk_sync.quantities import parse_rate
from bulk_sync.sandbox.faults import parse_fault
from tests.conftest import Sandboxes
from tests.helpers import KEY, Witness, numbered, write_sheet


def settings_of(sheet: Path, witness: Witness, **more: object) -> PushSettings:
    return PushSettings(
        input=sheet, base_url=witness.base_url, key=KEY, **{"rate": parse_rate("500/s"), **more}
    )


def test_the_example_of_the_package_runs() -> None:
    failed, tried = doctest.testmod(bulk_sync)
    assert (failed, tried > 10) == (0, True)


def test_every_row_is_told_as_it_is_decided(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(40))
    told: list[RowDecided] = []
    with sandboxes(faults=(parse_fault("20%:404"), parse_fault("10%:503")), seed=4) as witness:
        settings = settings_of(sheet, witness)
        summary = push(settings, on_row=told.append)
    assert sorted(row.row for row in told) == list(range(2, 42))
    for state in (State.UPDATED, State.REJECTED):
        assert sum(row.state is state for row in told) == summary.states[state] > 0
    of_rows = {
        result.number: (result.state, result.attempts)
        for result in results(settings.files.checkpoint)
    }
    assert of_rows == {row.row: (row.state, row.attempts) for row in told}


def test_results_are_dicts_of_some_states_with_the_cells_of_the_sheet(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = tmp_path / "s.csv"
    sheet.write_text(
        "unique_showing_key,rating,State\next_1,4,TX\next_2,4,\next_3,six,\next_4,4,,more\n",
        encoding="utf-8",
    )
    with sandboxes() as witness:
        settings = settings_of(sheet, witness)
        push(settings)
    place = str(settings.files.checkpoint)
    assert [row.number for row in results(place)] == [2, 3, 4, 5]
    for states in ("invalid", State.INVALID, ["invalid", State.FAILED], {State.INVALID}):
        assert [row.number for row in results(place, states)] == [4, 5]
    assert list(results(settings.files.checkpoint, [])) == []
    with pytest.raises(UsageError, match=r"'late' is not a state.*updated, created"):
        results(place, "late")
    found = results(place)
    assert next(found).key == "ext_1"
    first, _, third, fourth = found.to_dicts(with_cells=True)
    assert list(first) == [*RESULT_COLUMNS, "unique_showing_key (2)", "rating", "State (2)"]
    assert list(fourth) == [*first, "column 4"]
    assert (first["state"], first["row"], first["State (2)"]) == ("updated", 2, "TX")
    assert type(first["state"]) is str
    assert (third["rating"], third["State (2)"]) == ("six", "")
    assert third["message"].startswith("rating: 'six' is not a rating")
    assert list(next(found.to_dicts())) == list(RESULT_COLUMNS)


def test_push_works_where_an_event_loop_runs(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(5))

    async def notebook(witness: Witness) -> Summary:
        return push(settings_of(sheet, witness))

    with sandboxes() as witness:
        assert asyncio.run(notebook(witness)).states[State.UPDATED] == 5


@pytest.mark.parametrize("backend", ["asyncio", "asyncio+uvloop"])
def test_push_async_lets_the_loop_go_on(sandboxes: Sandboxes, tmp_path: Path, backend: str) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(20))
    ticks = 0

    async def program(witness: Witness) -> Summary:
        async def tick() -> None:
            nonlocal ticks
            while True:
                await SystemClock().sleep(0.01)
                ticks += 1

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            summary = await push_async(settings_of(sheet, witness, rate=parse_rate("100/s")))
            tasks.cancel_scope.cancel()
        return summary

    with sandboxes() as witness:
        summary = anyio.run(
            program, witness, backend_options={"use_uvloop": backend.endswith("uvloop")}
        )
    assert summary.states[State.UPDATED] == 20
    assert ticks > 5


def test_cancelling_push_async_ends_the_run_tidily(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(50))

    async def program(witness: Witness) -> None:
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope:

            def cancel(_: RowDecided) -> None:
                loop.call_soon_threadsafe(scope.cancel)

            settings = settings_of(sheet, witness, rate=parse_rate("20/s"))
            await push_async(settings, on_row=cancel)
        assert scope.cancelled_caught

    with sandboxes() as witness:
        anyio.run(program, witness)
        applied = {entry["key"] for entry in witness.patches()}
        states = {
            result.key: result.state
            for result in results(settings_of(sheet, witness).files.checkpoint)
        }
        assert 0 < len(applied) < 50
        assert {key for key, state in states.items() if state is State.UPDATED} == applied
        assert push(settings_of(sheet, witness)).states[State.UPDATED] == 50
        assert len(witness.patches()) == 50


def test_a_program_may_stop_a_run(sandboxes: Sandboxes, tmp_path: Path) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(50))
    stop = threading.Event()
    with sandboxes() as witness:
        settings = settings_of(sheet, witness, rate=parse_rate("20/s"))
        summary = push(settings, stop=stop, on_row=lambda row: stop.set() if row.row > 3 else None)
    assert summary.exit_code == 6
    assert "asked to stop" in str(summary.stopped)
    assert 0 < summary.states[State.UPDATED] < 50


def test_what_a_program_raises_for_a_row_ends_the_run_and_no_row_is_lost(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(50))

    def refuse(row: RowDecided) -> None:
        if row.row > 5:
            raise RuntimeError("no more of them")

    with sandboxes() as witness:
        settings = settings_of(sheet, witness)
        with pytest.raises(RuntimeError, match="no more of them"):
            push(settings, on_row=refuse)
        acknowledged = {
            result.key
            for result in results(settings.files.checkpoint)
            if result.state is State.UPDATED
        }
        assert acknowledged
        assert push(settings).states[State.UPDATED] == 50
        sent = [entry["key"] for entry in witness.journal()]
    assert all(sent.count(key) == 1 for key in acknowledged)


def test_what_is_raised_for_a_row_costs_no_other_its_outcome(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(50))

    def refuse(row: RowDecided) -> None:
        if row.state is State.FAILED:
            raise RuntimeError("no failures, please")

    with sandboxes(faults=(parse_fault("10%:503"),), seed=5) as witness:
        settings = settings_of(sheet, witness, max_attempts=1)
        with pytest.raises(RuntimeError, match="no failures, please"):
            push(settings, on_row=refuse)
        rows = list(results(settings.files.checkpoint))
        applied = {entry["key"] for entry in witness.patches() if entry["applied"]}
        sent = {entry["key"] for entry in witness.patches()}
    assert {row.key for row in rows if row.state is State.UPDATED} == applied
    # One failed; others may have had the same answer, and waited for their verdict.
    assert {row.key for row in rows if row.may_have_been_applied} == sent - applied
    assert {row.state for row in rows} == {State.UPDATED, State.FAILED, State.PENDING}


def test_a_stop_that_comes_with_the_last_row_changes_no_end(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    sheet = write_sheet(tmp_path / "s.csv", numbered(3))
    stop = threading.Event()
    left = {2, 3, 4}

    def count(row: RowDecided) -> None:
        left.discard(row.row)
        if not left:
            stop.set()

    with sandboxes() as witness:
        summary = push(settings_of(sheet, witness), stop=stop, on_row=count)
    assert (summary.exit_code, summary.stopped) == (0, None)


def test_a_deadline_that_passes_while_the_sheet_is_staged_sends_nothing_and_is_no_bug(
    sandboxes: Sandboxes, tmp_path: Path
) -> None:
    class HourAReading(SystemClock):
        readings = 0

        def monotonic(self) -> float:
            self.readings += 1
            return super().monotonic() + 3600.0 * self.readings

    sheet = write_sheet(tmp_path / "s.csv", numbered(5))
    with sandboxes() as witness:
        summary = push(settings_of(sheet, witness, deadline_seconds=0.2), clock=HourAReading())
        assert witness.journal() == []
    assert (summary.exit_code, summary.states) == (6, {State.PENDING: 5})
    assert "--deadline" in str(summary.stopped)

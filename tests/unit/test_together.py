"""The standing of a job while its files are pushed, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync import together
from bulk_sync.clock import SystemClock
from bulk_sync.errors import OutputError
from bulk_sync.model.rows import State, Tally
from bulk_sync.model.summaries import Summary
from bulk_sync.run.follow import Callbacks, StopRequest
from bulk_sync.run.rows import Judgement
from bulk_sync.settings.inbox import Inbox
from bulk_sync.settings.outputs import Outputs
from bulk_sync.settings.push import PushSettings
from tests.helpers import numbered, write_sheet
from tests.unit.jobs import summary


def test_rows_of_files_that_have_not_begun_are_known_and_count_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first file is sent, of the second all is done before, the third fails."""
    sizes = {"a.csv": 8, "b.csv": 6, "c.csv": 2}
    files = tuple(
        write_sheet(tmp_path / name, numbered(rows, first=100 * n))
        for n, (name, rows) in enumerate(sizes.items())
    )
    standings: list[together.Standing] = []
    seen: list[tuple[int, int]] = []

    def look() -> None:
        (one,) = standings
        current = [] if one.tally is None else [one.tally]
        begun = sum(tally.total for tally in [*one.earlier, *current])
        seen.append((begun, sum(one.to_come.values())))

    def push(settings: PushSettings, _: Judgement | None, callbacks: Callbacks) -> Summary:
        name = settings.reading.input.name
        look()
        if name == "c.csv":
            raise OutputError("no space left")
        if name == "a.csv":
            with callbacks.watch(Tally(total=8)):
                look()
        return summary(name, {State.UPDATED: sizes[name]})

    monkeypatch.setattr("bulk_sync.together.push_in_run", push)
    settings = PushSettings.of(
        {"key": "north_sk_test_" + "0" * 32, "base_url": "http://127.0.0.1:9"}, input=files[0]
    )
    job = together.Job("vale", files, Outputs(), lambda: together.Ready(settings, Inbox()))
    together.run(
        [job],
        at_once=1,
        end=float("inf"),
        clock=SystemClock(),
        stop=StopRequest(),
        watch=standings.extend,
        callbacks=Callbacks(),
        on_end=lambda _: look(),
    )
    assert seen == [(0, 16), (8, 8), (8, 8), (14, 2), (16, 0)]
    (one,) = standings
    assert [tally.settled_before for tally in one.earlier] == [0, 6, 0]

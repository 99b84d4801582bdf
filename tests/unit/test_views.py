"""What reports read of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.job.store import Store
from bulk_sync.job.views import Views
from bulk_sync.model.rows import Outcome, State
from tests.unit.checkpoints import stage


def test_counts_are_those_of_one_moment_while_a_run_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.sqlite"
    outcomes = Views._outcomes_of_job
    with Store.open(path) as store, Store.read(path) as look:
        stage(store, [(key, "1") for key in "ABCD"])
        changes = iter(store.outbox.exchange(limit=4))

        def and_a_run_writes(self: Views) -> str:
            store.outbox.exchange([Outcome(next(changes).id, State.REJECTED, 1)])
            return outcomes(self)

        monkeypatch.setattr(Views, "_outcomes_of_job", and_a_run_writes)
        assert look.views.counts() == {State.PENDING: 4}
        assert look.views.totals()[0] == 2  # it looks for the first time after that
        monkeypatch.undo()
        assert look.views.counts() == {State.PENDING: 2, State.REJECTED: 2}

"""What a job knows of what the API acknowledged."""

from __future__ import annotations

from pathlib import Path

from bulk_sync.job.store import Store
from bulk_sync.model.rows import Outcome, State
from tests.unit.checkpoints import (
    stage,
)


def test_who_asks_what_was_acknowledged_while_a_run_goes_on_leaves_the_checkpoint_to_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "x.sqlite"

    def known() -> dict[str, object]:
        with Store.read(path) as other:
            return {one.target: one.values for one in other.known.acknowledged()}

    with Store.open(path) as run:
        stage(run, [("key1", "5"), ("id-1", "1")])
        (one,) = run.outbox.exchange(limit=1)
        run.outbox.exchange([Outcome(one.id, State.UPDATED, 1, showing_id="id-1")])
        assert known() == {"key1": {"rating": 5}}
        (other_name,) = run.outbox.exchange(limit=1)  # the same showing, as the API said
        assert known() == {}
        run.outbox.exchange(
            [Outcome(other_name.id, State.FAILED, 1, error="timeout", may_have_been_applied=True)]
        )
        run.outbox.release()
        assert known() == {}
    with Store.open(path) as later:
        later.known.learn()
        assert list(later.known.acknowledged()) == []


def test_what_is_known_is_looked_up_row_by_row(tmp_path: Path) -> None:
    with Store.open(tmp_path / "x.sqlite") as store:
        stage(store, [("A", "1")])
        statements: list[str] = []
        store.database.connection.set_trace_callback(statements.append)
        store.known.pending_known()
        store.database.connection.set_trace_callback(None)
        query = next(statement for statement in statements if "known.fields" in statement)
        plan = " ".join(
            str(line[-1])
            for line in store.database.connection.execute("EXPLAIN QUERY PLAN " + query)
        )
    assert "AUTOMATIC" not in plan
    assert "TEMP B-TREE" not in plan

"""A ledger knows when each value was acknowledged: through jobs, refusals, merges and purges."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_sync.errors import CheckpointDamaged
from bulk_sync.job.ledger_entries import time_of
from bulk_sync.job.ledger_file import purge_values, read_shared
from bulk_sync.job.store import Store
from bulk_sync.model.rows import Outcome, State
from tests.helpers import examples
from tests.unit.test_ledger import ADDRESS, begin

PATCHES = st.fixed_dictionaries(
    {},
    optional={
        "rating": st.integers(1, 2),
        "interested": st.booleans(),
        "attendees_count": st.integers(1, 2),
    },
).filter(bool)
ENDS = st.sampled_from(["acknowledged", "acknowledged", "refused", "lost"])


def night(store: Store, patch: dict[str, Any], end: str, at: str) -> list[str]:
    """Push one row with --only-changed; return the fields that were acknowledged at that time."""
    begin(store, {"A": patch})
    found = store.outbox.exchange(limit=1)
    if not found:
        return []
    (change,) = found
    if end != "lost":
        state = State.UPDATED if end == "acknowledged" else State.REJECTED
        error = None if end == "acknowledged" else "refused"
        outcome = Outcome(change.id, state, 1, error=error, sent_at=at, duration_ms=0)
        store.outbox.exchange([outcome])
    store.outbox.release()
    return list(json.loads(change.body)) if end == "acknowledged" else []


def known_times(store: Store) -> dict[str, str | None]:
    if store.database.shared_ledger is not None:
        with read_shared(store.database.shared_ledger) as file:
            found = file.of(ADDRESS).find(["A"])
    else:
        found = store.known.find(ADDRESS, ["A"])
    return {name: time_of(one.times, name) for one in found for name in one.values}


@settings(max_examples=examples(0.4))
@given(st.lists(st.tuples(PATCHES, ENDS, st.booleans()), max_size=6), st.booleans())
def test_each_known_value_has_the_time_of_its_last_acknowledgement(
    nights: list[tuple[dict[str, Any], str, bool]], moves: bool
) -> None:
    acknowledged: dict[str, str] = {}
    with TemporaryDirectory() as folder:
        path, ledger = Path(folder, "x.sqlite"), Path(folder, "north.ledger")
        for number, (patch, end, learns) in enumerate(nights):
            shared = ledger if moves and number > 1 else None
            at = f"2026-03-{number + 1:02d}T16:30:00.000Z"
            with Store.open(path, shared) as store:
                fields = night(store, patch, end, at)
                acknowledged |= dict.fromkeys(fields, at)
                if learns:
                    store.known.learn()
                times = known_times(store)
            assert times.items() <= acknowledged.items()
            if fields:
                assert set(times) >= set(fields)


def test_a_shared_ledger_of_an_earlier_version_keeps_its_values_without_times(
    tmp_path: Path,
) -> None:
    path, ledger = tmp_path / "x.sqlite", tmp_path / "north.ledger"
    at = "2026-03-14T16:30:00.000Z"
    with Store.open(path, ledger) as store:
        night(store, {"rating": 1, "attendees_count": 1}, "acknowledged", at)
        assert known_times(store) == {"rating": at, "attendees_count": at}
    with closing(sqlite3.connect(ledger)) as db:
        db.executescript("ALTER TABLE ledger DROP COLUMN times; PRAGMA user_version = 3;")
    with read_shared(ledger) as file:  # a comparison, or `explain`, may be the first to read it
        assert [one.values for one in file.of(ADDRESS).all()] == [
            {"rating": 1, "attendees_count": 1}
        ]
    with Store.open(path, ledger) as store:
        assert known_times(store) == {"rating": None, "attendees_count": None}
        night(store, {"rating": 2, "attendees_count": 1}, "acknowledged", at)
        assert known_times(store) == {"rating": at, "attendees_count": None}
    purge_values(ledger, examined=False)
    with Store.open(path, ledger) as store:
        assert known_times(store) == {}


@pytest.mark.parametrize("forged", ["x", "[]", '{"yesterday":""}', '{"2026-03-14":1}', '"2026"'])
def test_forged_times_are_damage(tmp_path: Path, forged: str) -> None:
    path = tmp_path / "x.sqlite"
    with Store.open(path) as store:
        night(store, {"rating": 1}, "acknowledged", "2026-03-14T16:30:00.000Z")
        store.known.learn()
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE ledger SET times = ?", (forged,))
        db.commit()
    with pytest.raises(CheckpointDamaged, match="times"), Store.read(path):
        pass

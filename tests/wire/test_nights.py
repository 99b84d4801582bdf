"""After any nights with two sheets, North has what they say; see `tests.models.nights`.

The long form is `python -m tests.benchmarks.nights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers import KEY
from tests.models.histories import history, reduced, violation
from tests.models.nights import Nights
from tests.models.north import Family, North
from tests.models.person import Night

SEEDS = (1, 3)


@pytest.mark.slow  # a hundred runs
@pytest.mark.parametrize("seed", SEEDS)
def test_after_each_night_north_has_what_sheets_and_exports_say(tmp_path: Path, seed: int) -> None:
    assert violation(seed, history(seed, 25), tmp_path) is None


def test_a_push_that_is_taken_for_done_breaks_a_rule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bulk_sync.job.known.Known.find_overwritten", lambda _: 0)
    nights = [
        Night(("push", "a")),
        Night(("push", "b"), (("cell", "b", 0, "rating", "3"),)),
        Night(("push", "a"), (("sort", "b", 1),)),
    ]
    seed = next(one for one in range(99) if Nights(_folder(tmp_path, one), one).ledgers == "shared")

    def breaks(some: Sequence[Night]) -> bool:
        return "rule 1: a.csv" in (violation(seed, some, tmp_path) or "")

    assert breaks(nights)
    assert [night.edits for night in reduced(nights, breaks)][2:] == [()]


def _folder(place: Path, seed: int) -> Path:
    folder = place / str(seed)
    folder.mkdir()
    return folder


def test_ledgers_that_are_joined_know_what_neither_contradicts() -> None:
    north = North([{"rating": 1, "feedback": "Dark"}])
    one, two = Family(), Family()
    north.families = [one, two]
    for family, rating in ((one, 2), (two, 3)):
        north.pushing = family
        north.patch(KEY, "ext_0", {"rating": rating} | {"feedback": "Bright"})
    assert one.unseen == {(0, "rating")}
    one.join(two)
    assert (one.claims, one.unseen) == ({(0, "feedback"): "Bright"}, set())

"""A small agency whose run is killed, then stopped; `tests.benchmarks.agency` is the whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.agency import LIMIT_KEPT, night
from tests.benchmarks.agency_teams import SPECIAL

pytestmark = pytest.mark.slow  # the program runs three times


def test_no_team_is_touched_by_another_nor_by_a_kill(tmp_path: Path) -> None:
    with night(tmp_path, teams=len(SPECIAL) + 1, rows=12, kills=2, seed=8) as agency:
        assert agency.strikes == {"SIGKILL": 1, "SIGTERM": 1}
        agency.broken.places.pop(LIMIT_KEPT, None)  # a busy machine may break it
        assert agency.broken.places == {}
        assert agency.seen_at("refused", "refused") > 0
        assert agency.seen_at("down", "while_down") > 0

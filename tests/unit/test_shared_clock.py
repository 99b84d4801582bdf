"""The shared pace after a suspend, a boot, and a clock that was set: no hold grows, no burst."""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.observation import Observation
from bulk_sync.send.pace import Pace
from bulk_sync.send.pace_store import PaceInFile

DAY = 86400.0


@dataclass
class Machine:
    """A machine's clocks: the one since its boot, and the time of day, which may be set."""

    seconds: float = 1000.0
    offset: float = 1.7e9
    boots: int = 1

    def pass_by(self, seconds: float) -> None:
        """Let time pass, suspended or not: the clock since the boot counts both."""
        self.seconds += seconds

    def boot(self, off_seconds: float, up_seconds: float) -> None:
        """Switch the machine off and on; the time of day goes on."""
        self.offset += self.seconds + off_seconds
        self.seconds, self.boots = up_seconds, self.boots + 1

    def set_clock(self, seconds: float) -> None:
        self.offset += seconds

    def open(self, path: Path) -> PaceInFile:
        return PaceInFile(path, f"{self.boots:036}", lambda: self.offset)


def permits_in_a_second(pace: Pace, now: float) -> int:
    """Return how many permits the pace grants within a second."""
    granted = 0
    for millisecond in range(1001):
        at = now + millisecond / 1000
        while pace.wait_until(at) <= at and pace.due_at(at) <= at:
            granted += pace.reserve_group(at, 1000).number
    return granted


EVENTS = st.one_of(
    st.tuples(st.just("pass_by"), st.floats(0, 3 * DAY)),
    st.tuples(st.just("set_clock"), st.sampled_from([-DAY, -3600.0, 3600.0, DAY, 400 * DAY])),
    st.tuples(st.just("boot"), st.floats(0, 3 * DAY)),
)


@given(
    st.integers(1, 200),
    st.sampled_from([None, 0.5, 60.0, 7200.0]),
    st.lists(EVENTS, max_size=4),
    st.integers(0, 2**16),
)
def test_no_hold_grows_and_no_permits_pile_up(
    requests: int, asked: float | None, events: list[tuple[str, float]], seed: int
) -> None:
    machine, dice = Machine(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pace"
        shared = machine.open(path)
        pace = shared.try_open(lambda: machine.seconds)
        assert pace is not None
        for _ in range(requests):
            group = pace.reserve_group(machine.seconds, 1)
            machine.pass_by(max(0.0, group.start - machine.seconds) + 0.01)
            seen = Observation(group.ordinal, "through", 0.01)
            pace.observe(machine.seconds, seen, dice.random(), offset=machine.offset)
        if asked is not None:
            seen = Observation(pace.taken, "throttled", 0.01, asked_seconds=asked)
            pace.observe(machine.seconds, seen, dice.random(), offset=machine.offset)
        hold = max(0.0, pace.wait_until(machine.seconds) - machine.seconds)
        rate = pace.per_second(machine.seconds)
        shared.close(pace)
        shared.end()
        true_seconds = 0.0
        for name, seconds in events:
            if name == "boot":
                machine.boot(seconds, 20.0)
                true_seconds += seconds + 20.0
            else:
                getattr(machine, name)(seconds)
                true_seconds += seconds if name == "pass_by" else 0.0
        shared = machine.open(path)
        pace = shared.try_open(lambda: machine.seconds)
        assert pace is not None
        left = max(0.0, pace.wait_until(machine.seconds) - machine.seconds)
        assert left <= hold + 0.02
        if not any(name == "set_clock" for name, _ in events):
            # No event is forgotten or counted twice: what is left is what is true.
            assert abs(left - max(0.0, hold - true_seconds)) <= 0.02
        allowed = max(rate, Pace().per_second(0.0), pace.per_second(machine.seconds))
        assert permits_in_a_second(pace, machine.seconds) <= 2 + 1.2 * allowed
        shared.close(pace)
        shared.end()

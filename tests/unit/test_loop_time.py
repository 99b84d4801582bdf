"""The time of an event loop that goes into writes is bounded, however slow the disk is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.job.loop_time import BURST_SECONDS, MOST_PART, LoopTime

SECONDS = st.floats(0, 100) | st.floats(0, 0.01)


@given(st.lists(st.tuples(SECONDS, SECONDS), max_size=30))
def test_in_any_stretch_of_time_writes_take_no_more_than_their_part(
    steps: list[tuple[float, float]],
) -> None:
    left, now, written = LoopTime(), 5.0, list[tuple[float, float]]()
    for gap, seconds in steps:
        now += gap
        if left.is_left(now):
            # Not this one: how long it takes is known afterwards.
            for number, (began, _) in enumerate(written):
                spent = sum(ended - began for began, ended in written[number:])
                assert spent <= BURST_SECONDS + MOST_PART * (now - began) + 1e-9
            left.spend(now, now + seconds)
            written.append((now, now + seconds))
            now += seconds


def test_a_quick_disk_is_written_to_at_once_and_a_slow_one_again_later() -> None:
    left = LoopTime()
    for number in range(100):
        assert left.is_left(number / 100)
        left.spend(number / 100, number / 100 + 0.0005)
    left.spend(1.0, 3.0)
    assert not left.is_left(3.0)
    assert not left.is_left(3.0 + 1.8 / MOST_PART)
    assert left.is_left(3.0 + 2.0 / MOST_PART)

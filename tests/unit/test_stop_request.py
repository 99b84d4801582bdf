"""The request to stop that signals make."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import pytest

from bulk_sync.errors import Interrupted
from bulk_sync.run.follow import StopRequest


def test_the_first_signal_stops_and_the_second_hurries() -> None:
    stop = StopRequest()
    stop.take(2)
    assert (stop.is_set(), stop.hurry) == (True, False)
    assert isinstance(stop.reason, Interrupted)
    stop.take(15)
    assert stop.hurry
    assert stop.reason.exit_code == 130


@pytest.mark.parametrize("line", range(1, 30))
def test_a_second_signal_between_any_two_lines_of_the_first_is_not_lost(line: int) -> None:
    stop = StopRequest()
    left = [line]

    def trace(_frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            left[0] -= 1
            if left[0] == 0:
                sys.settrace(None)
                stop.take(15)
                return None
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        stop.take(2)
    finally:
        sys.settrace(before)
    if left[0] > 0:
        stop.take(15)
    assert (stop.is_set(), stop.hurry) == (True, True)
    assert stop.reason.exit_code in {130, 143}

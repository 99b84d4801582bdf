"""Scales, ticks and shapes of the charts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.report.page.plot import (
    Along,
    Plot,
    Scale,
    clock,
    linear,
    logarithmic,
    plot_svg,
    times,
)

PLOT = Plot(Scale((0, 50, 100)), 100, (0, 0.25, 0.5, 1))


@pytest.mark.parametrize(
    ("most", "whole", "ticks"),
    [
        (212, False, (0, 50, 100, 150, 200, 250)),
        (100, False, (0, 20, 40, 60, 80, 100)),
        (0.6, False, (0, 0.2, 0.4, 0.6)),
        (0, False, (0, 0.2, 0.4, 0.6, 0.8, 1)),
        (0, True, (0, 1)),
        (3, True, (0, 1, 2, 3)),
        (13, True, (0, 5, 10, 15)),
    ],
)
def test_a_scale_from_zero_has_round_ticks_up_to_the_highest_value(
    most: float, whole: bool, ticks: tuple[float, ...]
) -> None:
    assert linear(most, whole=whole).ticks == ticks


@pytest.mark.parametrize(
    ("least", "most", "ticks"),
    [
        (43, 159, (20, 50, 100, 200)),
        (1, 1, (1, 2)),
        (9, 11, (5, 10, 20)),
        (3, 45_000, (2, 10, 100, 1000, 10_000, 50_000)),
    ],
)
def test_a_logarithmic_scale_surrounds_the_values(
    least: float, most: float, ticks: tuple[float, ...]
) -> None:
    assert logarithmic(least, most).ticks == ticks


@given(st.floats(1, 1e6), st.floats(1, 1e6))
def test_every_value_is_on_its_scale_in_order(one: float, other: float) -> None:
    least, most = sorted((one, other))
    for scale in (linear(most), linear(most, whole=True), logarithmic(least, most)):
        assert 0 <= scale.share(least) <= scale.share(most) <= 1
        assert scale.ticks[-1] >= most * (1 - 1e-9)
        assert list(scale.ticks) == sorted(set(scale.ticks))
        assert 2 <= len(scale.ticks) <= 9
    assert logarithmic(least, most).ticks[0] <= least * (1 + 1e-9)


def test_half_a_scale_is_half_way_and_a_logarithmic_one_goes_by_ratios() -> None:
    assert linear(100).share(50) == 0.5
    assert logarithmic(1, 100).share(10) == pytest.approx(0.5)
    assert linear(100).share(1000) == 1


@pytest.mark.parametrize(
    ("lasted", "labels"),
    [
        (0.5, ["0 s", "0.25 s", "0.5 s"]),
        (29.5, ["0 s", "5 s", "10 s", "15 s", "20 s", "25 s"]),
        (200, ["0 s", "30 s", *(f"{at} min" for at in ("1:00", "1:30", "2:00", "2:30", "3:00"))]),
        (
            7200,
            [
                "0 s",
                *(f"{n}:00 min" for n in (15, 30, 45)),
                "1:00 h",
                "1:15 h",
                "1:30 h",
                "1:45 h",
                "2:00 h",
            ],
        ),
        (9 * 86400, ["0 s", "48:00 h", "96:00 h", "144:00 h", "192:00 h"]),
    ],
)
def test_times_are_round_and_few(lasted: float, labels: list[str]) -> None:
    assert [clock(at) for at in times(lasted)] == labels


def test_lines_break_where_a_value_is_missing_and_a_lone_value_is_a_dot() -> None:
    """Heights: 26 pixels above the top of the axis, which is 100 pixels for 100."""
    assert 'd="M0 76H250M500 26H1000"' in PLOT.steps([50, None, 100], "x")
    assert 'd="M0 76H250V26H500V126H1000"' in PLOT.steps([50, 100, 0], "x")
    assert 'd="M125 76h0M750 26h0"' in PLOT.line([50, None, 100], "x")
    assert 'd="M125 76h0L375 26L750 126"' in PLOT.line([50, 100, 0], "x")
    assert 'd="M0 126V76H250V26H500V126H1000V126Z"' in PLOT.area([50, 100, 0], "x")


def test_pieces_of_a_bar_are_on_top_of_each_other_and_nothing_is_no_piece() -> None:
    bars = PLOT.bars((("a", [20, 0, 0]), ("b", [30, 0, 10])))
    assert bars.count("<rect") == 3
    assert 'y="106" height="20" class="area a"' in bars
    assert 'y="76" height="30" class="area b"' in bars
    assert 'x="53.5%" width="43%" y="116" height="10" class="area b"' in bars


def test_further_runs_are_marked_and_numbered_where_there_is_room() -> None:
    html = plot_svg(PLOT, "per second", str, Along(100, (40, 44, 60, 99)), ())
    assert html.count('class="begin"') == 4
    assert [n for n in range(2, 6) if f">run {n}<" in html] == [2, 4]

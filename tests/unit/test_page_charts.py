"""The points that the charts are drawn from."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.model.rows import Allowance, RateSource, State
from bulk_sync.model.summaries import Traffic
from bulk_sync.report.page.charts import draw, percentile, time_section
from bulk_sync.timeline import Counts, Point, Run, latency_bucket
from tests.unit.pages import SUMMARY

BEGAN = "2026-03-02T09:00:00.000Z"


def rows(count: int, retries: int = 0, throttled: int = 0) -> Counts:
    return Counts({State.UPDATED: count}, count, retries, throttled)


@given(st.lists(st.floats(0.001, 900), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_right_to_a_twentieth(latencies: list[float], share: float) -> None:
    found = percentile(Counter(map(latency_bucket, latencies)), share)
    exact = sorted(latencies)[max(0, -(-len(latencies) * share // 1).__int__() - 1)] * 1000
    assert found is not None
    assert exact / 1.05 <= found <= exact * 1.05


def test_of_nothing_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None
    assert percentile({3: 0}, 0.5) is None


def test_rates_are_per_second_and_the_last_stretch_is_as_long_as_it_was() -> None:
    points = [Point(250 * n, 250, 250, rows(10)) for n in range(11)] + [
        Point(2750, 250, 150, rows(6))
    ]
    drawing = draw([Run(BEGAN, tuple(points))])
    assert drawing is not None
    assert [figure.rows for figure in drawing.figures] == [40.0] * 12
    assert (drawing.width_seconds, drawing.lasted_seconds) == (0.25, 2.9)


def test_the_last_moment_of_a_run_makes_no_peak() -> None:
    points = (
        Point(0, 250, 250, rows(10)),
        Point(250, 250, 250, rows(10)),
        Point(500, 250, 1, rows(3)),
    )
    drawing = draw([Run(BEGAN, points), Run("later", (Point(0, 250, 250, rows(10)),))])
    assert drawing is not None
    assert [(figure.at_seconds, round(figure.rows, 1)) for figure in drawing.figures] == [
        (0, 40),
        (0.25, 51.8),
        (0.5, 40),
    ]
    assert drawing.begins[1] == (0.5, "later")


def test_a_second_run_stands_after_the_first_and_silence_is_drawn() -> None:
    first = Run("a", (Point(0, 250, 250, rows(10)), Point(1000, 250, 250, rows(10, throttled=3))))
    second = Run("b", (Point(0, 500, 500, Counts({State.FAILED: 9}, 18, 9, limit=40.0)),))
    drawing = draw([first, Run("nothing", ()), second])
    assert drawing is not None
    assert drawing.width_seconds == 0.5
    assert [figure.at_seconds for figure in drawing.figures] == [0, 0.5, 1.0, 1.5]
    assert [figure.rows for figure in drawing.figures] == [20, 0, 40, 18]
    assert [figure.throttled for figure in drawing.figures] == [0, 0, 3, 0]
    assert [figure.limit for figure in drawing.figures] == [None, None, None, 40.0]
    assert drawing.begins == ((0, "a"), (1.5, "b"))
    assert (drawing.limit, drawing.lasted_seconds) == (40.0, 2.0)
    assert draw([]) is None


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.sampled_from([250, 1000, 64000]))
def test_however_long_the_runs_few_points_are_drawn(lengths: list[int], width: int) -> None:
    runs = [
        Run(str(n), tuple(Point(width * k, width, width, rows(5, retries=1)) for k in range(count)))
        for n, count in enumerate(lengths)
    ]
    drawing = draw(runs)
    assert drawing is not None
    assert len(drawing.figures) <= 160
    assert sum(figure.retries for figure in drawing.figures) == sum(lengths)


def test_the_page_names_the_allowances() -> None:
    allowances = (Allowance(1000, 985, None, RateSource.HEADER, 3600),)
    traffic = Traffic(4, 0, 0, 2.0, 2.0, allowances=allowances)
    shown = time_section(replace(SUMMARY, traffic=traffic), None)
    assert "Allowance: 1,000 requests per hour (stated by the API), 985 left." in str(shown)

"""The points that the charts are drawn from."""

from __future__ import annotations

import re
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.model.rows import Allowance, RateSource, State
from bulk_sync.model.summaries import Traffic
from bulk_sync.report.page.charts import time_section
from bulk_sync.report.page.drawing import draw, percentile
from bulk_sync.report.page.plot import linear
from bulk_sync.timeline import Counts, Point, Run, latency_bucket
from tests.unit.pages import SUMMARY, parsed

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
    assert [figure.worst is None for figure in drawing.figures] == [True] * 4
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


def limited(count: int, limit: float | None) -> Counts:
    return Counts({State.UPDATED: count}, count, limit=limit)


def test_the_limit_is_drawn_only_while_it_is_known() -> None:
    """From when a run learns it, through pauses, until it is unknown again or the run ends."""
    known = [None, 40.0, "pause", 40.0, None, 20.0]
    points = tuple(
        Point(250 * n, 250, 250, limited(10, limit))  # type: ignore[arg-type]
        for n, limit in enumerate(known)
        if limit != "pause"
    )
    drawing = draw([Run("a", points), Run("b", (Point(0, 250, 250, limited(10, None)),))])
    assert drawing is not None
    assert [one.limit for one in drawing.figures] == [None, 40, 40, 40, None, 20, None]
    shown = parsed(str(time_section(SUMMARY, drawing)))
    _legend, line = (
        attrs["d"] for _, attrs in shown.elements if attrs.get("class") == "stroke limit"
    )
    assert line is not None
    # Of 7 intervals on 1,000 units: 143 to 571 at 40 of 40, 714 to 857 at 20 of 40.
    assert line == "M142.9 26H285.7V26H428.6V26H571.4M714.3 111H857.1"


def test_the_latency_is_two_lines_and_points_for_the_worst() -> None:
    """p50 is the 2nd of 4, p90 and worst the 4th; a bucket is 8 to an octave."""
    latencies = Counter(map(latency_bucket, (0.016, 0.016, 0.032, 0.064)))
    counts = Counts({State.UPDATED: 4}, 4, latencies=latencies)
    drawing = draw([Run("a", tuple(Point(250 * n, 250, 250, counts) for n in (0, 1, 3)))])
    assert drawing is not None
    figure = drawing.figures[0]
    assert figure.p50 is not None
    assert figure.worst is not None
    assert abs(figure.p50 / 16 - 1) < 0.05
    assert abs(figure.worst / 64 - 1) < 0.05
    assert figure.p90 == figure.worst == drawing.latency[2]
    shown = parsed(str(time_section(SUMMARY, drawing)))
    dots = [attrs["cx"] for name, attrs in shown.elements if name == "circle" and "cx" in attrs]
    assert dots == ["11", "12.5%", "37.5%", "87.5%"]  # the first is of the legend
    _legend, median = (
        attrs["d"] for _, attrs in shown.elements if attrs.get("class") == "stroke p50"
    )
    assert median is not None
    # A break for the interval without requests.
    assert [part.split()[0] for part in median.split("M")[1:]] == ["125", "875"]
    assert "the slowest 61 ms." in shown.text


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=2, max_size=40))
def test_the_pieces_of_the_bars_add_up_to_the_totals(counted: list[tuple[int, int]]) -> None:
    points = tuple(
        Point(250 * n, 250, 250, rows(30, retries, throttled))
        for n, (retries, throttled) in enumerate(counted)
    )
    drawing = draw([Run("a", points)])
    assert drawing is not None
    shown = parsed(str(time_section(SUMMARY, drawing)))
    most = max(one.retries + one.throttled for one in drawing.figures)
    top = linear(most, whole=True).ticks[-1]
    for name, total in (
        ("retries", sum(one for one, _ in counted)),
        ("throttled", sum(one for _, one in counted)),
    ):
        heights = [
            float(attrs["height"] or 0)
            for _, attrs in shown.elements
            if attrs.get("class") == f"area {name}" and str(attrs.get("x", "")).endswith("%")
        ]
        assert abs(sum(heights) / 100 * top - total) < 0.02 * top
        assert f"{name}: {total}" in shown.text


def test_axes_have_their_units_and_a_limit_far_above_flattens_nothing() -> None:
    points = tuple(Point(250 * n, 250, 250, limited(10, 300.0)) for n in range(4))
    drawing = draw([Run("a", points)])
    assert drawing is not None
    html = str(time_section(SUMMARY, drawing))
    units = re.findall(r'class="unit">([^<]*)<', html)
    assert units == ["per second", "milliseconds, logarithmic", "requests in 0.25 s"]
    assert "limit, while known" not in html
    assert "The limit was 300/s at the end." in html


def test_the_page_names_the_allowances() -> None:
    allowances = (Allowance(1000, 985, None, RateSource.HEADER, 3600),)
    traffic = Traffic(4, 0, 0, 2.0, 2.0, allowances=allowances)
    shown = time_section(replace(SUMMARY, traffic=traffic), None)
    assert "Allowance: 1,000 requests per hour (stated by the API), 985 left." in str(shown)

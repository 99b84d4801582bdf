"""Charts of a run over time: the points to draw, their data for `page.js`, and the markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from msgspec import Struct

from bulk_sync.model.rows import RateSource, State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.page.frame import header_row, section
from bulk_sync.report.page.markup import Html, element
from bulk_sync.report.words import SOURCES, allowance_text, counted, milliseconds, rate, span
from bulk_sync.timeline import BUCKETS_PER_OCTAVE, FIRST_WIDTH_MS, Counts, Run, widened

MOST_DRAWN = 160
"""The maximum of points for all runs together; each is then a few pixels wide on a desktop."""

# Noisy points are merged until this many are left.
_FEWEST_DRAWN = 12

# A chart of one point shows nothing that its figures don't.
_FEWEST_SHOWN = 2

# With fewer requests per point on average, a rate is mostly noise.
_REQUESTS_PER_POINT = 8


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """Return a percentile of the latency in milliseconds; `share` is from 0 to 1.

    It is the middle of its bucket, accurate to 5 %. None without requests.
    """
    buckets = sorted(bucket for bucket, count in latencies.items() if count > 0)
    wanted = share * sum(latencies[bucket] for bucket in buckets)
    for bucket, count in zip(
        buckets, accumulate(latencies[bucket] for bucket in buckets), strict=True
    ):
        if count >= wanted:
            return 1.0 if bucket == 0 else 2.0 ** ((bucket - 0.5) / BUCKETS_PER_OCTAVE)
    return None


class Figure(Struct, frozen=True):
    """One interval of the charts; rates are per second, latencies in milliseconds.

    `at_seconds` is its start, on an axis that joins all runs without the time between them.
    """

    at_seconds: float
    rows: float
    requests: float
    limit: float | None
    retries: int
    throttled: int
    p50: float | None
    p90: float | None
    p99: float | None


class Drawing(Struct, frozen=True):
    """Figures of equal width on one time axis that joins all runs.

    `begins` has (start in seconds, time of day) of each run; `lasted_seconds` is the end of the
    axis. `limit` and `source` are the latest known; `latency` has p50, p90 and p99 of all requests.
    """

    width_seconds: float
    lasted_seconds: float
    begins: tuple[tuple[float, str], ...]
    figures: tuple[Figure, ...]
    limit: float | None
    source: RateSource
    latency: tuple[float | None, float | None, float | None]


def draw(runs: Sequence[Run], most: int = MOST_DRAWN) -> Drawing | None:
    """Return at most `most` figures, but at least one per run; None if nothing was sent."""
    runs = [run for run in runs if run.points]
    if not runs:
        return None
    width = _width_for(runs, most)
    figures: list[Figure] = []
    begins = []
    total, begin, ended = Counts(), 0, 0
    for run in runs:
        begins.append((begin / 1000, run.began))
        intervals = _intervals(run, width)
        for number, (seconds, counts) in enumerate(intervals):
            figures.append(_figure((begin + number * width) / 1000, seconds, counts, total.limit))
            total = total.then(counts)
        ended = begin + (len(intervals) - 1) * width + min(width, round(intervals[-1][0] * 1000))
        begin += len(intervals) * width
    return Drawing(
        width / 1000,
        ended / 1000,
        tuple(begins),
        tuple(figures),
        total.limit,
        total.source,
        _percentiles(total),
    )


def _intervals(run: Run, width_ms: int) -> list[tuple[float, Counts]]:
    """Return (seconds, counts) of each interval, including idle ones; the last may be shorter."""
    points = {point.at_ms: point for point in widened(run.points, width_ms)}
    last = max(points)
    nothing = Counts()
    found = [
        (width_ms / 1000, points[start].counts if start in points else nothing)
        for start in range(0, last + width_ms, width_ms)
    ]
    covered = points[last].covered_ms
    if covered * 2 < width_ms and len(found) > 1:
        # Less than half an interval is merged into the previous one: its rate would be noise.
        (_, counts), (seconds, before) = found.pop(), found.pop()
        return [*found, (seconds + covered / 1000, before.then(counts))]
    found[-1] = (max(covered, FIRST_WIDTH_MS / 5) / 1000, points[last].counts)
    return found


def _width_for(runs: Sequence[Run], most: int) -> int:
    width = max(point.width_ms for run in runs for point in run.points)
    requests = sum(point.counts.requests for run in runs for point in run.points)
    while True:
        intervals = sum(run.points[-1].at_ms // width + 1 for run in runs)
        noisy = intervals > _FEWEST_DRAWN and requests < _REQUESTS_PER_POINT * intervals
        if intervals == len(runs) or not (intervals > most or noisy):
            return width
        width *= 2


def _figure(
    at_seconds: float, seconds: float, counts: Counts, limit_before: float | None
) -> Figure:
    decided = sum(count for state, count in counts.states.items() if state is not State.PENDING)
    p50, p90, p99 = _percentiles(counts)
    return Figure(
        at_seconds,
        decided / seconds,
        counts.requests / seconds,
        limit_before if counts.limit is None else counts.limit,
        counts.retries,
        counts.throttled,
        p50,
        p90,
        p99,
    )


def _percentiles(counts: Counts) -> tuple[float | None, float | None, float | None]:
    return (
        percentile(counts.latencies, 0.5),
        percentile(counts.latencies, 0.9),
        percentile(counts.latencies, 0.99),
    )


# Markup


class _Chart(Struct, frozen=True):
    name: str
    title: str
    series: tuple[tuple[str, str], ...]
    """(CSS class of the line, label)"""


_CHARTS = (
    _Chart(
        "rate",
        "Rows and requests per second",
        (("rows", "rows"), ("requests", "requests"), ("limit", "limit")),
    ),
    _Chart(
        "latency",
        "Request latency",
        (("p50", "p50 (median)"), ("p90", "p90"), ("p99", "p99")),
    ),
    _Chart(
        "again",
        "Throttled requests and retries",
        (("throttled", "throttled"), ("retries", "retries")),
    ),
)


def is_charted(drawing: Drawing) -> bool:
    """Return False for a run that was too short for a chart."""
    return len(drawing.figures) >= _FEWEST_SHOWN


def time_section(summary: Summary, drawing: Drawing | None) -> Html:
    """Return the section of figures and charts, or the reason why there are no charts."""
    if drawing is None or not is_charted(drawing):
        if drawing is not None:
            why = "The run was too short for a chart."
        elif summary.traffic.requests:
            why = "These rows were sent before runs recorded their timeline."
        else:
            why = "Nothing was sent."
        return section(
            "time",
            "Over time",
            _figures_of(summary, drawing),
            *_allowances(summary),
            element("p", why),
            class_="card",
        )
    return section(
        "time",
        "Over time",
        _figures_of(summary, drawing),
        *_allowances(summary),
        element("div", *(_chart(chart, drawing) for chart in _CHARTS), class_="charts"),
        _figures_table(drawing),
        class_="card",
    )


def _allowances(summary: Summary) -> list[Html]:
    return [
        element("p", f"Allowance: {allowance_text(one)}.") for one in summary.traffic.allowances
    ]


def _figures_of(summary: Summary, drawing: Drawing | None) -> Html:
    p50, _, p99 = drawing.latency if drawing else (None, None, None)
    limit, source = None, RateSource.NONE
    if summary.traffic.limit:
        limit, source = summary.traffic.limit, summary.traffic.source
    elif drawing:  # this run did not meet the limit, but an earlier one may have
        limit, source = drawing.limit, drawing.source
    facts = [
        ("Requests", f"{summary.traffic.requests:,}", None),
        ("Retries", f"{summary.traffic.retries:,}", None),
        ("Throttled", f"{summary.traffic.throttled:,}", "429, or 503 with Retry-After"),
        ("Duration", span(summary.traffic.seconds), None),
        ("Rows per second", f"{summary.traffic.rows_per_second:,.1f}", None),
        (
            "Limit",
            ("none met" if drawing else "–") if limit is None else rate(limit),
            SOURCES.get(source) if limit is not None else None,
        ),
        (
            "Latency",
            "–" if p50 is None else milliseconds(p50),
            None if p99 is None else f"p99 {milliseconds(p99)}",
        ),
    ]
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", value, element("small", aside) if aside is not None else None),
            )
            for name, value, aside in facts
        ),
        class_="figures",
    )


def _chart(chart: _Chart, drawing: Drawing) -> Html:
    legend = (element("li", _line(kind), name) for kind, name in chart.series)
    text = _description(chart.name, drawing)
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", chart.title),
            element("ul", *legend, class_="legend"),
            element("p", class_="readout", aria_hidden="true"),
        ),
        element("div", class_="plot", data_chart=chart.name, role="img", aria_label=text),
        element("p", text, class_="words"),
    )


def _line(kind: str) -> Html:
    shape = (
        element("rect", y=2, width=22, height=10, class_=f"area {kind}")
        if kind in {"rows", "throttled"}
        else element("path", d="M0 7h22", class_=f"stroke {kind}")
    )
    return element("svg", shape, width=22, height=14, aria_hidden="true", class_="key")


def _description(name: str, drawing: Drawing) -> str:
    """Describe a chart in a sentence, for screen readers."""
    shown = drawing.figures
    if name == "rate":
        top = max(shown, key=lambda one: one.rows)
        limit = "" if drawing.limit is None else f" The limit was {rate(drawing.limit)} at the end."
        after = f"after {span(top.at_seconds)} of {span(drawing.lasted_seconds)}"
        return f"At most {top.rows:,.1f} rows per second, {after}.{limit}"
    if name == "latency":
        p50, p90, p99 = drawing.latency
        if p50 is None or p90 is None or p99 is None:
            return "No request was timed."
        return (
            f"Half of all requests took at most {milliseconds(p50)}, 90 % at most "
            f"{milliseconds(p90)}, 99 % at most {milliseconds(p99)}."
        )
    retries, throttled = sum(one.retries for one in shown), sum(one.throttled for one in shown)
    if not retries and not throttled:
        return "No retries, and no request was throttled."
    return (
        f"{counted(retries, 'retry', 'retries')}; "
        f"{counted(throttled, 'request was', 'requests were')} throttled."
    )


def _figures_table(drawing: Drawing) -> Html:
    names = (
        "After",
        "Rows/s",
        "Requests/s",
        "Limit/s",
        "Retries",
        "Throttled",
        "p50 ms",
        "p90 ms",
        "p99 ms",
    )
    return element(
        "details",
        element("summary", "The charts as a table"),
        element(
            "div",
            element(
                "table",
                element("caption", f"Each line covers {span(drawing.width_seconds)}"),
                header_row(*names),
                element("tbody", *map(_figure_line, drawing.figures)),
                class_="numbers",
            ),
            class_="scrolls",
            tabindex=0,
            role="region",
            aria_label="The charts as a table",
        ),
        class_="figures-table",
    )


def _figure_line(figure: Figure) -> Html:
    numbers = (
        figure.rows,
        figure.requests,
        figure.limit,
        figure.retries,
        figure.throttled,
        figure.p50,
        figure.p90,
        figure.p99,
    )
    return element(
        "tr",
        element("th", span(figure.at_seconds), scope="row"),
        *(element("td", "–" if number is None else f"{number:,.4g}") for number in numbers),
    )


def drawing_data(drawing: Drawing) -> dict[str, object]:
    """Return the data for the charts, as `page.js` reads it."""
    return {
        "width": drawing.width_seconds,
        "lasted": drawing.lasted_seconds,
        "begins": [at for at, _ in drawing.begins],
        "at": [_short(one.at_seconds) for one in drawing.figures],
        **{
            name: [_short(getattr(one, name)) for one in drawing.figures]
            for name in ("rows", "requests", "limit", "retries", "throttled", "p50", "p90", "p99")
        },
    }


def _short(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.6g}")

"""Charts of a run over time: figures, drawing data and markup."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from msgspec import Struct

from bulk_sync.model.rows import RateSource, State
from bulk_sync.model.summaries import Summary
from bulk_sync.report.page.frame import header_row, section
from bulk_sync.report.page.markup import Html, element
from bulk_sync.report.words import SAID_BY, milliseconds, rate
from bulk_sync.timeline import FIRST_WIDTH_MS, TO_AN_OCTAVE, Counts, Run, widened

MOST_DRAWN = 160
"""So many points of all runs are drawn: each is a few pixels wide on a desktop."""


_FEWEST_DRAWN = 12


_REQUESTS_A_POINT = 8
"""On average, where there are enough points: a rate that is counted from less is mostly noise."""


def percentile(latencies: Mapping[int, int], share: float) -> float | None:
    """The latency, in milliseconds, that `share` (0 to 1) of the counted ones don't exceed; None
    when there are none.

    It is the middle of its bucket, so at most 5 % off.
    """
    buckets = sorted(bucket for bucket, count in latencies.items() if count > 0)
    wanted = share * sum(latencies[bucket] for bucket in buckets)
    for bucket, count in zip(
        buckets, accumulate(latencies[bucket] for bucket in buckets), strict=True
    ):
        if count >= wanted:
            return 1.0 if bucket == 0 else 2.0 ** ((bucket - 0.5) / TO_AN_OCTAVE)
    return None


class Figure(Struct, frozen=True):
    """What is drawn of one stretch; rates are per second, latencies in milliseconds.

    `at_seconds` is the time that the runs had lasted together when it began.
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
    """Figures of equal width on one time axis, the runs one after the other; `begins` are (time,
    index) of each run.

    `lasted_seconds` is where the axis ends; `limit` and `source` are the last known, `latency` is
    p50, p90, p99 of all.
    """

    width_seconds: float
    lasted_seconds: float
    begins: tuple[tuple[float, str], ...]
    figures: tuple[Figure, ...]
    limit: float | None
    source: RateSource
    latency: tuple[float | None, float | None, float | None]


def draw(runs: Sequence[Run], most: int = MOST_DRAWN) -> Drawing | None:
    """The runs as figures, at most `most` and one for each run; None when nothing was sent."""
    runs = [run for run in runs if run.points]
    if not runs:
        return None
    width = _width_for(runs, most)
    figures: list[Figure] = []
    begins = []
    total, begin, ended = Counts(), 0, 0
    for run in runs:
        begins.append((begin / 1000, run.began))
        stretches = _stretches(run, width)
        for number, (seconds, counts) in enumerate(stretches):
            figures.append(_figure((begin + number * width) / 1000, seconds, counts, total.limit))
            total = total.then(counts)
        ended = begin + (len(stretches) - 1) * width + min(width, round(stretches[-1][0] * 1000))
        begin += len(stretches) * width
    return Drawing(
        width / 1000,
        ended / 1000,
        tuple(begins),
        tuple(figures),
        total.limit,
        total.source,
        _percentiles(total),
    )


def _stretches(run: Run, width_ms: int) -> list[tuple[float, Counts]]:
    """(seconds, counts) from the run's beginning to its end, silence too.

    The last one is as long as it was; less than half of one is part of the one before, for a rate
    counted from so little is mostly noise.
    """
    points = {point.at_ms: point for point in widened(run.points, width_ms)}
    last = max(points)
    nothing = Counts()
    found = [
        (width_ms / 1000, points[start].counts if start in points else nothing)
        for start in range(0, last + width_ms, width_ms)
    ]
    covered = points[last].covered_ms
    if covered * 2 < width_ms and len(found) > 1:
        (_, counts), (seconds, before) = found.pop(), found.pop()
        return [*found, (seconds + covered / 1000, before.then(counts))]
    found[-1] = (max(covered, FIRST_WIDTH_MS / 5) / 1000, points[last].counts)
    return found


def _width_for(runs: Sequence[Run], most: int) -> int:
    width = max(point.width_ms for run in runs for point in run.points)
    requests = sum(point.counts.requests for run in runs for point in run.points)
    while True:
        stretches = sum(run.points[-1].at_ms // width + 1 for run in runs)
        noisy = stretches > _FEWEST_DRAWN and requests < _REQUESTS_A_POINT * stretches
        if stretches == len(runs) or not (stretches > most or noisy):
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


LINES = {
    "invalid": "M0 4h8",
    "rejected": "M-2 2l4-4M0 8l8-8M6 10l4-4",
    "failed": "M-2 2l4-4M0 8l8-8M6 10l4-4M-2 6l4 4M0 0l8 8M6-2l4 4",
    "pending": "M2 4h2",
}


class _Chart(Struct, frozen=True):
    name: str
    title: str
    series: tuple[tuple[str, str], ...]
    """(class of its line, name)"""


_CHARTS = (
    _Chart(
        "rate",
        "Rows and requests per second",
        (("rows", "rows"), ("requests", "requests"), ("limit", "the limit")),
    ),
    _Chart(
        "latency",
        "Latency of requests",
        (("p50", "half of them (p50)"), ("p90", "9 in 10 (p90)"), ("p99", "99 in 100 (p99)")),
    ),
    _Chart(
        "again", "Retries and 429s", (("throttled", "told to wait (429)"), ("retries", "retries"))
    ),
)


def time_section(summary: Summary, drawing: Drawing | None) -> Html:
    """Return the section of the charts, or of the reason that there are none."""
    if drawing is None:
        why = (
            "Nothing was sent."
            if not summary.requests
            else "These rows were sent before runs kept a time line."
        )
        return section(
            "time", "Over time", _figures_of(summary, None), element("p", why), class_="card"
        )
    return section(
        "time",
        "Over time",
        _figures_of(summary, drawing),
        element("div", *(_chart(chart, drawing) for chart in _CHARTS), class_="charts"),
        _figures_table(drawing),
        class_="card",
    )


def _figures_of(summary: Summary, drawing: Drawing | None) -> Html:
    p50, _, p99 = drawing.latency if drawing else (None, None, None)
    known = (
        (summary.limit, summary.source)
        if summary.limit
        else (drawing.limit, drawing.source)
        if drawing
        else None
    )
    limit, source = known or (None, RateSource.NONE)
    facts = [
        ("Requests", f"{summary.requests:,}", None),
        ("Retries", f"{summary.retries:,}", None),
        ("Told to wait", f"{summary.throttled:,}", "429, or 503 with Retry-After"),
        ("Time", _span(summary.seconds), None),
        ("Rows per second", f"{summary.rows_per_second:,.1f}", None),
        (
            "Limit",
            ("none met" if drawing else "–") if limit is None else rate(limit),
            SAID_BY.get(source) if limit is not None else None,
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


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _chart(chart: _Chart, drawing: Drawing) -> Html:
    legend = (element("li", _line(kind), name) for kind, name in chart.series)
    text = _in_words(chart.name, drawing)
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


def _in_words(name: str, drawing: Drawing) -> str:
    """A chart for those who don't see it."""
    shown = drawing.figures
    if name == "rate":
        top = max(shown, key=lambda one: one.rows)
        limit = "" if drawing.limit is None else f" The limit was {rate(drawing.limit)} at the end."
        after = f"after {_span(top.at_seconds)} of {_span(drawing.lasted_seconds)}"
        return f"At most {top.rows:,.1f} rows a second, {after}.{limit}"
    if name == "latency":
        p50, p90, p99 = drawing.latency
        if p50 is None or p90 is None or p99 is None:
            return "No request was timed."
        return (
            f"Half of all requests took at most {milliseconds(p50)}, nine in ten {milliseconds(p90)}, "
            f"99 in a hundred {milliseconds(p99)}."
        )
    retries, throttled = sum(one.retries for one in shown), sum(one.throttled for one in shown)
    if not retries and not throttled:
        return "No retries, and nothing was told to wait."
    return (
        f"{retries:,} {'retry' if retries == 1 else 'retries'}; {throttled:,} times told to wait."
    )


def _figures_table(drawing: Drawing) -> Html:
    names = (
        "After",
        "Rows/s",
        "Requests/s",
        "Limit/s",
        "Retries",
        "429s",
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
                element("caption", f"Each line is {_span(drawing.width_seconds)} of sending"),
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
        element("th", _span(figure.at_seconds), scope="row"),
        *(element("td", "–" if number is None else f"{number:,.4g}") for number in numbers),
    )


def drawing_data(drawing: Drawing) -> dict[str, object]:
    """Return the data that the page draws the charts from."""
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

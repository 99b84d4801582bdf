"""The page's section of a run over time: figures, charts and their table."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from bulk_sync.model.rows import RateSource
from bulk_sync.model.summaries import Summary
from bulk_sync.report.page.drawing import Drawing, Figure
from bulk_sync.report.page.frame import header_row, section
from bulk_sync.report.page.markup import Html, element
from bulk_sync.report.page.plot import Along, Plot, clock, linear, logarithmic, plot_svg
from bulk_sync.report.words import (
    SOURCES,
    allowance_text,
    milliseconds,
    rate,
    span,
)
from bulk_sync.wording import counted

# A chart of one point shows nothing that its figures don't.
_FEWEST_SHOWN = 2

# A limit this many times the fastest rate would flatten everything else.
_MOST_ABOVE = 6


def is_charted(drawing: Drawing) -> bool:
    """Return False for a run that was too short for a chart."""
    return len(drawing.figures) >= _FEWEST_SHOWN


def time_section(summary: Summary, drawing: Drawing | None) -> Html:
    """Return the section of figures and charts, or the reason why there are no charts."""
    figures = (_figures_of(summary, drawing), *_allowances(summary))
    if drawing is None or not is_charted(drawing):
        if drawing is not None:
            why = "The run was too short for a chart."
        elif summary.traffic.requests:
            why = "These rows were sent before runs recorded their timeline."
        else:
            why = "Nothing was sent."
        return section("time", "Over time", *figures, element("p", why), class_="card")
    charts = element(
        "details",
        element("summary", "Charts"),
        element("div", *(_chart(chart, drawing) for chart in _CHARTS), class_="charts"),
        _figures_table(drawing),
        class_="folds",
        open="open",
        data_fold="phone",
    )
    return section("time", "Over time", *figures, charts, class_="card")


# Figures


def _allowances(summary: Summary) -> list[Html]:
    return [
        element("p", f"Allowance: {allowance_text(one)}.") for one in summary.traffic.allowances
    ]


def _figures_of(summary: Summary, drawing: Drawing | None) -> Html:
    p50, _, worst = drawing.latency if drawing else (None, None, None)
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
            None if worst is None else f"median; at most {milliseconds(worst)}",
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


# Charts


class _Chart(Struct, frozen=True):
    """A chart: what is drawn, in words and as SVG.

    `series` has (CSS class, label) of what it shows; `columns` are its columns of the table.
    """

    title: str
    series: Callable[[Drawing], tuple[tuple[str, str], ...]]
    words: Callable[[Drawing], str]
    draw: Callable[[Drawing], Html]
    columns: tuple[int, ...]


def _chart(chart: _Chart, drawing: Drawing) -> Html:
    legend = (element("li", _key(kind), name) for kind, name in chart.series(drawing))
    text = chart.words(drawing)
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", chart.title),
            element("ul", *legend, class_="legend"),
            element("p", class_="readout", aria_hidden="true"),
        ),
        element(
            "div",
            chart.draw(drawing),
            class_="plot",
            role="img",
            aria_label=f"{chart.title}. {text}",
            # For the readout, which takes its words from the table.
            data_columns=" ".join(map(str, chart.columns)),
            data_width=f"{drawing.width_seconds:g}",
            data_lasted=f"{drawing.lasted_seconds:g}",
        ),
        element("p", text, class_="words", aria_hidden="true"),
    )


_AREAS = frozenset({"rows", "throttled", "retries"})


def _key(kind: str) -> Html:
    if kind == "worst":
        shape = element("circle", cx=11, cy=7, r=2.5, class_="dot worst")
    elif kind in _AREAS:
        shape = element("rect", y=2, width=22, height=10, class_=f"area {kind}")
    else:
        shape = element("path", d="M0 7h22", class_=f"stroke {kind}")
    return element("svg", shape, width=22, height=14, aria_hidden="true", class_="key")


def _edges(drawing: Drawing) -> tuple[float, ...]:
    begins = (figure.at_seconds / drawing.lasted_seconds for figure in drawing.figures)
    return (*begins, 1.0)


def _along(drawing: Drawing) -> Along:
    return Along(drawing.lasted_seconds, tuple(at for at, _ in drawing.begins[1:]))


# Rows, requests and the limit


def _limits(drawing: Drawing) -> list[float | None]:
    """Return the limits to draw; none if one is so high that it would flatten everything else."""
    fastest = max(max(one.rows, one.requests) for one in drawing.figures)
    limits = [one.limit for one in drawing.figures]
    fits = all(limit <= _MOST_ABOVE * fastest for limit in limits if limit is not None)
    return limits if fits else [None] * len(limits)


def _rate_series(drawing: Drawing) -> tuple[tuple[str, str], ...]:
    limit = () if not any(_limits(drawing)) else (("limit", "limit, while known"),)
    return (("rows", "rows"), ("requests", "requests"), *limit)


def _rate_words(drawing: Drawing) -> str:
    top = max(drawing.figures, key=lambda one: one.rows)
    last = drawing.figures[-1].limit
    limit = "" if last is None else f" The limit was {rate(last)} at the end."
    after = f"after {span(top.at_seconds)} of {span(drawing.lasted_seconds)}"
    return f"At most {top.rows:,.1f} rows per second, {after}.{limit}"


def _rate_svg(drawing: Drawing) -> Html:
    rows = [one.rows for one in drawing.figures]
    requests = [one.requests for one in drawing.figures]
    limits = _limits(drawing)
    highest = max(*rows, *requests, *(limit or 0.0 for limit in limits))
    plot = Plot(linear(highest), 170, _edges(drawing))
    lines = [plot.area(rows, "rows"), plot.steps(requests, "requests")]
    if any(limits):
        lines.append(plot.steps(limits, "limit"))
    return plot_svg(plot, "per second", _short, _along(drawing), lines)


# Latency


def _latency_words(drawing: Drawing) -> str:
    p50, p90, worst = drawing.latency
    if p50 is None or p90 is None or worst is None:
        return "No request was timed."
    return (
        f"Half of all requests took at most {milliseconds(p50)}, 90 % at most "
        f"{milliseconds(p90)}, the slowest {milliseconds(worst)}."
    )


def _latency_svg(drawing: Drawing) -> Html:
    p50, p90, worst = ([getattr(one, name) for one in drawing.figures] for name in _LATENCIES)
    known = [value for values in (p50, worst) for value in values if value is not None]
    plot = Plot(logarithmic(min(known, default=1), max(known, default=10)), 140, _edges(drawing))
    lines = (plot.line(p50, "p50"), plot.line(p90, "p90"))
    unit = "milliseconds, logarithmic"
    return plot_svg(plot, unit, _short, _along(drawing), lines, [plot.points(worst, "worst")])


_LATENCIES = ("p50", "p90", "worst")


# Retries and throttled requests


def _again_totals(drawing: Drawing) -> tuple[int, int]:
    figures = drawing.figures
    return sum(one.retries for one in figures), sum(one.throttled for one in figures)


def _again_series(drawing: Drawing) -> tuple[tuple[str, str], ...]:
    retries, throttled = _again_totals(drawing)
    return ("retries", f"retries: {retries:,}"), ("throttled", f"throttled: {throttled:,}")


def _again_words(drawing: Drawing) -> str:
    retries, throttled = _again_totals(drawing)
    if not retries and not throttled:
        return "No retries, and no request was throttled."
    return (
        f"{counted(retries, 'retry', 'retries')}; "
        f"{counted(throttled, 'request was', 'requests were')} throttled (429, or 503 with "
        "Retry-After). One that was sent again counts as a retry, too."
    )


def _again_svg(drawing: Drawing) -> Html:
    retries = [one.retries for one in drawing.figures]
    throttled = [one.throttled for one in drawing.figures]
    most = max(map(sum, zip(retries, throttled, strict=True)))
    plot = Plot(linear(most, whole=True), 100, _edges(drawing))
    hatching = element(
        "defs",
        element(
            "pattern",
            element("rect", width=6, height=6, class_="ground-throttled"),
            element("path", d="M-1 1l2-2M0 6l6-6M5 7l2-2", class_="lines"),
            id="p-throttled",
            width=6,
            height=6,
            patternUnits="userSpaceOnUse",
        ),
    )
    bars = plot.bars((("retries", retries), ("throttled", throttled)))
    unit = f"requests in {clock(drawing.width_seconds)}"
    return plot_svg(plot, unit, _short, _along(drawing), (), [hatching, bars])


def _short(number: float) -> str:
    return f"{number:,.10g}"


_CHARTS = (
    _Chart("Rows and requests per second", _rate_series, _rate_words, _rate_svg, (1, 2, 3)),
    _Chart(
        "Latency of requests",
        lambda _: (("p50", "p50 (median)"), ("p90", "p90"), ("worst", "worst")),
        _latency_words,
        _latency_svg,
        (6, 7, 8),
    ),
    _Chart("Retries and throttled requests", _again_series, _again_words, _again_svg, (4, 5)),
)


# The table


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
        "Worst ms",
    )
    return element(
        "details",
        element("summary", "The charts as a table"),
        element(
            "div",
            element(
                "table",
                element("caption", f"Each line covers {clock(drawing.width_seconds)}"),
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
        figure.worst,
    )
    return element(
        "tr",
        element("th", span(figure.at_seconds), scope="row"),
        *(element("td", "–" if number is None else f"{number:,.4g}") for number in numbers),
    )

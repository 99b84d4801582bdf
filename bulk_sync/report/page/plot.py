"""SVG of a chart over time: scales, ticks, lines, areas, points and bars. Pure.

Heights are pixels, horizontal places are shares of the width. So a chart fits every width, on paper
too, without a script, and its letters keep their size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from bulk_sync.report.page.markup import Html, element, join

Values = Sequence[float | None]
"""A value for each interval; None where there is none."""

_TOP = 26
_BOTTOM = 24
_AXIS_WIDTH = 58
# Inside the coordinates of paths, which are stretched to the width of the chart.
_ACROSS = 1000

_MOST_TICKS = 5
_MOST_TIMES = 8
_TIME_STEPS = (
    *(0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800),
    *(3600, 7200, 14400, 43200, 86400),
)
# Labels closer than this share of the width would overlap.
_LEAST_GAP = 0.08


class Scale(Struct, frozen=True):
    """An axis of values: its ticks from bottom to top, and where a value is, from 0 to 1."""

    ticks: tuple[float, ...]
    is_logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return the height of a value as a share of the axis; values beyond it are at its end."""
        least, most = self.ticks[0], self.ticks[-1]
        if self.is_logarithmic:
            value, least, most = (math.log(max(one, least)) for one in (value, least, most))
        return min(1.0, max(0.0, (value - least) / (most - least)))


def linear(most: float, *, whole: bool = False) -> Scale:
    """Return a scale from 0 to at least `most`; `whole` for counts, whose ticks are whole."""
    most = most or 1.0  # nothing to show
    step = _round_up(most / _MOST_TICKS)
    if whole:
        step = max(1.0, step)
    count = max(1, math.ceil(round(most / step, 9)))
    return Scale(tuple(round(step * n, 9) for n in range(count + 1)))


def logarithmic(least: float, most: float) -> Scale:
    """Return a scale of equal ratios around positive values, with ticks at 1, 2 and 5."""
    ticks = [_round_down(least)]
    while ticks[-1] < most or len(ticks) == 1:
        ticks.append(_round_up(ticks[-1] * 1.5))
    if len(ticks) > _MOST_TICKS + 1:  # only powers of ten, and the ends
        tens = [tick for tick in ticks[1:-1] if math.log10(tick) % 1 == 0]
        ticks = [ticks[0], *tens, ticks[-1]]
    return Scale(tuple(ticks), is_logarithmic=True)


def _round_up(value: float) -> float:
    ten: float = 10.0 ** math.floor(math.log10(value))
    return next(ten * n for n in (1, 2, 5, 10) if ten * n >= value * (1 - 1e-9))


def _round_down(value: float) -> float:
    ten: float = 10.0 ** math.floor(math.log10(value))
    return next(ten * n for n in (5, 2, 1) if ten * n <= value * (1 + 1e-9))


def times(lasted_seconds: float) -> Iterator[float]:
    """Yield round times from 0 to the end of the axis, a few of them."""
    days = math.ceil(lasted_seconds / _MOST_TIMES / 86400)
    step = next((one for one in _TIME_STEPS if lasted_seconds / one <= _MOST_TIMES), 86400 * days)
    yield from (step * n for n in range(int(lasted_seconds / step + 1e-9) + 1))


def clock(seconds: float) -> str:
    """Return a time of the axis with its unit: `0.5 s`, `1:30 min`, `2:00 h`."""
    if seconds < 60:
        return f"{seconds:g} s"
    larger, unit = (60, "min") if seconds < 3600 else (3600, "h")
    whole, rest = divmod(int(seconds), larger)
    return f"{whole}:{rest * 60 // larger:02} {unit}"


class Plot(Struct, frozen=True):
    """The frame of a chart: its scale, its height in pixels, and the edges of its intervals.

    `edges` are shares of the width, one more than there are intervals.
    """

    scale: Scale
    height: int
    edges: tuple[float, ...]

    def y(self, value: float) -> float:
        """Return the distance of a value from the top, in pixels."""
        return round(_TOP + self.height * (1 - self.scale.share(value)), 2)

    def middle(self, n: int) -> float:
        """Return the middle of an interval, as a share of the width."""
        return (self.edges[n] + self.edges[n + 1]) / 2

    def steps(self, values: Values, class_: str) -> Html:
        """Return a line that is level in each interval, broken where a value is missing."""
        path: list[str] = []
        before: float | None = None
        for n, value in enumerate(values):
            if value is not None:
                begin = f"V{self.y(value):g}" if before is not None else self._from(n, value)
                path.append(f"{begin}H{_x(self.edges[n + 1])}")
            before = value
        return _path("".join(path), f"stroke {class_}")

    def _from(self, n: int, value: float) -> str:
        return f"M{_x(self.edges[n])} {self.y(value):g}"

    def area(self, values: Sequence[float], class_: str) -> Html:
        """Return the area below a line that is level in each interval."""
        ground = self.y(self.scale.ticks[0])
        tops = "".join(
            f"V{self.y(value):g}H{_x(self.edges[n + 1])}" for n, value in enumerate(values)
        )
        return _path(f"M{_x(self.edges[0])} {ground:g}{tops}V{ground:g}Z", f"area {class_}")

    def line(self, values: Values, class_: str) -> Html:
        """Return a line through the middles of the intervals, broken where a value is missing."""
        path: list[str] = []
        before: float | None = None
        for n, value in enumerate(values):
            if value is not None:
                # `h0` makes a dot of a value without neighbours.
                place = f"{_x(self.middle(n))} {self.y(value):g}"
                path.append(f"L{place}" if before is not None else f"M{place}h0")
            before = value
        return _path("".join(path), f"stroke {class_}")

    def points(self, values: Values, class_: str) -> Html:
        """Return a point for each value, in the middle of its interval."""
        return join(
            *(
                element(
                    "circle",
                    cx=_percent(self.middle(n)),
                    cy=f"{self.y(value):g}",
                    r=2.5,
                    class_=f"dot {class_}",
                )
                for n, value in enumerate(values)
                if value is not None
            )
        )

    def bars(self, stacked: Sequence[tuple[str, Sequence[float]]]) -> Html:
        """Return a bar for each interval, of a piece for each (class, values), upwards."""
        pieces: list[Html] = []
        for n in range(len(self.edges) - 1):
            width = self.edges[n + 1] - self.edges[n]
            below = 0.0
            for class_, values in stacked:
                if values[n]:
                    bottom, top = self.y(below), self.y(below + values[n])
                    pieces.append(
                        element(
                            "rect",
                            x=_percent(self.edges[n] + 0.07 * width),
                            width=_percent(0.86 * width),
                            y=f"{top:g}",
                            height=f"{round(bottom - top, 2):g}",
                            class_=f"area {class_}",
                        )
                    )
                below += values[n]
        return join(*pieces)


def _x(share: float) -> str:
    return f"{round(_ACROSS * share, 1):g}"


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _path(d: str, class_: str) -> Html:
    return element("path", d=d, class_=class_, vector_effect="non-scaling-stroke")


class Along(Struct, frozen=True):
    """The axis of time: its end in seconds, and the starts of further runs."""

    lasted_seconds: float
    begins: tuple[float, ...]


def plot_svg(
    plot: Plot,
    unit: str,
    label: Callable[[float], str],
    along: Along,
    paths: Sequence[Html],
    others: Sequence[Html] = (),
) -> Html:
    """Return the axis of values and the chart: `paths` are stretched, `others` are not."""
    height = _TOP + plot.height + _BOTTOM
    stretched = element(
        "svg",
        *paths,
        viewBox=f"0 0 {_ACROSS} {height}",
        preserveAspectRatio="none",
        width="100%",
        height=height,
        y=0,
    )
    return join(
        _values_axis(plot, unit, label, height),
        element(
            "svg",
            *_grid(plot),
            stretched if paths else None,
            *others,
            *_times_axis(plot, along),
            *_runs(plot, along),
            element("rect", y=_TOP, height=plot.height, width="1", class_="cursor"),
            class_="chart",
            width="100%",
            height=height,
            aria_hidden="true",
        ),
    )


def _values_axis(plot: Plot, unit: str, label: Callable[[float], str], height: int) -> Html:
    return element(
        "svg",
        element("text", unit, x=0, y=12, class_="unit"),
        *(
            element(
                "text",
                label(tick),
                x=_AXIS_WIDTH - 8,
                y=f"{plot.y(tick) + 4:g}",
                text_anchor="end",
            )
            for tick in plot.scale.ticks
        ),
        class_="axis",
        width=_AXIS_WIDTH,
        height=height,
        aria_hidden="true",
    )


def _grid(plot: Plot) -> Iterator[Html]:
    for tick in plot.scale.ticks:
        y = f"{plot.y(tick):g}"
        yield element("line", x1=0, x2="100%", y1=y, y2=y, class_="grid")


def _times_axis(plot: Plot, along: Along) -> Iterator[Html]:
    for n, at in enumerate(times(along.lasted_seconds)):
        share = at / along.lasted_seconds
        yield element(
            "text",
            clock(at),
            x=_percent(share),
            y=_TOP + plot.height + 18,
            text_anchor=_anchor(share),
            class_="minor" if n % 2 else None,  # hidden on a phone
        )


def _anchor(share: float) -> str:
    if share < _LEAST_GAP / 2:
        return "start"
    return "end" if share > 1 - _LEAST_GAP / 2 else "middle"


def _runs(plot: Plot, along: Along) -> Iterator[Html]:
    """Yield a line where each further run begins, with its number where there is room."""
    free = 0.0
    for number, begin in enumerate(along.begins, start=2):
        share = begin / along.lasted_seconds
        x = _percent(share)
        yield element("line", x1=x, x2=x, y1=_TOP, y2=_TOP + plot.height, class_="begin")
        if free <= share <= 1 - _LEAST_GAP:
            yield element("text", f"run {number}", x=x, dx=4, y=_TOP + 10)
            free = share + _LEAST_GAP

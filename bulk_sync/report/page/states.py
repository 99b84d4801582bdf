"""The page's section of rows by state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bulk_sync.model.rows import State
from bulk_sync.report.page.frame import header_row, section, swatch
from bulk_sync.report.page.markup import Html, element
from bulk_sync.report.words import STATES

# The smallest share of the bar, so that one row in a million is visible.
_LEAST_SHARE = 0.008

# SVG patterns for states that need attention, because colour alone is not accessible.
_HATCHING = {
    "invalid": "M0 4h8",
    "rejected": "M-2 2l4-4M0 8l8-8M6 10l4-4",
    "failed": "M-2 2l4-4M0 8l8-8M6 10l4-4M-2 6l4 4M0 0l8 8M6-2l4 4",
    "pending": "M2 4h2",
}


def states_section(states: Mapping[State, int], rows: int) -> Html:
    """Return the section of the rows by state: a bar and a table."""
    counts = [(state, states[state]) for state in STATES if states.get(state, 0)]
    if not counts:
        return section("states", "Rows by state", element("p", "No rows."), class_="card")
    listed = ", ".join(f"{count:,} {state.value}" for state, count in counts)
    lines = (
        element(
            "tr",
            element("th", swatch(f"s-{state.value}"), element("span", state.value), scope="row"),
            element("td", f"{count:,}", class_="number"),
            element("td", _percent(count, rows), class_="number"),
            element("td", STATES[state].meaning, class_="what"),
        )
        for state, count in counts
    )
    table = element(
        "table",
        element("caption", "Rows by state", class_="aside"),
        header_row("State", "Rows", "Share", "Meaning"),
        element("tbody", *lines),
        class_="states",
    )
    bar = _bar(counts, f"Rows by state: {listed}.")
    return section("states", "Rows by state", bar, table, class_="card")


def _percent(count: int, total: int) -> str:
    share = 100 * count / total
    if 0 < share < 0.1:
        return "<0.1 %"
    return f"{min(share, 99.9) if count < total else 100:.1f} %"


def _bar(counts: Sequence[tuple[State, int]], label: str) -> Html:
    """Return the shares of the states as one bar."""
    total = sum(count for _, count in counts)
    shares = [max(count / total, _LEAST_SHARE) for _, count in counts]
    starts, end = [], 0.0
    for share in shares:
        starts.append(end)
        end += share
    pieces = (
        element(
            "rect",
            x=f"{start / end:.4%}",
            width=f"{share / end:.4%}",
            height="100%",
            class_=f"piece s-{state.value}",
        )
        for (state, _), start, share in zip(counts, starts, shares, strict=True)
    )
    return element(
        "svg",
        element("title", label),
        element("defs", *map(_pattern, _HATCHING)),
        *pieces,
        class_="bar",
        role="img",
        aria_label=label,
    )


def _pattern(name: str) -> Html:
    return element(
        "pattern",
        element("rect", width=8, height=8, class_=f"ground-{name}"),
        element("path", d=_HATCHING[name], class_="lines"),
        id=f"p-{name}",
        width=8,
        height=8,
        patternUnits="userSpaceOnUse",
    )

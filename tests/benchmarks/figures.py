"""Figures of a benchmark: a table with goals, and the machine that they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.check_rate import write_sheet
from tests.benchmarks.goals import GOALS, Goal


@dataclass(frozen=True)
class Figure:
    """A line of the table; `goals.py` has the goal of its name."""

    name: str
    value: float | None
    unit: str

    @property
    def goal(self) -> Goal | None:
        """What the figure should reach, if anything."""
        return GOALS.get(self.name)

    @property
    def is_short(self) -> bool:
        """True when the figure has a goal that it doesn't reach."""
        return self.goal is not None and not self.goal.is_reached(self.value)

    def line(self) -> str:
        """Return a row of a Markdown table."""
        if self.goal is None:
            goal, verdict = "", ""
        else:
            goal = str(self.goal)
            verdict = "short" if self.is_short else "reached"
        value = (
            "not measured" if self.value is None else f"{_rounded(self.value)} {self.unit}".rstrip()
        )
        return f"| {self.name} | {value} | {goal} | {verdict} |"


def _rounded(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass
class Bench:
    """The figures so far; the comparison takes `rows` rows, the growth up to `many`."""

    folder: Path
    rows: int
    many: int
    figures: list[Figure] = field(default_factory=list)
    rates: dict[str, float] = field(default_factory=dict)

    def sheet(self, rows: int) -> Path:
        """A sheet with this many rows, written once."""
        path = self.folder / f"s{rows}.csv"
        if not path.exists():
            write_sheet(path, rows)
        return path

    def rate(self, name: str, measure: Callable[[], float]) -> None:
        """Measure a rate in rows a second."""
        value = measure()
        self.rates[name] = value
        self.add(Figure(name, value, "rows/s"))

    def ratio(self, name: str, one: str, other: str) -> None:
        """Add the ratio of two rates, where both were measured."""
        if one in self.rates and other in self.rates:
            self.add(Figure(name, self.rates[one] / self.rates[other], ""))

    def add(self, figure: Figure) -> None:
        """Add a figure and print it."""
        self.figures.append(figure)
        print(figure.line(), flush=True)


def exit_code(figures: Iterable[Figure], *, strict: bool, expected: Iterable[str] = ()) -> int:
    """Return 1 when a strict benchmark misses a goal, and print which; `expected` are the names of
    figures that should be there.
    """
    measured = {figure.name: figure for figure in figures}
    missing = [Figure(name, None, "") for name in expected if name not in measured]
    short = [figure for figure in (*measured.values(), *missing) if figure.is_short]
    for figure in short if strict else ():
        print(f"goal missed: {figure.line()}", flush=True)
    return int(strict and bool(short))


def machine() -> str:
    """Processor, cores, system and Python, without which a figure means little."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )

"""Figures of a benchmark: a table with goals, and the machine that they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.check_rate import write_sheet


@dataclass(frozen=True)
class Figure:
    """A line of the table; the goal is a lower bound, with `at_most` an upper one."""

    name: str
    value: float | None
    unit: str
    goal: float | None = None
    at_most: bool = False

    def line(self) -> str:
        """Return a row of a Markdown table."""
        if self.goal is None:
            goal, verdict = "", ""
        else:
            goal = f"{'at most' if self.at_most else 'at least'} {self.goal:g}"
            reached = self.value is not None and (
                self.value <= self.goal if self.at_most else self.value >= self.goal
            )
            verdict = "reached" if reached else "short"
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

    def ratio(self, name: str, one: str, other: str, goal: float) -> None:
        """Add the ratio of two rates, where both were measured."""
        if one in self.rates and other in self.rates:
            self.add(Figure(name, self.rates[one] / self.rates[other], "", goal))

    def add(self, figure: Figure) -> None:
        """Add a figure and print it."""
        self.figures.append(figure)
        print(figure.line(), flush=True)


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

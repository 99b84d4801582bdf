"""The page's section of problems, by code and cause."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bulk_sync.model.rows import Echo
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from bulk_sync.report.echoes import changed_rows, echo_texts
from bulk_sync.report.page.frame import section, unbroken_options
from bulk_sync.report.page.markup import Html, cut, element
from bulk_sync.report.page.rows import LONGEST_MESSAGE
from bulk_sync.report.words import CODES
from bulk_sync.wording import and_more, counted

# How many causes of a code are listed; the file of failed rows has all.
_MOST_CAUSES = 12

_LONGEST_VALUE = 60


def problems_section(summary: Summary) -> Html | None:
    """Return the section of the problems; None if there are none."""
    if not summary.problems:
        return None
    return section("problems", "Problems by cause", *problem_articles(summary), class_="card")


def problem_articles(
    summary: Summary, most_causes: int = _MOST_CAUSES, *, has_rows: bool = True
) -> Iterator[Html]:
    """Yield an article for each error code, with the first causes of its rows.

    On a page that `has_rows`, a button shows them.
    """
    for group in summary.problems:
        causes = [cause for cause in summary.causes if cause.code == group.code]
        yield _problem(group, causes, most_causes, _button(group.code) if has_rows else None)


def echoes_section(summary: Summary) -> Html | None:
    """Return the section of values that came back changed; None if there are none."""
    if not summary.echo_differs:
        return None
    lines = (_echo(row.number, row.key, echo) for row in summary.echoes for echo in row.echoes)
    more = and_more(summary.echo_differs - len(summary.echoes), "row")
    return section(
        "echoes",
        "Values that came back changed",
        element("p", f"{changed_rows(summary.echo_differs)}."),
        element("ol", *lines, class_="causes"),
        element("p", more, class_="rest") if more else None,
        class_="card",
    )


def _echo(number: int, key: str, echo: Echo) -> Html:
    sent, came_back = (element("bdi", text, class_="value") for text in echo_texts(echo))
    name = element("bdi", cut(key, _LONGEST_VALUE))
    return element(
        "li",
        element(
            "p", "row ", element("b", f"{number:,}"), " ", name, ", ", echo.field, class_="cause"
        ),
        element("p", "sent ", sent),
        element("p", "came back ", came_back),
    )


def _button(code: str) -> Html:
    return element(
        "button",
        f"Show the {code} rows",
        type="button",
        data_cause=code,
        hidden="hidden",  # page.js shows it; without scripts it would do nothing
    )


def _problem(
    group: ProblemGroup, causes: Sequence[CauseGroup], most_causes: int, button: Html | None
) -> Html:
    more = and_more(len(causes) - most_causes, "cause")
    return element(
        "article",
        element(
            "h3",
            CODES.get(group.code, group.code),
            element("span", f" {counted(group.count, 'row')} "),
            element("code", group.code),
        ),
        element("ol", *map(_cause, causes[:most_causes]), class_="causes"),
        element("p", more, class_="rest") if more else None,
        button,
        class_="problem",
    )


def _cause(group: CauseGroup) -> Html:
    doubt = f"; {group.in_doubt:,} of them may have been applied" if group.in_doubt else ""
    cause = cut(group.cause.removeprefix(f"{group.code}: "), LONGEST_MESSAGE)
    remedy = element("bdi", *unbroken_options(cut(group.remedy, LONGEST_MESSAGE)))
    return element(
        "li",
        element("p", element("bdi", cause), class_="cause"),
        element("p", element("b", counted(group.rows, "row"), doubt), ": ", remedy),
        element("p", *_first_rows(group), class_="first"),
    )


def _first_rows(group: CauseGroup) -> Iterator[str]:
    for number, value in group.first_rows:
        cell = element("bdi", cut(value, _LONGEST_VALUE), class_="value") if value else None
        yield element("span", "row ", element("b", f"{number:,}"), " ", cell)
        yield " "
    if group.rows > len(group.first_rows):
        yield "…"

"""`reconcile --page`: what differs between two sheets, as one HTML file that loads nothing and
needs no script.

Old and new stand beside each other with the change marked: by colour, by a line through what is
gone and one under what is new, and for screen readers as deletion and insertion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import groupby, islice
from pathlib import Path, PurePath

from bulk_sync.model.comparison import Compared, Difference, Reconciliation, Standing
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    header_row,
    open_page,
    section,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element, join
from bulk_sync.report.terminal.comparison import about_base, changed_parts, text_of_value
from bulk_sync.report.words import Tone
from bulk_sync.report.written.atomic import replacing

MOST_ROWS = 5000
"""Showings on a page; a browser is quick with them, and the results hold all."""

_LONGEST_TEXT = 4000
"""Characters of a value whose change is marked word by word; of a longer one the beginning is
shown.
"""

_MEANING = {
    Standing.SAME: "the values here are those there",
    Standing.DIFFERS: "a value here is another there",
    Standing.CONFLICT: "both sides changed a value since the base",
    Standing.ONLY_HERE: "the other sheet does not have it",
    Standing.ONLY_THERE: "this sheet does not have it",
    Standing.PROBLEM: "a row that can't be read",
}


def write_reconciled_page(
    path: Path,
    summary: Reconciliation,
    rows: Iterable[Compared],
    *,
    made_at: datetime,
    version: str,
) -> None:
    """Write the page; `rows` are those that are not the same, in order. Raises OutputError."""
    sentence = _sentence(summary)
    tone = Tone.GOOD if summary.exit_code == 0 else Tone.MEND
    with replacing(path) as file:
        open_page(file, f"{PurePath(summary.input).name}: {sentence}", _style())
        file.write(top("comparison", _facts(summary), made_at, version) + "\n<main>\n")
        file.write(verdict_section(tone, sentence, None, (*summary.notes, *about_base(summary))))
        file.write(_standings(summary))
        if summary.fields:
            file.write(_fields(summary))
        file.write('<section id="rows" class="card" aria-labelledby="rows-title">')
        file.write(element("h2", "Row by row", id="rows-title"))
        shown = 0
        for standing, group in groupby(islice(rows, MOST_ROWS), key=lambda row: row.standing):
            for row in group:
                shown += 1
                file.write(_row(standing, row) + "\n")
        file.write(_left_out(summary, shown))
        file.write(f"</section>\n</main>\n{bottom(version)}\n")
        close_page(file)


@cache
def _style() -> str:
    return asset("page.css") + asset("reconciled.css")


def _sentence(summary: Reconciliation) -> str:
    counts = summary.standings
    differing = counts[Standing.DIFFERS] + counts[Standing.CONFLICT]
    if summary.exit_code == 0:
        return (
            f"All {summary.rows:,} rows are the same in both."
            if summary.rows > 1
            else "Nothing differs."
        )
    parts = (
        [f"{differing:,} of {summary.rows:,} rows differ"] if differing else ["No value differs"]
    )
    parts += [
        f"{counts[standing]:,} {words}"
        for standing, words in (
            (Standing.ONLY_HERE, "only here"),
            (Standing.ONLY_THERE, "only there"),
            (Standing.PROBLEM, "with a problem"),
        )
        if counts[standing]
    ]
    return ", ".join(parts) + "."


def _facts(summary: Reconciliation) -> Iterator[tuple[str, str]]:
    yield "Here", PurePath(summary.input).name
    yield (
        "There",
        PurePath(summary.other).name if summary.other else "what the API acknowledged last",
    )
    if summary.base:
        yield "Base", PurePath(summary.base).name


def _standings(summary: Reconciliation) -> Html:
    lines = (
        element(
            "tr",
            element(
                "th",
                _swatch(standing),
                element("span", standing.value.replace("_", " ")),
                scope="row",
            ),
            element("td", f"{count:,}", class_="number"),
            element("td", _MEANING[standing], class_="what"),
        )
        for standing, count in summary.standings.items()
        if count
    )
    return section(
        "states",
        "How the rows stand",
        element(
            "table",
            header_row("Class", "Rows", "Meaning"),
            element("tbody", *lines),
            class_="states standings",
        ),
        class_="card",
    )


def _swatch(standing: Standing) -> Html:
    return element(
        "svg",
        element("rect", width="100%", height="100%", rx=3, class_=f"c-{standing.value}"),
        class_="swatch",
        width=14,
        height=14,
        aria_hidden="true",
    )


def _fields(summary: Reconciliation) -> Html:
    lines = (
        element(
            "tr",
            element("th", element("code", field), scope="row"),
            element("td", f"{count:,}", class_="number"),
        )
        for field, count in summary.fields.items()
    )
    table = element(
        "table", header_row("Field", "Values"), element("tbody", *lines), class_="states fields"
    )
    return section("fields", "Values that differ, by field", table, class_="card")


def _row(standing: Standing, row: Compared) -> Html:
    places = [f"row {row.number:,} here"] if row.number else []
    places += [f"row {row.number_there:,} there"] if row.number_there else []
    values = [_difference(one) for one in row.differences]
    return element(
        "article",
        element(
            "h3",
            _swatch(standing),
            element("bdi", (row.key or row.target or "without a key")[:200]),
            " ",
            element("span", ", ".join((standing.value.replace("_", " "), *places))),
        ),
        element("p", element("bdi", row.message[:1000])) if row.message else None,
        element("table", header_row("Field", "There", "Here"), element("tbody", *values))
        if values
        else None,
        class_="compared",
    )


_CHANGED_BY = {"here": "changed here", "there": "changed there", "both": "changed on both sides"}


def _difference(one: Difference) -> Html:
    old, new = text_of_value(one.there)[:_LONGEST_TEXT], text_of_value(one.here)[:_LONGEST_TEXT]
    before, after = changed_parts(old, new)
    author = element("small", _CHANGED_BY[one.author]) if one.author else None
    return element(
        "tr",
        element("th", element("code", one.field), author, scope="row"),
        element("td", _marked("del", before)),
        element("td", _marked("ins", after)),
    )


def _marked(mark: str, parts: list[tuple[str, bool]]) -> Html:
    if not parts:
        return element("i", "blank")
    return element(
        "bdi",
        join(
            *(element(mark, _lines(text)) if changed else _lines(text) for text, changed in parts)
        ),
    )


def _lines(text: str) -> Html:
    """A text with its line breaks."""
    first, *others = text.replace("\r\n", "\n").split("\n")
    return join(first, *(part for line in others for part in (element("br"), line)))


def _left_out(summary: Reconciliation, shown: int) -> str:
    count = (
        sum(count for standing, count in summary.standings.items() if standing is not Standing.SAME)
        - shown
    )
    if count > 0:
        return element(
            "p", f"{count:,} more are not on this page: --results writes all.", class_="left-out"
        )
    return "" if shown else element("p", "There is no difference.")

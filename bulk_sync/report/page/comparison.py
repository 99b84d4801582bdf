"""`reconcile --page`: the differences of two sheets as one HTML file without scripts.

Old and new values are side by side with the changes marked: by colour, struck through and
underlined, and for screen readers as deletion and insertion.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import groupby, islice
from pathlib import Path, PurePath

from bulk_sync.model.comparison import Compared, Difference, Reconciliation, RowClass
from bulk_sync.recognise import Output
from bulk_sync.report.facts import base_notes, class_lines, other_side
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    header_row,
    open_page,
    section,
    swatch,
    top,
    verdict_section,
)
from bulk_sync.report.page.markup import Html, element, join
from bulk_sync.report.problems import compared_message
from bulk_sync.report.systematic import refusal, systematic_lines
from bulk_sync.report.text_diff import Part, around_change, changed_parts, text_of_value
from bulk_sync.report.verdict import Tone
from bulk_sync.report.words import AUTHORS
from bulk_sync.report.written.atomic import replacing

MOST_ROWS = 5000
"""The maximum of showings on a page, so that browsers stay quick; the results have all."""

# Characters; of a longer value the part around the first change is shown.
_LONGEST_TEXT = 4000


def write_comparison_page(
    path: Path,
    summary: Reconciliation,
    rows: Iterable[Compared],
    *,
    made_at: datetime,
    version: str,
) -> None:
    """Write the page; `rows` are all that are not the same, by class. Raises OutputError."""
    sentence = _sentence(summary)
    tone = Tone.GOOD if summary.exit_code == 0 else Tone.ATTENTION
    with replacing(path, Output.PAGE) as file:
        open_page(file, f"{PurePath(summary.input).name}: {sentence}", _style())
        file.write(top("comparison", _facts(summary), made_at, version) + "\n<main>\n")
        notes = (*summary.notes, *base_notes(summary))
        file.write(verdict_section(tone, sentence, refusal(summary), notes))
        if summary.systematic:
            file.write(_causes_section(summary))
        file.write(_classes_section(summary))
        if summary.fields:
            file.write(_fields(summary))
        file.write('<section id="rows" class="card" aria-labelledby="rows-title">')
        file.write(element("h2", "Row by row", id="rows-title"))
        shown = 0
        for row_class, group in groupby(islice(rows, MOST_ROWS), key=lambda row: row.row_class):
            for row in group:
                shown += 1
                file.write(_row(row_class, row) + "\n")
        file.write(_left_out(summary, shown))
        file.write(f"</section>\n</main>\n{bottom(version)}\n")
        close_page(file)


@cache
def _style() -> str:
    return asset("page.css") + asset("comparison.css")


def _sentence(summary: Reconciliation) -> str:
    counts = summary.classes
    differing = counts[RowClass.DIFFERS] + counts[RowClass.CONFLICT]
    rows = sum(summary.here.classes.values())
    if summary.exit_code == 0:
        return f"All {rows:,} rows are the same in both." if rows > 1 else "Nothing differs."
    parts = [f"{differing:,} of {rows:,} rows differ"] if differing else ["No value differs"]
    parts += [
        f"{counts[row_class]:,} {words}"
        for row_class, words in (
            (RowClass.ONLY_HERE, "only here"),
            (RowClass.ONLY_THERE, "only there"),
            (RowClass.PROBLEM, "with a problem"),
        )
        if counts[row_class]
    ]
    return ", ".join(parts) + "."


def _facts(summary: Reconciliation) -> Iterator[tuple[str, str]]:
    yield "Here", PurePath(summary.input).name
    yield (
        "There",
        PurePath(summary.other).name if summary.other else other_side(summary),
    )
    if summary.base:
        yield "Base", PurePath(summary.base).name


def _causes_section(summary: Reconciliation) -> Html:
    lines = (element("li", element("bdi", line)) for line in systematic_lines(summary))
    return section("causes", "Differences with one cause", element("ul", *lines), class_="card")


def _classes_section(summary: Reconciliation) -> Html:
    lines = [
        element(
            "tr",
            element(
                "th",
                swatch(f"c-{line.id}"),
                element("span", line.id.replace("_", " ")),
                scope="row",
            ),
            element("td", f"{line.here:,}", class_="number"),
            element("td", f"{line.there:,}", class_="number"),
            element("td", line.look.meaning, class_="what"),
        )
        for line in class_lines(summary)
    ]
    total = element(
        "tr",
        element("th", "all rows", scope="row"),
        element("td", f"{summary.here.rows:,}", class_="number"),
        element("td", f"{summary.there.rows:,}", class_="number"),
        element("td", class_="what"),
    )
    return section(
        "states",
        "Rows by class",
        element(
            "table",
            header_row("Class", "Here", "There", "Meaning"),
            element("tbody", *lines),
            element("tfoot", total),
            class_="states classes",
        ),
        class_="card",
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


def _row(row_class: RowClass, row: Compared) -> Html:
    places = [f"row {row.number:,} here"] if row.number else []
    places += [f"row {row.number_there:,} there"] if row.number_there else []
    values = [_difference(one) for one in row.differences]
    message = compared_message(row)
    return element(
        "article",
        element(
            "h3",
            swatch(f"c-{row_class.value}"),
            element("bdi", (row.key or row.target or "without a key")[:200]),
            " ",
            element("span", ", ".join((row_class.value.replace("_", " "), *places))),
        ),
        element("p", element("bdi", message[:1000])) if message else None,
        element("table", header_row("Field", "There", "Here"), element("tbody", *values))
        if values
        else None,
        class_="compared",
    )


def _difference(one: Difference) -> Html:
    texts = text_of_value(one.there), text_of_value(one.here)
    before, after = changed_parts(*around_change(*texts, _LONGEST_TEXT))
    author = element("small", AUTHORS[one.author]) if one.author else None
    return element(
        "tr",
        element("th", element("code", one.field), author, scope="row"),
        element("td", _marked("del", before)),
        element("td", _marked("ins", after)),
    )


def _marked(mark: str, parts: list[Part]) -> Html:
    if not parts:
        return element("i", "blank")
    return element(
        "bdi",
        join(
            *(element(mark, _lines(text)) if changed else _lines(text) for text, changed in parts)
        ),
    )


def _lines(text: str) -> Html:
    """Return a text with its line breaks as elements."""
    first, *others = text.replace("\r\n", "\n").split("\n")
    return join(first, *(part for line in others for part in (element("br"), line)))


def _left_out(summary: Reconciliation, shown: int) -> str:
    count = (
        sum(count for row_class, count in summary.classes.items() if row_class is not RowClass.SAME)
        - shown
    )
    if count > 0:
        return element(
            "p",
            f"{count:,} more rows are not on this page: --results writes all of them.",
            class_="left-out",
        )
    return "" if shown else element("p", "No difference.")

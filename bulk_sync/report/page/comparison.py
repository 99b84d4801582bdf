"""`reconcile --page`: the differences of two sheets as one HTML file that loads nothing.

Old and new values are side by side with the changes marked: by colour, struck through and
underlined, and for screen readers as deletion and insertion. The page's script searches and
filters; without it everything is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path, PurePath
from typing import TextIO

from bulk_sync.model.comparison import Compared, Difference, Reconciliation, RowClass
from bulk_sync.recognise import Output
from bulk_sync.report.facts import base_notes, class_lines, other_side
from bulk_sync.report.next_step import after_comparison
from bulk_sync.report.page.frame import (
    asset,
    bottom,
    close_page,
    command_block,
    files_table,
    header_row,
    open_page,
    search_tools,
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
from bulk_sync.wording import counted

MOST_ROWS = 5000
"""The maximum of showings on a page, so that browsers stay quick; the results have all."""

MOST_BYTES = 8_500_000
"""Bytes of the showings on a page."""

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
    """Write the page; `rows` are all that are not the same. Raises OutputError."""
    sentence = _sentence(summary)
    tone = Tone.GOOD if summary.exit_code == 0 else Tone.ATTENTION
    with replacing(path, Output.PAGE) as file:
        open_page(file, f"{PurePath(summary.input).name}: {sentence}", _style(), _script())
        file.write(element("a", "Skip to the rows", href="#rows", class_="skip") + "\n")
        file.write(top("comparison", _facts(summary), made_at, version) + "\n<main>\n")
        notes = (*summary.notes, *base_notes(summary))
        file.write(verdict_section(tone, sentence, refusal(summary), notes) + "\n")
        file.write(_next_section(summary) + "\n")
        if summary.systematic:
            file.write(_causes_section(summary) + "\n")
        file.write(_classes_section(summary) + "\n")
        if summary.fields:
            file.write(_fields(summary) + "\n")
        _write_rows(file, summary, rows)
        file.write(f"</main>\n{bottom(version)}\n")
        close_page(file, _script())


def _script() -> str:
    return asset("common.js") + asset("comparison.js")


@cache
def _style() -> str:
    return asset("page.css") + asset("comparison.css")


def _sentence(summary: Reconciliation) -> str:
    counts = summary.classes
    differing = counts[RowClass.DIFFERS] + counts[RowClass.CONFLICT]
    rows = sum(summary.here.classes.values())
    if summary.exit_code == 0:
        return f"All {rows:,} rows are the same in both." if rows > 1 else "Nothing differs."
    parts = (
        [f"{differing:,} of {counted(rows, 'row')} {'differs' if rows == 1 else 'differ'}"]
        if differing
        else ["No value differs"]
    )
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


# What to do next


def _next_section(summary: Reconciliation) -> Html:
    command = after_comparison(summary)
    steps: list[Html | None] = [
        element("p", element("bdi", one), class_="step") for one in _steps(summary, command)
    ]
    if command:
        steps.insert(1, command_block(command))
    files = (
        ("Results", summary.results, "all differences"),
        ("To edit", summary.template, "the rows that differ, with the values here: edit and push"),
        ("Changes", summary.changes, "the values here that replace those there"),
    )
    return section("next", "What to do next", *steps, files_table(files), class_="card")


def _steps(summary: Reconciliation, command: str | None) -> Iterator[str]:
    """Yield what is left to do, the command's step first."""
    classes = summary.classes
    count = classes[RowClass.DIFFERS] + classes[RowClass.CONFLICT]
    differing = counted(count, "differing row")
    undecided = summary.conflicts if not summary.prefer_here else 0
    differing += " (except conflicts)" if undecided else ""
    if command:
        yield f"To send the values here in {differing}, run:"
    elif summary.sends and count:
        yield f"The values here in {differing} are sent after this comparison."
    elif summary.refused or any(one.pattern.overwrites for one in summary.systematic):
        yield "Remove the cause that is named below, then compare again."
    elif count:
        yield f"To send the values here in {differing}, compare again with --push."
    if undecided:
        yield (
            f"Decide about {counted(undecided, 'value')} changed on both sides: --prefer here "
            "sends the value here."
        )
    if rows := classes[RowClass.PROBLEM]:
        yield f"Correct {counted(rows, 'row')} with a problem, then compare again."
    if (rows := classes[RowClass.ONLY_HERE]) and summary.ledger is None:
        yield f"Check the keys of {counted(rows, 'row')} only here: nothing there has them."
    if (rows := classes[RowClass.ONLY_THERE]) and not summary.one_way:
        yield f"Check whether {counted(rows, 'row')} only there should be here, too."
    if summary.exit_code == 0:
        yield "Nothing left to do."


# Counts


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
            element("caption", "Rows by class", class_="aside"),
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
        "table",
        element("caption", "Values that differ, by field", class_="aside"),
        header_row("Field", "Values"),
        element("tbody", *lines),
        class_="states fields",
    )
    return section("fields", "Values that differ, by field", table, class_="card")


# Rows


def _write_rows(file: TextIO, summary: Reconciliation, rows: Iterable[Compared]) -> None:
    file.write('<section id="rows" class="card" aria-labelledby="rows-title">\n')
    file.write(element("h2", "Row by row", id="rows-title"))
    tools = search_tools("Search keys, fields, values and row numbers", "Show rows by class")
    file.write(element("div", tools, id="tools", hidden="hidden") + "\n")
    shown = size = 0
    folded: list[Html] = []
    for row in islice(rows, MOST_ROWS):
        article = _row(row)
        size += len(article.encode())
        if size > MOST_BYTES:
            break
        shown += 1
        if row.row_class is RowClass.ONLY_THERE:
            folded.append(article)
        else:
            file.write(article + "\n")
    if folded:  # most exports have more showings than the sheet
        title = f"Only there: {counted(summary.classes[RowClass.ONLY_THERE], 'row')}"
        file.write(element("details", element("summary", title), *folded, class_="fold") + "\n")
    file.write(_left_out(summary, shown))
    file.write("</section>\n")


def _row(row: Compared) -> Html:
    places = [f"row {row.number:,} here"] if row.number else []
    places += [f"row {row.number_there:,} there"] if row.number_there else []
    values = [_difference(one) for one in row.differences]
    message = compared_message(row)
    return element(
        "article",
        element(
            "h3",
            swatch(f"c-{row.row_class.value}"),
            element("bdi", (row.key or row.target or "without a key")[:200]),
            " ",
            element("span", ", ".join((row.row_class.value.replace("_", " "), *places))),
        ),
        element("p", element("bdi", message[:1000])) if message else None,
        element("table", header_row("Field", "There", "Here"), element("tbody", *values))
        if values
        else None,
        class_="compared",
        data_class=row.row_class.value,
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

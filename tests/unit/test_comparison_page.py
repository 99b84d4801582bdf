"""The page of a comparison: what is on it, and that no text of anybody's acts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bulk_sync.address import DEFAULT_BASE_URL, SANDBOX_TARGET
from bulk_sync.model.comparison import (
    Author,
    Compared,
    Difference,
    Reconciliation,
    RowClass,
    SideCounts,
)
from bulk_sync.model.problems import Expected, Reason
from bulk_sync.model.systematic import Pattern, Systematic
from bulk_sync.report.page import comparison as comparison_page
from bulk_sync.report.page.comparison import write_comparison_page

HOSTILE = (
    "</td><script>alert(1)</script>",
    '" onload="x',
    "<!-- ",
    "\u202e hidden",
    "]]>",
    "&lt;b&gt;",
    "a\nb",
    "\x00",
)
AT = datetime(2026, 3, 2, tzinfo=UTC)


class Parsed(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.names: set[str] = set()
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.names |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.said += data


def differing(number: int, there: object, here: object, author: Author | None = None) -> Compared:
    values = (Difference("feedback", there, here, None, author),)
    return Compared(RowClass.DIFFERS, number, number, f"ext_{number}", f"ext_{number}", "", values)


def page(
    path: Path,
    rows: list[Compared],
    *,
    same: int = 0,
    systematic: tuple[Systematic, ...] = (),
    command: tuple[str, ...] = (),
    base_url: str = DEFAULT_BASE_URL,
    **others: Any,
) -> Parsed:
    classes = {one: sum(row.row_class is one for row in rows) for one in RowClass} | {
        RowClass.SAME: same
    }
    summary = Reconciliation(
        input="here.csv",
        other=HOSTILE[0].replace("/", ""),
        base=None,
        classes=classes,
        here=SideCounts(classes | {RowClass.ONLY_THERE: 0}, superseded=1, left_out=2),
        there=SideCounts(classes | {RowClass.ONLY_HERE: 0}),
        fields={"feedback": len(rows)} if rows else {},
        first=(),
        listed=(),
        conflicts=0,
        stale=0,
        to_send=0,
        one_way=False,
        prefer_here=False,
        notes=HOSTILE,
        results=None,
        page=str(path),
        template=None,
        changes=None,
        systematic=systematic,
        refused=bool(systematic),
        command=command,
        base_url=base_url,
    )
    summary = replace(summary, **others)
    write_comparison_page(path, summary, rows, made_at=AT, version="1")
    return Parsed(path.read_text(encoding="utf-8"))


def test_old_and_new_are_there_with_what_changed_marked(tmp_path: Path) -> None:
    parsed = page(
        tmp_path / "x.html", [differing(2, "Loved it all", "Liked it all", Author.BOTH)], same=3
    )
    assert "1 of 4 rows differ." in parsed.said
    assert "changed on both sides" in parsed.said
    assert parsed.elements.count("del") == parsed.elements.count("ins") == 1
    assert parsed.elements.count("script") == 1


def test_no_text_becomes_an_element_or_an_attribute(tmp_path: Path) -> None:
    plain = page(tmp_path / "plain.html", [differing(2, "x", "y")])
    rows = [differing(number, text, "y") for number, text in enumerate(HOSTILE, start=2)]
    told = Reason(Expected.EARLIER_TEXT, facts={"text": HOSTILE[0]})
    rows.append(Compared(RowClass.PROBLEM, 99, None, "", HOSTILE[1], "", (), (told,)))
    hostile = page(tmp_path / "x.html", rows)
    assert set(hostile.elements) - {"br"} == set(plain.elements)
    assert hostile.names == plain.names
    assert "alert(1)" in hostile.said
    assert not {"\x00", "\u202e"} & set((tmp_path / "x.html").read_text(encoding="utf-8"))


def test_equal_sheets_and_long_comparisons_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "All 7 rows are the same in both." in page(tmp_path / "x.html", [], same=7).said
    monkeypatch.setattr(comparison_page, "MOST_ROWS", 2)
    long = page(tmp_path / "x.html", [differing(number, "x", "y") for number in range(2, 7)])
    assert "3 more rows are not on this page" in long.said
    assert long.said.count("row 2 here") == 1
    assert "row 4 here" not in long.said


def test_a_page_of_large_values_stays_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_page, "MOST_BYTES", 20_000)
    rows = [differing(number, "x" * 3000, "y" * 3000) for number in range(2, 12)]
    long = page(tmp_path / "x.html", rows)
    assert "row 4 here" in long.said
    assert "7 more rows are not on this page" in long.said


def test_what_comes_next_is_the_command_with_its_target_and_what_else_is_left(
    tmp_path: Path,
) -> None:
    told = Reason(Expected.EARLIER_TEXT, facts={"text": "no"})
    rows = [
        differing(2, "x", "y"),
        Compared(RowClass.PROBLEM, 3, None, "", "k", "", (), (told,)),
        Compared(RowClass.ONLY_HERE, 4, None, "k4", "k4", "", ()),
    ]
    words = ("reconcile", "here.csv", "--with", "there.csv")
    said = page(tmp_path / "x.html", rows, command=words).said
    command = "bulk-sync reconcile here.csv --with there.csv --push"
    steps = (
        "To send the values here in 1 differing row, run:",
        command,
        "Correct 1 row with a problem",
        "Check the keys of 1 row only here",
        "Rows by class",
    )
    places = [said.index(text) for text in steps]
    assert places == sorted(places)
    rehearsal = page(tmp_path / "x.html", rows, command=words, base_url=SANDBOX_TARGET).said
    assert f"{command} --sandbox" in rehearsal
    assert "Nothing left to do." in page(tmp_path / "x.html", [], same=2, command=words).said


@pytest.mark.parametrize(
    ("others", "step"),
    [
        ({}, "To send the values here in 1 differing row, compare again with --push."),
        ({"sends": True}, "The values here in 1 differing row are sent after this comparison."),
        ({"conflicts": 2}, "in 1 differing row (except conflicts), compare again with --push."),
        ({"conflicts": 2}, "Decide about 2 values changed on both sides: --prefer here sends"),
        ({"conflicts": 2, "prefer_here": True}, "in 1 differing row, compare again"),
        ({"refused": True}, "Remove the cause that is named below, then compare again."),
    ],
)
def test_a_comparison_that_names_no_command_says_what_to_do(
    tmp_path: Path, others: dict[str, Any], step: str
) -> None:
    assert step in page(tmp_path / "x.html", [differing(2, "x", "y")], **others).said


def test_rows_only_there_are_folded_below_all_others(tmp_path: Path) -> None:
    def only_there(number: int) -> Compared:
        return Compared(RowClass.ONLY_THERE, None, number, "", f"there_{number}", "", ())

    path = tmp_path / "x.html"
    problem = Compared(RowClass.PROBLEM, None, 3, "", "k", "", ())
    page(path, [differing(2, "x", "y"), only_there(2), problem, only_there(4)])
    html = path.read_text("utf-8")
    fold = html[html.index('class="fold"') :]
    assert html.count('class="fold"') == 1
    assert "Only there: 2 rows" in fold
    assert re.findall(r'data-class="(\w+)"', fold) == ["only_there"] * 2
    assert re.findall(r'data-class="(\w+)"', html)[:2] == ["differs", "problem"]


def test_all_rows_of_both_sheets_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "x.html"
    page(path, [differing(2, "a", "b")], same=3)
    text = path.read_text(encoding="utf-8")
    table = text[text.index('<table class="states classes">') :]
    rows = re.findall(r'<td class="number">([\d,]+)</td>', table[: table.index("</table>")])
    here, there = [int(one) for one in rows[::2]], [int(one) for one in rows[1::2]]
    assert here == [3, 1, 1, 2, 7]  # same, differs, superseded, left out, all rows
    assert there == [3, 1, 0, 0, 4]


def test_one_cause_of_many_differences_comes_first(tmp_path: Path) -> None:
    cause = Systematic(Pattern.TIME_OFFSET, "showing_date", 1, 1, {"minutes": [60]})
    said = page(tmp_path / "x.html", [differing(2, "a", "b")], systematic=(cause,)).said
    cause_at = said.index("showing_date: 1 hour later here than there")
    assert said.index("Nothing was sent") < cause_at < said.index("Rows by class")

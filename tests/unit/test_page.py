"""The page: whatever stands in cells and messages stays text, all of it comes back, and it is never
too large.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from html.parser import HTMLParser
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.errors import KeyRefused, Outage
from bulk_sync.model.rows import RateSource, Result, State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from bulk_sync.report.page import run as page
from bulk_sync.report.page.charts import draw
from bulk_sync.report.page.markup import Html, element, escaped, json_text, shown
from bulk_sync.report.page.run import MOST_BYTES, MOST_ROWS, write_page
from bulk_sync.report.words import STATES, TITLES, Tone, verdict
from bulk_sync.timeline import Counts, Line, Run

SUMMARY = Summary(
    input="in/showings.csv",
    base_url="https://api.example.com",
    rows=3,
    states={State.UPDATED: 2, State.REJECTED: 1},
    problems=(ProblemGroup("refused", 1, ((4, "Rating is for others"),)),),
    in_flight=0,
    requests=4,
    retries=1,
    throttled=0,
    seconds=1.5,
    rows_per_second=2.0,
    limit=10.0,
    source=RateSource.HEADER,
    utilisation=None,
    results="in/showings.results.csv",
    failed="in/showings.failed.csv",
    checkpoint="in/showings.checkpoint.sqlite",
)
MADE_AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
RESULT = Result(
    2, (), "k", "k", State.UPDATED, False, 200, 1, None, None, "rating", None, None, None, 12
)

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]>--><svg onload=alert(1)>",
    "\u2028\u2029\x00\x85\ufeff\uffff",
    "\u202eevil\u2066",
    "a\ud800b",
    "\"'`&lt;&#60;${x}\\u003c\\",
    "x" * 199,
    "👩‍👩‍👧",
]
TEXT = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
    st.sampled_from(HOSTILE),
    st.just("plain"),
)


class Parsed(HTMLParser):
    """Elements with their attributes, and the texts of `<script>` by id."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str | None, str] = {}
        self.text = ""
        self._script: str | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._inside, self._script = True, dict(attrs).get("id")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._script] = self.scripts.get(self._script, "") + data
        else:
            self.text += data


def parsed(html: str) -> Parsed:
    found = Parsed()
    found.feed(html)
    found.close()
    return found


def written(summary: Summary, results: Iterable[Result] = (), runs: tuple[Run, ...] = ()) -> str:
    file = StringIO()
    kept = list(results)
    page._write(
        file,
        summary,
        draw(runs),
        lambda states: (r for r in kept if r.state in set(states)),
        MADE_AT,
        "1.2.3",
    )
    return file.getvalue()


def rows_of(found: Parsed) -> list[list[Any]]:
    """The rows as page.js has them: places are texts again."""
    rows = json.loads(found.scripts["data"])
    texts: list[str] = []
    for row in rows:
        row.extend([None] * (11 - len(row)))
        for place in (7, 8, 9):
            if isinstance(row[place], int):
                row[place] = texts[row[place]]
            elif row[place] is not None and len(texts) < page._MOST_SHARED_TEXTS:
                texts.append(row[place])
    return rows  # type: ignore[no-any-return]


def a_run() -> Run:
    line = Line("2026-03-02T09:00:00.000Z")
    for second in range(30):
        line.add(
            second * 250 + 150,
            Counts({State.UPDATED: 5}, 6, 1, 0, 20.0, RateSource.HEADER, {20: 6}),
        )
    news = line.unsaved()
    assert news is not None
    return Run(news.began, news.points)


@settings(max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT, st.sampled_from(State)), max_size=5), TEXT)
def test_text_of_others_comes_back_exactly_and_no_element_comes_of_it(
    told: list[tuple[str, str, str, str, State]], word: str
) -> None:
    def summary(text: str) -> Summary:
        return replace(
            SUMMARY,
            input=f"{text}x.csv",
            base_url=text,
            rows=max(1, len(told)),
            states={State.REJECTED: max(1, len(told))},
            problems=(ProblemGroup(text, 9, ()),),
            causes=(CauseGroup(text, text, 9, ((2, text or "x"),), text.replace("--", "-"), 1),),
            notes=(text,),
            failed=f"{text}y.csv",
            stopped=Outage(text),
        )

    results = [
        replace(
            RESULT,
            key=key,
            error=error,
            message=message,
            fields=fields,
            showing_id=message,
            state=state,
        )
        for key, error, message, fields, state in told
    ]
    found = parsed(written(summary(word), results))
    rows = rows_of(found)
    assert [(row[1], row[7] or "", row[8] or "", row[9] or "", row[10] or "") for row in rows] == [
        (key, error, message, fields, message) for key, error, message, fields, _ in told
    ]
    plain = parsed(
        written(
            summary("plain"),
            [replace(r, key="k", message="m", error="e", fields="f") for r in results],
        )
    )
    assert [name for name, _ in found.elements] == [name for name, _ in plain.elements]
    assert [set(attributes) for _, attributes in found.elements] == [
        set(attrs) for _, attrs in plain.elements
    ]


def test_nothing_is_loaded_and_only_the_pages_own_script_and_style_may_run() -> None:
    html = written(SUMMARY, [RESULT], (a_run(),))
    found = parsed(html)
    policy = next(attrs["content"] for _, attrs in found.elements if attrs.get("http-equiv")) or ""
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    style = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    for text in (*style, found.scripts[None]):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert len(style) == 1
    for name, attributes in found.elements:
        assert not [
            key
            for key in attributes
            if key.startswith("on") or key in {"style", "srcset", "action"}
        ]
        assert "src" not in attributes, name
        assert (attributes.get("href") or "#").startswith(("#", "data:,"))
    outside = re.findall(r"(?:url\(|@import)[^)]*", style[0])
    assert set(outside) == {
        f"url(#p-{name}" for name in ("invalid", "rejected", "failed", "pending")
    }


def test_the_page_has_landmarks_headings_captions_and_words_for_its_charts() -> None:
    found = parsed(written(SUMMARY, [RESULT], (a_run(),)))
    names = [name for name, _ in found.elements]
    assert {"header", "main", "footer", "nav"} <= set(names)
    assert names.count("h1") == 1
    assert names.count("table") == names.count("caption")
    charts = [attrs for _, attrs in found.elements if "data-chart" in attrs]
    assert [chart["role"] for chart in charts] == ["img"] * 3
    text = "At most 25.0 rows a second, after 7.0 s of 7.4 s. The limit was 20/s at the end."
    assert charts[0]["aria-label"] == text
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    labelled = {
        attrs["aria-labelledby"] for _, attrs in found.elements if "aria-labelledby" in attrs
    }
    assert labelled <= set(ids)
    assert dict(found.elements)["html"]["lang"] == "en"


def test_the_figures_of_a_drawing_are_on_the_page_as_numbers_and_as_a_table() -> None:
    found = parsed(written(SUMMARY, [RESULT], (a_run(),)))
    data = json.loads(found.scripts["drawing"])
    assert len(data["rows"]) == len(data["at"]) == len(data["p99"])
    assert data["limit"][-1] == 20.0
    assert sum(name == "tr" for name, _ in found.elements) >= len(data["at"])
    assert "drawing" not in parsed(written(SUMMARY, [RESULT])).scripts


def many(count: int, state: State = State.UPDATED, **others: Any) -> Iterator[Result]:
    for number in range(2, count + 2):
        yield replace(RESULT, number=number, key=f"key {number}", state=state, **others)


@pytest.mark.parametrize(
    ("states", "kept", "said"),
    [
        ({State.UPDATED: 50_000}, 50_000, None),
        (
            {State.UPDATED: 50_000, State.REJECTED: 1},
            1,
            "left out here are those that are 50,000 updated",
        ),
        ({State.UPDATED: 50_001}, 0, "left out here are those that are 50,001 updated"),
        ({State.UNCHANGED: 50_000, State.UPDATED: 1}, 50_000, "1 updated"),
        ({State.UNCHANGED: 60_000, State.FAILED: 7}, 7, "60,000 unchanged"),
        ({State.PENDING: 60_000, State.UPDATED: 7}, 50_000, "the first 50,000 of 60,000"),
        ({State.FAILED: 60_000, State.PENDING: 7}, 50_000, "the first 50,000 of 60,000"),
    ],
)
def test_rows_beyond_what_a_browser_is_quick_with_are_left_out_and_a_note_says_so(
    states: dict[State, int], kept: int, said: str | None
) -> None:
    file = StringIO()
    summary = replace(SUMMARY, rows=sum(states.values()), states=states, problems=())
    by_state = {state: partial(many, count, state) for state, count in states.items()}

    def rows(wanted: Iterable[State]) -> Iterator[Result]:
        for state in wanted:
            yield from by_state[state]() if state in by_state else ()

    page._write_rows(file, summary, rows)
    found = parsed(file.getvalue())
    assert len(json.loads(found.scripts["data"])) == kept
    if said is None:
        assert "left out" not in found.text
    else:
        assert said in found.text
        assert "showings.results.csv" in found.text


@pytest.mark.parametrize("character", ["x", "é", "👩", "<", "\x00"])
def test_long_texts_make_no_page_of_10_mb(character: str, tmp_path: Path) -> None:
    def rows(_: Iterable[State]) -> Iterator[Result]:
        for number in range(30_000):
            yield replace(
                RESULT, number=number, key=character * 300, message=f"{number}{character * 5000}"
            )

    path = tmp_path / "page.html"
    summary = replace(SUMMARY, rows=30_000, states={State.UPDATED: 30_000})
    write_page(path, summary, (a_run(),), rows, made_at=MADE_AT, version="1")
    assert MOST_BYTES * 0.9 < path.stat().st_size < 10_000_000
    assert "as many as a browser is quick with" in path.read_text(encoding="utf-8")
    assert MOST_ROWS == 50_000


def test_texts_that_come_again_are_written_once() -> None:
    found = parsed(written(SUMMARY, many(3000, message="the same for all of them")))
    assert found.scripts["data"].count("the same for all of them") == 1
    assert {row[8] for row in rows_of(found)} == {"the same for all of them"}


VERDICTS = [
    ({State.UPDATED: 3}, {}, Tone.GOOD, "All 3 rows are done."),
    ({State.UPDATED: 1}, {}, Tone.GOOD, "The one row is done."),
    ({}, {}, Tone.GOOD, "The sheet has no rows."),
    ({State.UPDATED: 1, State.REJECTED: 1}, {}, Tone.MEND, "1 of 2 rows is done; 1 needs mending."),
    ({State.UPDATED: 1, State.FAILED: 2}, {}, Tone.MEND, "1 of 3 rows is done; 2 failed."),
    (
        {State.UNCHANGED: 2, State.INVALID: 2},
        {},
        Tone.MEND,
        "2 of 4 rows are done; 2 need mending.",
    ),
    (
        {State.PENDING: 1},
        {},
        Tone.STOPPED,
        "Not finished: 0 of 1 row are done, 1 is still to send.",
    ),
    (
        {State.UPDATED: 9, State.PENDING: 2},
        {"stopped": Outage("Gone.")},
        Tone.STOPPED,
        "Stopped early: 9 of 11 rows",
    ),
    (
        {State.UPDATED: 9, State.PENDING: 2},
        {"running": True},
        Tone.STOPPED,
        "A run is under way: 9 of 11 rows",
    ),
]


@pytest.mark.parametrize(("states", "others", "tone", "sentence"), VERDICTS)
def test_the_verdict_in_a_sentence(
    states: dict[State, int], others: dict[str, Any], tone: Tone, sentence: str
) -> None:
    told = verdict(replace(SUMMARY, rows=sum(states.values()), states=states, **others))
    assert (told.tone, told.sentence[: len(sentence)]) == (tone, sentence)


def test_the_next_step_names_the_file_or_the_key_and_what_is_in_flight() -> None:
    told = verdict(replace(SUMMARY, failed="in/my showings.failed.csv"))
    assert told.command == "bulk-sync push 'my showings.failed.csv'"
    pending = replace(SUMMARY, states={State.PENDING: 3}, in_flight=2, stopped=KeyRefused("No."))
    told = verdict(pending)
    assert told.next_step.startswith("Mend the API key")
    assert told.detail == "No. 2 of those to send are in flight: they may have been applied."
    assert verdict(replace(SUMMARY, failed=None)).command is None


def test_problems_stand_by_code_and_cause_with_rows_values_and_remedy() -> None:
    causes = [
        CauseGroup("bad_value", f"rating 6 to {n}", 12, ((7, "6"), (1200, None)), "expected 1 to 5")
        for n in range(14)
    ]
    problems = (ProblemGroup("bad_value", 168, ()), ProblemGroup("timeout", 1, ()))
    causes.append(
        CauseGroup("timeout", "timeout: no reply", 1, ((9, "k"),), "push with --timeout 60", 1)
    )
    found = parsed(written(replace(SUMMARY, problems=problems, causes=tuple(causes))))
    assert "A cell that can't be read 168 rows bad_value" in found.text
    assert "rating 6 to 9" in found.text
    assert "12 rows: expected 1 to 5row 7 6 row 1,200  …" in found.text
    assert "and 2 kinds more" in found.text
    assert "1 row; 1 of them may have been applied: push with --timeout 60row 9 k" in found.text
    assert ("span", {"class": "option"}) in found.elements


def test_every_code_and_state_has_its_words() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    table = readme[readme.index("| `updated` |") : readme.index("| `pending` |")]
    codes = set(
        re.findall(r"`([a-z]+_[a-z_]+|timeout|connection|refused|forbidden|throttled)`", table)
    )
    assert codes == set(TITLES)
    assert set(STATES) == set(State)


def test_markup_is_escaped_by_construction() -> None:
    assert escaped("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert (
        element("p", "<b>", Html("<i>"), None, class_='"', data_x=None)
        == '<p class="&quot;">&lt;b&gt;<i></p>'
    )
    assert shown("a\u202eb\x00\u200d\u00e9\n") == "a\\u202eb\\x00\u200d\u00e9\\n"
    assert json_text(["</script>", "<!--", "\u2028", "\ud800", "é"]) == (
        '["\\u003c/script\\u003e","\\u003c!--","\\u2028","\\ud800","é"]'
    )


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_letters_and_lines_stand_out_in_light_and_dark(scheme: int) -> None:
    css = files("bulk_sync.report").joinpath("assets", "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", css)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})\b", blocks[scheme]))
    for letters in ("text", "muted", "accent"):
        for ground in ("card", "ground", "soft"):
            assert contrast(colours[letters], colours[ground]) >= 4.5, (letters, ground)
    for sign in ("good", "mend", "stopped"):
        assert contrast(colours[sign], colours["on-sign"]) >= 3, sign
    lines = ("rows", "requests", "limit", "p50", "p90", "p99", "throttled", "retries")
    for line in (*lines, *(state.value for state in State)):
        assert contrast(colours[line], colours["card"]) >= 3, line
    assert len(blocks) == 2

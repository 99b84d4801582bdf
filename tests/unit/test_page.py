"""The page: texts of cells and messages stay text, all of them, and nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.errors import Outage
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from tests.unit.pages import HOSTILE, RESULT, SUMMARY, a_run, contrast, parsed, rows_of, written

TEXT = st.one_of(
    st.text(st.characters(codec=None, exclude_categories=()), max_size=60),
    st.sampled_from(HOSTILE),
    st.just("plain"),
)


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
            files=replace(SUMMARY.files, failed=f"{text}y.csv"),
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
    text = "At most 25.0 rows per second, after 7 s of 7.4 s. The limit was 20/s at the end."
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


@pytest.mark.parametrize("scheme", [0, 1])
def test_letters_and_lines_stand_out_in_light_and_dark(scheme: int) -> None:
    css = files("bulk_sync.report").joinpath("assets", "page.css").read_text(encoding="utf-8")
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", css)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})\b", blocks[scheme]))
    for letters in ("text", "muted", "accent"):
        for ground in ("card", "ground", "soft"):
            assert contrast(colours[letters], colours[ground]) >= 4.5, (letters, ground)
    for sign in ("good", "attention", "stopped"):
        assert contrast(colours[sign], colours["on-sign"]) >= 3, sign
    lines = ("rows", "requests", "limit", "p50", "p90", "p99", "throttled", "retries")
    for line in (*lines, *(state.value for state in State)):
        assert contrast(colours[line], colours["card"]) >= 3, line
    assert len(blocks) == 2

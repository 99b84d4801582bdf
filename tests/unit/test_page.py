"""The page: texts of cells and messages stay text, all of them, and nothing is loaded."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.errors import Outage
from bulk_sync.model.rows import State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup, Summary
from bulk_sync.report.page.drawing import draw
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
        f"url(#p-{name}" for name in ("invalid", "rejected", "failed", "pending", "throttled")
    }


def test_the_page_has_landmarks_headings_captions_and_words_for_its_charts() -> None:
    found = parsed(written(SUMMARY, [RESULT], (a_run(),)))
    names = [name for name, _ in found.elements]
    assert {"header", "main", "footer", "nav"} <= set(names)
    assert names.count("h1") == 1
    assert names.count("table") == names.count("caption")
    charts = [attrs for _, attrs in found.elements if attrs.get("class") == "plot"]
    assert [chart["role"] for chart in charts] == ["img"] * 3
    text = "At most 25.0 rows per second, after 7 s of 7.4 s. The limit was 20/s at the end."
    assert charts[0]["aria-label"] == f"Rows and requests per second. {text}"
    ids = [attrs["id"] for _, attrs in found.elements if "id" in attrs]
    assert len(ids) == len(set(ids))
    labelled = {
        attrs["aria-labelledby"] for _, attrs in found.elements if "aria-labelledby" in attrs
    }
    assert labelled <= set(ids)
    assert dict(found.elements)["html"]["lang"] == "en"


def test_the_figures_of_the_charts_are_a_table_too_that_the_readout_names_by_column() -> None:
    found = parsed(written(SUMMARY, [RESULT], (a_run(),)))
    drawing = draw((a_run(),))
    assert drawing is not None
    assert sum(name == "tr" for name, _ in found.elements) >= len(drawing.figures)
    columns = [attrs["data-columns"] for _, attrs in found.elements if "data-columns" in attrs]
    assert columns == ["1 2 3", "6 7 8", "4 5"]
    heads = re.findall(r'scope="col">([^<]*)</th>', written(SUMMARY, [RESULT], (a_run(),)))
    table = heads[heads.index("After") :]
    assert table[1:9] == [
        *("Rows/s", "Requests/s", "Limit/s"),
        *("Retries", "Throttled"),
        *("p50 ms", "p90 ms", "Worst ms"),
    ]
    assert "plot" not in [attrs.get("class") for _, attrs in parsed(written(SUMMARY)).elements]


def test_a_page_reads_in_the_order_of_use_with_notes_folded() -> None:
    told = replace(SUMMARY, notes=("A note.", "Another."), echo_differs=1)
    found = parsed(written(told, [RESULT], (a_run(),)))
    ids = [attrs.get("id") for name, attrs in found.elements if name == "section"]
    assert ids == ["verdict", "next", "problems", "echoes", "states", "rows", "time"]
    folds = [attrs for name, attrs in found.elements if name == "details" and "data-fold" in attrs]
    assert [(fold["data-fold"], "open" in fold) for fold in folds] == [
        ("screen", False),  # the notes
        ("phone", True),  # the charts
    ]
    assert "2 notes" in found.text
    done = parsed(written(replace(SUMMARY, states={State.UPDATED: 3}, problems=())))
    assert "problems" not in [attrs.get("id") for _, attrs in done.elements]


def _mixed(colour: str, ground: str, share: float) -> str:
    parts = [[int(one[n : n + 2], 16) for n in (1, 3, 5)] for one in (colour, ground)]
    return "#" + "".join(
        f"{round(share * a + (1 - share) * b):02x}" for a, b in zip(*parts, strict=True)
    )


@pytest.mark.parametrize("scheme", [0, 1])
def test_letters_and_lines_stand_out_in_light_and_dark(scheme: int) -> None:
    assets = files("bulk_sync.report").joinpath("assets")
    css, compared = (
        assets.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "comparison.css")
    )
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", css)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})\b", blocks[scheme]))
    for letters in ("text", "muted", "accent"):
        for ground in ("card", "ground", "soft"):
            assert contrast(colours[letters], colours[ground]) >= 4.5, (letters, ground)
    for sign in ("good", "attention", "stopped"):
        assert contrast(colours[sign], colours["on-sign"]) >= 3, sign
    lines = ("rows", "requests", "limit", "p50", "p90", "worst", "throttled", "retries")
    for line in (*lines, "rejected", "attention", *(state.value for state in State)):
        assert contrast(colours[line], colours["card"]) >= 3, line
    # Deleted and inserted text is on a tint of its own colour, a filter's count is translucent.
    tints = re.findall(r"color-mix\(in srgb, var\(--(\w+)\) (\d+)%, transparent\)", compared)
    assert [name for name, _ in tints] == ["rejected", "updated"]
    for name, percent in tints:
        tint = _mixed(colours[name], colours["card"], int(percent) / 100)
        assert contrast(colours[name], tint) >= 4.5, name
    (opacity,) = re.findall(r"\.filters button span \{ opacity: ([\d.]+);", css)
    for letters, ground in (("text", "soft"), ("card", "text")):
        count = _mixed(colours[letters], colours[ground], float(opacity))
        assert contrast(count, colours[ground]) >= 4.5, letters
    assert len(blocks) == 2

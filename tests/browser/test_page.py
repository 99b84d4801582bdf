"""The page in a real browser: nothing is loaded, nothing goes wrong, and it does what it shows, at
three widths.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from bulk_sync.model.rows import Result, State
from bulk_sync.model.summaries import CauseGroup, ProblemGroup
from bulk_sync.report.page.run import write_page
from tests.browser.chromium import MISSING, Browser, browser
from tests.unit.pages import HOSTILE, MADE_AT, RESULT, SUMMARY, a_run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]  # Chromium

WIDTHS = (360, 800, 1400)
COUNT = 1000
SHOWN = [text.replace("\ud800", "") for text in HOSTILE]


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as window:
        yield window


def results() -> Iterator[Result]:
    """Most updated; every tenth rejected with hostile text for key and message; every fiftieth
    failed.
    """
    for number in range(2, COUNT + 2):
        hostile = HOSTILE[number // 10 % len(HOSTILE)]
        if number % 50 == 0:
            yield replace(
                RESULT,
                number=number,
                key=f"ext {number}",
                state=State.FAILED,
                error="timeout",
                message="late",
            )
        elif number % 10 == 0:
            yield replace(
                RESULT,
                number=number,
                key=hostile,
                state=State.REJECTED,
                error="refused",
                message=hostile * 9,
            )
        else:
            yield replace(RESULT, number=number, key=f"ext {number}", message=None)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "x.report.html"
    rows = list(results())
    states = {state: sum(row.state is state for row in rows) for state in State}
    first_rows = tuple((number, text) for number, text in enumerate(SHOWN, start=2))
    summary = replace(
        SUMMARY,
        input=f"in/{SHOWN[0].replace('/', '')}.csv",
        rows=COUNT,
        states=states,
        problems=(ProblemGroup("refused", 80, ()), ProblemGroup("timeout", 20, ())),
        causes=(
            *(CauseGroup("refused", text, 9, first_rows, text) for text in SHOWN),
            CauseGroup("timeout", "timeout: late", 20, ((50, "ext 50"),), "run the command again"),
        ),
        notes=tuple(SHOWN),
    )
    write_page(
        path,
        summary,
        (a_run(), replace(a_run(), began="later")),
        lambda _: rows,
        made_at=MADE_AT,
        version="1",
    )
    return path


@pytest.fixture
def opened(window: Browser, page: Path) -> Browser:
    window.size(1400)
    window.scheme("light")
    window.open(page)
    window.log()  # of the test before
    return window


def shown_rows(window: Browser) -> list[list[str]]:
    rows: list[list[str]] = window.js(
        "[...document.querySelectorAll('#body tr')]"
        ".map((line) => [...line.children].map((cell) => cell.textContent))"
    )
    return rows


def count(window: Browser) -> str:
    return str(window.js("document.getElementById('count').textContent"))


def search(window: Browser, text: str) -> None:
    window.js(
        "(() => { const field = document.getElementById('search'); field.value = arguments[0];"
        "field.dispatchEvent(new Event('input')); })()".replace("arguments[0]", repr(text))
    )
    window.js("new Promise((done) => setTimeout(done, 50))")


def press(window: Browser, selector: str) -> None:
    window.js(f"document.querySelector({selector!r}).click()")


def test_it_opens_without_a_word_on_the_console_and_asks_for_nothing(
    window: Browser, page: Path
) -> None:
    window.requests()
    window.open(page)
    assert window.log() == []
    assert [url for url in window.requests() if not url.startswith("data:")] == [page.as_uri()]
    assert window.js("document.querySelectorAll('.chart').length") == 3
    assert window.js(
        "[...document.querySelectorAll('.chart')].every((one) => one.clientWidth > 300)"
    )


def test_what_is_not_the_pages_own_can_not_run_or_be_fetched(opened: Browser) -> None:
    opened.js(
        "(() => { const made = document.createElement('script');"
        "made.textContent = 'window.ran = true';"
        "document.body.append(made); })()"
    )
    assert opened.js("window.ran") is None
    assert (
        opened.js("fetch('https://example.com/').then(() => 'fetched', () => 'refused')")
        == "refused"
    )
    assert all("Content Security Policy" in line for line in opened.log())


@pytest.mark.parametrize("width", WIDTHS)
def test_no_width_makes_the_page_scroll_sideways(window: Browser, page: Path, width: int) -> None:
    window.size(width)
    window.open(page)
    for selector in ('[data-filter="all"]', '[data-filter="rejected"]', "details > summary"):
        press(window, selector)
        assert window.js("document.documentElement.scrollWidth <= innerWidth")
        right = (
            "Math.max(...[...document.querySelectorAll('main > *')]"
            ".map((one) => one.getBoundingClientRect().right))"
        )
        assert window.js(right) <= width
    assert window.log() == []


def test_the_table_can_be_filtered_by_state(opened: Browser) -> None:
    assert count(opened) == "100 of 1,000 rows; showing 1 to 50"  # those to correct
    press(opened, '[data-filter="all"]')
    assert count(opened) == "1,000 rows; showing 1 to 50"
    names = opened.js(
        "[...document.querySelectorAll('#filters button')].map((one) => one.textContent)"
    )
    assert names == ["all1,000", "with errors100", "updated900", "rejected80", "failed20"]
    press(opened, '[data-filter="failed"]')
    assert count(opened) == "20 of 1,000 rows"
    assert {row[2] for row in shown_rows(opened)} == {"failed"}
    assert (
        opened.js("document.querySelector('[data-filter=failed]').getAttribute('aria-pressed')")
        == "true"
    )
    press(opened, '[data-filter="with errors"]')
    assert {row[2] for row in shown_rows(opened)} == {"failed", "rejected"}


def test_rows_are_found_by_key_message_and_number_also_within_a_state(opened: Browser) -> None:
    press(opened, '[data-filter="all"]')
    search(opened, "ext 99")
    assert [row[0] for row in shown_rows(opened)] == [
        "99",
        "199",
        "299",
        "399",
        "499",
        "599",
        "699",
        "799",
        "899",
    ] + [str(number) for number in range(991, 1000)]
    search(opened, "LATE")
    assert count(opened) == "20 of 1,000 rows"
    search(opened, "late 950")
    assert [row[0] for row in shown_rows(opened)] == ["950"]
    press(opened, '[data-filter="updated"]')
    assert [row[0] for row in shown_rows(opened)] == ["No rows match."]
    assert count(opened) == "0 of 1,000 rows"


def test_pages_are_turned_to_the_last_one(opened: Browser) -> None:
    press(opened, '[data-filter="all"]')
    press(opened, "#pages button:last-child")
    assert count(opened) == "1,000 rows; showing 951 to 1,000"
    assert shown_rows(opened)[-1][0] == "1,001"
    assert opened.js("document.querySelector('#pages button:last-child').disabled")
    press(opened, "#pages button:nth-child(2)")
    assert count(opened) == "1,000 rows; showing 901 to 950"


def test_a_problem_leads_to_its_rows(opened: Browser) -> None:
    press(opened, '[data-cause="timeout"]')
    assert count(opened) == "20 of 1,000 rows with timeout"
    press(opened, '[data-filter="all"]')
    assert count(opened) == "1,000 rows; showing 1 to 50"


def test_hostile_text_is_shown_as_text_and_what_is_invisible_as_its_escape(opened: Browser) -> None:
    elements = opened.js(
        "document.querySelectorAll('script, img, iframe, [onload], [onerror]').length"
    )
    press(opened, '[data-filter="rejected"]')
    keys = {row[1] for row in shown_rows(opened)}
    assert "</script><script>alert(1)</script>" in keys
    assert "\\u202eevil\\u2066" in keys
    assert "\\u2028\\u2029\\x00\\x85\\ufeff\uffff" in keys
    assert "a\\ud800b" in keys
    assert "👩‍👩‍👧" in keys
    assert (
        opened.js("document.querySelectorAll('script, img, iframe, [onload], [onerror]').length")
        == elements
        == 2
    )
    assert opened.log() == []


def test_dark_mode_is_dark_with_its_charts(opened: Browser) -> None:
    def ground_and_ink() -> tuple[int, ...]:
        return tuple(
            sum(
                opened.js(
                    f"getComputedStyle(document.querySelector('{selector}')).{name}"
                    ".match(/\\d+/g).slice(0, 3).map(Number)"
                )
            )
            for selector, name in (
                ("body", "backgroundColor"),
                (".chart .stroke.requests", "stroke"),
                (".axis text", "fill"),
            )
        )

    light = ground_and_ink()
    opened.scheme("dark")
    opened.until("getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 26)'")
    dark = ground_and_ink()
    assert light[0] > 700
    assert dark[0] < 100
    assert all(dark > light for light, dark in zip(light[1:], dark[1:], strict=True))


def test_the_charts_are_folded_on_a_phone_and_the_pointer_reads_them(
    window: Browser, page: Path
) -> None:
    window.size(360)
    window.open(page)
    assert not window.js("document.querySelector('.folds').open")
    window.size(1400)
    window.open(page)
    assert window.js("document.querySelector('.folds').open")
    assert not window.js("document.querySelector('.notes').open")
    window.js(
        "(() => { const chart = document.querySelector('.chart');"
        "const box = chart.getBoundingClientRect();"
        "chart.dispatchEvent(new PointerEvent('pointermove', { clientX: box.right - 1 })); })()"
    )
    assert (
        window.js("document.querySelector('.readout').textContent")
        == "after 14.5 s: Rows/s 25, Requests/s 30, Limit/s 20"
    )


def test_the_keyboard_reaches_everything_and_shows_where_it_is(opened: Browser) -> None:
    seen: list[str] = []
    for _ in range(60):
        opened.tell(
            "Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9
        )
        name, outline = opened.js(
            "(() => { const one = document.activeElement; return [one.tagName + ' ' +"
            " (one.textContent || one.id).slice(0, 20), getComputedStyle(one).outlineStyle]; })()"
        )
        seen.append(name)
        if name.startswith("SUMMARY Charts"):
            break
        assert outline == "solid", name
    assert seen[0] == "A Skip to the rows"
    assert seen[1].startswith("SUMMARY 9 notes")
    order = [
        next(place for place, one in enumerate(seen) if one.startswith(begin))
        for begin in ("BUTTON Show the refused", "INPUT search", "BUTTON all", "SUMMARY Charts")
    ]
    assert order == sorted(order)


def test_a_screen_reader_meets_names_roles_and_words(opened: Browser) -> None:
    opened.size(360)
    opened.driver.refresh()
    opened.until("'ready' in document.documentElement.dataset")
    nodes = opened.tell("Accessibility.getFullAXTree")["nodes"]
    seen = [node for node in nodes if not node.get("ignored", False)]
    told = [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in seen]
    roles = [role for role, _ in told]
    assert {
        "banner",
        "main",
        "contentinfo",
        "navigation",
        "searchbox",
        "status",
        "table",
        "columnheader",
    } <= set(roles)
    assert ("table", "Rows in the order of the sheet") in told
    assert ("searchbox", "Search keys, messages, ids and row numbers") in told
    images = [name for role, name in told if role in {"image", "img"}]
    assert len(images) == 2  # the sign and the bar of states; charts are folded on a phone
    assert all(images)
    press(opened, ".folds > summary")
    nodes = opened.tell("Accessibility.getFullAXTree")["nodes"]
    charts = [
        node["name"]["value"]
        for node in nodes
        if not node.get("ignored") and node["role"]["value"] in {"image", "img"}
    ][2:]
    assert [name.partition(".")[0] for name in charts] == [
        "Rows and requests per second",
        "Latency of requests",
        "Retries and throttled requests",
    ]
    assert not [role for role, name in told if role == "button" and not name]
    headings = [name for role, name in told if role == "heading"]
    assert headings[0].endswith("correction.")


def test_it_prints_in_light_on_a_few_sheets(opened: Browser) -> None:
    opened.scheme("dark")
    printed = opened.pdf()
    assert printed.startswith(b"%PDF")
    assert 2 <= printed.count(b"/Type /Page\n") <= 12
    opened.until("!document.querySelector('.notes').open")  # opened for the print
    assert opened.log() == []


def test_without_scripts_the_verdict_the_problems_and_the_figures_are_there(
    window: Browser, page: Path
) -> None:
    window.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.driver.get(page.as_uri())
        text = window.driver.find_element("tag name", "body").text
    finally:
        window.tell("Emulation.setScriptExecutionDisabled", value=False)
    assert "need correction" in text
    assert "Refused by the API" in text
    assert "The table of rows needs scripts" in text
    assert "The charts as a table" in text

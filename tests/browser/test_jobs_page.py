"""The page on several jobs in a real browser: it fits, loads nothing, folds, sorts and filters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import MISSING, Browser, browser
from tests.unit.jobs import sixty
from tests.unit.test_jobs_page import write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]  # Chromium


@pytest.fixture(scope="module")
def window() -> Iterator[Browser]:
    with browser() as window:
        yield window


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "x.html"
    write(path, *sixty())
    return path


def names(window: Browser) -> list[str]:
    found: list[str] = window.js(
        "[...document.querySelectorAll('.jobs > tbody')].filter((job) => !job.hidden)"
        ".map((job) => job.querySelector('bdi').textContent)"
    )
    return found


def test_it_fits_every_width_and_asks_for_nothing(window: Browser, page: Path) -> None:
    for width in (375, 700, 800, 1400):
        window.size(width)
        window.requests()
        window.open(page)
        window.js("document.querySelectorAll('.jobs > tbody button').forEach((one) => one.click())")
        assert window.js("document.documentElement.scrollWidth") <= width
        assert window.log() == []
        assert [url for url in window.requests() if not url.startswith("data:")] == [page.as_uri()]


def test_jobs_are_sorted_filtered_searched_and_opened(window: Browser, page: Path) -> None:
    window.size(1400)
    window.open(page)
    first = names(window)
    assert first[:3] == ["bug", "refused", "disk"]
    window.js("document.querySelector('.jobs th:last-child button').click()")
    assert names(window) == [job.name for job in sixty()]
    window.js("document.querySelector('.jobs th button').click()")
    assert names(window) == sorted(first)
    window.js("document.querySelector('[data-filter=\"to run again\"]').click()")
    assert names(window) == ["failed", "interrupted", "left", "outage"]
    window.js("document.querySelector('[data-filter=all]').click()")
    window.js(
        "(() => { const field = document.getElementById('search'); field.value = 'INVALID Key 401';"
        " field.dispatchEvent(new Event('input')); })()"
    )
    assert names(window) == ["refused"]
    assert window.js("document.getElementById('count').textContent") == "1 of 60 jobs"
    assert window.js("countOf(1, 1, 'job')") == "1 job"
    assert window.js("countOf(0, 1, 'job')") == "0 of 1 job"
    assert window.js("document.getElementById('job-2').rows[1].hidden")
    window.js("document.querySelector('a[href=\"#job-2\"]').click()")
    window.until("!document.getElementById('job-2').rows[1].hidden")
    assert len(names(window)) == 60
    marks = [
        window.js(f"getComputedStyle({button}, '::before').content")
        for button in (
            "document.querySelector('#job-2 button')",
            "document.querySelector('#job-3 button')",
        )
    ]
    assert marks == ['"▾"', '"▸"']
    assert window.log() == []


def test_without_scripts_everything_is_open(window: Browser, page: Path) -> None:
    window.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        window.driver.get(page.as_uri())
        text = window.driver.find_element("tag name", "body").text
    finally:
        window.tell("Emulation.setScriptExecutionDisabled", value=False)
    assert "49 of 60 jobs are done" in text
    assert "bulk-sync run --jobs teams.toml refused" in text
    assert "to-correct/showings.failed.csv" in text
    assert "Search names" not in text

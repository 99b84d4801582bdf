"""The page of a comparison in a real browser: nothing goes wrong, and it fits at three widths."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.chromium import MISSING, browser
from tests.unit.test_comparison_page import HOSTILE, differing
from tests.unit.test_comparison_page import page as write_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]  # Chromium


def test_it_opens_without_errors_and_never_scrolls_sideways(tmp_path: Path) -> None:
    rows = [
        differing(number, text, text + " and more " + "w" * 300)
        for number, text in enumerate(HOSTILE, start=2)
    ]
    write_page(tmp_path / "x.html", rows)
    with browser() as window:
        for width in (390, 820, 1400):
            window.size(width)
            window.driver.get((tmp_path / "x.html").as_uri())
            assert window.js("document.documentElement.scrollWidth") <= width
            assert window.log() == []
        assert window.js("document.querySelectorAll('ins').length") >= len(rows)

"""The page of a comparison in a real browser: it fits three widths, searches, filters and folds."""

from __future__ import annotations

from pathlib import Path

import pytest

from bulk_sync.model.comparison import Compared, RowClass
from tests.browser.chromium import MISSING, browser
from tests.unit.test_comparison_page import HOSTILE, differing
from tests.unit.test_comparison_page import page as write_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
]  # Chromium


COUNT = "document.getElementById('count').textContent"


def test_it_opens_without_errors_and_never_scrolls_sideways(tmp_path: Path) -> None:
    rows = [
        differing(number, text, text + " and more " + "w" * 300)
        for number, text in enumerate(HOSTILE, start=2)
    ]
    for number in range(50, 57):
        there = f"there_{number}"
        rows.append(Compared(RowClass.ONLY_THERE, None, number, "", there, "", ()))
    write_page(tmp_path / "x.html", rows)
    with browser() as window:
        for width in (360, 800, 1400):
            window.size(width)
            window.open(tmp_path / "x.html")
            assert window.js("document.documentElement.scrollWidth") <= width
            assert window.log() == []
        assert window.js("document.querySelectorAll('ins').length") >= len(HOSTILE)
        assert not window.js("document.querySelector('.fold').open")
        assert window.js(COUNT) == f"{len(rows)} rows"
        window.js("document.querySelector('[data-filter=\"only there\"]').click()")
        assert window.js("document.querySelector('.fold').open")
        assert window.js(COUNT) == f"7 of {len(rows)} rows"
        window.js("document.querySelector('[data-filter=all]').click()")
        window.js(
            "(() => { const field = document.getElementById('search'); field.value = 'ALERT(1)';"
            " field.dispatchEvent(new Event('input')); })()"
        )
        assert window.js(COUNT) == f"1 of {len(rows)} rows"
        assert window.js("document.querySelector('.fold').hidden")
        assert window.log() == []

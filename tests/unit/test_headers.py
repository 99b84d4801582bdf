"""Header text to numbers: tables, with expected values worked out by hand, and any text at all."""

from __future__ import annotations

from time import tzset

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.headers import LONGEST_WAIT, LONGEST_WINDOW, Quota, limits, retry_after

DATE = "Mon, 02 Mar 2026 10:00:00 GMT"  # 1772445600


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", "", 120),
        ("0", "", 0),
        (" 3 ", "", 3),
        ("-1", "", None),
        ("1.5", "", None),
        ("", "", None),
        ("soon", "", None),
        ("nan", "", None),
        ("٣", "", None),
        ("9" * 40, "", LONGEST_WAIT),
        ("Mon, 02 Mar 2026 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Monday, 02-Mar-26 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Mon Mar  2 10:00:30 2026", "Mon, 02 Mar 2026 10:00:00 GMT", 30),
        ("Mon, 02 Mar 2026 09:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", 0),
        ("Fri, 31 Dec 2138 23:59:59 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", LONGEST_WAIT),
        ("Mon, 02 Mar 2026 10:00:30 GMT", "", None),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", None),
        ("Mon, 99 Mar 2026 10:00:30 GMT", "Mon, 02 Mar 2026 10:00:00 GMT", None),
    ],
)
def test_retry_after(text: str, date: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": text, "date": date}) == seconds


@pytest.mark.parametrize("zone", ["Asia/Jerusalem", "America/Los_Angeles"])
@pytest.mark.parametrize(
    "text",
    [
        "Mon, 02 Mar 2026 10:00:30 GMT",
        "Monday, 02-Mar-26 10:00:30 GMT",
        "Mon Mar  2 10:00:30 2026",
    ],
)
def test_a_date_is_read_against_the_replys_own_wherever_the_machine_is(
    monkeypatch: pytest.MonkeyPatch, zone: str, text: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    tzset()
    try:
        assert retry_after({"retry-after": text, "date": DATE}) == 30
    finally:
        monkeypatch.undo()
        tzset()


def test_without_retry_after_nothing_is_asked() -> None:
    assert retry_after({}) is None


@given(st.text(), st.text())
def test_any_header_text_is_a_bounded_wait_or_none(text: str, date: str) -> None:
    seconds = retry_after({"retry-after": text, "date": date})
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("headers", "quotas"),
    [
        ({}, []),
        (
            {"ratelimit-policy": '"default";q=100;w=60', "ratelimit": '"default";r=50;t=30'},
            [Quota(100, 60, 50, 30)],
        ),
        (
            {
                "ratelimit-policy": '"a";q=10;w=1, "b";q=500;w=60;pk=:abc=:',
                "ratelimit": '"b";r=50;t=30',
            },
            [Quota(10, 1), Quota(500, 60, 50, 30)],
        ),
        ({"ratelimit": '"default";r=0;t=5'}, [Quota(None, None, 0, 5)]),
        ({"ratelimit-policy": '"default";q=100;w=60'}, [Quota(100, 60)]),
        ({"ratelimit": "limit=10, remaining=0, reset=4"}, [Quota(10, None, 0, 4)]),
        (
            {"ratelimit": "limit=10, remaining=0, reset=4", "ratelimit-policy": "10;w=1"},
            [Quota(10, 1, 0, 4)],
        ),
        (
            {
                "ratelimit-limit": "100, 100;w=60",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "30",
            },
            [Quota(100, 60, 50, 30)],
        ),
        (
            {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "50", "x-ratelimit-reset": "1.5"},
            [Quota(100, None, 50, 1.5)],
        ),
        (
            {
                "x-ratelimit-limit": "9",
                "x-ratelimit-remaining": "5",
                "x-ratelimit-reset": "1772445630",
                "date": DATE,
            },
            [Quota(9, None, 5, 30)],
        ),
        (
            {
                "x-rate-limit-limit": "9",
                "x-rate-limit-remaining": "5",
                "x-rate-limit-reset": "1772445630000",
                "date": DATE,
            },
            [Quota(9, None, 5, 30)],
        ),
    ],
)
def test_limits_in_every_syntax(headers: dict[str, str], quotas: list[Quota]) -> None:
    assert limits(headers).quotas == tuple(quotas)
    assert limits(headers).ignored == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit": '"default";r=-1;t=5'},
        {"ratelimit": '"default";r=1;t=31536000'},
        {"ratelimit": '"default";r=nan;t=5'},
        {"ratelimit": '"default"; r=1 t=3'},
        {"ratelimit": "soon"},
        {"ratelimit": "limit=x, remaining=, reset=1"},
        {"ratelimit-policy": '"default";q=0;w=60', "ratelimit": '"default";r=0;t=9'},
        {"ratelimit-policy": '"default";q=100;w=0'},
        {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "-5", "x-ratelimit-reset": "NaN"},
        {
            "x-ratelimit-limit": "100",
            "x-ratelimit-remaining": "5",
            "x-ratelimit-reset": "1772445630",
        },
        {"x-ratelimit-limit": "1e9", "x-ratelimit-remaining": "5", "x-ratelimit-reset": "5"},
        {"ratelimit-limit": "9" * 400, "ratelimit-remaining": "5", "ratelimit-reset": "5"},
    ],
)
def test_what_is_malformed_or_absurd_is_left_out_and_said(headers: dict[str, str]) -> None:
    found = limits(headers)
    assert found.quotas == ()
    assert found.ignored


NAMES = [
    "ratelimit",
    "ratelimit-policy",
    "ratelimit-limit",
    "ratelimit-remaining",
    "ratelimit-reset",
    "date",
]
TEXTS = st.text() | st.text(alphabet='"default;qrwt=,0123456789 .-', max_size=60)


@given(st.dictionaries(st.sampled_from([*NAMES, *(f"x-{name}" for name in NAMES)]), TEXTS))
def test_any_headers_at_all_are_bounded_numbers_or_left_out(headers: dict[str, str]) -> None:
    for quota in limits(headers).quotas:
        assert quota.limit is None or 0 < quota.limit < 1e16
        assert quota.remaining is None or 0 <= quota.remaining < 1e16
        for seconds in (quota.window_seconds, quota.reset_seconds):
            assert seconds is None or 0 <= seconds <= LONGEST_WINDOW

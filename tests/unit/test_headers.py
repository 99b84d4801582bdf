"""Header text to numbers: tables, with expected values worked out by hand, and any text at all."""

from __future__ import annotations

from time import tzset

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.header_values import LONGEST_WAIT
from bulk_sync.send.headers import YEAR_SECONDS, Quota, limits, retry_after
from bulk_sync.send.spellings import SPELLINGS

DATE = "Mon, 02 Mar 2026 10:00:00 GMT"  # 1772445600


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("120", "", 120),
        ("0", "", 0),
        (" 3 ", "", 3),
        ("-1", "", 0),
        ("1.5", "", 1.5),
        ("2.0", "", 2),
        ("3.903", "", 3.903),
        ("1e9", "", None),
        ("1,5", "", None),
        ("120, 120", "", None),
        ("20s", "", 20),
        ("1m30s", "", 90),
        ("PT1M30S", "", 90),
        ("20ms", "", 0.02),
        ("30 seconds", "", 30),
        ("1 second", "", 1),
        ("1.5 min", "", 90),
        ("2 minutes", "", 120),
        ("1 hour", "", 3600),
        ("2 hrs", "", 7200),
        ("2 moons", "", None),
        ("500 ms", "", None),  # not 500 minutes
        ("5 hound", "", None),
        ('"30"', "", 30),
        ("00:01:30", "", 90),
        ("", "", None),
        ("soon", "", None),
        ("nan", "", None),
        ("٣", "", None),
        ("9" * 40, "", LONGEST_WAIT),
        ("9" * 400, "", LONGEST_WAIT),
        ("9" * 4000, "", None),
        ("999999999999", "", LONGEST_WAIT),
        # 2001 as an epoch in milliseconds, so it is none
        ("999999999999", DATE, LONGEST_WAIT),
        ("1772445630", DATE, 30),
        ("1772445630000", DATE, 30),
        ("1772445630250", DATE, 30.25),
        ("1772445500", DATE, 0),
        ("1795881267", DATE, 23435667),
        ("1772445630", "", LONGEST_WAIT),  # without a date it is no instant
        ("2026-03-02T10:00:30Z", DATE, 30),
        ("2026-03-02T11:00:30+01:00", DATE, 30),
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


@pytest.mark.parametrize(("reset", "is_sound"), [(1, True), (3600, True), (3601, False)])
def test_a_short_window_does_not_last_for_days(reset: int, is_sound: bool) -> None:
    found = limits(
        {"ratelimit": f'"a";r=0;t={reset}', "ratelimit-policy": '"a";q=100;w=1'},
    )
    assert (len(found.quotas), bool(found.ignored)) == (is_sound, not is_sound)
    assert limits({"ratelimit": f'"a";r=0;t={reset}'}).quotas, "without a window it may be long"


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


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"x-ms-retry-after-ms": "33"}, 0.033),
        ({"x-ms-retry-after-ms": "00:00:00.033"}, 0.033),
        ({"x-retry-after": "4"}, 4),
        ({"x-ratelimit-retry-after": "12"}, 12),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_has_other_names(headers: dict[str, str], seconds: float | None) -> None:
    found = retry_after(headers)
    assert found == (seconds if seconds is None else pytest.approx(seconds))


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
        ({"ratelimit": '"default";r=-1;t=5'}, [Quota(None, None, 0, 5)]),
        (
            {
                "ratelimit-policy": '"day";q=1000;w=86400, "s";q=10;w=1',
                "ratelimit": '"s";r=9;t=1, "day";r=0;t=5000',
            },
            [Quota(10, 1, 9, 1), Quota(1000, 86400, 0, 5000)],
        ),
        # The same policy for several partition keys
        (
            {"ratelimit-policy": '"a";q=9;w=60', "ratelimit": '"a";r=5;t=3;pk=:a:, "a";r=7;t=4'},
            [Quota(9, 60, 5, 3), Quota(9, 60, 7, 4)],
        ),
        # Bytes are no requests, in the policy and in the state.
        (
            {
                "ratelimit-policy": '"b";q=9;w=1;qu="content-bytes", "r";q=5;w=60;qu="requests"',
                "ratelimit": '"b";r=0;t=9, "r";r=4;t=50',
            },
            [Quota(5, 60, 4, 50)],
        ),
        ({"ratelimit-policy": '"b";q=9;w=1;qu="concurrent-requests"'}, []),
        ({"ratelimit-policy": "10;w=1, 50;w=60"}, [Quota(10, 1), Quota(50, 60)]),
        (
            {
                "ratelimit-limit": "100, 100;window=60, 1000;window=3600",
                "ratelimit-remaining": "50",
                "ratelimit-reset": "20",
            },
            [Quota(100, 60, 50, 20), Quota(1000, 3600)],
        ),
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
            [Quota(100, None, 50, 1.5, exact=True)],
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
            [Quota(9, None, 5, 30, exact=True)],
        ),
    ],
)
def test_limits_in_every_syntax(headers: dict[str, str], quotas: list[Quota]) -> None:
    assert limits(headers).quotas == tuple(quotas)
    assert limits(headers).ignored == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"ratelimit": '"default";r=1;t=31536000'},
        {"ratelimit": '"default";r=1;t=soon'},
        {"ratelimit-policy": '"default";q=9;w=x'},
        {"ratelimit": "limit=9, remaining=5, reset=x"},
        {"x-ratelimit-limit": "-1"},
        {"x-ratelimit-limit": "100;w=0"},
        {"x-ratelimit-limit": "100;w="},
        {"x-ratelimit-limit": "100:soon"},
        {"x-ratelimit-limit": ", ".join(["100;w=1"] * 200)},
        {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1, soon"},
        {"x-shopify-shop-api-call-limit": "many"},
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
def test_malformed_and_absurd_headers_are_ignored_with_a_note(headers: dict[str, str]) -> None:
    found = limits(headers)
    assert found.quotas == ()
    assert found.ignored


def test_of_hundreds_of_quotas_the_first_are_kept() -> None:
    many = ", ".join(f"9;w={window}" for window in range(1, 101))
    assert limits({"ratelimit-limit": many}).quotas == tuple(Quota(9, n) for n in range(1, 17))


NAMES = sorted(
    {
        "date",
        "ratelimit",
        "ratelimit-policy",
        *(
            name
            for one in SPELLINGS
            for names in (
                *(getattr(one, part) for part in one.__struct_fields__ if part != "window_seconds"),
            )
            for name in names
        ),
    }
)
TEXTS = (
    st.text()
    | st.text(alphabet='"default;qrwt=,0123456789 .-:/TZmshd', max_size=60)
    | st.integers().map(str)
    | st.floats().map(str)
    | st.lists(st.integers(-5, 10**6), max_size=4).map(lambda many: ", ".join(map(str, many)))
    | st.datetimes().map(lambda moment: moment.isoformat())
)


@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=12))
@pytest.mark.uncovered
def test_any_headers_are_bounded_numbers_or_ignored(headers: dict[str, str]) -> None:
    for quota in limits(headers).quotas:
        assert quota.limit is None or 0 < quota.limit < 1e16
        assert quota.remaining is None or 0 <= quota.remaining < 1e16
        assert (quota.limit, quota.remaining) != (None, None)
        assert quota.window_seconds is None or 0 < quota.window_seconds < YEAR_SECONDS
        assert quota.reset_seconds is None or 0 <= quota.reset_seconds < YEAR_SECONDS
    wait = retry_after(headers)
    assert wait is None or 0 <= wait <= LONGEST_WAIT


@pytest.mark.parametrize(
    ("name", "headers"),
    [
        ("RateLimit", {"ratelimit": "soon!"}),
        ("RateLimit", {"ratelimit": '"default";r=x;t=5'}),
        ("RateLimit", {"ratelimit": '"default";r=5;t=x'}),
        ("RateLimit", {"ratelimit": "limit=9, remaining=5, reset=x"}),
        ("RateLimit", {"ratelimit-policy": '"default";q=9;w=x'}),
        ("RateLimit-Policy", {"ratelimit-policy": '"default" q=9'}),
        ("x-ratelimit-limit", {"x-ratelimit-limit": "some"}),
        ("x-ratelimit-reset", {"x-ratelimit-remaining": "5", "x-ratelimit-reset": "1, soon"}),
        ("x-shopify-shop-api-call-limit", {"x-shopify-shop-api-call-limit": "many"}),
    ],
)
def test_a_note_names_the_header_that_cannot_be_read_and_its_text(
    name: str, headers: dict[str, str]
) -> None:
    ((noted, reason),) = limits(headers).ignored
    text = list(headers.values())[-1]
    assert noted == name
    assert reason == f"the API's header {name} can't be read and is ignored: {text!r}"


def test_a_note_shows_the_first_sixty_characters_of_a_header() -> None:
    ((_, reason),) = limits({"x-ratelimit-limit": "s" * 200}).ignored
    assert reason.endswith(f": {'s' * 60!r}")


@pytest.mark.parametrize(
    ("window", "reset", "note"),
    [
        (10, 3600, None),
        (10, 3601, "a window of 10 s that resets in 3601 s, which is ignored"),
        (11, 3601, None),
        (YEAR_SECONDS - 1, 1, None),
        (YEAR_SECONDS, 1, f"a limit per {YEAR_SECONDS:.0f} s; a year or more is ignored"),
        (60, YEAR_SECONDS, f"a limit per {YEAR_SECONDS:.0f} s; a year or more is ignored"),
        (0, 1, "a limit of 0, which is ignored"),
    ],
)
def test_what_no_quota_can_be_is_ignored_from_its_bound_on(
    window: float, reset: float, note: str | None
) -> None:
    found = limits(
        {"ratelimit": f'"a";r=1;t={reset:.0f}', "ratelimit-policy": f'"a";q=9;w={window:.0f}'}
    )
    expected = () if note is None else (("RateLimit", f"the API's headers advertise {note}"),)
    assert found.ignored == expected
    assert found.quotas == ((Quota(9, window, 1, reset),) if note is None else ())


def test_a_list_of_a_thousand_characters_is_read_and_no_longer_one() -> None:
    policy = '"default";q=100;w=60'
    assert limits({"ratelimit-policy": policy + " " * (1000 - len(policy))}).quotas
    assert limits({"ratelimit-policy": policy + " " * (1001 - len(policy))}).ignored
    plain = ", ".join(["100;w=60"] * 100)[: 1000 - 8 - 2].rpartition(",")[0]
    assert limits({"x-ratelimit-limit": plain}).quotas == (Quota(100, 60),)
    assert limits({"x-ratelimit-limit": "9" + " " * 999 + ";w=60"}).ignored


@pytest.mark.parametrize(
    ("headers", "quotas"),
    [
        # What is used of a limit, down to nothing left and no further.
        ({"x-shopify-shop-api-call-limit": "32/40"}, [Quota(40, 20, 8)]),
        ({"x-shopify-shop-api-call-limit": "40/40"}, [Quota(40, 20, 0)]),
        ({"x-shopify-shop-api-call-limit": "41/40"}, [Quota(40, 20, 0)]),
        ({"x-ratelimit-limit": "100", "x-ratelimit-used": "30"}, [Quota(100, None, 70)]),
        ({"x-ratelimit-limit": "100", "x-ratelimit-used": "130"}, [Quota(100, None, 0)]),
        ({"x-ratelimit-remaining": "60", "x-ratelimit-used": "40"}, [Quota(100, None, 60)]),
        ({"x-amzn-ratelimit-limit": "2"}, [Quota(2, 1)]),
        ({"x-amzn-ratelimit-limit": "3, 5"}, [Quota(3, 1)]),
        ({"x-amzn-ratelimit-limit": "0.5"}, [Quota(1, 2)]),
        # Counts in any order, each with its window; one that isn't counted is whole.
        (
            {"x-app-rate-limit": "20:1,100:120", "x-app-rate-limit-count": "30:120,5:1"},
            [Quota(20, 1, 15), Quota(100, 120, 70)],
        ),
        (
            {"x-app-rate-limit": "20:1,100:120", "x-app-rate-limit-count": "30:120"},
            [Quota(20, 1, 20), Quota(100, 120, 70)],
        ),
        # Side by side, by place.
        (
            {"x-ratelimit-remaining": "9, 90", "x-ratelimit-limit": "10, 100"},
            [Quota(10, None, 9), Quota(100, None, 90)],
        ),
        (
            {
                "x-ratelimit-remaining": "9, 90",
                "x-ratelimit-limit": "10, 100",
                "x-ratelimit-reset": "1, 60",
                "x-ratelimit-policy": "10;w=1, 100;w=60",
            },
            [Quota(10, 1, 9, 1), Quota(100, 60, 90, 60)],
        ),
        (
            {"x-ratelimit-remaining": "9, 90", "x-ratelimit-reset": "5"},
            [Quota(None, None, 9, 5), Quota(None, None, 90)],
        ),
        # The number without a window is the limit, the others are policies.
        (
            {"x-ratelimit-limit": "100;w=60, 500", "x-ratelimit-remaining": "50"},
            [Quota(100, 60), Quota(500, None, 50)],
        ),
        (
            {"ratelimit": "limit=50, remaining=9, reset=5", "ratelimit-policy": "10;w=1, 50;w=60"},
            [Quota(10, 1), Quota(50, 60, 9, 5)],
        ),
        # Without a limit the first policy is meant.
        (
            {"ratelimit": "remaining=9, reset=5", "ratelimit-policy": "10;w=60, 50;w=600"},
            [Quota(10, 60, 9, 5), Quota(50, 600)],
        ),
        # Of policies with the same limit, the shortest that the reset fits into.
        *(
            (
                {
                    "ratelimit": f"limit=10, remaining=9, reset={reset}",
                    "ratelimit-policy": "10;w=3600, 10;w=60",
                },
                [Quota(10, 60), Quota(10, 3600, 9, reset)]
                if reset > 61
                else [Quota(10, 60, 9, reset), Quota(10, 3600)],
            )
            for reset in (5, 61, 62, 3000)
        ),
        # Stated twice, a quota is one, unless its values differ, or the reset is too late for it.
        *(
            (
                {
                    "ratelimit-policy": '"a";q=100;w=60',
                    "x-ratelimit-limit": "100",
                    "x-ratelimit-remaining": "50",
                    "x-ratelimit-reset": f"{reset}",
                },
                [Quota(100, 60, 50, reset)]
                if reset <= 61
                else [Quota(100, 60), Quota(100, None, 50, reset)],
            )
            for reset in (30, 61, 62, 600)
        ),
        (
            {
                "ratelimit": '"a";r=50;t=30',
                "ratelimit-policy": '"a";q=100;w=60',
                "x-ratelimit-limit": "100",
                "x-ratelimit-remaining": "40",
            },
            [Quota(100, 60, 50, 30), Quota(100, None, 40)],
        ),
        (
            {
                "x-ratelimit-limit": "100",
                "x-ratelimit-remaining": "5",
                "x-ratelimit-interval-seconds": "10",
            },
            [Quota(100, 10, 5)],
        ),
        (
            {"x-ratelimit-limit": "100", "x-ratelimit-interval-milliseconds": "500"},
            [Quota(100, 0.5)],
        ),
        (
            {
                "x-ratelimit-limit": "100",
                "x-ratelimit-interval-seconds": "1",
                "x-ratelimit-fillrate": "20",
            },
            [Quota(100, 5)],
        ),
    ],
)
def test_each_way_to_state_a_quota_by_its_parts(
    headers: dict[str, str], quotas: list[Quota]
) -> None:
    assert limits(headers).quotas == tuple(quotas)
    assert limits(headers).ignored == ()

"""The limit headers of real APIs, as their documentation shows them."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_sync.send.headers import Quota, limits
from bulk_sync.send.spellings import PERIODS

DATE = "Sat, 14 Mar 2026 16:30:00 GMT"  # 1773505800
DAY = 86400.0
MONTH = 30 * DAY

APIS: dict[str, tuple[dict[str, str], list[Quota]]] = {
    "GitHub": (
        {
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4987",
            "X-RateLimit-Used": "13",
            "X-RateLimit-Reset": "1773509400",
            "X-RateLimit-Resource": "core",
        },
        [Quota(5000, None, 4987, 3600)],
    ),
    "Reddit": (
        {"X-Ratelimit-Used": "4", "X-Ratelimit-Remaining": "596.0", "X-Ratelimit-Reset": "575"},
        [Quota(600, None, 596, 575)],
    ),
    "Jira Cloud": (
        {
            "X-RateLimit-Limit": "10",
            "X-RateLimit-Remaining": "-1.0",
            "X-RateLimit-Reset": "2026-03-14T16:30:04Z",
        },
        [Quota(10, None, 0, 4)],
    ),
    "Jira Cloud, to the minute": (
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2026-03-14T16:31Z"},
        [Quota(None, None, 0, 60)],
    ),
    "Atlassian Data Center": (
        {
            "X-RateLimit-Limit": "70",
            "X-RateLimit-Remaining": "65",
            "X-RateLimit-Interval-Seconds": "1",
            "X-RateLimit-FillRate": "5",
        },
        [Quota(70, 14, 65)],
    ),
    "Bitbucket": (
        {"X-RateLimit-Limit": "1000", "X-RateLimit-NearLimit": "false"},
        [Quota(1000)],
    ),
    "Discord": (
        {
            "X-RateLimit-Limit": "5",
            "X-RateLimit-Remaining": "0",
            "X-RateLimit-Reset": "1773505801.250",
            "X-RateLimit-Reset-After": "1.250",
        },
        [Quota(5, None, 0, 1.25, exact=True)],
    ),
    "Brave Search": (
        {
            "X-RateLimit-Limit": "1, 15000",
            "X-RateLimit-Policy": "1;w=1, 15000;w=2592000",
            "X-RateLimit-Remaining": "1, 1000",
            "X-RateLimit-Reset": "1, 1419704",
        },
        [Quota(1, 1, 1, 1), Quota(15000, MONTH, 1000, 1419704)],
    ),
    "Strava": (
        {"X-RateLimit-Limit": "200,2000", "X-RateLimit-Usage": "314,27536"},
        [Quota(200, 900, 0), Quota(2000, DAY, 0)],
    ),
    "HighLevel": (
        {
            "X-RateLimit-Limit-Daily": "200000",
            "X-RateLimit-Daily-Remaining": "199500",
            "X-RateLimit-Interval-Milliseconds": "10000",
            "X-RateLimit-Max": "100",
            "X-RateLimit-Remaining": "97",
        },
        [Quota(100, 10, 97), Quota(200000, DAY, 199500)],
    ),
    "lemlist": (
        {
            "X-RateLimit-Limit": "20",
            "X-RateLimit-Remaining": "7",
            "X-RateLimit-Reset": (
                "Sat Mar 14 2026 17:30:02 GMT+0100 (Central European Standard Time)"
            ),
        },
        [Quota(20, None, 7, 2)],
    ),
    "X": (
        {
            "x-rate-limit-limit": "900",
            "x-rate-limit-remaining": "847",
            "x-rate-limit-reset": "1773506400",
            "x-app-limit-24hour-limit": "10000",
            "x-app-limit-24hour-remaining": "9999",
            "x-app-limit-24hour-reset": "1773509400",
        },
        [Quota(10000, DAY, 9999, 3600), Quota(900, None, 847, 600)],
    ),
    "Klaviyo": (
        {
            "RateLimit-Limit": "3, 3;w=1, 60;w=60",
            "RateLimit-Remaining": "2",
            "RateLimit-Reset": "1",
        },
        [Quota(3, 1, 2, 1), Quota(60, 60)],
    ),
    "the draft, -06": (
        {
            "RateLimit-Limit": "100, 100;w=1, 1000;w=3600",
            "RateLimit-Remaining": "50",
            "RateLimit-Reset": "1",
        },
        [Quota(100, 1, 50, 1), Quota(1000, 3600)],
    ),
    "the draft, -06, with a policy of its own": (
        {
            "RateLimit-Policy": '10;w=1;burst=100, 1000;w=3600;comment="hourly"',
            "RateLimit-Limit": "1000",
            "RateLimit-Remaining": "50",
            "RateLimit-Reset": "1800",
        },
        [Quota(10, 1), Quota(1000, 3600, 50, 1800)],
    ),
    "SharePoint": (
        {"RateLimit-Limit": "1200", "RateLimit-Remaining": "120", "RateLimit-Reset": "5"},
        [Quota(1200, None, 120, 5)],
    ),
    "GitLab": (
        {
            "RateLimit-Limit": "60",
            "RateLimit-Name": "throttle_authenticated_web",
            "RateLimit-Observed": "67",
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": "1773505830",
            "RateLimit-ResetTime": "Sat, 14 Mar 2026 16:30:30 GMT",
        },
        [Quota(60, None, 0, 30)],
    ),
    "Docker Hub": (
        {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"},
        [Quota(100, 21600, 76)],
    ),
    "Zendesk": (
        {
            "X-Rate-Limit": "700",
            "X-Rate-Limit-Remaining": "699",
            "ratelimit-limit": "700",
            "ratelimit-remaining": "699",
            "ratelimit-reset": "41",
            "zendesk-ratelimit-tickets-index": "total=100; remaining=99; resets=41",
        },
        [Quota(700, None, 699, 41)],
    ),
    "Kong, one window": (
        {
            "RateLimit-Limit": "10",
            "RateLimit-Remaining": "9",
            "RateLimit-Reset": "47",
            "X-RateLimit-Limit-Minute": "10",
            "X-RateLimit-Remaining-Minute": "9",
        },
        [Quota(10, 60, 9, 47)],
    ),
    "Kong, two windows": (
        {
            "RateLimit-Limit": "5",
            "RateLimit-Remaining": "4",
            "RateLimit-Reset": "1",
            "X-RateLimit-Limit-Second": "5",
            "X-RateLimit-Remaining-Second": "4",
            "X-RateLimit-Limit-Hour": "10000",
            "X-RateLimit-Remaining-Hour": "9999",
        },
        [Quota(5, 1, 4, 1), Quota(10000, 3600, 9999)],
    ),
    "HubSpot": (
        {
            "X-HubSpot-RateLimit-Daily": "250000",
            "X-HubSpot-RateLimit-Daily-Remaining": "249999",
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": "100",
            "X-HubSpot-RateLimit-Remaining": "99",
            "X-HubSpot-RateLimit-Secondly": "10",
            "X-HubSpot-RateLimit-Secondly-Remaining": "9",
        },
        [Quota(10, 1, 9), Quota(100, 10, 99), Quota(250000, DAY, 249999)],
    ),
    "Brevo": (
        {
            "x-sib-ratelimit-limit": "1000",
            "x-sib-ratelimit-remaining": "999",
            "x-sib-ratelimit-reset": "23",
        },
        [Quota(1000, None, 999, 23)],
    ),
    "Trello": (
        {
            "x-rate-limit-api-token-interval-ms": "10000",
            "x-rate-limit-api-token-max": "100",
            "x-rate-limit-api-token-remaining": "97",
            "x-rate-limit-api-key-interval-ms": "10000",
            "x-rate-limit-api-key-max": "300",
            "x-rate-limit-api-key-remaining": "295",
        },
        [Quota(100, 10, 97), Quota(300, 10, 295)],
    ),
    "OpenAI": (
        {
            "x-ratelimit-limit-requests": "60",
            "x-ratelimit-limit-tokens": "150000",
            "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-requests": "1s",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        [Quota(60, None, 59, 1)],
    ),
    "Groq": (
        {
            "x-ratelimit-limit-requests": "14400",
            "x-ratelimit-remaining-requests": "14370",
            "x-ratelimit-reset-requests": "2m59.56s",
        },
        [Quota(14400, None, 14370, 179.56, exact=True)],
    ),
    "Azure OpenAI": (
        {
            "x-ratelimit-limit-requests": "500",
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "20ms",
        },
        [Quota(500, None, 0, 0.02, exact=True)],
    ),
    "Linear": (
        {
            "X-RateLimit-Requests-Limit": "1500",
            "X-RateLimit-Requests-Remaining": "1499",
            "X-RateLimit-Requests-Reset": "1773509400000",
            "X-RateLimit-Complexity-Limit": "250000",
            "X-RateLimit-Complexity-Remaining": "0",
        },
        [Quota(1500, None, 1499, 3600, exact=True)],
    ),
    "Anthropic": (
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-03-14T16:30:15Z",
            "anthropic-ratelimit-tokens-limit": "50000",
            "anthropic-ratelimit-tokens-remaining": "0",
            "anthropic-ratelimit-tokens-reset": "2026-03-14T16:30:15Z",
        },
        [Quota(50, None, 49, 15)],
    ),
    "Contentful": (
        {
            "X-Contentful-RateLimit-Hour-Limit": "36000",
            "X-Contentful-RateLimit-Hour-Remaining": "35999",
            "X-Contentful-RateLimit-Reset": "0",
            "X-Contentful-RateLimit-Second-Limit": "10",
            "X-Contentful-RateLimit-Second-Remaining": "9",
        },
        [Quota(10, 1, 9), Quota(36000, 3600, 35999)],
    ),
    "Shopify": (
        {"X-Shopify-Shop-Api-Call-Limit": "32/40"},
        [Quota(40, 20, 8)],
    ),
    "Salesforce": (
        {"Sforce-Limit-Info": "api-usage=18/5000; per-app-api-usage=17/250(appName=sample)"},
        [Quota(250, DAY, 233), Quota(5000, DAY, 4982)],
    ),
    "Riot Games": (
        {
            "X-App-Rate-Limit": "100:120,20:1",
            "X-App-Rate-Limit-Count": "1:1,42:120",
            "X-Method-Rate-Limit": "2000:10",
            "X-Method-Rate-Limit-Count": "137:10",
        },
        [Quota(20, 1, 19), Quota(2000, 10, 1863), Quota(100, 120, 58)],
    ),
    "Etsy": (
        {
            "X-Limit-Per-Second": "150",
            "X-Remaining-This-Second": "149",
            "X-Limit-Per-Day": "10000",
            "X-Remaining-Today": "9998",
        },
        [Quota(150, 1, 149), Quota(10000, DAY, 9998)],
    ),
    "Amazon": ({"x-amzn-RateLimit-Limit": "5.0"}, [Quota(5, 1)]),
    "Amazon, less than one a second": (
        {"x-amzn-RateLimit-Limit": "0.0125"},
        [Quota(1, 80)],
    ),
    "one header sent twice": (
        {
            "X-RateLimit-Limit": "100, 100",
            "X-RateLimit-Remaining": "50, 50",
            "X-RateLimit-Reset": "30, 30",
        },
        [Quota(100, None, 50, 30)],
    ),
}
"""Replies, and the quotas in them, those with the shortest windows first."""


def reply(headers: dict[str, str]) -> dict[str, str]:
    """Return headers as transports give them."""
    return {name.lower(): text for name, text in headers.items()} | {"date": DATE}


@pytest.mark.parametrize("api", APIS)
def test_the_limits_of_real_apis_are_read(api: str) -> None:
    headers, quotas = APIS[api]
    found = limits(reply(headers))
    assert found.quotas == tuple(quotas)
    assert found.ignored == ()


@pytest.mark.parametrize("api", APIS)
def test_the_order_of_headers_does_not_matter(api: str) -> None:
    headers, quotas = APIS[api]
    backwards = dict(reversed(reply(headers).items()))
    assert limits(backwards).quotas == tuple(quotas)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-tokens": "9", "x-ratelimit-remaining-tokens": "0"},
        {"anthropic-ratelimit-tokens-remaining": "0"},
        {"x-ratelimit-complexity-limit": "9", "x-ratelimit-complexity-remaining": "0"},
        {"x-daily-ratelimit-token-remaining": "0"},
        {"x-ratelimit-reset": "9", "x-ratelimit-resource": "core"},
        {"x-contentful-ratelimit-reset": "9"},
    ],
)
def test_headers_of_other_units_are_not_read(headers: dict[str, str]) -> None:
    assert limits(headers) == limits({})


WINDOWS = st.dictionaries(st.integers(1, 30 * 86400), st.integers(1, 10**6), min_size=1, max_size=4)


@given(WINDOWS)
def test_several_windows_are_all_found_in_any_order(windows: dict[int, int]) -> None:
    quotas = tuple(Quota(windows[window], window) for window in sorted(windows))
    for order in permutations(windows):
        listed = ", ".join(f"{windows[window]};w={window}" for window in order)
        named = ", ".join(f'"{window}";q={windows[window]};w={window}' for window in order)
        assert limits({"ratelimit-limit": listed}).quotas == quotas
        assert limits({"ratelimit-policy": named}).quotas == quotas


@given(WINDOWS.filter(lambda windows: len(windows) > 1))
def test_lists_of_the_same_length_belong_together(windows: dict[int, int]) -> None:
    quotas = {Quota(limit, window, limit, window) for window, limit in windows.items()}
    for order in permutations(windows):
        limited = ", ".join(str(windows[window]) for window in order)
        headers = {
            "x-ratelimit-limit": limited,
            "x-ratelimit-remaining": limited,
            "x-ratelimit-reset": ", ".join(map(str, order)),
            "x-ratelimit-policy": ", ".join(f"{windows[window]};w={window}" for window in order),
        }
        assert set(limits(headers).quotas) == quotas


KONG = {period: seconds for period, seconds in PERIODS.items() if period.isalpha() and seconds}


@given(
    st.dictionaries(st.sampled_from(sorted(KONG)), st.tuples(st.integers(1, 9), st.integers(0, 9)))
)
def test_windows_in_headers_of_their_own_are_all_found(told: dict[str, tuple[int, int]]) -> None:
    headers = {}
    for period, (limit, remaining) in told.items():
        headers[f"x-ratelimit-limit-{period}"] = str(limit)
        headers[f"x-ratelimit-remaining-{period}"] = str(remaining)
    found = {
        (quota.limit, quota.window_seconds, quota.remaining) for quota in limits(headers).quotas
    }
    assert found == {
        (limit, KONG[period], remaining) for period, (limit, remaining) in told.items()
    }

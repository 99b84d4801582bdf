"""Limits of real APIs, re-made from their published documents.

Each names its source. Where a document gives a number without the kind of window, the stricter or
the more usual kind is taken. Prices in points or by resource are left out: every request costs one.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.models.rules import (
    Concurrency,
    FixedWindow,
    LockOut,
    Rule,
    Several,
    SlidingLog,
    TokenBucket,
    WindowFromFirst,
)
from tests.models.telling import (
    Teller,
    Told,
    all_of,
    hubspot,
    nothing,
    per_window,
    reddit,
    retry_after,
    separate,
    shopify,
)


@dataclass(frozen=True)
class RealApi:
    """An API's limit and its way to tell of it; `rows` fill about five minutes, or two windows.

    Where a window is a minute, a few rows less, because users/me counts as a request too.
    """

    name: str
    source: str
    rule: Rule
    rows: int
    tells: Teller = nothing
    refuses_with: int = 429
    answers_me: bool = False


_X_EPOCH = separate("X-RateLimit", "epoch")


def _github_secondary(told: Told) -> dict[str, str]:
    """The primary limit's headers always; Retry-After of a minute when the secondary one refuses.

    The primary limit is the first rule.
    """
    primary = Told(told.passes, told.wait_seconds, told.counts[:1], told.now)
    headers = _X_EPOCH(primary)
    if not told.passes and told.counts[0].remaining:
        headers["Retry-After"] = "60"
    return headers


REAL_APIS = (
    RealApi(
        "Stripe",
        "docs.stripe.com/rate-limits: 100 requests a second in live mode; 429",
        TokenBucket(100, 100),
        30_000,
    ),
    RealApi(
        "Shopify",
        "shopify.dev/docs/api/admin-rest/usage/rate-limits: a bucket of 40 that leaks 2/s; "
        "X-Shopify-Shop-Api-Call-Limit: 32/40; Retry-After: 2.0",
        TokenBucket(2, 40),
        640,
        shopify,
    ),
    RealApi(
        "Notion",
        "developers.notion.com/reference/request-limits: 3 a second on average, bursts allowed; "
        "Retry-After in whole seconds",
        TokenBucket(3, 10),
        900,
        retry_after,
    ),
    RealApi(
        "HubSpot",
        "developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines: 190 in 10 s, "
        "625,000 a day; X-HubSpot-RateLimit-* (Max, Remaining, Interval-Milliseconds, Daily)",
        Several(FixedWindow(190, 10), FixedWindow(625_000, 86_400)),
        5_700,
        hubspot,
    ),
    RealApi(
        "HubSpot, 100 in 10 s",
        "as above; 100 in 10 s for the smallest accounts",
        Several(WindowFromFirst(100, 10), FixedWindow(250_000, 86_400)),
        3_000,
        hubspot,
    ),
    RealApi(
        "Okta",
        "developer.okta.com/docs/reference/rl-best-practices: 600 a minute; X-Rate-Limit-Limit, "
        "-Remaining, -Reset (epoch)",
        FixedWindow(600, 60),
        2_990,
        separate("X-Rate-Limit", "epoch"),
    ),
    RealApi(
        "Twilio",
        "help.twilio.com, error 20429: concurrent requests above the account's limit get a bare "
        "429",
        Concurrency(10),
        30_000,
    ),
    RealApi(
        "Twilio, 100/s",
        "as above, with the 100 requests a second of several of its products",
        Several(SlidingLog(100, 1), Concurrency(12)),
        30_000,
    ),
    RealApi(
        "Graph",
        "learn.microsoft.com/graph/throttling-limits: several windows at once (here 10,000 in 10 "
        "min and 35 in 5 s); Retry-After",
        Several(FixedWindow(35, 5), FixedWindow(10_000, 600)),
        2_100,
        retry_after,
    ),
    RealApi(
        "Kong, told",
        "developer.konghq.com/plugins/rate-limiting: a window for each of second, minute ...; "
        "X-RateLimit-Limit-Second and its kin",
        Several(FixedWindow(10, 1), FixedWindow(300, 60)),
        1_500,
        all_of(per_window, retry_after),
    ),
    RealApi(
        "Kong, hide_client_headers",
        "as above, with hide_client_headers: true",
        Several(FixedWindow(10, 1), FixedWindow(300, 60)),
        1_500,
    ),
    RealApi(
        "Airtable",
        "airtable.com/developers/web/api/rate-limits: 5 a second for a base; 30 s to wait after a "
        "429",
        LockOut(SlidingLog(5, 1), 30),
        3_000,
    ),
    RealApi(
        "GitHub",
        "docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: 5,000 an hour; "
        "x-ratelimit-* (reset as epoch); 403 or 429",
        WindowFromFirst(5_000, 3_600),
        7_500,
        _X_EPOCH,
    ),
    RealApi(
        "GitHub, secondary limits",
        "as above: also about 80 writes a minute; Retry-After on the secondary limit",
        Several(WindowFromFirst(5_000, 3_600), FixedWindow(80, 60)),
        390,
        _github_secondary,
    ),
    RealApi(
        "Atlassian",
        "developer.atlassian.com/cloud/jira/platform/rate-limiting: X-RateLimit-Limit, "
        "-Remaining, -Reset (ISO 8601), Retry-After",
        FixedWindow(350, 60),
        1_740,
        all_of(separate("X-RateLimit", "iso"), retry_after),
    ),
    RealApi(
        "Reddit",
        "support.reddithelp.com, Reddit Data API Wiki: 100 a minute averaged over 10 minutes; "
        "X-Ratelimit-Used, -Remaining (a decimal), -Reset in seconds",
        FixedWindow(1_000, 600),
        2_500,
        reddit,
    ),
    RealApi(
        "North",
        "contract/north-showings.openapi.yaml: 985 left of an hour that ends on the hour, told by "
        "GET /v1/users/me",
        FixedWindow(1_000, 3_600, used=15),
        2_500,
        answers_me=True,
    ),
)

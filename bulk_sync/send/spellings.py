"""The names of the headers by which APIs state limits. A table, and nothing else. Pure.

Each `Spelling` is one quota of requests. Most are made from a prefix (`FAMILIES`), or from a prefix
and a period (`PERIODS`). Headers that count anything else (tokens, points, bytes) have no spelling,
so they are never read. Sources are the APIs' own documentation, as of November 2026.
"""

from __future__ import annotations

from msgspec import Struct

_DAY = 86400.0


class Spelling(Struct, frozen=True, kw_only=True):
    """The names of one quota's headers; each value may have several, the best one first.

    `window_seconds` is the window where the names or the API's documentation state it, with several
    for headers that hold a list. `pair` holds `used/limit`, `rate` a number of requests per second.
    With `fill_rate`, the limit is the size of a bucket to which that many are added per window.
    """

    limit: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    reset: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()
    rate: tuple[str, ...] = ()
    interval_seconds: tuple[str, ...] = ()
    interval_milliseconds: tuple[str, ...] = ()
    fill_rate: tuple[str, ...] = ()
    window_seconds: tuple[float, ...] = ()

    @property
    def announced_by(self) -> tuple[str, ...]:
        """The headers without which the others say nothing."""
        # What is used of a limit counts as what remains of it.
        state = (*self.limit, *self.remaining) if self.remaining else self.used
        return (*state, *self.pair, *self.rate)


FAMILIES = (
    # The draft up to -06: `RateLimit-Limit: 100, 100;w=60`. So do Klaviyo, SharePoint, Kong and
    # Zendesk: developers.klaviyo.com, learn.microsoft.com, docs.konghq.com, developer.zendesk.com.
    # Docker Hub: `100;w=21600`, docs.docker.com. GitLab: `-Observed`, `-ResetTime`,
    # docs.gitlab.com.
    "ratelimit-",
    # GitHub and Bitbucket: one number each. Reddit: `596.0`, `-Used`, its wiki. Discord:
    # `-Reset-After`, docs.discord.com. Jira Cloud: an ISO 8601 reset, JRACLOUD-69262 at
    # jira.atlassian.com. Atlassian Data Center: `-Interval-Seconds`, `-FillRate`,
    # confluence.atlassian.com. Brave Search: `1, 15000` with `-Policy: 1;w=1, 15000;w=2592000`.
    # HighLevel: `-Max`, `-Interval-Milliseconds`, marketplace.gohighlevel.com. lemlist: a date as
    # JavaScript writes it, developer.lemlist.com.
    "x-ratelimit-",
    # X and Okta: docs.x.com, developer.okta.com. Zendesk: `X-Rate-Limit: 700`.
    "x-rate-limit-",
    # HubSpot: `-Max`, `-Interval-Milliseconds`, developers.hubspot.com, changelog of 2018-11-06
    "x-hubspot-ratelimit-",
    # Brevo: all of its replies, as developers.brevo.com/docs/limit-headers says
    "x-sib-ratelimit-",
    # Trello: `-Interval-Ms`, `-Max`, developer.atlassian.com/cloud/trello
    "x-rate-limit-api-key-",
    "x-rate-limit-api-token-",
)
"""Prefixes of `-Limit`, `-Remaining` and the like, and who sends them."""

PERIODS = {
    "second": 1.0,
    "secondly": 1.0,
    "minute": 60.0,
    "hour": 3600.0,
    "hourly": 3600.0,
    "day": _DAY,
    "daily": _DAY,
    "month": 30 * _DAY,
    "monthly": 30 * _DAY,
    # OpenAI and Groq: `X-RateLimit-Limit-Requests` and the reset as `6m0s`; Linear and RapidAPI:
    # `X-RateLimit-Requests-Limit`; Anthropic: an RFC 3339 reset; Cerebras: `-Requests-Day`
    "requests": None,
    "requests-minute": 60.0,
    "requests-hour": 3600.0,
    "requests-day": _DAY,
}
"""Seconds of the periods in names; None where the name leaves it open."""

_OF_PERIODS = (
    # Kong: `X-RateLimit-Limit-Minute` (docs.konghq.com/hub/kong-inc/rate-limiting); HighLevel:
    # `X-RateLimit-Limit-Daily` with `X-RateLimit-Daily-Remaining`
    "ratelimit-",
    "x-ratelimit-",
    "x-rate-limit-",
    # `X-HubSpot-RateLimit-Daily`, `-Daily-Remaining`, `-Secondly`
    "x-hubspot-ratelimit-",
    # Contentful: `X-Contentful-RateLimit-Second-Limit`
    "x-contentful-ratelimit-",
    "anthropic-ratelimit-",
)


def _of_family(prefix: str) -> Spelling:
    # Zendesk's `X-Rate-Limit` is a number; `RateLimit` without the X is another syntax.
    bare = ("x-rate-limit",) if prefix == "x-rate-limit-" else ()
    return Spelling(
        limit=(f"{prefix}limit", f"{prefix}max", *bare),
        remaining=(f"{prefix}remaining",),
        used=(f"{prefix}used", f"{prefix}observed"),
        reset=(
            f"{prefix}reset-after",
            f"{prefix}reset",
            f"{prefix}resettime",
            f"{prefix}reset-date",
        ),
        # Only lists as in `100;w=60`: structured fields are no matter of spelling.
        policy=(f"{prefix}policy",),
        interval_seconds=(f"{prefix}interval-seconds",),
        interval_milliseconds=(f"{prefix}interval-milliseconds", f"{prefix}interval-ms"),
        fill_rate=(f"{prefix}fillrate",),
    )


def _of_period(prefix: str, period: str, seconds: float | None) -> Spelling:
    return Spelling(
        limit=(f"{prefix}limit-{period}", f"{prefix}{period}-limit", f"{prefix}{period}"),
        remaining=(f"{prefix}remaining-{period}", f"{prefix}{period}-remaining"),
        reset=(f"{prefix}reset-{period}", f"{prefix}{period}-reset"),
        window_seconds=() if seconds is None else (seconds,),
    )


SPELLINGS: tuple[Spelling, ...] = (
    *(_of_family(prefix) for prefix in FAMILIES),
    *(
        _of_period(prefix, period, seconds)
        for prefix in _OF_PERIODS
        for period, seconds in PERIODS.items()
    ),
    # Strava: `100,1000` per quarter of an hour and per day, with what is used of each;
    # developers.strava.com/docs/rate-limits
    Spelling(
        limit=("x-ratelimit-limit",), used=("x-ratelimit-usage",), window_seconds=(900.0, _DAY)
    ),
    # Riot Games: `100:1,1000:10` and the count of each (developer.riotgames.com)
    Spelling(limit=("x-app-rate-limit",), used=("x-app-rate-limit-count",)),
    Spelling(limit=("x-method-rate-limit",), used=("x-method-rate-limit-count",)),
    # X: posts of a user or an app per day (docs.x.com)
    *(
        Spelling(
            limit=(f"x-{whose}-limit-24hour-limit",),
            remaining=(f"x-{whose}-limit-24hour-remaining",),
            reset=(f"x-{whose}-limit-24hour-reset",),
            window_seconds=(_DAY,),
        )
        for whose in ("user", "app")
    ),
    # Shopify: `32/40`; every plan's bucket drains within 20 s (shopify.dev, REST rate limits)
    Spelling(pair=("x-shopify-shop-api-call-limit",), window_seconds=(20.0,)),
    # Salesforce: `api-usage=18/5000` in 24 hours (REST API developer guide, Limit Info Header)
    Spelling(pair=("sforce-limit-info",), window_seconds=(_DAY,)),
    # Etsy (developers.etsy.com, rate limits)
    Spelling(
        limit=("x-limit-per-second",), remaining=("x-remaining-this-second",), window_seconds=(1.0,)
    ),
    Spelling(limit=("x-limit-per-day",), remaining=("x-remaining-today",), window_seconds=(_DAY,)),
    # Amazon's Selling Partner API: `0.0167` (developer-docs.amazon.com, usage plans)
    Spelling(rate=("x-amzn-ratelimit-limit",)),
)

RETRY_AFTER = (
    # Azure OpenAI, and Cosmos DB (learn.microsoft.com): milliseconds
    ("retry-after-ms", 1e-3),
    ("x-ms-retry-after-ms", 1e-3),
    ("retry-after", 1.0),  # RFC 9110, section 10.2.3
    ("x-retry-after", 1.0),
    ("x-ratelimit-retry-after", 1.0),  # developers-classic.mailerlite.com
    ("x-rate-limit-retry-after", 1.0),
)
"""Headers that ask to wait, the finest first, and the seconds of their unit."""

"""Read what a reply asks for and what it says of limits: `Retry-After` and its kin. Pure.

- `Retry-After`: seconds, decimals too, or any of three forms of date (RFC 9110, section 10.2.3), or
  an epoch in place of the seconds; or its milliseconds under other names.
- `RateLimit-Policy: "name";q=100;w=60` and `RateLimit: "name";r=50;t=30`, each a list
  (draft-ietf-httpapi-ratelimit-headers-08 and later).
- `RateLimit: limit=100, remaining=50, reset=30`, with `RateLimit-Policy: 100;w=60` (-07).
- Headers of one value each, such as `X-RateLimit-Remaining`: the names are in `spellings`. A limit
  may list its windows, as in `100, 100;w=60, 1000;w=3600` (the same draft, up to -06), or all of a
  quota's headers are lists of the same length.

Malformed and implausible headers are ignored, and `Limits.ignored` lists them: no header may make
the program wait for a year.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from bulk_sync.send.header_values import LONGEST_TEXT, LONGEST_WAIT, Span, number, span
from bulk_sync.send.spellings import RETRY_AFTER, SPELLINGS, Spelling

_MEMBER = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9*:/._~-]+)\s*((?:;\s*[a-z*][a-z0-9_.*-]*(?:=[^;,]*)?\s*)*)'
)
_PARAMETER = re.compile(r";\s*([a-z*][a-z0-9_.*-]*)(?:=([^;,]*))?")
_DICTIONARY = re.compile(r"\s*(limit|remaining|reset)\s*=")  # draft -07
_PAIR = re.compile(r"(\d{1,15})\s*/\s*(\d{1,15})", re.ASCII)


YEAR_SECONDS = 365 * 86400.0
"""No quota has a window this long; such a value is a mistake or a way to say never."""

# Whoever exceeds a window this short may be locked out for longer than it, but not for this long.
_SHORT_SECONDS, _LONGEST_LOCK_SECONDS = 10.0, 3600.0


class Quota(Struct, frozen=True):
    """One limit that a reply advertises; None for values that it does not state.

    It allows `limit` requests in `window_seconds`, and `remaining` more until it resets in
    `reset_seconds`. The reset is `exact` when it was stated finer than in seconds; else a part of
    a second may be missing from it.
    """

    limit: float | None = None
    window_seconds: float | None = None
    remaining: float | None = None
    reset_seconds: float | None = None
    exact: bool = False


class Limits(Struct, frozen=True):
    """The limits that a reply advertises; `ignored` pairs each ignored header with the reason.

    Quotas with shorter windows come first.
    """

    quotas: tuple[Quota, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


class _Policy(NamedTuple):
    """A limit and its window, as in `100;w=60`."""

    limit: float
    window_seconds: float | None


class _Malformed(Exception):
    """A header's value is of no known form."""

    def __init__(self, name: str, text: str) -> None:
        reason = f"the API's header {name} can't be read and is ignored: {text[:60]!r}"
        self.note = (name, reason)
        super().__init__(reason)


_NO_LIMITS = Limits()

# No API has this many; a list of hundreds would be a burden on every reply.
_MOST_QUOTAS = 16

_SPELLED = {name: spelling for spelling in SPELLINGS for name in spelling.announced_by}
# Most replies have none of these, and are done with one look.
_ADVERTISING = {"ratelimit", "ratelimit-policy", *_SPELLED}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a reply asks to wait, None when it asks for none or is malformed.

    Header names are in lower case. A huge value is `LONGEST_WAIT`.
    """
    for name, unit_seconds in RETRY_AFTER:
        wait = span(headers.get(name), headers.get("date", ""), unit_seconds)
        if wait is not None:
            return min(wait.seconds, LONGEST_WAIT)
    return None


def limits(headers: Mapping[str, str]) -> Limits:
    """Return the limits that a reply advertises. Header names are in lower case."""
    if _ADVERTISING.isdisjoint(headers):
        return _NO_LIMITS
    found: list[Quota] = []
    ignored: list[tuple[str, str]] = []
    if "ratelimit" in headers or "ratelimit-policy" in headers:
        try:
            found += _structured(headers)
        except _Malformed as malformed:
            ignored.append(malformed.note)
    # By identity, because most of a quota's headers lead to the same spelling.
    spellings = {id(_SPELLED[name]): _SPELLED[name] for name in headers if name in _SPELLED}
    for spelling in spellings.values():
        try:
            found += _spelled(spelling, headers)
        except _Malformed as malformed:
            ignored.append(malformed.note)
    sound = []
    for quota in found:
        if reason := _absurdity(quota):
            ignored.append(("RateLimit", reason))
        else:
            sound.append(quota)
    return Limits(tuple(_merged(sound[:_MOST_QUOTAS])), tuple(ignored))


# Structured fields


def _structured(headers: Mapping[str, str]) -> Sequence[Quota]:
    """Read `RateLimit` and `RateLimit-Policy`; raises _Malformed when both say nothing."""
    text, policy_text = headers.get("ratelimit", ""), headers.get("ratelimit-policy", "")
    if _members(policy_text) is None:
        raise _Malformed("RateLimit-Policy", policy_text)
    if _DICTIONARY.search(text):
        return _dictionary(text, headers)
    return _from_lists(text, policy_text)


@lru_cache(maxsize=256)  # a slow job, and there may be hundreds, sees few different ones
def _from_lists(text: str, policy_text: str) -> tuple[Quota, ...]:
    """Read both as lists; raises _Malformed."""
    policies, states = _members(policy_text) or [], _members(text)
    if states is None:
        raise _Malformed("RateLimit", text)
    # A policy and a state belong together when they have the same name.
    policy_of = dict(policies)
    stated = {name for name, _ in states}
    whole = [(policy_of.get(name, {}), state) for name, state in states]
    # Up to draft -07, the quota stood in the place of the name.
    whole += [({"q": name} | policy, {}) for name, policy in policies if name not in stated]
    requests = [both for both in whole if _counts_requests(both[0])]
    quotas = [quota for both in requests if (quota := _member_quota(*both)) is not None]
    if requests and not quotas:
        raise _Malformed("RateLimit", text or policy_text)
    return tuple(quotas)


def _member_quota(policy: Mapping[str, str], state: Mapping[str, str]) -> Quota | None:
    """Return the quota of a policy and its state; None when any value is malformed."""
    limit, window, remaining = (
        number(text) for text in (policy.get("q"), policy.get("w"), state.get("r"))
    )
    reset = span(state.get("t"), "")
    stated = (
        (policy, "q", limit),
        (policy, "w", window),
        (state, "r", remaining),
        (state, "t", reset),
    )
    if any(value is None and name in member for member, name, value in stated):
        return None
    return None if limit is None and remaining is None else _quota(limit, window, remaining, reset)


def _counts_requests(policy: Mapping[str, str]) -> bool:
    return policy.get("qu", '"requests"').strip('"') == "requests"  # not bytes, say


def _dictionary(text: str, headers: Mapping[str, str]) -> list[Quota]:
    """Read `limit=100, remaining=50, reset=30`."""
    pairs = dict(part.split("=", 1) for part in re.sub(r"\s", "", text).split(",") if "=" in part)
    limit, remaining = number(pairs.get("limit")), number(pairs.get("remaining"))
    reset = span(pairs.get("reset"), headers.get("date", ""))
    stated = (("limit", limit), ("remaining", remaining), ("reset", reset))
    if remaining is None or any(value is None and name in pairs for name, value in stated):
        raise _Malformed("RateLimit", text)
    policies = _policies(headers.get("ratelimit-policy", "")) or ()
    return _with_policies(_quota(limit, None, remaining, reset), policies)


@lru_cache(maxsize=64)  # policies hardly ever change
def _members(text: str) -> list[tuple[str, dict[str, str]]] | None:
    """Return the members of a structured-field list (RFC 9651) and their parameters.

    None when the list is malformed.
    """
    if len(text) > LONGEST_TEXT:
        return None
    members = []
    at = 0
    text = text.strip()
    while at < len(text):
        found = _MEMBER.match(text, at)
        if found is None:
            return None
        parameters = {name: value.strip() for name, value in _PARAMETER.findall(found[2])}
        members.append((found[1], parameters))
        at = found.end()
        if at < len(text):
            if text[at] != ",":
                return None
            at += 1
    return members


# Headers of one value each


def _spelled(spelling: Spelling, headers: Mapping[str, str]) -> list[Quota]:
    """Read the quotas of one spelling; raises _Malformed for the first value of no known form."""
    if name := _first(spelling.rate, headers):
        return [Quota(_listed(name, headers)[0].limit, 1.0)]
    if name := _first(spelling.pair, headers):
        pairs = _PAIR.findall(headers[name])
        if not pairs:
            raise _Malformed(name, headers[name])
        windows = spelling.window_seconds[0]
        return [Quota(float(b), windows, max(0.0, float(b) - float(a))) for a, b in pairs]
    limit_name, name = _first(spelling.limit, headers), _first(spelling.remaining, headers)
    limited = _listed(limit_name, headers) if limit_name else ()
    remaining = _listed(name, headers) if name else ()
    if not remaining and (name := _first(spelling.used, headers)):
        remaining = _unused(limited, _listed(name, headers))
    elif not limited and (name := _first(spelling.used, headers)):  # Reddit states no limit
        pairs_of = zip(_listed(name, headers), remaining, strict=False)
        limited = tuple(_Policy(used.limit + left.limit, None) for used, left in pairs_of)
    resets = _resets(spelling, headers)
    name = _first(spelling.policy, headers)
    policies = (_policies(headers[name]) if name else None) or ()
    if len(remaining) > 1 and len(limited) in {0, len(remaining)}:
        return _side_by_side(limited, remaining, resets, policies or spelling.window_seconds)
    plain = next((one.limit for one in limited if one.window_seconds is None), None)
    listed = tuple(one for one in limited if one.limit != plain or one.window_seconds is not None)
    window = remaining[0].window_seconds if remaining else None
    quota = _quota(
        plain,
        window or _window(spelling, headers, plain),
        remaining[0].limit if remaining else None,
        resets[0] if resets else None,
    )
    return _with_policies(quota, (*listed, *policies))


def _first(names: tuple[str, ...], headers: Mapping[str, str]) -> str | None:
    return next((name for name in names if name in headers), None)


def _listed(name: str, headers: Mapping[str, str]) -> tuple[_Policy, ...]:
    """Return the numbers of a header, at least one."""
    text = headers[name]
    if (value := number(text)) is not None:
        return (_Policy(value, None),)
    found = _policies(text)
    if found is None:
        raise _Malformed(name, text)
    return found


@lru_cache(maxsize=64)
def _policies(text: str) -> tuple[_Policy, ...] | None:
    """Return the limits and windows of `100, 100;w=60`, or of `20:1,100:120`; None if malformed."""
    if len(text) > LONGEST_TEXT:
        return None
    found = []
    for part in text.split(","):
        head, *parameters = (piece.strip() for piece in part.split(";"))
        head, colon, after = head.partition(":")
        limit, window = number(head), number(after) if colon else None
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.rstrip() in {"w", "window"}:  # the longer one up to draft -02
                window = number(value)
                colon = "="
        if limit is None or (colon and window is None):
            return None
        found.append(_Policy(limit, window))
    return tuple(found)


def _unused(limited: tuple[_Policy, ...], used: tuple[_Policy, ...]) -> tuple[_Policy, ...]:
    """Return what is left of limits; Riot Games lists them in any order, each with its window."""
    by_window = {one.window_seconds: one.limit for one in used if one.window_seconds}
    if by_window:
        spent = tuple(by_window.get(one.window_seconds or 0.0, 0.0) for one in limited)
    else:
        spent = tuple(one.limit for one in used)
    pairs = zip(limited, spent, strict=False)
    return tuple(
        one._replace(limit=max(0.0, one.limit - number_used)) for one, number_used in pairs
    )


def _resets(spelling: Spelling, headers: Mapping[str, str]) -> tuple[Span, ...]:
    name = _first(spelling.reset, headers)
    if name is None:
        return ()
    text, date = headers[name], headers.get("date", "")
    if (whole := span(text, date)) is not None:  # first, because a date has a comma
        return (whole,)
    parts = [span(part, date) for part in text[:LONGEST_TEXT].split(",")]
    found = tuple(part for part in parts if part is not None)
    if len(found) != len(parts):
        raise _Malformed(name, text)
    return found


def _window(spelling: Spelling, headers: Mapping[str, str], limit: float | None) -> float | None:
    """Return the window that the names or a header of its own state."""
    window = spelling.window_seconds[0] if spelling.window_seconds else None
    if name := _first(spelling.interval_seconds, headers):
        window = _listed(name, headers)[0].limit
    elif name := _first(spelling.interval_milliseconds, headers):
        window = _listed(name, headers)[0].limit / 1000
    if window and limit and (name := _first(spelling.fill_rate, headers)):
        added = _listed(name, headers)[0].limit
        return limit / added * window if added else 0.0  # in which an empty bucket fills
    return window


def _side_by_side(
    limited: tuple[_Policy, ...],
    remaining: tuple[_Policy, ...],
    resets: tuple[Span, ...],
    windows: tuple[_Policy, ...] | tuple[float, ...],
) -> list[Quota]:
    """Return one quota for each place in the lists."""
    quotas = []
    for at, left in enumerate(remaining):
        limit, window = limited[at] if limited else (None, left.window_seconds)
        if window is None and len(windows) == len(remaining):
            stated = windows[at]
            window = stated.window_seconds if isinstance(stated, _Policy) else stated
        # A single reset is that of the first, as a single number of draft -06 would be.
        reset = resets[at] if at < len(resets) else None
        quotas.append(_quota(limit, window, left.limit, reset))
    return quotas


def _quota(
    limit: float | None, window: float | None, remaining: float | None, reset: Span | None
) -> Quota:
    seconds, exact = reset if reset is not None else (None, False)
    return Quota(limit, window, remaining, seconds, exact)


def _with_policies(quota: Quota, policies: tuple[_Policy, ...]) -> list[Quota]:
    """Return a quota with its window among policies, and the other policies.

    The policy of the same limit is its own; without a limit, the first one is.
    """
    if quota.limit is None:
        own = [p for p in policies if quota.window_seconds in {None, p.window_seconds}][:1]
    else:
        own = [p for p in policies if p.limit == quota.limit and p.window_seconds is not None]
    rest = [Quota(limit, window) for limit, window in policies]
    if not own:
        stated = quota.limit is not None or quota.remaining is not None
        return [quota, *rest] if stated else rest
    # Of several, it is the shortest that the reset fits into.
    reset = quota.reset_seconds or 0.0
    limit, window = min(own, key=lambda p: (reset > (p.window_seconds or 0) + 1, p.window_seconds))
    found = Quota(limit, window, quota.remaining, quota.reset_seconds, quota.exact)
    return [found, *(one for one in rest if one != Quota(limit, window))]


# Soundness


def _absurdity(quota: Quota) -> str | None:
    if quota.limit == 0 or quota.window_seconds == 0:
        return "the API's headers advertise a limit of 0, which is ignored"
    seconds = max(quota.window_seconds or 0, quota.reset_seconds or 0)
    if seconds >= YEAR_SECONDS:
        return f"the API's headers advertise a limit per {seconds:.0f} s; a year or more is ignored"
    if (quota.window_seconds or math.inf) <= _SHORT_SECONDS and seconds > _LONGEST_LOCK_SECONDS:
        return (
            f"the API's headers advertise a window of {quota.window_seconds:g} s that resets in "
            f"{seconds:.0f} s, which is ignored"
        )
    return None


def _merged(quotas: Iterable[Quota]) -> list[Quota]:
    """Return quotas by window, those that several headers state only once.

    Kong has `X-RateLimit-Remaining-Minute` beside `RateLimit-Remaining` and `RateLimit-Reset`.
    """
    found: list[Quota] = []
    for quota in sorted(map(_whole, quotas), key=_order):
        for at, other in enumerate(found):
            if _is_same(other, quota):
                found[at] = _union(other, quota)
                break
        else:
            found.append(quota)
    return found


def _whole(quota: Quota) -> Quota:
    """Return a quota of at least one request: 0.5 in a second is one in two seconds."""
    limit, window = quota.limit, quota.window_seconds
    if limit is None or limit >= 1 or window is None:
        return quota
    return Quota(1.0, window / limit, quota.remaining, quota.reset_seconds, quota.exact)


_LAST = float("inf")


def _order(quota: Quota) -> tuple[float, ...]:
    values = (quota.window_seconds, quota.limit, quota.remaining, quota.reset_seconds)
    return tuple(_LAST if value is None else value for value in values)


def _is_same(one: Quota, other: Quota) -> bool:
    """True when two quotas have the same limit and contradict each other in nothing."""
    if one.limit is None or one.limit != other.limit:
        return False
    pairs = (
        (one.window_seconds, other.window_seconds),
        (one.remaining, other.remaining),
        (one.reset_seconds, other.reset_seconds),
    )
    if any(a is not None and b is not None and a != b for a, b in pairs):
        return False
    both = _union(one, other)
    return both.window_seconds is None or (both.reset_seconds or 0) <= both.window_seconds + 1


def _union(one: Quota, other: Quota) -> Quota:
    def either(a: float | None, b: float | None) -> float | None:
        return b if a is None else a

    return Quota(
        one.limit,
        either(one.window_seconds, other.window_seconds),
        either(one.remaining, other.remaining),
        either(one.reset_seconds, other.reset_seconds),
        one.exact or other.exact,
    )

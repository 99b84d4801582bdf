"""Parse `Retry-After`, and the headers by which servers advertise limits. Pure.

- `Retry-After`: seconds, or any of three forms of date (RFC 9110, section 10.2.3).
- `RateLimit-Policy: "name";q=100;w=60` and `RateLimit: "name";r=50;t=30`, each a list
  (draft-ietf-httpapi-ratelimit-headers-08 and later).
- `RateLimit: limit=100, remaining=50, reset=30` (the same draft, -07).
- `RateLimit-Limit`, `-Remaining`, `-Reset`: one number each; the limit may have windows, as
  in `100, 100;w=60` (the same draft, up to -06).
- `X-RateLimit-...`: the same, with the reset in seconds, or as an epoch in seconds or milliseconds.

Dates and epochs are compared with the reply's own `Date`, so that a wrong clock on either side does
no harm; without a `Date` they are ignored. Malformed or implausible headers are ignored as well,
and `Limits.ignored` lists them: no header may make the program wait for a year.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec import Struct

LONGEST_WAIT = 366 * 86400.0
"""Seconds; a Retry-After beyond a year is read as a year, so that sums with it stay sound."""

LONGEST_WINDOW = 3600.0
"""Seconds; a longer window or reset (a daily quota, say) does not limit the rate now."""

_LONGEST_HEADER = 1000
_LEAST_EPOCH = 1e9  # 2001 as an epoch; as seconds until a reset it would be 31 years
_LEAST_EPOCH_IN_MILLISECONDS = 1e11

_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,15}", re.ASCII)
_MEMBER = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|[A-Za-z0-9*:/._~-]+)\s*((?:;\s*[a-z*][a-z0-9_.*-]*(?:=[^;,]*)?\s*)*)'
)
_PARAMETER = re.compile(r";\s*([a-z*][a-z0-9_.*-]*)(?:=([^;,]*))?")


class Quota(Struct, frozen=True):
    """One limit that a reply advertises; None for values that it does not state.

    It allows `limit` requests in `window_seconds`, and `remaining` more until it resets in
    `reset_seconds`.
    """

    limit: float | None = None
    window_seconds: float | None = None
    remaining: float | None = None
    reset_seconds: float | None = None


class Limits(Struct, frozen=True):
    """The limits that a reply advertises; `ignored` pairs each ignored header with the reason."""

    quotas: tuple[Quota, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()


_NO_LIMITS = Limits()

_PREFIXES = ("ratelimit-", "x-ratelimit-", "x-rate-limit-")
# Most replies have none of these, and are done with one look.
_ADVERTISING = {"ratelimit", "ratelimit-policy"} | {
    f"{prefix}{what}" for prefix in _PREFIXES for what in ("limit", "remaining")
}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return `Retry-After` in seconds, None when it is absent or malformed.

    Header names are in lower case.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d+", text, re.ASCII):
        return min(float(text[:12]), LONGEST_WAIT)  # 12 digits already exceed the longest wait
    until, now = _http_date(text), _http_date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return min(max(0.0, (until - now).total_seconds()), LONGEST_WAIT)


def limits(headers: Mapping[str, str]) -> Limits:
    """Return the limits that a reply advertises. Header names are in lower case."""
    if _ADVERTISING.isdisjoint(headers):
        return _NO_LIMITS
    found: list[Quota] = []
    ignored: list[tuple[str, str]] = []
    if "ratelimit" in headers or "ratelimit-policy" in headers:
        found, ignored = _structured_headers(headers)
    for prefix in _PREFIXES:
        if f"{prefix}limit" in headers or f"{prefix}remaining" in headers:
            more, malformed = _separate_headers(headers, prefix)
            found += more
            ignored += malformed
    if not found and not ignored:
        return _NO_LIMITS
    sound = tuple(quota for quota in found if not _is_absurd(quota))
    absurd = (("RateLimit", _absurdity(quota)) for quota in found if _is_absurd(quota))
    return Limits(sound, (*ignored, *absurd))


_Found = tuple[list[Quota], list[tuple[str, str]]]


def _structured_headers(headers: Mapping[str, str]) -> _Found:
    """Read `RateLimit` and `RateLimit-Policy`, in the current syntax or that of draft -07."""
    text = headers.get("ratelimit", "")[:_LONGEST_HEADER]
    policies = _members(headers.get("ratelimit-policy", ""))
    states = _members(text)
    if states is None or policies is None:
        return [], [_malformed("RateLimit" if states is None else "RateLimit-Policy", headers)]
    if re.search(r"\b(limit|remaining|reset)\s*=", text):
        return _draft_07_header(text, headers)
    # A policy and a state belong together when they have the same name.
    windows = {name: _policy_values(parameters) for name, parameters in policies}
    left = {name: _state_values(parameters) for name, parameters in states}
    quotas = []
    for name in dict.fromkeys((*windows, *left)):
        limit, window = windows.get(name) or (None, None)
        remaining, reset = left.get(name) or (None, None)
        if (limit, remaining) != (None, None):
            quotas.append(Quota(limit, window, remaining, reset))
    wrong = not quotas and bool(windows or left)
    return quotas, [_malformed("RateLimit", headers)] if wrong else []


def _policy_values(parameters: Mapping[str, str]) -> tuple[float | None, float | None]:
    unit = parameters.get("qu", '"requests"').strip('"')
    if unit != "requests":  # a quota of bytes, say
        return None, None
    return _whole_number(parameters.get("q")), _whole_number(parameters.get("w"))


def _state_values(parameters: Mapping[str, str]) -> tuple[float | None, float | None]:
    return _whole_number(parameters.get("r")), _whole_number(parameters.get("t"))


def _draft_07_header(text: str, headers: Mapping[str, str]) -> _Found:
    pairs = dict(part.split("=", 1) for part in re.sub(r"\s", "", text).split(",") if "=" in part)
    limit, remaining, reset = (
        _whole_number(pairs.get(name)) for name in ("limit", "remaining", "reset")
    )
    if remaining is None:
        return [], [_malformed("RateLimit", headers)]
    window = next((w for _, w in _windows(headers.get("ratelimit-policy", ""))), None)
    return [Quota(limit, window, remaining, reset)], []


def _separate_headers(headers: Mapping[str, str], prefix: str) -> _Found:
    """Read `...-Limit`, `...-Remaining` and `...-Reset`."""
    stated = headers.get(f"{prefix}limit", "")[:_LONGEST_HEADER]
    limit = _whole_number(re.split("[,;]", stated)[0])
    window = next((w for q, w in _windows(stated) if q == limit), None)
    remaining = _whole_number(headers.get(f"{prefix}remaining"))
    reset_text = headers.get(f"{prefix}reset")
    reset = _reset(reset_text, headers.get("date", ""))
    wrong = [
        _malformed(f"{prefix}{part}", headers)
        for part, value in (("limit", limit), ("remaining", remaining), ("reset", reset))
        if value is None and f"{prefix}{part}" in headers
    ]
    if wrong:
        return [], wrong
    return [Quota(limit, window, remaining, reset)], []


def _reset(text: str | None, date: str) -> float | None:
    """Return the seconds until a reset that is in seconds or an epoch; None when malformed."""
    if text is None or not _NUMBER.fullmatch(text.strip()):
        return None
    value = float(text)
    if value < _LEAST_EPOCH:
        return value
    now = _http_date(date)
    if now is None:
        return None
    epoch = value / 1000 if value >= _LEAST_EPOCH_IN_MILLISECONDS else value
    return max(0.0, epoch - now.timestamp())


def _windows(text: str) -> Iterator[tuple[float | None, float | None]]:
    """Yield the (quota, window) pairs of `100, 100;w=60`."""
    for part in text[:_LONGEST_HEADER].split(","):
        quota, *parameters = (piece.strip() for piece in part.split(";"))
        for parameter in parameters:
            if parameter.startswith("w="):
                yield _whole_number(quota), _whole_number(parameter[2:])


def _members(text: str) -> list[tuple[str, dict[str, str]]] | None:
    """Return the members of a structured-field list (RFC 9651) and their parameters.

    None when the list is malformed.
    """
    members = []
    at = 0
    text = text[:_LONGEST_HEADER].strip()
    while at < len(text):
        found = _MEMBER.match(text, at)
        if found is None:
            # Draft -07 has a dictionary instead, which `_draft_07_header` reads.
            return [] if re.match(r"\s*(limit|remaining|reset)\s*=", text) else None
        members.append(
            (found[1], {name: value.strip() for name, value in _PARAMETER.findall(found[2])})
        )
        at = found.end()
        if at < len(text):
            if text[at] != ",":
                return [] if re.match(r"\s*(limit|remaining|reset)\s*=", text) else None
            at += 1
    return members


def _whole_number(text: str | None) -> float | None:
    return float(text) if text is not None and _WHOLE.fullmatch(text.strip()) else None


def _is_absurd(quota: Quota) -> bool:
    return (
        quota.limit == 0
        or quota.window_seconds == 0
        or (quota.window_seconds or 0) > LONGEST_WINDOW
        or (quota.reset_seconds or 0) > LONGEST_WINDOW
    )


def _absurdity(quota: Quota) -> str:
    if quota.limit == 0 or quota.window_seconds == 0:
        return "the API's headers advertise a limit of 0, which is ignored"
    seconds = max(quota.window_seconds or 0, quota.reset_seconds or 0)
    return f"the API's headers advertise a limit per {seconds:.0f} s; beyond an hour it is ignored"


def _malformed(name: str, headers: Mapping[str, str]) -> tuple[str, str]:
    text = headers.get(name.lower(), "")[:60]
    return name, f"the API's header {name} can't be read and is ignored: {text!r}"


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

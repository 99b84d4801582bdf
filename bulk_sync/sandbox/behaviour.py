"""The options of the sandbox: its behaviour, and where it is served."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, get_args

from bulk_sync.quantities import Rate, parse_latency, parse_rate
from bulk_sync.sandbox.faults import Fault, parse_fault
from bulk_sync.sandbox.limits import AllowanceWindow, LimitHeaders, LimitStyle
from bulk_sync.settings.forms import DURATION
from bulk_sync.settings.option import Access, Form, Option

AllowanceTold = Literal["users-me", "headers", "x-headers", "retry-after", "none"]
UsersMe = Literal["counted", "free", "slow", "odd", "missing"]

_TEAM = "Sandbox Realty"
_TEAM_ID = "550e8400-e29b-41d4-a716-446655440000"
# The namespace of ids that are made from a team's name.
_TEAMS = uuid.UUID("7d3f0a52-5c0e-4d1c-9a3b-0c8f6f1e2b10")


def _parse_place(text: str) -> AllowanceTold:
    for place in get_args(AllowanceTold):
        if text.strip().lower() == place:
            found: AllowanceTold = place
            return found
    raise ValueError(f"{text!r} is not one of {', '.join(get_args(AllowanceTold))}")


def _parse_permissions(text: str) -> tuple[str, tuple[str, ...]]:
    """Return `showings:read,update` as a resource and what may be done with it."""
    match = re.fullmatch(r"([a-z_]+):((?:[a-z_]+(?:,[a-z_]+)*)?)", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(
            f"{text!r} is not a permission: write a resource and what may be done with it, as in "
            "showings:read,update"
        )
    return match[1], tuple(match[2].split(",")) if match[2] else ()


def _parse_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        raise ValueError(f"{text!r} is not a UUID: write it as {_TEAM_ID}") from None


def _parse_speed(text: str) -> float:
    match = re.fullmatch(r"\d{1,4}(?:\.\d{1,3})?", text.strip(), re.ASCII)
    if match is None:
        raise ValueError(f"{text!r} is not a speed: write how many times as fast, such as 60")
    return float(text)


_LATENCY = Form("latency", "50ms or 1.5s", parse_latency, lambda seconds: f"{seconds * 1000:g}ms")
_RATE = "50/s, 600/m, 5000/h or 9000/d"
_LIMIT = Form("rate", _RATE, parse_rate)
_ALLOWANCES = Form("rate", _RATE, parse_rate, collect=tuple)
_PLACES = Form("place", "users-me", _parse_place, collect=tuple)
_FAULTS = Form("fault", "2%:503", parse_fault, collect=tuple)
_PERMISSIONS = Form("permission", "showings:read,update", _parse_permissions, collect=dict)
_UUID = Form("UUID", _TEAM_ID, _parse_uuid)
_SPEED = Form("speed", "60", _parse_speed, lambda speed: f"{speed:g}")


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """The behaviour of the sandbox."""

    accept_any: Annotated[bool, Option("Create a showing when an unknown key is patched.")] = False
    latency_seconds: Annotated[
        float, Option("Answer after this long.", "50ms", name="latency", form=_LATENCY)
    ] = 0.0
    limit: Annotated[
        Rate | None, Option("Answer 429 beyond N/s, N/m, N/h or N/d.", "N/s", form=_LIMIT)
    ] = None
    limit_style: Annotated[LimitStyle, Option("How the limit counts.")] = "token-bucket"
    limit_headers: Annotated[LimitHeaders, Option("The headers about the limit in replies.")] = (
        "retry-after"
    )
    allowances: Annotated[
        tuple[Rate, ...],
        Option(
            "Answer 429 when so many requests of a window are used up. Repeatable, and holds "
            "together with --limit.",
            "N/h",
            name="allowance",
            form=_ALLOWANCES,
        ),
    ] = ()
    window: Annotated[
        AllowanceWindow,
        Option(
            "When the window of an allowance begins: on the full hour (minute, day in UTC), with "
            "the first request, or anew with every request.",
            name="allowance-window",
        ),
    ] = "fixed"
    allowance_told: Annotated[
        tuple[AllowanceTold, ...],
        Option(
            "Where the API states what is left of an allowance: in GET /v1/users/me, in RateLimit "
            "or X-RateLimit headers, with Retry-After on refusals, or nowhere. Repeatable.",
            "users-me|headers|x-headers|retry-after|none",
            form=_PLACES,
        ),
    ] = ("users-me",)
    lock_out_seconds: Annotated[
        float | None,
        Option(
            "Refuse everything for this long after each 429, and anew after every request in that "
            "time; a 429 says nothing else.",
            "DURATION",
            name="lock-out",
            form=DURATION,
            above=0,
        ),
    ] = None
    users_me: Annotated[
        UsersMe,
        Option(
            "GET /v1/users/me uses up the limits like any request, is free, takes 30 seconds, "
            "replies in another shape, or does not exist."
        ),
    ] = "counted"
    team: Annotated[str, Option("The name of the key's team.", "NAME")] = _TEAM
    given_team_id: Annotated[
        str | None,
        Option(
            "The id of the key's team; default: made from its name.",
            "UUID",
            name="team-id",
            form=_UUID,
        ),
    ] = None
    permissions: Annotated[
        Mapping[str, tuple[str, ...]],
        Option(
            "What the key may do with a resource; default: everything with showings. Repeatable.",
            "RESOURCE:ACTION,...",
            form=_PERMISSIONS,
        ),
    ] = field(
        default_factory=lambda: {"showings": ("read", "create", "update"), "reports": ("read",)}
    )
    faults: Annotated[
        tuple[Fault, ...],
        Option(
            "Let a share of patches and creations fail: with a status (2%:503); without a reply "
            "(reset, timeout, cut); with one that acknowledges nothing (garbage, error200, queued, "
            "swapped), has a shorter feedback (shortened) or comes after 10 seconds (late); with a "
            "firewall's page (block403); with 409 at the first try (conflict). Repeatable.",
            "N%:KIND",
            name="fault",
            form=_FAULTS,
        ),
    ] = ()
    seed: Annotated[
        int, Option("The same N gives the same faults for the same keys.", "N", name="seed-random")
    ] = 0
    revoke_after: Annotated[
        int | None, Option("Refuse every key after N requests.", "N", at_least=0)
    ] = None
    speed: Annotated[
        float,
        Option(
            "Let windows, lock-outs and latencies pass N times as fast: with 60, an allowance for "
            "an hour is one for each minute. Replies state real times.",
            "N",
            form=_SPEED,
            at_least=1,
        ),
    ] = 1.0

    @property
    def team_id(self) -> str:
        """The id of the team; teams of other names have other ids."""
        if self.given_team_id is not None:
            return self.given_team_id
        return _TEAM_ID if self.team == _TEAM else str(uuid.uuid5(_TEAMS, self.team))


@dataclass(frozen=True, kw_only=True)
class Serving:
    """The port and the data of the sandbox."""

    port: Annotated[
        int, Option("The port; 0 takes a free one.", "N", at_least=0, at_most=65535)
    ] = 8787
    db: Annotated[
        Path | None, Option("Keep showings and journal in a file.", "FILE", access=Access.DATABASE)
    ] = None
    seed: Annotated[
        Path | None, Option("Load showings from a CSV file.", "FILE", access=Access.READ)
    ] = None

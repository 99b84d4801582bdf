"""The attempts of a row before its last one, as the checkpoint keeps them. Pure.

An outcome describes the last attempt itself. So a row that needed one attempt has none of these.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

KEPT_FIRST, KEPT_LAST = 4, 4
"""The attempts of a row that are kept: the first and the last ones before its last."""

LONGEST_WHY = 300
"""Characters that are kept of the reason for another attempt."""

_Count = Annotated[int, Meta(ge=0, le=2**40)]


class Attempt(Struct, frozen=True, omit_defaults=True):
    """An attempt that was followed by another one.

    `number` counts the row's requests over all runs of its job, from 1. `sent_at` is when it left,
    in UTC. Without a reply there is no `http_status`, and `error` is the kind of the failure. `why`
    is the reason that it was not the last one. `wait_ms` passed from its end until the next one
    left; None if that was in another run.
    """

    number: _Count
    sent_at: str
    duration_ms: _Count | None = None
    http_status: _Count | None = None
    error: str | None = None
    why: str | None = None
    wait_ms: _Count | None = None


decode_attempts = msgspec.json.Decoder(tuple[Attempt, ...]).decode
"""Reads the JSON of a row's attempts; raises msgspec.DecodeError."""


def keep(attempts: list[Attempt], latest: Attempt) -> None:
    """Add the latest attempt to a row's, and drop one of the middle beyond those that are kept."""
    attempts.append(latest)
    if len(attempts) > KEPT_FIRST + KEPT_LAST:
        del attempts[KEPT_FIRST]

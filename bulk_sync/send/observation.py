"""A reply as the pace sees it. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bulk_sync.send.headers import Quota

Kind = Literal["through", "throttled", "busy", "other"]
"""The API took the request; 429, or 503 with a wait; a bare 503; any other failure."""


class Seen(NamedTuple):
    """What came of one request, the `ordinal`-th that got a permit, after `seconds`.

    `asked_seconds` is the wait that the API asked for.
    """

    ordinal: float
    kind: Kind
    seconds: float
    asked_seconds: float | None = None
    quotas: tuple[Quota, ...] = ()

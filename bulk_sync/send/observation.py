"""A reply reduced to the facts that the pace needs. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bulk_sync.model.rows import RateSource
from bulk_sync.send.headers import Quota

Kind = Literal["through", "throttled", "busy", "other"]
"""The API handled the request; 429, or 503 with `Retry-After`; a bare 503; any other failure."""


class Observation(NamedTuple):
    """The result of one request: of the `ordinal`-th permit, after `seconds`.

    `asked_seconds` is the wait that the API asked for; `source` is where the quotas come from.
    The reply is `of_account` when users/me was requested.
    """

    ordinal: float
    kind: Kind
    seconds: float
    asked_seconds: float | None = None
    quotas: tuple[Quota, ...] = ()
    source: RateSource = RateSource.HEADER
    of_account: bool = False

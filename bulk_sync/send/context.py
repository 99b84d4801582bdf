"""The user's terms for a run, and the objects that its sender's modules share."""

from __future__ import annotations

import random
from typing import NamedTuple

from msgspec import Struct

from bulk_sync.clock import Clock
from bulk_sync.model.rows import Tally
from bulk_sync.send.account import Preflight
from bulk_sync.send.bounds import Bounds
from bulk_sync.send.budget import Budget
from bulk_sync.send.decide import RetryPolicy
from bulk_sync.send.evidence import Evidence
from bulk_sync.send.halt import Halt
from bulk_sync.send.transport.interface import Transport


class Terms(Struct, frozen=True):
    """The user's terms; `workers` is the maximum of requests in flight.

    `key_accepted` is True when the API acknowledged a row with this key in an earlier run.
    With `create_missing` a showing that the API does not have is created, in the report of its row
    or in `report_id`.
    Without a `preflight` the first row is the first request. With `account_was_asked` users/me was
    asked just before, by another sender of the same run.
    """

    policy: RetryPolicy
    bounds: Bounds
    workers: int
    key_accepted: bool = False
    create_missing: bool = False
    report_id: str | None = None
    preflight: Preflight | None = None
    account_was_asked: bool = False


class Context(NamedTuple):
    """The objects of one run that its sender's modules share."""

    transport: Transport
    budget: Budget
    terms: Terms
    clock: Clock
    dice: random.Random
    tally: Tally
    halt: Halt
    evidence: Evidence

"""Draw the fault of a request. Pure.

A draw depends on the seed, the key and the number of earlier requests for that key, not on the
order of arrival. So a run can be repeated, whatever the timing of its workers.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Moment = Literal["before", "after", "either"]

KINDS: dict[str, Moment] = {
    "reset": "either",
    "timeout": "either",
    "cut": "after",
    "garbage": "after",
    "late": "after",
    "queued": "after",
    "swapped": "after",
    "shortened": "after",
    "error200": "before",
    "block403": "before",
    "conflict": "before",
}
"""The faults that are no status, each with its moment: before or after the change is applied.

A reset and a time-out come at either, with even odds, because a client can't know which.
"""


@dataclass(frozen=True, slots=True)
class Fault:
    """A share of requests, from 0 to 1, that meets `kind`.

    `kind` is a status such as `503`, or one of `KINDS`.
    """

    share: float
    kind: str

    @property
    def status(self) -> int | None:
        """The status to answer with; None for a fault that is not a status."""
        return int(self.kind) if self.kind.isdigit() else None


@dataclass(frozen=True, slots=True)
class Drawn:
    """The fault of one request; `applied` when the change is applied before the fault."""

    fault: Fault
    applied: bool


def parse_fault(text: str) -> Fault:
    """Read `2%:503` or `0.5%:cut`; raise ValueError with the right form."""
    kinds = f"{'|'.join(KINDS)}|[45]\\d\\d"
    match = re.fullmatch(rf"(\d{{1,3}}(?:\.\d{{1,4}})?)%:({kinds})", text.strip(), re.ASCII)
    if match is None or float(match[1]) > 100:
        raise ValueError(
            f"{text!r} is not a fault: write a share and a status or one of {', '.join(KINDS)}, "
            "as in 2%:503"
        )
    return Fault(float(match[1]) / 100, match[2])


def draw(faults: Sequence[Fault], seed: int, key: str, asked_before: int) -> Drawn | None:
    """Return the fault of a request for `key`, None for none.

    A conflict meets the first request for a key only, because it passes by itself.
    """
    digest = hashlib.sha256(f"{seed}\0{key}\0{asked_before}".encode()).digest()
    dice = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1)
    for fault in faults:
        if dice < fault.share:
            if fault.kind == "conflict" and asked_before:
                return None
            moment = KINDS.get(fault.kind, "before")
            return Drawn(fault, moment == "after" or (moment == "either" and digest[8] % 2 == 1))
        dice -= fault.share
    return None

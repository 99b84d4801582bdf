"""Evidence that an acknowledgement is the reply to another request. Pure.

A server, or a proxy in front of it, may repeat a reply, exchange two, or answer before it has read.
What such a reply says of its showing is compared with what was sent and with the other replies.

Invariants:

1. Of the latest ids that were acknowledged (`_GENERATION` of them at least), each is that of one
   key only: a reply that names the id of another key acknowledges nothing.
2. A value that comes back changed is taken for the API's own doing only if it comes back so for the
   same row twice, on two connections, or in a field of which that was seen, while no reply was
   found to be that to another request. Its id is believed in no case.
3. At most `MOST_DOUBTS` replies to a row are doubted for their values, so that a row ends also
   with an API that changes them at random.

Memory is bounded: ids are kept in two generations, and the older one is dropped.
"""

from __future__ import annotations

from typing import NamedTuple

from bulk_sync.model.rows import Change
from bulk_sync.send.acknowledgement import Acknowledged

MOST_DOUBTS = 2
"""Replies to one row that are doubted for their values."""

OUT_OF_STEP = (
    "Some replies were about other showings than their requests. They were not believed, and from "
    "then on each connection was used for one request: look for a proxy or a cache on the way to "
    "the API"
)
"""The note on a run in which a reply was found to be that to another request."""

# A reply that is late, or that is for another request, is so by one request or a few. Two
# generations take about 10 MB.
_GENERATION = 20_000

# Characters of a key that are kept with its id. Longer ones also keep their hash.
_LONGEST_NAME = 80


class Doubt(NamedTuple):
    """The reason why a reply is not taken for an acknowledgement.

    With `of_values` only its values are the reason, so that the API may have changed them itself.
    """

    why: str
    of_values: bool


class Evidence:
    """The ids and changed fields in the acknowledgements of a run."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}
        self._earlier_keys: dict[str, str] = {}
        self._changed_fields: set[str] = set()
        self.is_out_of_step = False
        """True once a reply was found to be that to another request."""

    def against(
        self,
        change: Change,
        answer: Acknowledged,
        status: int,
        doubted: tuple[Acknowledged, ...] = (),
        *,
        may_repeat: bool = True,
    ) -> Doubt | None:
        """Return the reason not to believe an acknowledgement; remember one that is believed.

        `doubted` are the earlier replies to the same change that were not believed. Values are not
        doubted unless the request may be repeated.
        """
        name = None
        if answer.showing_id is not None and not change.by_id:
            name = answer.showing_id.lower()
            key = self._keys.get(name) or self._earlier_keys.get(name)
            if key is not None and key != _name(change.target):
                self.is_out_of_step = True
                return Doubt(
                    f"{status}, but the reply is about another showing: "
                    f"its id ({name[:60]}) is that of the key {key}",
                    of_values=False,
                )
        if (answer.echoes and may_repeat) or doubted:
            doubt = self._against_values(answer, status, doubted)
            if doubt is not None:
                return doubt
        if name is not None and not answer.echoes:
            if len(self._keys) >= _GENERATION:
                self._earlier_keys, self._keys = self._keys, {}
            self._keys[name] = _name(change.target)
        return None

    def _against_values(
        self, answer: Acknowledged, status: int, doubted: tuple[Acknowledged, ...]
    ) -> Doubt | None:
        fields = {echo.field for echo in answer.echoes}
        if doubted and any(earlier.echoes == answer.echoes for earlier in doubted):
            self._changed_fields |= fields
            return None
        if doubted:
            self.is_out_of_step = True
        is_usual = not self.is_out_of_step and fields <= self._changed_fields
        if not fields or is_usual or len(doubted) >= MOST_DOUBTS:
            return None
        named = ", ".join(sorted(fields))
        return Doubt(f"{status}, but with another value than was sent: {named}", of_values=True)


def _name(key: str) -> str:
    """Return a key as it is compared and shown; an API may not distinguish case."""
    key = key.casefold()
    return key if len(key) <= _LONGEST_NAME else f"{key[:_LONGEST_NAME]}... (#{hash(key):x})"

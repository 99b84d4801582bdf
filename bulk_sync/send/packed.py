"""A pace as bytes, so that runs can share it in a file. Pure.

Every value of its parts is a number, a list of numbers, or another part or a list of parts; they
are written in the order of their fields.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import fields

from bulk_sync.send.pace import Pace

_Slot = tuple[object, str | int]


def _slots(part: object) -> Iterator[_Slot]:
    """Yield where each number of a part is kept: an object and the name or index in it."""
    if isinstance(part, list):
        for index, value in enumerate(part):
            if isinstance(value, (float, int)):
                yield part, index
            else:
                yield from _slots(value)
        return
    for one in fields(part):  # type: ignore[arg-type]  # all parts are dataclasses
        value = getattr(part, one.name)
        if isinstance(value, (float, int)):
            yield part, one.name
        else:
            yield from _slots(value)


def numbers_of(part: object) -> Iterator[float]:
    """Yield the numbers of a part."""
    if isinstance(part, list):
        for value in part:
            if isinstance(value, (float, int)):
                yield value
            else:
                yield from numbers_of(value)
        return
    for name in part.__slots__:  # type: ignore[attr-defined]
        value = getattr(part, name)
        if isinstance(value, (float, int)):
            yield value
        else:
            yield from numbers_of(value)


_INSTANTS = {
    "due", "held_until", "doubt_until", "used_at",
    "through_at", "loss_at", "counted_from", "first_at", "second",
    "known_until", "spread_until", "watched_from",
    "first_reset", "last_reset", "resets_at", "at", "lone_at", "doubted",
    "firsts", "lasts", "not_before",
}  # fmt: skip
"""The names of all instants among the numbers."""

_COUNT = sum(1 for _ in numbers_of(Pace()))
_LAYOUT = struct.Struct(f"<{_COUNT}d")
SIZE = _LAYOUT.size
"""Bytes of a packed pace."""


def pack(pace: Pace) -> bytes:
    """Return the pace as `SIZE` bytes."""
    return _LAYOUT.pack(*numbers_of(pace))


def unpack(data: bytes) -> Pace:
    """Return the pace from bytes; raise ValueError when they don't hold one."""
    if len(data) != SIZE:
        raise ValueError("not a pace")
    numbers = _LAYOUT.unpack(data)
    if any(map(math.isnan, numbers)):
        raise ValueError("not a pace")
    pace = Pace()
    for (part, where), number in zip(list(_slots(pace)), numbers, strict=True):
        if isinstance(where, int):
            part[where] = number  # type: ignore[index]
        else:
            setattr(part, where, number)
    return pace


def shift(pace: Pace, seconds: float) -> None:
    """Move all instants, because they are of a clock that started at another time."""
    _shift(pace, seconds)


def _shift(part: object, seconds: float) -> None:
    for name in part.__slots__:  # type: ignore[attr-defined]
        value = getattr(part, name)
        if isinstance(value, list) and value and not isinstance(value[0], (float, int)):
            for one in value:
                _shift(one, seconds)
        elif isinstance(value, list) and name in _INSTANTS:
            setattr(part, name, [one + seconds for one in value])
        elif isinstance(value, float) and name in _INSTANTS:
            setattr(part, name, value + seconds)
        elif hasattr(value, "__slots__"):
            _shift(value, seconds)

"""A pace as bytes, so that runs can share it in a file. Pure.

Every value of its parts is a number, a list of numbers, or another part or a list of parts; they
are written in the order of their fields, those in lists last. A part in a list whose first number
is 0 is a free slot, and equal to a fresh one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from operator import attrgetter
from types import UnionType

from bulk_sync.send.pace import Pace

_Slot = tuple[object, str | int]


def _parts(part: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield a part and those in it, without those in lists, and the start of dotted names."""
    yield prefix, part
    for one in fields(part):  # type: ignore[arg-type]  # all parts are dataclasses
        value = getattr(part, one.name)
        if is_dataclass(value):
            yield from _parts(value, f"{prefix}{one.name}.")


def _named(part: object, kind: type | UnionType) -> Iterator[tuple[str, object, str]]:
    """Yield the dotted name of each value of a kind, the part that keeps it, and its name there."""
    for prefix, owner in _parts(part):
        for one in fields(owner):  # type: ignore[arg-type]
            if isinstance(getattr(owner, one.name), kind):
                yield prefix + one.name, owner, one.name


def _slots(part: object) -> Iterator[_Slot]:
    """Yield where each number of a part is kept, in the order of `_Reader`."""
    yield from ((owner, name) for _, owner, name in _named(part, float | int))
    for _, owner, name in _named(part, list):
        values = getattr(owner, name)
        for index, value in enumerate(values):
            if is_dataclass(value):
                yield from _slots(value)
            else:
                yield values, index


class _Reader:
    """Reads the numbers of parts of one class: first those of its own, then those in lists.

    The fields are looked up once, because a pace is packed for almost every request.
    """

    def __init__(self, example: object) -> None:
        scalars = [dotted for dotted, _, _ in _named(example, float | int)]
        self._scalars = attrgetter(*scalars, scalars[0])  # two at least, so that it is a tuple
        self._lists = []
        for dotted, owner, name in _named(example, list):
            first = getattr(owner, name)[0]
            reader = _SlotReader(first) if is_dataclass(first) else None
            self._lists.append((attrgetter(dotted), reader))

    def read(self, part: object, numbers: list[float]) -> None:
        """Append the numbers of a part."""
        numbers += self._scalars(part)
        numbers.pop()  # the first one again
        for values_of, reader in self._lists:
            values = values_of(part)
            if reader is None:
                numbers += values
            else:
                for value in values:
                    reader.read(value, numbers)


class _SlotReader(_Reader):
    """Reads slots: most of them are free, and their numbers known."""

    def __init__(self, example: object) -> None:
        super().__init__(example)
        self._use = attrgetter(fields(example)[0].name)  # type: ignore[arg-type]
        self._free: list[float] = []
        super().read(example, self._free)

    def read(self, part: object, numbers: list[float]) -> None:
        """Append the numbers of a slot."""
        if self._use(part):
            super().read(part, numbers)
        else:
            numbers += self._free


_INSTANTS = {
    "due", "held_until", "doubt_until", "used_at",
    "through_at", "loss_at", "counted_from", "first_at", "second",
    "known_until", "spread_until", "watched_from",
    "first_reset", "last_reset", "resets_at", "at", "lone_at", "doubted",
    "firsts", "lasts", "not_before",
}  # fmt: skip
"""The names of all instants among the numbers."""

_READER = _Reader(Pace())
_COUNT = sum(1 for _ in _slots(Pace()))
_LAYOUT = struct.Struct(f"<{_COUNT}d")
SIZE = _LAYOUT.size
"""Bytes of a packed pace."""


def pack(pace: Pace) -> bytes:
    """Return the pace as `SIZE` bytes."""
    numbers: list[float] = []
    _READER.read(pace, numbers)
    return _LAYOUT.pack(*numbers)


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

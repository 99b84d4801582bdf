"""Patches as JSON text: made of values, merged, compared and cut to what is not known yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256

import msgspec

from bulk_sync.check.showing import INSTANTS, KEY_COLUMN, ShowingPatch
from bulk_sync.model.problems import Expected, Reason

_PLACE = {field: place for place, field in enumerate(ShowingPatch.model_fields)}
_encode = msgspec.json.Encoder().encode
_validate = ShowingPatch.__pydantic_validator__.validate_python


def body_of(values: Mapping[str, object]) -> str:
    """Return the JSON text of a patch, its fields in the contract's order.

    Raises pydantic's ValidationError for a value that the contract does not allow: a bug of ours.
    """
    _validate(dict(values))
    return encoded(_in_order(values))[0]


def encoded(values: Mapping[str, object]) -> tuple[str, str]:
    """Return (body, digest) of values that are valid and in the contract's order."""
    body = _encode(values)
    return body.decode(), sha256(body).hexdigest()[:32]


def with_key(values: Mapping[str, object], key: str) -> dict[str, object]:
    """Add the key to the values of a patch that is addressed by id: it says whose they are."""
    return _in_order({**values, KEY_COLUMN: key})


def digest_of(body: str) -> str:
    """Name a patch by its content: half a SHA-256, in hex."""
    return sha256(body.encode()).hexdigest()[:32]


def fields_of(values: Mapping[str, object]) -> tuple[str, ...]:
    """Return the fields that a patch sends, in the contract's order.

    The key is among them in a patch that is addressed by id.
    """
    return tuple(sorted(values, key=_PLACE.__getitem__))


def merged(patches: Iterable[tuple[str, Sequence[str]]]) -> tuple[str, str, str] | Reason:
    """Merge patches for one showing into (body, digest, fields); later values win.

    Each comes with the fields that a blank cell clears in it: they are cleared only if no other
    patch has a value for them. Returns the reason instead when the merged patch contradicts itself.
    """
    values: dict[str, object] = {}
    blanks: dict[str, object] = {}
    for body, blank in patches:
        for name, value in json.loads(body).items():
            (blanks if name in blank else values)[name] = value
    values = blanks | values
    start, end = (values.get(name) for name in ("showing_time_start", "showing_time_end"))
    if isinstance(start, str) and isinstance(end, str) and is_before(end, start):
        return Reason(Expected.END_AFTER_START, "showing_time_end", end, facts={"start": start})
    body = body_of(values)
    return body, digest_of(body), " ".join(fields_of(values))


def without_known(body: str, known: Mapping[str, object]) -> tuple[str, str, str] | None:
    """Return a patch without the values that its showing has, as (body, digest, fields).

    None when nothing is left. A patch that is addressed by id keeps its key as long as anything
    is left, because the key says whose values they are.
    """
    values: dict[str, object] = json.loads(body)
    rest = {
        name: value
        for name, value in values.items()
        if name not in known or not same(name, value, known[name])
    }
    if not rest:
        return None
    if KEY_COLUMN in values:
        rest[KEY_COLUMN] = values[KEY_COLUMN]
    left = body_of(rest)
    return left, digest_of(left), " ".join(fields_of(rest))


def same(field: str, one: object, other: object) -> bool:
    """Return True when the API takes two values of a field for one.

    Instants are compared by the moment they name, everything else exactly.
    """
    if field in INSTANTS and isinstance(one, str) and isinstance(other, str):
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    return one == other and type(one) is type(other)


def is_before(one: str, other: str) -> bool:
    """Return True when the first of two instants, as they are sent, is the earlier one."""
    if one[19:] == other[19:]:  # with one offset they sort as texts
        return one < other
    return datetime.fromisoformat(one) < datetime.fromisoformat(other)


def _in_order(values: Mapping[str, object]) -> dict[str, object]:
    return {name: values[name] for name in sorted(values, key=_PLACE.__getitem__)}

"""Models composed of parts, which take the fields of all parts as flat arguments."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from bulk_sync.errors import UsageError
from bulk_sync.settings.messages import sentences
from bulk_sync.settings.option import declared

if TYPE_CHECKING:
    from collections.abc import Mapping

P = TypeVar("P")

_STRICT = ConfigDict(
    frozen=True,
    extra="forbid",
    hide_input_in_errors=True,  # it may be a key
    defer_build=True,  # `--help` imports the models and needs no validator
    revalidate_instances="always",  # parts are plain dataclasses, which validate nothing themselves
)


class Composed(BaseModel):
    """Settings made of parts.

    Takes the fields of its parts by the names of their options (`deadline="2h"`), as text or as
    values, and whole parts by the names of its own fields (`sending=Sending(workers=8)`). Raises
    UsageError with a sentence for each wrong value.
    """

    model_config = _STRICT

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise UsageError(sentences(error, self._parts())) from None

    @classmethod
    def checked(cls, **values: object) -> Self:
        """Return the settings, as the constructor does; kept for compatibility."""
        return cls(**values)

    @classmethod
    def of(cls, given: Mapping[str, object], **more: object) -> Self:
        """Return the settings from the options of a command, ignoring other options."""
        known = {name for part in cls._parts().values() for name in names_of(part)}
        known |= cls.model_fields.keys()
        return cls(**{name: value for name, value in given.items() if name in known} | more)

    def changed(self, **values: object) -> Self:
        """Return a copy with other values, given as to the constructor."""
        own = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self)(**own | values)

    @classmethod
    def _parts(cls) -> dict[str, type]:
        return _parts_of(cls)

    @model_validator(mode="before")
    @classmethod
    def _sort_into_parts(cls, values: dict[str, object]) -> dict[str, Any]:
        return cls.sorted_into_parts(values)

    @classmethod
    def sorted_into_parts(cls, values: Mapping[str, object]) -> dict[str, Any]:
        """Group the values of each part under its name, and keep all others."""
        parts = cls._parts()
        homes = _homes_in(cls)
        found: dict[str, Any] = {name: _as_dict(values.get(name, {})) for name in parts}
        for name, value in values.items():
            if name in homes:
                part, field = homes[name]
                found[part][field] = value
            elif name not in parts:
                found[name] = value
        return found


def part(kind: type[P], values: Mapping[str, object]) -> P:
    """Return one part from values by option name, ignoring the others.

    Raises UsageError with a sentence for each wrong value.
    """
    own = {one.field: values[one.keyword] for one in declared(kind) if one.keyword in values}
    cached: type = kind  # mypy takes a `type[P]` for nothing that can be hashed
    try:
        found: P = _adapter(cached).validate_python(own)
    except ValidationError as error:
        raise UsageError(sentences(error, {"": kind})) from None
    return found


@cache  # a run of many jobs makes the same parts for each of them
def _adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


@cache
def names_of(part: type) -> Mapping[str, str]:
    """Return the field of each name by which it may be given: its own and its option's."""
    own = {field.name: field.name for field in dataclasses.fields(part)}
    return own | {one.keyword: one.field for one in declared(part)}


@cache
def _parts_of(model: type[BaseModel]) -> dict[str, type]:
    return {
        name: field.annotation
        for name, field in model.model_fields.items()
        if isinstance(field.annotation, type) and dataclasses.is_dataclass(field.annotation)
    }


@cache
def _homes_in(model: type[Composed]) -> dict[str, tuple[str, str]]:
    """Return the part and the field there of each name that a value may be given by."""
    return {
        name: (part, field)
        for part, kind in _parts_of(model).items()
        for name, field in names_of(kind).items()
    }


def _as_dict(part: object) -> dict[str, object]:
    if isinstance(part, dict):
        return dict(part)
    return dict(vars(part))

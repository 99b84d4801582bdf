"""The declaration of options.

A part of the settings is a dataclass whose fields are annotated with an `Option`. The command line,
the environment, `bulk-sync.toml`, `init`'s file, `doctor`'s list and `docs/reference.md` are made
from it, and pydantic validates its fields by it.
"""

from __future__ import annotations

import dataclasses
import keyword
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

from bulk_sync.model.names import check_dated

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


PREFIX = "BULK_SYNC_"
"""The prefix of the environment variables of options."""


class Kind(Enum):
    """The shape of an option's value on the command line, in the environment and in a file."""

    FLAG = "true or false"
    COUNT = "a whole number"
    TEXT = "a text or a number"
    PATH = "a path"
    LIST = "a text or a list of texts"


class Access(Enum):
    """The use that a run makes of the file that an option names.

    No file that is written has another use in the run: see `run.paths`.
    """

    READ = "read"
    WRITTEN = "written: replaced, added to, or made"
    DATABASE = "a database, written together with the files next to it"
    FOLDER = "a folder: the files in it have names of their own"


@dataclass(frozen=True, slots=True)
class Form:
    """The textual form of a value.

    `parse` raises ValueError with a sentence that shows the right form; `show` is its inverse.
    `noun` and `such_as` are for messages about the range, and `none` is the text of None. A
    repeatable option has a `collect`, which combines all of its values; `is_mapping` if to a dict.
    """

    noun: str
    such_as: str
    parse: Callable[[str], Any]
    show: Callable[[Any], str] = str
    none: str = ""
    collect: Callable[[Iterable[Any]], Any] | None = None
    is_mapping: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """The option of a field, and its help.

    `name` is needed where the option has another name than the field; `metavar` may be left out for
    flags and choices, `example` where the default is one. The bounds hold for numbers: `above` is
    exclusive, the others are inclusive. A path needs its `access`, and so does a text that may be
    one; `no_paths` are the texts that are none. In the name of a `dated` one, `{date}` and `{time}`
    are filled in: see `run.dated`.
    """

    help: str
    metavar: str = ""
    name: str = ""
    short: str = ""
    form: Form | None = None
    example: str = ""
    panel: str = ""
    counts: bool = False
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    access: Access | None = None
    no_paths: tuple[str, ...] = ()
    dated: bool = False

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Validate as the type says, after reading text and before checking the range.

        JSON has values as they are typed, so that they can be read back.
        """
        from pydantic_core.core_schema import (
            no_info_wrap_validator_function,
            plain_serializer_function_ser_schema,
        )

        as_text = None
        if self.form is not None and not self.form.is_mapping:
            as_text = plain_serializer_function_ser_schema(
                self._as_json, when_used="json-unless-none"
            )
        return no_info_wrap_validator_function(
            self._validated, handler(source), serialization=as_text
        )

    def _validated(self, given: object, validate: Callable[[object], object]) -> object:
        value = validate(self._read(given))
        # bool is a subclass of int, and True has no range.
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            self._check_range(given, value)
        if self.dated and isinstance(value, Path):
            check_dated(value)
        return value

    def _read(self, given: object) -> object:
        if self.form is None:
            return given
        form, collect = self.form, self.form.collect
        if isinstance(given, int):  # 90 in a program means the same as "90" on the command line
            given = str(given)
        if collect is None:
            return form.parse(given) if isinstance(given, str) else given
        if given is None and not form.is_mapping:
            return ()
        if given is None or isinstance(given, dict):
            return given
        many = given if isinstance(given, (list, tuple)) else [given]
        return collect(form.parse(one) if isinstance(one, str) else one for one in many)

    def _check_range(self, given: object, value: float) -> None:
        shown = given if isinstance(given, str) else self.text_of(value)
        if math.isnan(value):
            raise ValueError(f"{shown} is not a number{self.range_hint()}")
        if self.above is not None and value <= self.above:
            noun = f"{self.form.noun} above" if self.form else "number above"
            such_as = f", such as {self.form.such_as}" if self.form else ""
            raise ValueError(f"{shown} is not a {noun} {self.above:g}{such_as}")
        if self.at_least is not None and value < self.at_least:
            raise ValueError(
                f"{shown} is less than {self.text_of(self.at_least)}{self.range_hint()}"
            )
        if self.at_most is not None and value > self.at_most:
            raise ValueError(
                f"{shown} is more than {self.text_of(self.at_most)}{self.range_hint()}"
            )

    def range_hint(self) -> str:
        """Return the range, as the end of a message."""
        if self.at_least is None:
            return ""
        if self.at_most is None:
            return f": write {self.text_of(self.at_least)} or more"
        return f": write {self.text_of(self.at_least)} to {self.text_of(self.at_most)}"

    def _as_json(self, value: object) -> str | list[str]:
        return (
            [self.text_of(one) for one in value]
            if isinstance(value, tuple)
            else self.text_of(value)
        )

    def text_of(self, value: object) -> str:
        """Return the value as it is typed; "" for None."""
        if value is None or value == ():
            return self.form.none if self.form else ""
        if isinstance(value, tuple):
            return ", ".join(map(self.text_of, value))
        if isinstance(value, bool):
            return str(value).lower()
        if self.form is not None and not isinstance(value, str):
            return self.form.show(value)
        return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Declared:
    """A field of a part, as its option declares it; `default` is that of the field."""

    field: str
    name: str
    option: Option
    panel: str
    kind: Kind
    choices: tuple[str, ...]
    required: bool
    default: Any
    about_sheet: bool
    """True when it says only how a sheet is read."""
    settable: bool = True
    """True when the environment and files may set it, too."""

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return f"--{self.name}"

    @property
    def keyword(self) -> str:
        """The name for Python: of the library's flat arguments and the commands' parameters."""
        name = self.name.replace("-", "_")
        return f"{name}_" if keyword.iskeyword(name) else name

    @property
    def access(self) -> Access | None:
        """The use that a run makes of the path; None for an option that is no path."""
        return self.option.access

    @property
    def metavar(self) -> str:
        """The placeholder of the value; "" for a flag."""
        return self.option.metavar or "|".join(self.choices)

    @property
    def default_text(self) -> str:
        """The default as it is typed; "" when there is none."""
        return self.option.text_of(self.default)

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper().replace("-", "_")


def declared(part: type) -> tuple[Declared, ...]:
    """Return the options of a part, in the order of its fields."""
    return _options_of(part)


@cache
def _options_of(part: type) -> tuple[Declared, ...]:
    hints = get_type_hints(part, include_extras=True)
    found = []
    for field in dataclasses.fields(part):
        hint = hints[field.name]
        option = next((one for one in get_args(hint)[1:] if isinstance(one, Option)), None)
        if option is not None:
            found.append(_declaration(part, field, get_args(hint)[0], option))
    return tuple(found)


def select_options(part: type, *names: str) -> tuple[Declared, ...]:
    """Return some options of a part, by the names of their fields."""
    return tuple(one for one in declared(part) if one.field in names)


def _declaration(
    part: type, field: dataclasses.Field[Any], bare: object, option: Option
) -> Declared:
    types = get_args(bare) if get_origin(bare) in {Union, UnionType} else (bare,)
    choices = tuple(
        str(choice) for one in types if get_origin(one) is Literal for choice in get_args(one)
    )
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    return Declared(
        field=field.name,
        name=option.name or field.name.replace("_", "-"),
        option=option,
        panel=option.panel or getattr(part, "PANEL", ""),
        kind=_kind(types, option),
        choices=choices,
        required=required,
        default=None if field.default is dataclasses.MISSING else field.default,
        about_sheet=getattr(part, "ABOUT_SHEET", False),
        settable=getattr(part, "SETTABLE", True),
    )


def _kind(types: tuple[object, ...], option: Option) -> Kind:
    if option.form is not None and option.form.collect is not None:
        return Kind.LIST
    if option.counts:
        return Kind.COUNT
    if bool in types:
        return Kind.FLAG
    return Kind.PATH if Path in types else Kind.TEXT

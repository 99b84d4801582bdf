"""Generate the functions that typer takes from the declarations of commands and options.

A command is a function of `Given`; its options are those of the settings' parts that it lists.
Defaults stay with their declaration, so a command gets only the values that were given.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bulk_sync.settings.option import Declared, Kind, declared
from bulk_sync.settings.target import without_key_source

if TYPE_CHECKING:
    from bulk_sync.cli.config import Sourced

_TYPES: dict[Kind, Any] = {
    Kind.FLAG: bool,
    Kind.COUNT: int,
    Kind.TEXT: str,
    Kind.PATH: Path,
    Kind.LIST: list[str],
}
# For flags: with an empty metavar, typer shows their type.
_NO_PLACEHOLDER = " "


@dataclass(frozen=True, slots=True)
class Argument:
    """The positional argument of a command, by the name under which it is given.

    Where it `is_sheet`, it is only read, and nothing is written to it. It is one path or, with
    `many`, several; with `is_text` it is a text, or with `many` texts, which may be left out, as
    may a path that `is_optional`.
    """

    name: str
    metavar: str
    help: str
    many: bool = False
    is_sheet: bool = True
    is_text: bool = False
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """The input of a command, from the command line, the environment and files.

    `values` are by keyword, and `typed` has the keywords of those on the command line. `elsewhere`
    has all values from environment and files by option name, including those of other commands.
    """

    values: Mapping[str, Any]
    typed: frozenset[str] = frozenset()
    elsewhere: Mapping[str, Sourced] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """A command: its function, its argument, its options."""

    run: Callable[[Given], int]
    argument: Argument | None
    groups: tuple[type | tuple[Declared, ...], ...]
    takes_settings: bool = True

    @property
    def name(self) -> str:
        """The name of the command; one of a group follows the group's name."""
        return self.run.__name__.replace("_", " ")

    @property
    def help(self) -> str:
        """The help text of the command, one line per paragraph, so that the terminal wraps it."""
        return re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(self.run) or "")

    @property
    def options(self) -> tuple[Declared, ...]:
        """The options in the order of the help."""
        return tuple(
            one
            for group in self.groups
            for one in (group if isinstance(group, tuple) else declared(group))
        )


def for_typer(
    command: Command,
    elsewhere: Callable[[], Mapping[str, Sourced]],
    config: Any,  # noqa: ANN401 - an annotation
) -> Callable[..., None]:
    """Return the command as a function with the signature that typer reads."""

    def call(context: typer.Context, **values: Any) -> None:  # noqa: ANN401 - of any option
        sources = {name: context.get_parameter_source(name) for name in values}
        # Drop the defaults: the parts of the settings have them.
        given = {
            name: values[name]
            for name, source in sources.items()
            if source is not None and source.name != "DEFAULT" and name != "config"
        }
        typed = frozenset(
            name for name in given if getattr(sources[name], "name", "") == "COMMANDLINE"
        )
        # Imported late: they need pydantic, which the help of all commands doesn't.
        from bulk_sync.cli.overlaps import refuse_overlaps
        from bulk_sync.settings.sheet import not_typed

        reads_sheets = command.argument is not None and command.argument.is_sheet
        refuse_overlaps(command.options, given, values.get("config"), reads_sheets=reads_sheets)
        set_elsewhere = {name: value for name, value in given.items() if name not in typed}
        own = {name: given[name] for name in typed}
        given = not_typed(without_key_source(set_elsewhere, own) | own, typed)
        found = without_key_source(elsewhere(), own)
        raise typer.Exit(command.run(Given(given, typed, found)))

    parameters = [_parameter("context", typer.Context)]
    if command.argument is not None:
        parameters.append(_argument(command.argument))
    parameters += [_option(one) for one in command.options]
    if command.takes_settings:
        parameters.append(_parameter("config", config, None))
    call.__name__ = command.run.__name__
    call.__doc__ = command.help
    call.__annotations__ = {one.name: one.annotation for one in parameters}
    setattr(call, "__signature__", inspect.Signature(parameters))  # noqa: B010 - inspect reads it
    return call


def _parameter(
    name: str,
    annotation: Any,  # noqa: ANN401 - an annotation
    default: Any = inspect.Parameter.empty,  # noqa: ANN401 - of any option
) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


def _argument(argument: Argument) -> inspect.Parameter:
    info = typer.Argument(metavar=argument.metavar, help=argument.help, show_default=False)
    if argument.is_text:
        if not argument.many:
            return _parameter(argument.name, Annotated[str, info])
        return _parameter(argument.name, Annotated[list[str] | None, info], None)
    if argument.is_optional:
        return _parameter(argument.name, Annotated[Path | None, info], None)
    kind = list[Path] if argument.many else Path
    return _parameter(argument.name, Annotated[kind, info])


def _option(one: Declared) -> inspect.Parameter:
    option = one.option
    info = typer.Option(
        one.flag,
        *([option.short] if option.short else []),
        metavar=one.metavar or _NO_PLACEHOLDER,
        help=option.help,
        count=option.counts,
        show_default=bool(one.default_text) and one.kind not in {Kind.FLAG, Kind.COUNT},
        autocompletion=_completion(one.choices) if one.choices else None,
        rich_help_panel=one.panel or None,
    )
    return _parameter(one.keyword, _annotated(one, info), _default(one))


def _annotated(one: Declared, info: Any) -> Any:  # noqa: ANN401 - an annotation
    kind = _TYPES[one.kind]
    return (
        Annotated[kind, info]
        if one.kind is Kind.FLAG or one.required
        else Annotated[kind | None, info]
    )


def _default(one: Declared) -> Any:  # noqa: ANN401 - of any option
    """Return the default for the help; `call` drops it."""
    if one.required:
        return inspect.Parameter.empty
    if one.kind is Kind.FLAG:
        return False
    if one.kind is Kind.LIST:
        return [one.default_text] if one.default_text else None
    return 0 if one.kind is Kind.COUNT else one.default_text or None


def _completion(choices: Iterable[str]) -> Callable[[], list[str]]:
    return lambda: list(choices)

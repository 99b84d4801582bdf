"""The entry point: run the command, and turn errors into sentences and exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup

from bulk_sync import signals
from bulk_sync.cli import bugs
from bulk_sync.cli.catalogue import COMMANDS, GROUPS
from bulk_sync.cli.completion import refuse_other_shells
from bulk_sync.cli.declare import for_typer
from bulk_sync.cli.streams import standard_output
from bulk_sync.errors import BulkSyncError, Declined
from bulk_sync.settings.option import PREFIX
from bulk_sync.version import __version__


class _PrintsHelp:
    """A command whose help goes to a standard output that may be full, or without a reader."""

    def get_help(self, ctx: Any) -> str:  # noqa: ANN401 - a context of the click in typer
        """Print the help; return what is left to print. Raises OutputError."""
        left: str = ""
        with standard_output():
            try:
                left = super().get_help(ctx)  # type: ignore[misc] # that of typer's classes below
            except SystemExit:
                # rich ends the program with 1 when the reader has left.
                raise BrokenPipeError from None
        return left


class _Group(_PrintsHelp, TyperGroup):
    """A group of commands."""


class _Command(_PrintsHelp, TyperCommand):
    """A command."""


_EPILOG = (
    "Exit codes: 0 done, 2 usage, 3 some rows need correction, 4 input, 5 key, 6 run again, "
    "7 busy, 8 output. bulk-sync help lists the pages of the documentation."
)

app = typer.Typer(
    name="bulk-sync",
    cls=_Group,
    help="Bring spreadsheets of property showings into North, with a result for every row.",
    epilog=_EPILOG,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def main() -> NoReturn:
    """Run a command and exit with its code; errors are sentences on standard error."""
    for stream in (sys.stdout, sys.stderr):
        # Escape characters that the terminal can't show, instead of ending with a traceback.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    code = _run()
    signals.ended(code)
    sys.exit(code)


def _run() -> int:
    """Run the command of the command line; return its exit code."""
    try:
        with signals.raising():
            # Not standalone: typer would print errors in its own words and exit with its own codes.
            code = _help_page()
            if code is None:
                code = _called()
                _list_topics()
    except _UsageProblem as problem:
        _show_failure(_usage_sentence(problem))
        return 2
    except Declined as declined:
        with suppress(OSError):
            sys.stdout.write(f"{declined}\n")
        return declined.exit_code
    except BulkSyncError as error:
        _show_failure(str(error))
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the last one to see it
        hint = "" if _switches["debug"] else ". --debug shows a traceback, without values"
        _show_failure(f"{bugs.sentence(error)}{hint}")
        if _switches["debug"]:
            sys.stderr.write(bugs.trace(error))
        return 1
    return code or 0


def _called() -> int | None:
    """Run the command; return its exit code, None without one."""
    refuse_other_shells(sys.argv[1:])
    program = _program()
    if sys.argv[1:2] == ["--show-completion"]:
        return _show_completion(program)
    return program(args=_arguments(), prog_name="bulk-sync", standalone_mode=False)


def _show_completion(program: Callable[..., int | None]) -> int | None:
    """Print the script that sets up completion, which typer prints alone."""
    with standard_output():
        try:
            return program(args=_arguments(), prog_name="bulk-sync", standalone_mode=False)
        except SystemExit as end:
            # typer ends the program with 1 when the reader has left.
            if end.code:
                raise BrokenPipeError from None
    return 0


def _help_page() -> int | None:
    """Print the page of `help TOPIC`; return None if the command line asks for no topic."""
    words = sys.argv[1:]
    if words[:1] != ["help"] or not words[1:] or words[1].startswith("-") or words[1] in COMMANDS:
        return None
    from bulk_sync.cli.topics import show_topic

    show_topic(" ".join(words[1:]), COMMANDS)
    return 0


def _list_topics() -> None:
    """Print the topics after the help that `help` alone prints."""
    if sys.argv[1:] == ["help"]:
        from bulk_sync.cli.topics import show_topics

        show_topics()


def _arguments() -> list[str]:
    """Return the command line; `help COMMAND` becomes `COMMAND --help`."""
    words = sys.argv[1:]
    return [*words[1:3], "--help"] if words[:1] == ["help"] else _with_values(words)


def _with_values(words: list[str]) -> list[str]:
    """Return the words with "" after a bare --jobs of `status`; typer has no optional values."""
    found = []
    for place, word in enumerate(words):
        is_last = place + 1 == len(words) or words[place + 1].startswith("-")
        bare = words[0] == "status" and word == "--jobs" and is_last
        found.append("--jobs=" if bare else word)
    return found


def _program() -> Callable[..., int | None]:
    """Return the program with the called command only, because declaring all takes time."""
    called = next((word for word in _arguments() if not word.startswith("-")), "")
    app.registered_commands, app.registered_groups = [], []
    groups: dict[str, typer.Typer] = {}
    some = [one for name, one in COMMANDS.items() if name.split()[0] == called]
    for command in some or COMMANDS.values():
        group, _, name = command.name.rpartition(" ")
        if group and group not in groups:
            groups[group] = typer.Typer(help=GROUPS[group], cls=_Group)
            app.add_typer(groups[group], name=group)
        (groups[group] if group else app).command(name, cls=_Command)(
            for_typer(command, lambda: _elsewhere, ConfigFile)
        )
    return typer.main.get_command(app)


# typer bundles its own click and exports only this usage error; its parent is `UsageError`.
_UsageProblem: type[Exception] = typer.BadParameter.mro()[1]


_EXTRA = re.compile(r"extra argument.* \((.*)\)$")


def _name_of(parameter: Any) -> str:  # noqa: ANN401 - of the click in typer
    """Return an option, or an argument as the help names it."""
    options = [one for one in getattr(parameter, "opts", ()) if one.startswith("--")]
    return str(options[0] if options else getattr(parameter, "metavar", None) or "an argument")


def _usage_sentence(problem: Exception) -> str:
    from bulk_sync.cli.habits import advice

    sentence = str(getattr(problem, "format_message", problem.__str__)()).rstrip(".")
    context, option = getattr(problem, "ctx", None), getattr(problem, "option_name", None)
    match type(problem).__name__:
        case "NoSuchOption" if option is not None:
            similar = getattr(problem, "possibilities", None) or ()
            sentence = advice(option, sys.argv[1:], similar)
        case "BadOptionUsage" if option is not None:
            takes_none = "not take a value" in sentence
            sentence = f"{option} takes no value" if takes_none else f"{option} needs a value"
        case "MissingParameter":
            sentence = f"{_name_of(getattr(problem, 'param', None))} is missing"
        case _ if found := _EXTRA.search(sentence):
            sentence = f"this command does not take: {found[1]}"
        case _ if sentence == "Missing command":
            names = getattr(context and context.command, "commands", ())
            sentence = f"name what to do: {' or '.join(names)}"
    if context is None:
        return sentence
    end = "" if sentence.endswith("?") else "."
    return f"{sentence}{end} See: {context.command_path} --help"


def _show_failure(sentence: str) -> None:
    """Print an error without keys, and the source of its options if it is not the command line."""
    from bulk_sync.cli.streams import show_failure
    from bulk_sync.secret import without_keys

    given = {word.partition("=")[0] for word in sys.argv[1:]}
    named = {
        name: _elsewhere.get(name.removeprefix("--"))
        for name in re.findall(r"--[a-z][a-z-]+", sentence)
    }
    where = [
        f"{name} is set in {found.source}"
        for name, found in named.items()
        if found is not None and name not in given
    ]
    text = f"{sentence.rstrip('.')} ({'; '.join(where)})" if where else sentence
    show_failure(without_keys(text))


_switches = {"debug": False}
# The values that the environment and files give to options, as config.Sourced, by option name.
_elsewhere: dict[str, Any] = {}


def _take_settings(context: typer.Context, config: Path | None) -> Path | None:
    """Set the values from environment and files as typer's defaults."""
    from bulk_sync.cli.config import config_files, read_sources
    from bulk_sync.folders import config_folder

    _elsewhere.clear()
    settable = [one for one in COMMANDS.values() if one.takes_settings]
    options = [option for one in settable for option in one.options if option.settable]
    about_sheet = frozenset(option.name for option in options if option.about_sheet)
    files = config_files(config, Path(), config_folder(), about_sheet)
    if not files and not any(name.startswith(PREFIX) for name in os.environ):
        return config
    kinds = {option.name: option.kind for option in options}
    _elsewhere.update(read_sources(kinds, os.environ, files))
    own = COMMANDS[context.command.name or ""].options
    context.default_map = {
        option.keyword: _elsewhere[option.name].value for option in own if option.name in _elsewhere
    }
    return config


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        is_eager=True,
        callback=_take_settings,
        envvar="BULK_SYNC_CONFIG",
        help="Read settings from this file; default: bulk-sync.toml in this folder and in your "
        "configuration folder.",
        show_envvar=False,
        rich_help_panel="Settings",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        with standard_output():
            typer.echo(f"bulk-sync {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback prints and exits
        bool,
        typer.Option(
            "--version",
            metavar=" ",
            help="Print the version.",
            is_eager=True,
            callback=_print_version,
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option("--debug", metavar=" ", help="Show a traceback when the run ends with a bug."),
    ] = False,
) -> None:
    _switches["debug"] = debug
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)
        raise typer.Exit(2)

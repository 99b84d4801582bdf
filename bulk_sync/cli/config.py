"""Read options from the environment and settings files.

`BULK_SYNC_RETRY_FOR=1h`, or `retry-for = "1h"` in a `bulk-sync.toml`, means the same as
`--retry-for 1h` and has the same parser. The command line takes precedence over the environment,
the environment over the file in the current folder, and that over the file in the user's
configuration folder. `--config FILE` replaces both files. An unknown name is an error, because a
misspelt `max-failures` must not go unnoticed.

The file of the current folder may have come with the sheets, from anybody. It may say only how a
sheet is read, and name no path outside its folder: nothing that decides where the key comes from or
goes, what is sent, written or run.

A flag is `true` or `false`; an option that may be repeated is a text or a list of them, with one
value per line in the environment; `map` may also be a table. Paths in a file are relative to the
folder of that file.
"""

from __future__ import annotations

import json
import os
import stat
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from bulk_sync import platforms
from bulk_sync.cli.habits import REMOVED
from bulk_sync.errors import UsageError, not_toml
from bulk_sync.platforms import why_refused
from bulk_sync.settings.option import PREFIX, Declared, Kind
from bulk_sync.settings.target import without_key_source
from bulk_sync.similar import closest
from bulk_sync.small_file import NoSmallFile, parse_toml, read_small_file

FILE_NAME = "bulk-sync.toml"

# Variables that are no options: --config, and the exit code that is passed to a hook.
_NOT_OPTIONS = frozenset({"CONFIG", "EXIT_CODE"})

_ELSEWHERE = (
    "Give it on the command line, in the environment or in your configuration folder (bulk-sync "
    "init --user writes a file there), or name the file with --config"
)

Value = bool | int | str | list[str]


class Sourced(Struct, frozen=True):
    """The value of an option and its source: the name of a variable or a file."""

    value: Value
    source: str


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """A settings file; `allowed` has the options that it may set, None for all."""

    path: Path
    allowed: frozenset[str] | None = None


def read_sources(
    kinds: Mapping[str, Kind], environ: Mapping[str, str], files: Iterable[SettingsFile]
) -> dict[str, Sourced]:
    """Return the options that files and the environment set; earlier files take precedence.

    `kinds` has every option by its name without leading dashes. Raises UsageError with the source
    and the closest name.
    """
    found: dict[str, Sourced] = {}
    for more in (
        *(_from_file(file, kinds) for file in reversed(list(files))),
        _from_environment(environ, kinds),
    ):
        found = without_key_source(found, more) | more
    return found


def config_files(
    config: Path | None, folder: Path, user_folder: Path | None, about_sheet: frozenset[str]
) -> list[SettingsFile]:
    """Return the files to read: the named one, else those that exist, the nearest first.

    The file of `folder` may set only the options in `about_sheet`. Raises UsageError if the named
    one does not exist.
    """
    if config is not None:
        if not _is_file(config):
            raise UsageError(
                f"--config {config}: no such file; bulk-sync init writes one to start with"
            )
        return [SettingsFile(config)]
    files = [SettingsFile(folder / FILE_NAME, about_sheet)]
    if user_folder is not None:
        files.append(SettingsFile(user_folder / FILE_NAME))
    return [file for file in files if _is_file(file.path)]


def _is_file(path: Path) -> bool:
    """Return True for a file of any kind; False also in a folder that this user can't read."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # sudo and cron may run with another user's HOME
        return False


def _from_file(file: SettingsFile, kinds: Mapping[str, Kind]) -> dict[str, Sourced]:
    shown, folder = str(file.path), file.path.absolute().parent
    found = {}
    for key, value in parsed(file.path).items():
        name = known_name(key, kinds, shown)
        if file.allowed is not None and name not in file.allowed:
            raise UsageError(
                f"{shown}: {name} is not read from the file of the current folder, which may have "
                f"come from anybody with the sheets. {_ELSEWHERE}"
            )
        checked = checked_value(name, value, kinds[name], shown, folder)
        if file.allowed is not None and kinds[name] is Kind.PATH:
            _refuse_outside(str(checked), folder, f"{shown}: {name}")
        found[name] = Sourced(checked, shown)
    return found


def _refuse_outside(path: str, folder: Path, what: str) -> None:
    """Refuse a path that leads out of the folder, also through a symlink."""
    if path == "-" or not Path(path).resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"{what} leads out of the folder, and this file may have come from anybody with the "
            f"sheets. {_ELSEWHERE}"
        )


def known_name(key: str, kinds: Mapping[str, Kind], shown: str) -> str:
    """Return the option that a key of a file names; raises UsageError with the closest name."""
    name = key.replace("_", "-")
    if name not in kinds:
        raise UsageError(f"{shown}: {_unknown(key, name, kinds)}")
    return name


def parsed(path: Path) -> dict[str, object]:
    """Return the content of a TOML file that only its user can write; raises UsageError."""
    try:
        text, found = read_small_file(path)
        _refuse_unsafe_owner(path, found)
        return parse_toml(text.decode("utf-8-sig"))
    except NoSmallFile as error:
        raise UsageError(f"{path}: {error}, so it is no settings file") from None
    except RecursionError:
        raise UsageError(f"{path}: nested too deeply for a settings file") from None
    except OSError as error:
        raise UsageError(f"{path}: {why_refused(error)}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {not_toml(error)}") from None


def _refuse_unsafe_owner(path: Path, found: os.stat_result) -> None:
    """Refuse a file that somebody else can write, because it could send the key elsewhere."""
    user = platforms.user_id()
    if user is None:
        return
    if found.st_uid not in {0, user}:
        raise UsageError(
            f"{path}: this file belongs to another user, so it is not read; name it with --config"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{path}: others can write this file. Correct it with: chmod go-w {path}")


def _from_environment(environ: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, Sourced]:
    found = {}
    for variable, text in environ.items():
        key = variable.removeprefix(PREFIX)
        if key == variable or key in _NOT_OPTIONS or not text:
            continue  # an empty variable counts as unset, as in most programs
        name = key.lower().replace("_", "-")
        if name not in kinds:
            raise UsageError(
                _unknown(
                    variable, name, kinds, lambda close: PREFIX + close.upper().replace("-", "_")
                )
            )
        value = (
            [line for line in text.splitlines() if line.strip()]
            if kinds[name] is Kind.LIST
            else text
        )
        found[name] = Sourced(checked_value(name, value, kinds[name], variable, Path()), variable)
    return found


def _unknown(key: str, name: str, kinds: Mapping[str, Kind], spell: object = None) -> str:
    # Don't repeat a key that ended up in the wrong place: messages go to logs.
    shown = key if "north_sk_" not in key.lower() else "a name that looks like a key"
    if name in {"key", "api-key", "north-api-key"}:
        return (
            f"{shown}: the API key is not a setting: put it into a file that only you can read, "
            "and name the file with key-file"
        )
    if name in REMOVED:
        return f"{shown} is no longer a setting: {REMOVED[name]}"
    close = closest(name, kinds)
    suggested = spell(close[0]) if close and callable(spell) else close[0] if close else None
    return f"{shown} is not a setting" + (
        f": did you mean {suggested}?" if suggested else "; bulk-sync doctor lists all settings"
    )


def checked_value(name: str, value: object, kind: Kind, source: str, folder: Path) -> Value:
    """Return the value in the type that the option's parser takes; raises UsageError.

    Paths are relative to `folder`.
    """
    match kind:
        case Kind.FLAG:
            flag = _as_flag(value)
            if flag is not None:
                return flag
        case Kind.LIST:
            texts = _as_list(name, value)
            if texts is not None:
                return texts
        case Kind.COUNT:
            if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
                return int(value)
        case Kind.PATH:
            if isinstance(value, str):
                # Path.expanduser raises for a user without a home folder.
                expanded = os.path.expanduser(value)  # noqa: PTH111
                return str(folder / expanded) if value != "-" else value
        case Kind.TEXT:
            if not isinstance(value, (bool, list, dict)):
                return str(value)
    raise UsageError(f"{source}: {name} takes {kind.value}")


def _as_list(name: str, value: object) -> list[str] | None:
    if name == "map" and isinstance(value, dict):
        return [f"{header}={field}" for header, field in value.items()]
    many: list[object] = value if isinstance(value, list) else [value]
    texts = [one for one in many if isinstance(one, str)]
    return texts if len(texts) == len(many) else None


def _as_flag(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.lower()
        )
    return value if isinstance(value, bool) else None


def template(options: Iterable[Declared]) -> str:
    """Return a settings file with every option commented out, with its help and a value."""
    lines = [
        "# Settings of bulk-sync. An option on the command line wins over the environment",
        "# (BULK_SYNC_RETRY_FOR=1h), and that over this file. The API key is not a setting: it is",
        "# read from NORTH_API_KEY, or from the file that key-file names.",
    ]
    panels: dict[str, list[Declared]] = {}
    for option in options:
        panels.setdefault(option.panel, []).append(option)
    for panel, members in panels.items():
        lines += ["", f"# {panel}"]
        for option in members:
            lines += [
                "",
                *textwrap.wrap(option.option.help, 98, initial_indent="# ", subsequent_indent="# "),
            ]
            lines.append(f"# {option.name} = {_example(option)}")
    return "\n".join(lines) + "\n"


def _example(option: Declared) -> str:
    """Return a value in TOML: the default, else an example."""
    text = option.default_text or option.option.example
    match option.kind:
        case Kind.FLAG:
            return "false"
        case Kind.COUNT:
            return "0"
        case Kind.LIST:
            return json.dumps([text])
        case _:
            is_number = option.option.form is None and text.replace(".", "", 1).isdigit()
            return text if is_number else json.dumps(text, ensure_ascii=False)

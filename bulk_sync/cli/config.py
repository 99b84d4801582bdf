"""Options that are said elsewhere than on the command line: in the environment, and in files.

`BULK_SYNC_RETRY_FOR=1h`, and `retry-for = "1h"` in a `bulk-sync.toml`, say what `--retry-for 1h`
says, and are read by the same parsers. The command line wins over the environment, that over the
file in this folder, that over the file in the user's configuration folder. `--config FILE` takes
the place of both files. A name that no command knows is an error: a misspelt `max-failures` must
not look as if it held.

How a value is said: a flag as `true` or `false`; an option that may be repeated as a list (in the
environment one to a line); `map` also as a table. Paths in a file are taken from the folder of that
file.
"""

from __future__ import annotations

import difflib
import json
import os
import stat
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct

from bulk_sync.errors import UsageError
from bulk_sync.settings.option import PREFIX, Declared, Kind

FILE_NAME = "bulk-sync.toml"

_OURS = frozenset({"CONFIG", "EXIT_CODE"})
"""Names in the environment that are no option's: what --config says there, and what a hook is told.
"""

_LARGEST_FILE = 1 << 20


Value = bool | int | str | list[str]


class Told(Struct, frozen=True):
    """What was said of an option, and where: the name of a variable, or of a file."""

    value: Value
    where: str


def told(
    kinds: Mapping[str, Kind], environ: Mapping[str, str], files: Iterable[Path]
) -> dict[str, Told]:
    """What the files and the environment say of the options; of several files an earlier one wins.

    `kinds` has every option by its name without dashes in front. Raises UsageError, with the place
    and the closest name.
    """
    found: dict[str, Told] = {}
    for path in reversed(list(files)):
        found |= _of_file(path, kinds)
    return found | _of_environment(environ, kinds)


def files_of(config: Path | None, folder: Path, user_folder: Path) -> list[Path]:
    """The files to read: the one that is named, else those that are there, the nearest first.

    Raises UsageError for one that is named and isn't there.
    """
    if config is not None:
        if not _is_there(config):
            raise UsageError(
                f"--config {config}: there is no such file. bulk-sync init writes one to begin with"
            )
        return [config]
    return [path for path in (folder / FILE_NAME, user_folder / FILE_NAME) if _is_there(path)]


def _is_there(path: Path) -> bool:
    """False also in a folder that this user may not look into, as under sudo or cron with another's
    HOME.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def _of_file(path: Path, kinds: Mapping[str, Kind]) -> dict[str, Told]:
    shown = str(path)
    values = _parsed(path)
    found = {}
    for key, value in values.items():
        name = key.replace("_", "-")
        if name not in kinds:
            raise UsageError(f"{shown}: {_unknown(key, name, kinds)}")
        found[name] = Told(_checked(name, value, kinds[name], shown, path.absolute().parent), shown)
    return found


def _parsed(path: Path) -> dict[str, object]:
    try:
        _refuse_what_others_write(path)
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
        if len(text) > _LARGEST_FILE:
            raise UsageError(f"{path}: larger than a file of settings is")
        return tomllib.loads(text.decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            f'{path}: not TOML: {error}. A text stands in quotes, as in rate = "10/s"'
        ) from None


def _refuse_what_others_write(path: Path) -> None:
    """A file that somebody else may write could send the key to another address."""
    if os.name != "posix":
        return
    found = path.stat()
    if found.st_uid not in {0, os.geteuid()}:
        raise UsageError(
            f"{path}: this file belongs to another user, so it is not relied on; name it with --config"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UsageError(f"{path}: others can write this file. Mend it with: chmod go-w {path}")


def _of_environment(environ: Mapping[str, str], kinds: Mapping[str, Kind]) -> dict[str, Told]:
    found = {}
    for variable, text in environ.items():
        key = variable.removeprefix(PREFIX)
        if key == variable or key in _OURS or not text:  # an empty one is as good as none
            continue
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
        found[name] = Told(_checked(name, value, kinds[name], variable, Path()), variable)
    return found


def _unknown(key: str, name: str, kinds: Mapping[str, Kind], spell: object = None) -> str:
    shown = key if "north_sk_" not in key.lower() else "a name that looks like a key"
    if name in {"key", "api-key", "north-api-key"}:
        return f"{shown}: the API key is no setting: put it into a file that only you can read, and name it: key-file"
    close = difflib.get_close_matches(name, kinds, n=1, cutoff=0.5)
    said = spell(close[0]) if close and callable(spell) else close[0] if close else None
    return f"{shown} is no setting" + (
        f": did you mean {said}?" if said else "; bulk-sync doctor lists them all"
    )


def _checked(name: str, value: object, kind: Kind, where: str, folder: Path) -> Value:
    """The value as the option's parser takes it."""
    match kind:
        case Kind.FLAG:
            flag = _as_flag(value)
            if flag is not None:
                return flag
        case Kind.LIST:
            if name == "map" and isinstance(value, dict):
                value = [f"{header}={field}" for header, field in value.items()]
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                return value
        case Kind.COUNT:
            if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()):
                return int(value)
        case Kind.PATH:
            if isinstance(value, str):
                return str(folder / Path(value).expanduser()) if value != "-" else value
        case Kind.TEXT:
            if not isinstance(value, (bool, list, dict)):
                return str(value)
    raise UsageError(f"{where}: {name} takes {kind.value}")


def _as_flag(value: object) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
            value.lower()
        )
    return value if isinstance(value, bool) else None


def template(options: Iterable[Declared]) -> str:
    """Return a file of settings with every option as a comment: its help, and a value it takes."""
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
    """A value in TOML: the default, else an example."""
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

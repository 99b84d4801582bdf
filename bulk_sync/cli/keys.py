"""The API key of a command: from a file, a program or the keychain, else the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.secret import read_key
from bulk_sync.settings.target import KEY_SOURCES, Target

# Four characters of a shorter key would reveal too much of it.
_LONG_ENOUGH_TO_SHOW_ITS_END = 24


def with_key(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the key, unless it is a rehearsal. Raises UsageError without one."""
    if given.get("sandbox"):
        return dict(given)
    key_file, *others = (given.get(source) for source in KEY_SOURCES)
    key = read_key(key_file, os.environ, *others)
    return {**given, "key": key}


def key_or_error(target: Target) -> SecretStr | UsageError:
    """Return the key, or the error if it can't be read."""
    try:
        return read_key(target.key_file, os.environ, target.key_command, target.keychain)
    except UsageError as error:
        return error


def describe(key: SecretStr | UsageError, target: Target) -> tuple[str, str]:
    """Return a description that does not reveal the key, and its source."""
    if isinstance(key, UsageError):
        return "not set", ""
    text = key.get_secret_value()
    end = f", ends in ...{text[-4:]}" if len(text) >= _LONG_ENOUGH_TO_SHOW_ITS_END else ""
    source = "NORTH_API_KEY" if target.key_file is None else str(target.key_file)
    if target.key_command is not None:
        source = "--key-command"
    elif target.keychain is not None:
        source = f"the keychain, under {target.keychain}"
    return f"set, {len(text)} characters{end}", source

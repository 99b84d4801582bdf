"""The API key of a command: from a file, a program or the keychain, else the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.secret import check_key, read_key
from bulk_sync.settings.target import KEY_SOURCES, Target

# Four characters of a shorter key would reveal too much of it.
_LONG_ENOUGH_TO_SHOW_ITS_END = 24


def with_key(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the key, unless it is a rehearsal. Raises UsageError without one."""
    if given.get("sandbox"):
        return dict(given)
    sources = [given.get(source) for source in KEY_SOURCES]
    key = read_key(sources[0], os.environ, *sources[1:])
    try:
        check_key(key)
    except ValueError as error:
        raise UsageError(f"{_source(*sources)}: {error}.") from None
    return {**given, "key": key}


def _source(key_file: Path | None, command: str | None, keychain: str | None) -> str:
    if command is not None:
        return "--key-command"
    if keychain is not None:
        return f"the keychain, under {keychain}"
    return "NORTH_API_KEY" if key_file is None else str(key_file)


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
    source = _source(*(getattr(target, source) for source in KEY_SOURCES))
    return f"set, {len(text)} characters{end}", source

"""The API to send to, and its key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

from bulk_sync.address import DEFAULT_BASE_URL
from bulk_sync.settings.forms import BASE_URL, NAME
from bulk_sync.settings.option import Access, Option

KEY_SOURCES = ("key_file", "key_command", "keychain")
"""The options that say where the key comes from; a run takes one of them."""

_Value = TypeVar("_Value")


def without_key_source(
    values: Mapping[str, _Value], instead_of: Collection[str]
) -> dict[str, _Value]:
    """Return the values without a source of the key if one is among the names that go before.

    `--keychain` on the command line takes the place of `key-file` in a settings file.
    """
    if not any(_is_key_source(name) for name in instead_of):
        return dict(values)
    return {name: value for name, value in values.items() if not _is_key_source(name)}


def _is_key_source(name: str) -> bool:
    return name.replace("-", "_") in KEY_SOURCES


@dataclass(frozen=True, kw_only=True)
class Target:
    """The API and the key to it.

    With `sandbox` a push goes to a sandbox of its own, and `base_url` is `sandbox:`.
    """

    PANEL = "Sending"

    base_url: Annotated[str, Option("The address of the API.", "URL", form=BASE_URL)] = (
        DEFAULT_BASE_URL
    )
    key_file: Annotated[
        Path | None,
        Option(
            "Read the API key from a file that only you can read; default: NORTH_API_KEY.",
            "FILE",
            example="north.key",
            access=Access.READ,
        ),
    ] = None
    key_command: Annotated[
        str | None,
        Option(
            "Run this command, without a shell, and take the first line that it prints as the API "
            "key.",
            "COMMAND",
            example="pass show north/example-realty",
        ),
    ] = None
    keychain: Annotated[
        str | None,
        Option(
            "Read the API key from the system's keychain, where bulk-sync key set stored it under "
            "this name.",
            "NAME",
            form=NAME,
            example="Example Realty",
        ),
    ] = None
    team: Annotated[
        str | None,
        Option(
            "The team to send to, by name or id: with a key of any other team nothing is sent. A "
            "rehearsal needs no team.",
            "NAME|ID",
            form=NAME,
            example="Example Realty",
        ),
    ] = None
    sandbox: Annotated[bool, Option("Rehearse: start a sandbox and send to it.")] = False

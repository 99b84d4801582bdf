"""The commands that store a key in the system's keychain, and remove it. Each returns its code.

No command shows a key. One is read from a terminal without echo, else from standard input: the
command line is visible to every user of the host, and ends up in the shell's history.
"""

from __future__ import annotations

import getpass
import sys
import warnings

from pydantic import SecretStr

from bulk_sync import keychain
from bulk_sync.cli.collector import start_collector
from bulk_sync.cli.streams import out, standard_output
from bulk_sync.errors import UsageError
from bulk_sync.quoting import joined
from bulk_sync.secret import check_key, checked_name

# More than any key has; whatever else was redirected to standard input is not read to its end.
_MOST_CHARACTERS = 1024


def set_key(given: str) -> int:
    """Read a key and store it under this name."""
    start_collector()
    name = checked_name(given, "key set")
    replaced = keychain.store_key(name, _checked(_typed(name) if _at_terminal() else _piped()))
    _say(
        f"{'Replaced' if replaced else 'Stored'} the key of {name} in the system's keychain. "
        f"Try it: {joined(['bulk-sync', 'doctor', '--keychain', name])}"
    )
    return 0


def remove_key(given: str) -> int:
    """Remove the key that is stored under this name."""
    start_collector()
    name = checked_name(given, "key remove")
    keychain.remove_key(name)
    _say(f"Removed the key of {name} from the system's keychain. It is still valid in North.")
    return 0


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _typed(name: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            return getpass.getpass(f"API key of {name} (it is not shown): ")
        except getpass.GetPassWarning:
            raise UsageError(
                "key set: this terminal would show the key; give it on standard input"
            ) from None
        except EOFError:
            return ""


def _piped() -> str:
    try:
        text = sys.stdin.read(_MOST_CHARACTERS)
    except UnicodeDecodeError:
        raise UsageError("key set: standard input is not text") from None
    # Editors add a line end, and on Windows a byte order mark.
    return text.removeprefix("\ufeff").rstrip("\r\n")


def _checked(text: str) -> SecretStr:
    if not text:
        raise UsageError("key set: no key was given; nothing was stored")
    try:
        return check_key(SecretStr(text))
    except ValueError as error:
        raise UsageError(f"key set: {error}; nothing was stored") from None


def _say(line: str) -> None:
    with standard_output():
        out().print(line, markup=False, soft_wrap=True)

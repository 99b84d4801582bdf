"""API keys: read, fingerprint and mask them."""

from __future__ import annotations

import hashlib
import re
import stat
import subprocess
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from bulk_sync import platforms
from bulk_sync.child import first_line_of
from bulk_sync.errors import UsageError
from bulk_sync.keychain import stored_key
from bulk_sync.platforms import why_refused
from bulk_sync.quoting import split
from bulk_sync.small_file import NoSmallFile, read_small_file

SANDBOX_KEY = SecretStr("north_sk_test_0000000000000000000000000sandbox")
"""The key of a rehearsal; a sandbox takes any test key."""

KEY_COMMAND_SECONDS = 120
"""The time for a key command, which may ask the user for a passphrase."""

# Not the beginning alone, by which a message shows the form of a key.
_KEY = re.compile(r"north_sk_(?!(?:live|test)_(?!\w))\w+")


def check_key(key: SecretStr) -> SecretStr:
    """Return the key if it can be sent in a header; raises ValueError without the key in it."""
    text = key.get_secret_value()
    if not re.fullmatch(r"[!-~]{8,512}", text):
        raise ValueError(
            "this is not a North API key: one begins with north_sk_live_ or north_sk_test_, and "
            "has 8 to 512 characters, without blanks, line breaks or accents"
        )
    return key


def read_key(
    key_file: Path | None,
    environ: Mapping[str, str],
    key_command: str | None = None,
    keychain: str | None = None,
) -> SecretStr:
    """Return the API key from a file, a command or the system's keychain, else from NORTH_API_KEY.

    Raises UsageError without one. A file that others can read is refused, because whoever reads the
    key can change clients' data.
    """
    given = {"--key-file": key_file, "--key-command": key_command, "--keychain": keychain}
    named = [option for option, value in given.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join(named)}: give one of them.")
    if key_command is not None:
        return _printed_key(key_command)
    if keychain is not None:
        return stored_key(checked_name(keychain, "--keychain"))
    if key_file is not None:
        return _key_in(key_file)
    key = environ.get("NORTH_API_KEY", "")
    if not key.strip():
        raise UsageError(
            "No API key: set NORTH_API_KEY, or name a file that holds it with --key-file, a "
            "command that prints it with --key-command, or its name in the keychain with "
            "--keychain."
        )
    return SecretStr(key)


def checked_name(name: str, about: str) -> str:
    """Return the name of a key in the keychain, without blanks around it; raises UsageError."""
    if "north_sk_" in name:  # don't repeat it: a message may end up in a log
        raise UsageError(f"{about} takes the name of a key, such as its team's, not the key itself")
    # One name, however its accents were typed.
    clean = unicodedata.normalize("NFC", name).strip()
    if not clean or not clean.isprintable():
        raise UsageError(f"{about} takes the name of a key, such as its team's: {name!r} is none")
    return clean


def _printed_key(command: str) -> SecretStr:
    """Return the key that a command prints; no error repeats the command, or what it printed."""
    option = "--key-command"
    if "north_sk_" in command:
        raise UsageError(f"{option} takes a command that prints the key, not the key itself.")
    try:
        words = split(command)
    except ValueError:
        raise UsageError(f"{option}: a quotation mark has no counterpart.") from None
    if not words:
        raise UsageError(f"{option}: the command is blank; an example: pass show north/key")
    try:
        line, code = first_line_of(words, KEY_COMMAND_SECONDS)
        key = line.decode()
    except subprocess.TimeoutExpired:
        raise UsageError(f"{option}: no key within {KEY_COMMAND_SECONDS} s.") from None
    except OSError as error:
        raise UsageError(f"{option}: {words[0]} can't be run: {why_refused(error)}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"{option}: the first line that it printed is no text.") from None
    if code:
        raise UsageError(f"{option}: {words[0]} ended with exit code {code}.")
    if not key.strip():
        raise UsageError(f"{option}: the first line that {words[0]} printed is blank.")
    return SecretStr(key)


def _key_in(key_file: Path) -> SecretStr:
    if "north_sk_" in key_file.name:  # don't repeat it: a message may end up in a log
        raise UsageError(
            "--key-file takes the name of a file that holds the key, not the key itself."
        )
    try:
        content, found = read_small_file(key_file)
        if platforms.HAS_OWNERS and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                f"--key-file {key_file}: others can read this file. Correct it with: chmod 600 "
                f"{key_file}"
            )
        # Editors add a line end, and on Windows a byte order mark.
        key = content.decode("utf-8-sig").strip("\r\n")
        if not key.strip():
            raise UsageError(f"--key-file {key_file}: is empty: paste the key as its only line.")
        return SecretStr(key)
    except NoSmallFile as error:
        raise UsageError(f"--key-file {key_file}: {error}, so it is no key file.") from None
    except OSError as error:
        raise UsageError(f"--key-file {key_file}: {why_refused(error)}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"--key-file {key_file}: not a text file.") from None


def fingerprint(key: SecretStr) -> str:
    """Return a digest that identifies the key without revealing it."""
    # A fast hash is enough, because a key is 32 random characters and can't be guessed.
    return hashlib.sha256(b"bulk-sync " + key.get_secret_value().encode()).hexdigest()[:16]


def without_keys(text: str) -> str:
    """Return a text with its keys masked; it may quote the command line."""
    return _KEY.sub("north_sk_***", text)

"""API keys: read, fingerprint and mask them."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from bulk_sync.errors import UsageError
from bulk_sync.small_file import NoSmallFile, read_small_file

SANDBOX_KEY = SecretStr("north_sk_test_0000000000000000000000000sandbox")
"""The key of a rehearsal; a sandbox takes any test key."""

_KEY = re.compile(r"north_sk_\w+")


def check_key(key: SecretStr) -> SecretStr:
    """Return the key if it can be sent in a header; raises ValueError without the key in it."""
    text = key.get_secret_value()
    if not re.fullmatch(r"[!-~]{8,512}", text):
        raise ValueError(
            "the API key is not of the form north_sk_live_...: it must be 8 to 512 characters, "
            "without blanks, line breaks or accents"
        )
    return key


def read_key(key_file: Path | None, environ: Mapping[str, str]) -> SecretStr:
    """Return the API key from a file, else from NORTH_API_KEY; raises UsageError without one.

    A file that others can read is refused, because whoever reads the key can change clients' data.
    """
    if key_file is None:
        key = environ.get("NORTH_API_KEY", "")
        if not key.strip():
            raise UsageError(
                "No API key: set NORTH_API_KEY, or name a file that holds it with --key-file."
            )
        return SecretStr(key)
    if "north_sk_" in key_file.name:  # don't repeat it: a message may end up in a log
        raise UsageError(
            "--key-file takes the name of a file that holds the key, not the key itself."
        )
    try:
        content, found = read_small_file(key_file)
        if os.name == "posix" and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(
                f"--key-file {key_file}: others can read this file. Correct it with: chmod 600 "
                f"{key_file}"
            )
        # Editors add a line end, and on Windows a byte order mark.
        return SecretStr(content.decode("utf-8-sig").strip("\r\n"))
    except NoSmallFile as error:
        raise UsageError(f"--key-file {key_file}: {error}, so it is no key file.") from None
    except OSError as error:
        raise UsageError(f"--key-file {key_file}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise UsageError(f"--key-file {key_file}: not a text file.") from None


def fingerprint(key: SecretStr) -> str:
    """Return a digest that identifies the key without revealing it."""
    # A fast hash is enough, because a key is 32 random characters and can't be guessed.
    return hashlib.sha256(b"bulk-sync " + key.get_secret_value().encode()).hexdigest()[:16]


def without_keys(text: str) -> str:
    """Return a text with its keys masked; it may quote the command line."""
    return _KEY.sub("north_sk_***", text)

"""The system's keychain: API keys under the names of teams, through `keyring` (an extra).

A backend is code of others, and may wait for a person who unlocks the keychain. So it is called in
a thread of its own, for a bounded time, and no error repeats the text of its own: that may have a
key in it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pydantic import SecretStr

from bulk_sync.errors import BulkSyncError, OutputError, UsageError, install_with
from bulk_sync.quoting import joined

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "bulk-sync"
"""The name of the program in the keychain."""

ANSWER_SECONDS = 120.0
"""The time for the keychain, which may ask the user to unlock it; as long as a key command has."""

_INSTEAD = (
    "On Linux it is GNOME Keyring or KWallet in a desktop session. A server, a container or a cron "
    "job has none: give --key-file or --key-command there"
)

_Answer = TypeVar("_Answer")

_unanswered: list[threading.Thread] = []
"""The question that was not answered in time; while it is open, the keychain is not asked again."""


def stored_key(name: str) -> SecretStr:
    """Return the key that is stored under this name; raises UsageError."""
    about = f"--keychain {name}"
    key = _ask(lambda backend: backend.get_password(SERVICE, name), about)
    if key is None:
        raise UsageError(
            f"{about}: no key is stored; store it with: {joined(['bulk-sync', 'key', 'set', name])}"
        )
    return SecretStr(key)


def store_key(name: str, key: SecretStr) -> bool:
    """Store a key under this name; return True if it replaces another.

    Raises UsageError, and OutputError if the keychain does not keep it.
    """
    about, text = f"key set {name}", key.get_secret_value()

    def store(backend: KeyringBackend) -> tuple[str | None, str | None]:
        before = backend.get_password(SERVICE, name)
        backend.set_password(SERVICE, name, text)
        # Some backends, such as keyring's own null.Keyring, accept a key and keep none.
        return before, backend.get_password(SERVICE, name)

    before, after = _ask(store, about, OutputError)
    if after != text:
        raise OutputError(f"{about}: the keychain did not keep the key. {_DIAGNOSE}")
    return before is not None


def remove_key(name: str) -> None:
    """Remove the key that is stored under this name; raises UsageError, OutputError."""
    about = f"key remove {name}"

    def remove(backend: KeyringBackend) -> bool:
        is_stored = backend.get_password(SERVICE, name) is not None
        if is_stored:
            backend.delete_password(SERVICE, name)
        return is_stored

    if not _ask(remove, about, OutputError):
        raise UsageError(f"{about}: no key is stored under this name")


_DIAGNOSE = "python -m keyring diagnose shows which keychain is used"


def _ask(
    question: Callable[[KeyringBackend], _Answer],
    about: str,
    failure: type[BulkSyncError] = UsageError,
) -> _Answer:
    """Return the answer of this host's keychain; raises UsageError or `failure` for its errors."""
    found: list[_Answer | BulkSyncError] = []
    unanswered = UsageError(
        f"{about}: no answer from the keychain within {ANSWER_SECONDS:g} s; unlock it, then run "
        "again"
    )
    # Sixty jobs must not wait one after the other for a keychain that nobody unlocks.
    if any(thread.is_alive() for thread in _unanswered):
        raise unanswered
    # Not the pool's threads: the program must not wait at its end for one that never returns.
    asking = threading.Thread(
        target=lambda: found.append(_answer(question, about, failure)), daemon=True
    )
    asking.start()
    asking.join(ANSWER_SECONDS)
    if not found:
        _unanswered[:] = [asking]
        raise unanswered
    answer = found[0]
    if isinstance(answer, BulkSyncError):
        raise answer
    return answer


def _answer(
    question: Callable[[KeyringBackend], _Answer], about: str, failure: type[BulkSyncError]
) -> _Answer | BulkSyncError:
    """Ask, and translate every error of the backend; see the README of keyring."""
    try:
        import keyring
        from keyring import errors
    except ImportError:
        return UsageError(f"{about}: the keychain needs another package: {install_with('keyring')}")
    try:
        backend = keyring.get_keyring()
    except Exception as error:  # noqa: BLE001 - the code of a backend, and of its settings
        return UsageError(
            f"{about}: the keychain can't be loaded ({type(error).__name__}): check "
            f"PYTHON_KEYRING_BACKEND and keyring's settings. {_DIAGNOSE}"
        )
    try:
        return question(backend)
    except errors.NoKeyringError:
        return UsageError(f"{about}: this host has no keychain. {_INSTEAD}")
    except errors.KeyringLocked:
        return UsageError(
            f"{about}: the keychain is locked, or the access was denied: unlock it and allow "
            "the access, then run again"
        )
    except errors.InitError:
        return UsageError(f"{about}: the keychain can't be opened. {_INSTEAD}")
    except Exception as error:  # noqa: BLE001 - the code of a backend, of which there are many
        return failure(f"{about}: the keychain failed ({type(error).__name__}). {_DIAGNOSE}")

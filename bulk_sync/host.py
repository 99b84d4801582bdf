"""The identity of this host and of its current boot. Only reads.

Runs on one host share the API's limit in a file whose instants are on the host's monotonic clock.
Another host, or another boot of this one, has another clock: `host_id` is in the file's name and
`boot_id` is for its content, so that neither takes the other's instants for its own.
"""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

# machine-id(5); D-Bus has its own copy where systemd is missing.
_MACHINE_ID_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
# FreeBSD's, a UUID.
_HOST_ID_FILE = Path("/etc/hostid")

# random(4); containers see the boot of the kernel that they share, like its monotonic clock.
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")

_IDENTIFIER = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

# A UUID as text has 36 characters, and a NUL ends it.
_UUID_BYTES = 64


def host_id(
    files: Sequence[Path] = (*_MACHINE_ID_FILES, _HOST_ID_FILE), hostname: str | None = None
) -> str:
    """Return the machine's id and its hostname; the hostname alone where there is no id.

    The id alone doesn't do: containers made from one image, and cloned machines, may share it. It
    should not leave the host as it is (machine-id(5)): use a digest.
    """
    machine = next(filter(None, map(_identifier_in, files)), "")
    name = socket.gethostname() if hostname is None else hostname
    return f"{machine} {name.lower()}"


def boot_id(file: Path = _BOOT_ID_FILE, platform: str = sys.platform) -> str | None:
    """Return the id of the machine's current boot; None where the system doesn't name it."""
    if platform == "darwin":
        return _boot_session_of_macos()
    return _identifier_in(file)


def _identifier_in(file: Path) -> str | None:
    """Return the id in a file; None if it is missing, blank or a word like `uninitialized`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_UUID_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return None
    return text.lower() if _IDENTIFIER.fullmatch(text) else None


def _boot_session_of_macos() -> str | None:
    """Return `kern.bootsessionuuid`; `kern.boottime` moves whenever the clock is set."""
    import ctypes  # only here, because it takes milliseconds

    buffer = ctypes.create_string_buffer(_UUID_BYTES)
    size = ctypes.c_size_t(_UUID_BYTES)
    try:
        failed = ctypes.CDLL(None).sysctlbyname(
            b"kern.bootsessionuuid", buffer, ctypes.byref(size), None, ctypes.c_size_t(0)
        )
    except (OSError, TypeError, AttributeError):  # no C library to load, or one without it
        return None
    text = buffer.value.decode("ascii", "replace")
    return None if failed or _IDENTIFIER.fullmatch(text) is None else text.lower()

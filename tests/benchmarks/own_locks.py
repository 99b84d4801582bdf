"""A preload of Dask workers: each has lock files of its own, as on storage that shares no locks.

The note of a holder is next to its lock file, so that another worker sees neither: what remains
between two tasks of a job is the lease. The folder is named by `OWN_LOCKS`.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from bulk_sync.job import lock


def _own(checkpoint: Path, ending: str) -> Path:
    name = hashlib.sha256(str(checkpoint.absolute()).encode()).hexdigest()
    return Path(os.environ["OWN_LOCKS"], f"{name[:16]}.{ending}")


lock.lock_path = lambda checkpoint: _own(checkpoint, "lock")
lock.note_path = lambda checkpoint: _own(checkpoint, "holder")

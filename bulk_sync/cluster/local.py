"""A cluster on this machine, in a process of its own: scheduler, and workers in processes.

    python -m bulk_sync.cluster.local N

It prints the address of its scheduler, and ends with its standard input: whatever becomes of the
command that started it, it leaves no process behind. It listens on loopback only, and has no
dashboard. As all children, it is started without the API key (see `child`).
"""

from __future__ import annotations

import logging
import os
import sys

# Workers that don't answer for so long are given up.
_TTL = "30s"


def main() -> None:
    """Run the cluster until standard input ends."""
    from distributed import LocalCluster

    # Children of this process import nothing from the current folder either; see `child`.
    os.environ["PYTHONSAFEPATH"] = "1"
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with LocalCluster(
        n_workers=int(sys.argv[1]),
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        memory_limit=0,
        scheduler_kwargs={"worker_ttl": _TTL},
        silence_logs=logging.CRITICAL,
    ) as cluster:
        sys.stdout.write(f"{cluster.scheduler_address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()

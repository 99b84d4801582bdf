"""The limit of open files of this process (RLIMIT_NOFILE)."""

from __future__ import annotations

import sys

from bulk_sync.errors import UsageError

# Files for checkpoint, event loop, DNS and standard streams; at most 15 were open in measurements.
_OTHER_FILES = 24


def allow_open_files(connections: int, *, ends: int = 1) -> None:
    """Raise the limit if the connections need it; raises UsageError where that isn't allowed.

    `ends` is 2 where the sandbox at the other end is in this process. To be called before anything
    is opened: without descriptors, every later step fails in a way of its own.
    """
    if sys.platform == "win32":
        return
    import resource

    needed = connections * ends + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or needed <= soft:
        return
    if hard != resource.RLIM_INFINITY and needed > hard:
        if hard < (least := ends + _OTHER_FILES):
            raise UsageError(
                f"the limit of open files is {hard}, and a push needs at least {least}: raise it "
                "with ulimit -n"
            )
        raise UsageError(
            f"--workers {connections}: that many connections need {needed} open files, but the "
            f"limit is {hard}: use fewer workers, or raise the limit with ulimit -n"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

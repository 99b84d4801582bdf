"""The limit of open files of this process (RLIMIT_NOFILE)."""

from __future__ import annotations

import sys

from bulk_sync.errors import UsageError

# Files for checkpoint, event loop, DNS and standard streams; at most 15 were open in measurements.
_OTHER_FILES = 24

# Checkpoint with WAL and index, locks, budget and connections: 10 in a run of 300 jobs at 5/s.
_LEAST_FILES_OF_A_JOB, _FILES_OF_A_JOB = 10, 24


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


def allow_files_of_jobs(jobs: int) -> None:
    """Raise the limit for jobs that run at the same time; raises UsageError if it is too low.

    Connections beyond a few for each job are its own affair: see `allow_open_files`.
    """
    if sys.platform == "win32":
        return
    import resource

    wanted = jobs * _FILES_OF_A_JOB + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    least = jobs * _LEAST_FILES_OF_A_JOB + _OTHER_FILES
    if hard != resource.RLIM_INFINITY and least > hard:
        raise UsageError(
            f"--at-once {jobs}: that many jobs need {least} open files, but the limit is {hard}: "
            "use a lower --at-once, or raise the limit with ulimit -n"
        )
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))

"""The limit of open files of this process (RLIMIT_NOFILE)."""

from __future__ import annotations

from bulk_sync import platforms
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
    needed, least = connections * ends + _OTHER_FILES, ends + _OTHER_FILES
    most = _raised(needed, needed)
    if most is None:
        return
    if most < least:
        raise UsageError(
            f"the limit of open files is {most}, and a push needs at least {least}: raise it "
            "with ulimit -n"
        )
    raise UsageError(
        f"--workers {connections}: that many connections need {needed} open files, but the "
        f"limit is {most}: use fewer workers, or raise the limit with ulimit -n"
    )


def allow_files_of_jobs(jobs: int) -> None:
    """Raise the limit for jobs that run at the same time; raises UsageError if it is too low.

    Connections beyond a few for each job are its own affair: see `allow_open_files`.
    """
    least = jobs * _LEAST_FILES_OF_A_JOB + _OTHER_FILES
    most = _raised(jobs * _FILES_OF_A_JOB + _OTHER_FILES, least)
    if most is not None:
        raise UsageError(
            f"--at-once {jobs}: that many jobs need {least} open files, but the limit is {most}: "
            "use a lower --at-once, or raise the limit with ulimit -n"
        )


def _raised(wanted: int, least: int) -> int | None:
    """Raise the limit to `wanted`, or as far as allowed; return it if it is under `least`."""
    limits = platforms.most_open_files()
    if limits is None:
        return None
    soft, hard = limits
    if soft is None or wanted <= soft:
        return None
    if hard is not None and hard < least:
        return hard
    for number in (wanted if hard is None else min(wanted, hard), least):
        if number <= soft or platforms.raise_most_open_files(number):
            return None
    return soft

"""The next command to run, derived from the one that was run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from bulk_sync.model.summaries import CheckSummary
from bulk_sync.quoting import joined
from bulk_sync.report.next_step import without
from bulk_sync.settings.option import Declared, Kind

# A command may have a token in it, such as a webhook's address. What takes its place is no command,
# so a pasted line can't run another one.
_SECRET_VALUES = frozenset({"--on-finish", "--key-command"})
_ELLIPSIS = "..."


def after_check(summary: CheckSummary) -> str | None:
    """Return the push command for a checked sheet; None if there is nothing to send."""
    if summary.stopped is not None or not summary.requests or summary.input == "-":
        return None
    words = without(
        ["push" if word == "check" else word for word in typed_words()], "--show", "--save-profile"
    )
    profile = ["--profile", summary.profile] if summary.profile else []
    return joined(["bulk-sync", *words, *profile])


# What a run of some of the jobs has in common with that of all: not its page, log or window.
_OF_SOME_JOBS = ("--config", "--dask", "--jobs", "--metrics-file")


def runs_of_jobs(options: Sequence[Declared]) -> Callable[[Sequence[str]], str]:
    """Return a function that returns this command for some of its jobs; as it was without names.

    `options` are those of the command.
    """
    words = typed_words()
    without_value = {one.flag for one in options if one.kind in {Kind.FLAG, Kind.COUNT}}
    takes_value = {"--config", *(one.flag for one in options)} - without_value
    kept, place = words[:1], 1
    while place < len(words) and words[place] != "--":
        word = words[place]
        size = 2 if word in takes_value else 1
        if word.partition("=")[0] in _OF_SOME_JOBS:
            kept += words[place : place + size]
        place += size

    def command(names: Sequence[str]) -> str:
        end_of_options = ["--"] if any(name.startswith("-") for name in names) else []
        return joined(["bulk-sync", *([*kept, *end_of_options, *names] if names else words)])

    return command


def typed_words() -> list[str]:
    """Return the words of the command line, with dots in place of values that may be secrets."""
    shown: list[str] = []
    is_secret = False
    for word in sys.argv[1:]:
        name, is_assigned, _ = word.partition("=")
        if is_secret:
            shown.append(_ELLIPSIS)
        elif is_assigned and name in _SECRET_VALUES:
            shown.append(f"{name}={_ELLIPSIS}")
        else:
            shown.append(word)
        is_secret = not is_secret and word in _SECRET_VALUES
    return shown

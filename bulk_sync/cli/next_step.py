"""The next command to run, derived from the one that was run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from bulk_sync.model.comparison import Reconciliation, RowClass
from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.model.summaries import CheckSummary, Summary
from bulk_sync.settings.option import Declared, Kind
from bulk_sync.settings.push import PushSettings

# A command may have a token in it, such as a webhook's address. What takes its place is no command,
# so a pasted line can't run another one.
_SECRET_VALUES = frozenset({"--on-finish", "--key-command"})
_ELLIPSIS = "..."


def after_check(summary: CheckSummary) -> str | None:
    """Return the push command for a checked sheet; None if there is nothing to send."""
    if summary.stopped is not None or not summary.requests or summary.input == "-":
        return None
    words = _without(
        ["push" if word == "check" else word for word in _words()], "--show", "--save-profile"
    )
    profile = ["--profile", summary.profile] if summary.profile else []
    return shlex.join(["bulk-sync", *words, *profile])


def push_of_differences(summary: Reconciliation) -> str | None:
    """Return the command that sends the differences; None if there are none, or it is refused."""
    if any(one.pattern.overwrites for one in summary.systematic):
        return None
    differing = (summary.classes[RowClass.DIFFERS], summary.classes[RowClass.CONFLICT])
    return (
        shlex.join(["bulk-sync", *_words(), "--push"])
        if any(differing) and summary.input != "-"
        else None
    )


def after_push(summary: Summary, pushed: PushSettings | None) -> str | None:
    """Return the next step: after a push a command to paste, else a phrase."""
    if summary.running:
        return "wait, a run holds this checkpoint now"
    any_error = any(summary.states.get(state, 0) for state in ERROR_STATES)
    if summary.exit_code == 3 and not any_error:
        return "compare the rows that came back changed with North"
    only_failed = not any(summary.states.get(state, 0) for state in ERROR_STATES - {State.FAILED})
    if summary.exit_code == 3 and summary.files.failed and not only_failed:
        # Named files belong to this job, and the corrected rows are a job of their own.
        own_files = any(word.startswith(("--checkpoint", "--results")) for word in sys.argv[1:])
        if pushed is None or own_files:
            return f"correct {summary.files.failed}, then: push it with the options of this job"
        return f"correct {summary.files.failed}, then: {_push_of_corrected(summary, pushed)}"
    if summary.exit_code == 0 or (summary.exit_code == 3 and not only_failed):
        return None
    if pushed is None:
        return f"push {summary.input} again, with the options it had"
    words = [word for word in _words() if word != "--fresh"]
    if summary.exit_code == 3 and any(cause.left_in_doubt for cause in summary.causes):
        repeating = [*_without(words, "--ambiguous"), "--ambiguous", "retry"]
        return (
            "look the rows up in North that may have been applied; to send them again: "
            f"{shlex.join(['bulk-sync', *repeating])}"
        )
    again = shlex.join(["bulk-sync", *words])
    return f"correct the key, then: {again}" if summary.exit_code == 5 else again


# What a run of some of the jobs has in common with that of all: not its page, log or window.
_OF_SOME_JOBS = ("--config", "--jobs", "--metrics-file")


def runs_of_jobs(options: Sequence[Declared]) -> Callable[[Sequence[str]], str]:
    """Return a function that returns this command for some of its jobs; as it was without names.

    `options` are those of the command.
    """
    words = _words()
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
        return shlex.join(["bulk-sync", *([*kept, *end_of_options, *names] if names else words)])

    return command


def _push_of_corrected(summary: Summary, pushed: PushSettings) -> str:
    """Return this push for the corrected rows, with all options except those about the file."""
    # Keep unknown options: a lost --sandbox would send a rehearsal to North.
    # A second undo file would replace the one that restores the rows of the first; a second page
    # would replace the one of the whole sheet. A choice of rows is about the sheet, too.
    words = _without(
        _words(),
        "--delimiter",
        "--encoding",
        "--header-row",
        "--sheet",
        "--undo-file",
        "--page",
        "--rows",
        "--where",
        "--limit",
    )
    words = [
        str(summary.files.failed) if word == summary.input else word
        for word in words
        if word != "--fresh"
    ]
    plain_csv = (
        ("--delimiter", pushed.reading.delimiter, ","),
        ("--encoding", pushed.reading.encoding, "utf-8"),
        ("--header-row", pushed.reading.header_row, "1"),
    )
    # The profile may set these for the original sheet; options take precedence.
    options = [
        word for option, known, value in plain_csv if known is not None for word in (option, value)
    ]
    return shlex.join(["bulk-sync", *words, *options])


def _words() -> list[str]:
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


def _without(words: Sequence[str], *options: str) -> list[str]:
    """Return the words without some options and their values."""
    kept: list[str] = []
    skip = False
    for word in words:
        if (
            not skip
            and word not in options
            and not word.startswith(tuple(f"{option}=" for option in options))
        ):
            kept.append(word)
        skip = not skip and word in options
    return kept

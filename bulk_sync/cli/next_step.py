"""The command to run next, made from the one that was run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from bulk_sync.model.comparison import Reconciliation, Standing
from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.model.summaries import CheckSummary, Summary
from bulk_sync.settings.push import PushSettings


def after_check(summary: CheckSummary) -> str | None:
    """The push that sends what was checked."""
    if summary.stopped is not None or not summary.requests or summary.input == "-":
        return None
    words = _without(
        ["push" if word == "check" else word for word in sys.argv[1:]], "--show", "--save-profile"
    )
    profile = ["--profile", summary.profile] if summary.profile else []
    return shlex.join(["bulk-sync", *words, *profile])


def push_of_differences(summary: Reconciliation) -> str | None:
    """The command that sends what differs."""
    differing = (summary.standings[Standing.DIFFERS], summary.standings[Standing.CONFLICT])
    return (
        shlex.join(["bulk-sync", *sys.argv[1:], "--push"])
        if any(differing) and summary.input != "-"
        else None
    )


def after_push(summary: Summary, pushed: PushSettings | None) -> str | None:
    """The one thing to do next; after a push, the command to paste."""
    if summary.running:
        return "wait, a run holds this checkpoint now"
    only_failed = not any(summary.states.get(state, 0) for state in ERROR_STATES - {State.FAILED})
    if summary.exit_code == 3 and summary.failed and not only_failed:
        # Files that are named outright are this job's own, and the mended rows are another.
        own_files = any(word.startswith(("--checkpoint", "--results")) for word in sys.argv[1:])
        if pushed is None or own_files:
            return f"mend {summary.failed}, then: push it with the options of this job"
        return f"mend {summary.failed}, then: {_push_of_mended(summary, pushed)}"
    if summary.exit_code == 0 or (summary.exit_code == 3 and not only_failed):
        return None
    if pushed is None:
        return f"push {summary.input} again, with the options it had"
    again = shlex.join(["bulk-sync", *(word for word in sys.argv[1:] if word != "--fresh")])
    return f"mend the key, then: {again}" if summary.exit_code == 5 else again


def _push_of_mended(summary: Summary, pushed: PushSettings) -> str:
    """This push with the mended rows: one option less and a rehearsal would go to North; but they
    are plain CSV.
    """
    # A second undo file in the place of the first would leave nothing to put that one's rows back;
    # a second page would take the place of the one that tells of the whole sheet.
    words = _without(
        sys.argv[1:],
        "--delimiter",
        "--encoding",
        "--header-row",
        "--sheet",
        "--undo-file",
        "--page",
    )
    words = [
        str(summary.failed) if word == summary.input else word
        for word in words
        if word != "--fresh"
    ]
    plain_csv = (
        ("--delimiter", pushed.reading.delimiter, ","),
        ("--encoding", pushed.reading.encoding, "utf-8"),
        ("--header-row", pushed.reading.header_row, "1"),
    )
    # Said outright, for a profile may say otherwise; an option wins over it.
    told = [
        word for option, known, value in plain_csv if known is not None for word in (option, value)
    ]
    return shlex.join(["bulk-sync", *words, *told])


def _without(words: Sequence[str], *options: str) -> list[str]:
    """The words without some options and their values."""
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

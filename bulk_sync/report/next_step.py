"""The next step after a push, with its command. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from msgspec import Struct

from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.model.summaries import Summary

# A second undo file would replace the one that restores the rows of the first, a second page that
# of the whole sheet, and named files belong to this job: the corrected rows are a job of their own.
# The others are about the sheet, and failed rows are read as they were written.
_OF_THE_SHEET = (
    "--delimiter",
    "--encoding",
    "--header-row",
    "--sheet",
    "--undo-file",
    "--page",
    "--results",
    "--checkpoint",
    "--rows",
    "--where",
    "--limit",
)
_FORGETS = "--fresh"


class NextStep(Struct, frozen=True):
    """The next step; `command` does it, after what a person has to do before, if anything."""

    before: str | None
    command: str | None

    def __str__(self) -> str:
        """The step as one line."""
        return ", then: ".join(filter(None, (self.before, self.command)))


def after_push(summary: Summary) -> NextStep | None:
    """Return the next step after a push, or of a job so far; None if nothing is left to do.

    There is no command for a push that came from no command line, or of several sheets.
    """
    if summary.running:
        return NextStep("wait, a run holds this checkpoint now", None)
    any_error = any(summary.states.get(state, 0) for state in ERROR_STATES)
    if summary.exit_code == 3 and not any_error:
        return NextStep("compare the rows that came back changed with North", None)
    only_failed = not any(summary.states.get(state, 0) for state in ERROR_STATES - {State.FAILED})
    if summary.exit_code == 3 and summary.files.failed and not only_failed:
        before = f"correct {summary.files.failed}"
        if not summary.command:
            return NextStep(f"{before}, then: push it with the options of this job", None)
        return NextStep(before, _push_of_corrected(summary))
    if summary.exit_code == 0 or (summary.exit_code == 3 and not only_failed):
        return None
    if not summary.command:
        return NextStep(f"push {summary.input} again, with the options it had", None)
    words = [word for word in summary.command if word != _FORGETS]
    if summary.exit_code == 3 and any(cause.left_in_doubt for cause in summary.causes):
        repeating = [*without(words, "--ambiguous"), "--ambiguous", "retry"]
        before = "look the rows up in North that may have been applied; to send them again"
        return NextStep(before, _joined(repeating))
    return NextStep("correct the key" if summary.exit_code == 5 else None, _joined(words))


def _push_of_corrected(summary: Summary) -> str:
    """Return this push for the corrected rows, with all options except those about the file."""
    # Keep unknown options: a lost --sandbox would send a rehearsal to North.
    return _joined(
        str(summary.files.failed) if word == summary.input else word
        for word in without(summary.command, *_OF_THE_SHEET)
        if word != _FORGETS
    )


def _joined(words: Iterable[str]) -> str:
    return shlex.join(["bulk-sync", *words])


def without(words: Sequence[str], *options: str) -> list[str]:
    """Return the words of a command without some options and their values."""
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

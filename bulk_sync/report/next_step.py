"""The next step after a push or a comparison, with its command. Pure.

Terminal, page and JSON show the same command. It names the target and the team even where the
environment or a settings file gave them, because it may be pasted somewhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from bulk_sync.address import DEFAULT_BASE_URL, SANDBOX_TARGET
from bulk_sync.model.account import Team
from bulk_sync.model.comparison import Reconciliation, RowClass
from bulk_sync.model.rows import ERROR_STATES, State
from bulk_sync.model.summaries import Summary
from bulk_sync.quoting import joined

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
# A job of its own is to be looked over. Flags of one letter may share a word.
_ASKS_NOT = re.compile(r"--yes|-y+")
_FLAGS = re.compile(r"-[vy]+")

# The error codes of rows that were sent.
_SENT = frozenset(
    {
        "not_found",
        "refused",
        "forbidden",
        "timeout",
        "connection",
        "server_error",
        "throttled",
        "bad_reply",
    }
)


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
        repeating = with_options(without(words, "--ambiguous"), "--ambiguous", "retry")
        before = "look the rows up in North that may have been applied; to send them again"
        return NextStep(before, _joined(_complete(repeating, summary)))
    first = "correct the key" if summary.exit_code == 5 else None
    return NextStep(first, _joined(_complete(words, summary)))


def explain_first(summary: Summary) -> str | None:
    """Return the command that explains the first row that was sent in vain; None without one.

    It names the checkpoint, which has all that is known of such a row, whatever the options were.
    """
    if not any(summary.states.get(state, 0) for state in (State.REJECTED, State.FAILED)):
        return None
    rows = [
        number for cause in summary.causes if cause.code in _SENT for number, _ in cause.first_rows
    ]
    if not rows:
        return None
    return _joined(["explain", summary.files.checkpoint, "--row", str(min(rows))])


def _push_of_corrected(summary: Summary) -> str:
    """Return this push for the corrected rows, with all options except those about the file."""
    # Keep unknown options: a lost --sandbox would send a rehearsal to North.
    words = [
        str(summary.files.failed) if word == summary.input else _asking(word)
        for word in without(summary.command, *_OF_THE_SHEET)
        if word != _FORGETS and not _ASKS_NOT.fullmatch(word)
    ]
    return _joined(_complete(words, summary))


def _asking(word: str) -> str:
    return word.replace("y", "") if _FLAGS.fullmatch(word) else word


def after_comparison(summary: Reconciliation) -> str | None:
    """Return the command that sends the differences.

    None if there are none, if sending would be refused, or if the comparison came from no command
    line or sends them itself.
    """
    if not summary.command or summary.input == "-":
        return None
    if any(one.pattern.overwrites for one in summary.systematic):
        return None
    if not summary.classes[RowClass.DIFFERS] + summary.classes[RowClass.CONFLICT]:
        return None
    target = summary.base_url if summary.ledger is None else summary.ledger.address
    return _joined(aimed(with_options(summary.command, "--push"), target))


def aimed(words: Sequence[str], base_url: str, team: Team | None = None) -> list[str]:
    """Return the words of a command with its target and team, unless they have them.

    A rehearsal stays one, and has no team of its own.
    """
    if "--sandbox" in words:
        return [*words]
    if base_url == SANDBOX_TARGET:
        return with_options(words, "--sandbox")
    added = []
    if base_url != DEFAULT_BASE_URL and not _names(words, "--base-url"):
        added += ["--base-url", base_url]
    if team and not _names(words, "--team"):
        # The id, because two teams may have one name.
        added += ["--team", team.id or team.name or ""]
    return with_options(words, *added)


def _complete(words: Sequence[str], summary: Summary) -> list[str]:
    # The team of a key that was refused is not the one that the job is meant for.
    return aimed(words, summary.base_url, None if summary.exit_code == 5 else summary.team)


def with_options(words: Sequence[str], *options: str) -> list[str]:
    """Return a command with further options, before the -- that ends them."""
    end = words.index("--") if "--" in words else len(words)
    return [*words[:end], *options, *words[end:]]


def _names(words: Sequence[str], option: str) -> bool:
    return any(word == option or word.startswith(f"{option}=") for word in words)


def _joined(words: Iterable[str]) -> str:
    return joined(["bulk-sync", *words])


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

"""The question before the first row of a job leaves: whether it is asked, and what was answered.

Only yes sends. A no, the end of the input, Ctrl-C and a closed terminal end the command, and what
`review` promises holds for each of them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from bulk_sync import platforms, review, signals
from bulk_sync.address import SANDBOX_TARGET
from bulk_sync.cli.followed import watched_reading
from bulk_sync.cli.parts import Asking, Following
from bulk_sync.cli.streams import out
from bulk_sync.clock import Clock
from bulk_sync.errors import BulkSyncError, Declined, Interrupted
from bulk_sync.model.summaries import CheckSummary
from bulk_sync.report.ahead import question
from bulk_sync.report.facts import where_text
from bulk_sync.run.rows import Reviewed
from bulk_sync.run.send import End
from bulk_sync.run.several import Judged
from bulk_sync.settings.push import PushSettings

# The API may not have answered yet.
_NO_TEAM = "the key's team is not known"
_YES, _NO = frozenset({"y", "yes"}), frozenset({"", "n", "no"})


class Question:
    """The one question of a command that pushes, about all of its sheets.

    It is asked on a terminal only, and not with --yes, --json, in a rehearsal, or about a sheet
    from standard input, which can be read only once.
    """

    def __init__(self, asking: Asking, following: Following, clock: Clock) -> None:
        self._is_wanted = not (asking.yes or following.json)
        self._following = following
        self.clock = clock
        self._found: dict[Path, CheckSummary | BulkSyncError] = {}
        self._shown: dict[str, list[str]] = {}

    def ask(self, sheets: Sequence[tuple[PushSettings, Judged]], end: End) -> End:
        """Show what a push of these sheets would do, and ask for it, if that is to be asked.

        Returns the end of the run, to whose deadline the time of the question doesn't count. Raises
        Declined, Interrupted, and what keeps all of the sheets from being sent.
        """
        if not self._is_wanted or not sheets or not _can_ask([one for one, _ in sheets]):
            return end
        for settings, judged in sheets:
            path = settings.reading.input
            self._found[path] = judged.error or self._look_over(settings, judged)
        found = [one for one in self._found.values() if isinstance(one, CheckSummary)]
        if not review.needs_answer(found):
            return end
        settings = sheets[0][0]
        team = review.team_of(settings, self.clock)
        left = end.at - self.clock.monotonic()
        window = None if math.isinf(left) else max(0.0, left)
        found = [review.estimated(settings, one, window, self.clock) for one in found]
        begun = self.clock.monotonic()
        base_url = settings.target.base_url
        self._show(found, where_text(base_url, team, _NO_TEAM))
        requests = sum(one.requests for one in found if one.stopped is None)
        if not _answer(question(requests, base_url, team)):
            raise Declined("Nothing was sent.")
        return end.without(self.clock.monotonic() - begun)

    def reviewed(self, settings: PushSettings) -> Reviewed | None:
        """Return the sheet as it was looked over, None if it was not; raises what was wrong."""
        found = self._found.get(settings.reading.input)
        if isinstance(found, BulkSyncError):
            raise found
        return None if found is None else Reviewed(found.digest, found.meaning)

    def shown(self, settings: PushSettings) -> list[str]:
        """Return the notes on a sheet that were shown with the question."""
        return self._shown.get(str(settings.reading.input), [])

    def _look_over(self, settings: PushSettings, judged: Judged) -> CheckSummary | BulkSyncError:
        try:
            with watched_reading(self._following, str(settings.reading.input)) as on_rows:
                return review.look_over(settings, judged.judgement, on_rows, self.clock)
        except Interrupted:
            raise
        except BulkSyncError as error:  # of one sheet of several: the others go on
            return error

    def _show(self, found: Sequence[CheckSummary], where: str) -> None:
        from bulk_sync.report.terminal.ahead import MOST_SHEETS, show_review

        show_review(out(), found, where, [*self._refused()])
        for one in found[:MOST_SHEETS]:
            self._shown[one.input] = [*one.notes, *one.assumptions]

    def _refused(self) -> Iterator[str]:
        """Yield what keeps a sheet from being sent, for each that can't be looked over."""
        for path, found in self._found.items():
            if isinstance(found, BulkSyncError):
                name, why = f"{path}: ", str(found).rstrip(".")
                yield f"{why if why.startswith(name) else name + why}."


def _can_ask(sheets: Sequence[PushSettings]) -> bool:
    return _at_terminal() and not any(
        one.target.base_url == SANDBOX_TARGET or one.reading.from_standard_input for one in sheets
    )


def _at_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def _answer(text: str) -> bool:
    """Ask on the terminal until the answer is yes or no."""
    with signals.raising():
        try:
            with platforms.typed_lines(sys.stdin.fileno()) as wait:
                return typed_yes(text, wait)
        except Interrupted:
            with suppress(OSError):
                sys.stdout.write("\nNothing was sent.\n")
                sys.stdout.flush()
            raise
        except OSError:  # the terminal is gone
            return False


def typed_yes(text: str, wait: Callable[[], None] = lambda: None) -> bool:
    """Return what was typed on standard input; the end of the input is no.

    `wait` is called before each read.
    """
    getattr(sys.stdin, "reconfigure", lambda **_: None)(errors="replace")
    while True:
        sys.stdout.write(text)
        sys.stdout.flush()
        wait()
        line = sys.stdin.readline()
        if not line:
            sys.stdout.write("\n")
            return False
        word = line.strip().casefold()
        if word in _YES:
            return True
        if word in _NO:
            return False
        sys.stdout.write("Answer y or n.\n")

"""Is it this row, or is the API gone? Pure.

The circuit is closed while requests get through. `FAILURES_IN_A_ROW`, of several rows, open it:
from then on one request at a time probes, with growing gaps, and what fails is no row's fault. The
first probe that gets through closes it. Whether the failures before it was opened were an outage
too shows in the first probe: if that one fails as well they were, and the rows get these attempts
back; if it gets through, they count.

A row whose attempts are used up is not `failed` yet: it is a suspect. It is failed once a
request that began after its last attempt gets through while there was no outage. That the
request must have begun later matters: replies that were on their way when an outage began
say nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Case = TypeVar("Case")

FAILURES_IN_A_ROW = 8
ROWS_IN_A_ROW = 3
"""Failures in a row, of at least this many rows, that are taken for an outage."""

_FIRST_GAP_SECONDS, _LONGEST_GAP_SECONDS = 0.5, 30.0

SHORT_GAP_SECONDS = 2.0
"""The gap while the API itself answers and no row gets through, perhaps because the server chokes
on a block of rows.
"""


@dataclass(slots=True)
class Circuit(Generic[Case]):
    """The signs of life of one run; times are in seconds of a clock that does not jump."""

    open: bool = False
    trusted: bool = False
    """The API itself answers: failures are the rows' own."""
    began: float = 0.0
    """When the first request of the present failures in a row left."""
    opened: float = 0.0
    probe_at: float = 0.0
    """When the next probe may leave."""
    failed_probes: int = 0
    successes: int = 0
    in_a_row: list[Case] = field(default_factory=list)
    """The case of each failure since the last success, with repetitions."""
    _suspects: list[tuple[float, Case]] = field(default_factory=list)

    def failed(self, case: Case, begun: float, now: float, dice: float) -> bool:
        """Take a failure; return True when it counts as an attempt of its row.

        `dice`, 0 to 1, is for jitter.
        """
        if self.open:
            if begun >= self.opened:
                self.failed_probes += 1
                self.probe_at = now + self._gap(dice)
            return False
        if not self.in_a_row:
            self.began = begun
        self.in_a_row.append(case)
        if (
            not self.trusted
            and len(self.in_a_row) >= FAILURES_IN_A_ROW
            and len({id(case) for case in self.in_a_row}) >= ROWS_IN_A_ROW
        ):
            self.break_open(now, dice)
        return True

    def break_open(self, now: float, dice: float) -> None:
        """Stop sending, probes apart."""
        self.open, self.opened, self.failed_probes = True, now, 0
        self.probe_at = now + self._gap(dice)

    def hurry(self, until: float) -> None:
        """The API itself answers: look for a row that gets through without the long gaps."""
        self.probe_at = min(self.probe_at, until)

    def trust(self) -> None:
        """The API itself answers: blame failures on their rows until something gets through."""
        self.open, self.trusted = False, True

    def acquit(self) -> list[Case]:
        """The API itself answers: close, and return the suspects, which are to blame."""
        self.open, self.in_a_row = False, []
        return self._take_suspects()

    def excuse(self, now: float, dice: float) -> list[Case]:
        """The API is gone: open, and return the suspects, which are to be tried again."""
        if self.open:
            self.failed_probes += 1
            self.probe_at = now + self._gap(dice)
        else:
            self.began = self.began if self.in_a_row else now
            self.break_open(now, dice)
        return self._take_suspects()

    def _take_suspects(self) -> list[Case]:
        cases, self._suspects = self.suspects, []
        return cases

    def got_through(self, begun: float) -> tuple[list[Case], list[Case], list[Case]]:
        """Take a request that left at `begun` and that the API decided.

        Returns the rows that are failed thereby, those that are to be tried again with all their
        attempts, and those that get an attempt back, as often as they do.
        """
        self.successes += 1
        if self.open and begun < self.opened:
            return [], [], []
        outage = self.open and self.failed_probes > 0
        given_back = self.in_a_row if outage else []
        self.open, self.trusted, self.in_a_row = False, False, []
        if not self._suspects:
            return [], [], given_back
        if outage:
            return [], self._take_suspects(), given_back
        failed = [case for ended, case in self._suspects if ended <= begun]
        self._suspects = [(ended, case) for ended, case in self._suspects if ended > begun]
        return failed, [], given_back

    def suspect(self, case: Case, now: float) -> None:
        """Take a row that has no attempts left."""
        self._suspects.append((now, case))

    def at_rest(self) -> bool:
        """True when nothing failed lately: `got_through` would only count."""
        return not (self.open or self.trusted or self.in_a_row or self._suspects)

    @property
    def suspects(self) -> list[Case]:
        """Rows without a verdict."""
        return [case for _, case in self._suspects]

    def _gap(self, dice: float) -> float:
        return min(
            _LONGEST_GAP_SECONDS, _FIRST_GAP_SECONDS * 2.0 ** min(self.failed_probes, 30)
        ) * (0.5 + 0.5 * dice)


@dataclass(slots=True)
class RetryBudget:
    """A token bucket fed by successes, as in Finagle and the AWS SDKs.

    It keeps retries under a fifth of the requests. When nothing but retries is left to send, time
    feeds it too, at a fifth of the rate, so that they end.
    """

    most: float = 16.0
    tokens: float = 16.0
    _at: float | None = None

    def succeeded(self) -> None:
        """A request got through."""
        if self.tokens < self.most:
            self.tokens = min(self.most, self.tokens + SHARE)

    def take(self, now: float, *, only_retries_left: bool, per_second: float) -> bool:
        """Use a token for a retry, if there is one."""
        if only_retries_left and self._at is not None:
            self.tokens = min(
                self.most, self.tokens + (now - self._at) * max(1.0, SHARE * per_second)
            )
        self._at = now if only_retries_left else None
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


SHARE = 0.2
"""Retries for each success."""

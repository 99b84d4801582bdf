"""A circuit breaker that separates bad rows from an outage. Pure.

The circuit is closed while requests get through. `FAILURES_IN_A_ROW`, of several rows, open it:
from then on one request at a time probes the API, with growing gaps, and failures don't count
against rows. The first probe that gets through closes it. The first probe also decides about the
failures that opened the circuit: if it fails too, they were part of the outage, and the rows get
those attempts back; if it gets through, they count.

A block, such as a firewall's page, opens the circuit at once, because it is about every request.
Only for a row that stays blocked while others get through does it count as a failure.

A row whose attempts are used up is a suspect before it is `failed`. It fails once a request that
left after its last attempt gets through without an outage in between. The request must have left
later, because replies that were on their way when an outage began say nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

Case = TypeVar("Case")

FAILURES_IN_A_ROW = 8
# One or two bad rows, each tried several times, must not look like an outage.
ROWS_IN_A_ROW = 3
"""This many failures in a row, of at least this many rows, are taken for an outage."""

# Long enough not to load a server that comes back, short enough to notice it within half a minute.
_FIRST_GAP_SECONDS, _LONGEST_GAP_SECONDS = 0.5, 30.0

SHORT_GAP_SECONDS = 2.0
"""The gap between probes while the API itself answers but no row gets through: the server may fail
on a block of rows.
"""


@dataclass(slots=True)
class Circuit(Generic[Case]):
    """The circuit breaker of one run; instants are on a monotonic clock, in seconds."""

    open: bool = False
    trusted: bool = False
    """True while the API itself is known to answer: failures are the rows' own."""
    began: float = 0.0
    """When the first request of the current series of failures left."""
    opened: float = 0.0
    probe_at: float = 0.0
    """When the next probe may leave."""
    failed_probes: int = 0
    successes: int = 0
    in_a_row: list[Case] = field(default_factory=list)
    """The case of each failure since the last success, with repetitions."""
    blocked_cases: list[Case] = field(default_factory=list)
    """The case of each block since the last success that didn't count, with repetitions."""
    _suspects: list[tuple[float, Case]] = field(default_factory=list)

    def failed(self, case: Case, begun: float, now: float, dice: float) -> bool:
        """Record a failure; return True when it counts as an attempt of its row.

        `dice`, 0 to 1, is for jitter.
        """
        if self.open:
            # A request that left before the circuit opened is no probe.
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

    def blocked(self, case: Case, begun: float, now: float, dice: float, *, alone: bool) -> bool:
        """Record a block, which opens the circuit at once; return True when it counts.

        It counts as an attempt if the row is blocked `alone`, with others that got through since it
        was blocked last, or while the API itself is known to answer: then its content is to blame.
        """
        if (alone or self.trusted) and not self.open:
            return self.failed(case, begun, now, dice)
        self.blocked_cases.append(case)
        if self.open:
            return self.failed(case, begun, now, dice)
        if not self.in_a_row:
            self.began = begun
        self.break_open(now, dice)
        return False

    def break_open(self, now: float, dice: float) -> None:
        """Open the circuit: only probes may leave."""
        self.open, self.opened, self.failed_probes = True, now, 0
        self.probe_at = now + self._gap(dice)

    def hurry(self, until: float) -> None:
        """Probe by `until` at the latest, because the API itself answers."""
        self.probe_at = min(self.probe_at, until)

    def trust(self) -> None:
        """Close the circuit and blame failures on their rows, because the API itself answers."""
        self.open, self.trusted = False, True

    def acquit(self) -> list[Case]:
        """Close the circuit and return the suspects as failed, because the API itself answers."""
        self.open, self.in_a_row, self.blocked_cases = False, [], []
        return self._take_suspects()

    def excuse(self, now: float, dice: float) -> list[Case]:
        """Open the circuit and return the suspects for retry, because the API is down."""
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
        """Record that the API decided a request that left at `begun`.

        Returns three lists: rows that have failed, rows to retry with all their attempts back, and
        rows that get one attempt back for each time they are listed.
        """
        self.successes += 1
        if self.open and begun < self.opened:  # it was on its way when the outage began
            return [], [], []
        outage = self.open and self.failed_probes > 0
        given_back = self.in_a_row if outage else []
        self.open, self.trusted, self.in_a_row, self.blocked_cases = False, False, [], []
        if not self._suspects:
            return [], [], given_back
        if outage:
            return [], self._take_suspects(), given_back
        failed = [case for ended, case in self._suspects if ended <= begun]
        self._suspects = [(ended, case) for ended, case in self._suspects if ended > begun]
        return failed, [], given_back

    def suspect(self, case: Case, now: float) -> None:
        """Hold a row that has no attempts left."""
        self._suspects.append((now, case))

    def at_rest(self) -> bool:
        """True when nothing failed lately, so that `got_through` would only count."""
        return not (self.open or self.trusted or self.in_a_row or self._suspects)

    @property
    def suspects(self) -> list[Case]:
        """The rows that wait for a verdict."""
        return [case for _, case in self._suspects]

    def _gap(self, dice: float) -> float:
        # Half fixed, half random ("equal jitter", Brooker 2015): no probe follows immediately.
        gap = _FIRST_GAP_SECONDS * 2.0 ** min(self.failed_probes, 30)  # 30: no float overflow
        return min(_LONGEST_GAP_SECONDS, gap) * (0.5 + 0.5 * dice)


@dataclass(slots=True)
class RetryBudget:
    """A retry budget: a token bucket filled by successes, as in Finagle and the AWS SDKs.

    It keeps retries under a fifth of the requests. When only retries are left to send, time fills
    it too, at a fifth of the rate, because no more successes may come.
    """

    most: float = 16.0
    tokens: float = 16.0
    _at: float | None = None

    def succeeded(self) -> None:
        """Add a share of a token for a request that got through."""
        if self.tokens < self.most:
            self.tokens = min(self.most, self.tokens + SHARE)

    def take(self, now: float, *, only_retries_left: bool, per_second: float) -> bool:
        """Take a token for a retry; return False when there is none."""
        if only_retries_left and self._at is not None:
            refill_per_second = max(1.0, SHARE * per_second)
            self.tokens = min(self.most, self.tokens + (now - self._at) * refill_per_second)
        self._at = now if only_retries_left else None
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


SHARE = 0.2
"""Retries for each success."""

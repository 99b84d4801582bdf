"""Tell refusals that are faults from those that are a limit. Pure.

A limit refuses more when the rate rises and nothing when it falls; a server that restarts one of
its processes refuses the same share at any rate. Two kinds of refusal are judged apart, each with a
cumulative sum of log-likelihood ratios (CUSUM; E. S. Page, "Continuous Inspection Schemes",
Biometrika, 1954): the share known so far against a share `_EXCESS` higher. An alarm is a loss, as
by a limit.

- Bare 503s are faults until an alarm. After it the rate is lower. When the share stays the same,
  the rate goes back to its earlier value; when it falls, they are a limit from then on.
- 429s are a limit until the evidence says otherwise: a limit that is exceeded refuses most of the
  requests that left after the first one it refused, a fault refuses one (`Suspicion`). Then they
  are judged as bare 503s are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_PRIOR_REPLIES, _PRIOR_REFUSED = 100.0, 1.0
"""The share is taken for 1 % until more is known."""

_EXCESS = 0.06
_ALARM = 9.0  # e ** 9: one false alarm in some thousand replies

# The replies after an alarm that show whether the lower rate helps.
_TRIAL_REPLIES = 60.0

_FALLEN = 0.9

_ALONE = 2.0

# So many later requests must get through to show that a refusal was a fault.
_FEWEST_WITNESSES = 4
_SUSPICION_SECONDS = 0.25


@dataclass(slots=True)
class Faults:
    """The evidence about one kind of refusal; it adds up over the run."""

    replies: float = 0.0
    refused: float = 0.0
    sum: float = 0.0
    """CUSUM, in nats."""
    sum_replies: float = 0.0
    """Replies since the sum was 0; the refusals among them below."""
    sum_refused: float = 0.0
    left: float = 0.0
    """Replies until the verdict of a trial; 0 without one."""
    trial_refused: float = 0.0
    trial_share: float = 0.0
    """The share of refusals that raised the alarm."""
    alone: float = 0.0
    """Refusals in a row that no later request shared."""
    alone_needed: float = _ALONE
    excused: float = 0.0
    """1 while refusals are taken for faults."""

    @property
    def share(self) -> float:
        """The share of refusals without those that raised an alarm."""
        return (self.refused + _PRIOR_REFUSED) / (self.replies + _PRIOR_REPLIES)

    def is_alarm(self, *, refused: bool) -> bool:
        """Count a reply; return whether the refusals have become too many for faults."""
        known = min(0.5, self.share)
        more = min(0.9, known + _EXCESS)
        ratio = math.log(more / known) if refused else math.log((1 - more) / (1 - known))
        self.replies += 1
        self.refused += refused
        self.sum = max(0.0, self.sum + ratio)
        if not self.sum:
            self.sum_replies = self.sum_refused = 0.0
            return False
        self.sum_replies += 1
        self.sum_refused += refused
        if self.sum < _ALARM:
            return False
        # These belong to a limit, not to the share of faults.
        self.replies -= self.sum_replies
        self.refused -= self.sum_refused
        return True

    def begin_trial(self) -> None:
        """Begin a trial after an alarm: the rate is lower from now on.

        An alarm in a trial, at a smaller share, is a verdict: the lower rate helped.
        """
        share = self.sum_refused / self.sum_replies if self.sum_replies else 1.0
        if self.left and share < _FALLEN * self.trial_share:
            self.excused = self.left = self.sum = 0.0
            return
        self.left, self.trial_refused, self.trial_share = _TRIAL_REPLIES, 0.0, share
        self.sum = self.sum_replies = self.sum_refused = 0.0

    def verdict(self, *, refused: bool) -> bool | None:
        """Count a reply of a trial; at its end return whether the lower rate helped, else None."""
        if not self.left:
            return None
        self.left -= 1
        self.trial_refused += refused
        return None if self.left else self.trial_refused / _TRIAL_REPLIES < self.trial_share / 3

    def dismissed(self) -> None:
        """Note that no later request shared a refusal, and excuse the kind after some of them."""
        self.alone += 1
        if self.alone < self.alone_needed:
            return
        self.alone, self.alone_needed = 0.0, 2 * self.alone_needed
        self.excused = 1.0
        self.sum = self.sum_replies = self.sum_refused = 0.0


@dataclass(slots=True)
class Suspicion:
    """A refusal that may be a fault, until the requests that left after it are answered."""

    ordinal: float = 0.0
    """The permit that was refused."""
    of_busy: float = 0.0
    """1 if it was a 503."""
    witnesses: float = 0.0
    """Later requests that must get through; 0 when nothing is suspected."""
    last: float = 0.0
    """The ordinal of the last permit that is given before they have answered."""
    doubt_until: float = -math.inf
    """No longer than this: then sending goes on."""

    def begin(self, now: float, ordinal: float, taken: float, *, busy: bool) -> None:
        """Suspect that the refusal of a permit, of the `taken` so far, was a fault."""
        self.ordinal, self.of_busy = ordinal, float(busy)
        self.witnesses = max(_FEWEST_WITNESSES, math.ceil((taken - ordinal) / 2))
        self.last = max(taken, ordinal + _FEWEST_WITNESSES)
        self.doubt_until = now + _SUSPICION_SECONDS

    def wait_until(self, taken: float) -> float:
        """Return until when no further permit is given."""
        return self.doubt_until if self.witnesses and taken >= self.last else -math.inf

    def is_refuted_by(self, ordinal: float) -> bool:
        """Count a request that got through; return True when all witnesses did."""
        if not self.witnesses or ordinal <= self.ordinal:
            return False
        self.witnesses -= 1
        return not self.witnesses

    def is_shared(self) -> bool:
        """End the suspicion with another refusal; return whether there was one."""
        was_suspected, self.witnesses = self.witnesses > 0, 0.0
        return was_suspected

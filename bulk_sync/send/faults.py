"""Tell refusals that are faults from those that are a limit. Pure.

A limit refuses more when the rate rises and less when it falls; a server that restarts one of its
processes refuses the same share at any rate. Hence the invariant, for each kind of refusal (bare
503s, 429s): a share of refusals that does not depend on the rate costs the pace a bounded number of
trials, whatever the share is below a half, and a share that does depend on it lowers the rate.

- While a kind is excused, a refusal costs nothing. An alarm, a cumulative sum of log-likelihood
  ratios (CUSUM; E. S. Page, "Continuous Inspection Schemes", Biometrika, 1954) of the share known
  so far against one `_EXCESS` higher, is a loss and begins a trial at the lower rate: a sequential
  probability ratio test (A. Wald, "Sequential Tests of Statistical Hypotheses", 1945) of whether
  the share has fallen. If not, the rate goes back to its earlier value, and that share is known
  from then on. If it fell and few refusals are left, each of them is a loss from then on.
- While it is not excused, the same share of losses after the rate has fallen by half shows that
  they are faults (`is_futile`). So does a refusal that no later request shared (`Suspicion`): a
  limit that is exceeded refuses most of the requests that left after the first one it refused.

Bare 503s are excused at first, 429s are not. A share of a half or more is an overload or an outage,
where the rate keeps falling until the circuit breaker opens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

_PRIOR_REPLIES, _PRIOR_REFUSED = 100.0, 1.0
"""The share is taken for 1 % until more is known."""

_LEAST_SHARE, _MOST_SHARE = 0.002, 0.7

_EXCESS = 0.06
_ALARM = 9.0  # e ** 9: one false alarm in some thousand replies

# At a share of a half or more, less evidence will do to lower the rate further.
_CERTAIN_OVERLOAD = 3.0

# Either wrong verdict of a trial is as likely as e ** -4: 2 %.
_CERTAIN = 4.0

_FEWEST_REPLIES = 20
"""Of a trial that has helped."""

# A lower rate has helped when the share fell to that before the alarm, or to a third.
_FALLEN = 3.0

_OVERLOAD = 0.5
"""From this share on, slowing down is right whether or not it helps."""

_RARE = 0.03
"""Up to this share each refusal may be a loss."""

# Losses by a limit that was found, as a share of replies, and by faults.
_BY_LIMIT, _BY_FAULTS = 0.003, 0.03

# Seven losses at least: a limit that falls to a fiftieth takes five to find.
_FUTILE = 14.0

_ALONE = 2.0

# So many later requests must get through to show that a refusal was a fault.
_FEWEST_WITNESSES = 4
_SUSPICION_SECONDS = 0.25


class Verdict(Enum):
    """The result of a trial at a lower rate."""

    HELPED = auto()
    FUTILE = auto()
    OVERLOAD = auto()


@dataclass(slots=True)
class Faults:
    """The evidence about one kind of refusal; it adds up over the run."""

    replies: float = _PRIOR_REPLIES
    refused: float = _PRIOR_REFUSED
    sum: float = 0.0
    """CUSUM, in nats."""
    sum_replies: float = 0.0
    """Replies since the sum was 0; the refusals among them below."""
    sum_refused: float = 0.0
    trial_sum: float = 0.0
    """Nats for a share that has fallen, less those for one that has not."""
    trial_replies: float = 0.0
    trial_refused: float = 0.0
    trial_share: float = 0.0
    """The share of refusals that raised the alarm; 0 without a trial."""
    rate_before: float = 0.0
    """The rate of the search before the trial; the limit likewise."""
    limit_before: float = 0.0
    acquittals: float = 0.0
    """How often refusals turned out not to depend on the rate."""
    highest: float = 0.0
    """The highest limit that was lowered since refusals are losses."""
    losses: float = 0.0
    """CUSUM of losses at less than half of it, in nats."""
    alone: float = 0.0
    """Refusals in a row that no later request shared."""
    alone_needed: float = _ALONE
    confirmed: float = 0.0
    """1 after a trial that showed a limit: refusals that are alone are its, too."""
    excused: float = 0.0
    """1 while refusals are taken for faults."""

    @property
    def share(self) -> float:
        """The share of refusals without those that raised an alarm."""
        return min(0.5, max(_LEAST_SHARE, self.refused / max(1.0, self.replies)))

    @property
    def _doubt(self) -> float:
        """Nats that make a wrong alarm half as frequent with each acquittal."""
        return math.log(2) * self.acquittals

    def is_alarm(self, *, refused: bool) -> bool:
        """Count a reply; return whether the refusals have become too many for faults."""
        self.replies += 1
        if not self.sum and not refused:
            return False
        known = self.share
        self.sum = max(0.0, self.sum + _evidence(known + _EXCESS, known, refused=refused))
        self.refused += refused
        if not self.sum:
            self.sum_replies = self.sum_refused = 0.0
            return False
        self.sum_replies += 1
        self.sum_refused += refused
        if self.sum < _ALARM + self._doubt:
            return False
        # These belong to a limit, not to the share of faults.
        self.replies -= self.sum_replies
        self.refused -= self.sum_refused
        return True

    def begin_trial(self, rate: float, limit: float) -> None:
        """Begin a trial after an alarm at this rate and limit: they are lower from now on."""
        self.rate_before, self.limit_before = rate, limit
        # The sum began and ended with a refusal because of the refusal.
        share = (self.sum_refused - 2) / max(1.0, self.sum_replies - 2)
        self._try(max(share, self.share + _EXCESS))

    def _try(self, share: float) -> None:
        self.trial_share = min(_MOST_SHARE, share)
        self.trial_sum = self.trial_replies = self.trial_refused = 0.0
        self.sum = 0.0

    def verdict(self, *, refused: bool) -> Verdict | None:
        """Count a reply of a trial; return its result once that is certain, else None."""
        if not self.trial_share:
            return None
        # Half the rate: of a limit's refusals, `2 * share - 1` are left.
        fallen = max(self.share, self.trial_share / _FALLEN, 2 * self.trial_share - 1)
        self.trial_sum += _evidence(fallen, self.trial_share, refused=refused)
        self.trial_replies += 1
        self.trial_refused += refused
        share = self.trial_refused / self.trial_replies
        if share >= _OVERLOAD and self.trial_sum < -_CERTAIN_OVERLOAD:
            self._try(share)
            return Verdict.OVERLOAD
        is_few = self.trial_sum > 0 and not share and self.trial_replies < _FEWEST_REPLIES
        if abs(self.trial_sum) < _CERTAIN or is_few:
            return None
        if self.trial_sum > 0:
            self.excused = float(share > _RARE)
            self.confirmed = float(not self.excused)
            self._forget()
            if share > self.share + _EXCESS:  # more may: the next refusal is another alarm
                self.replies += self.trial_replies
                self.refused += self.trial_refused
                self.sum = _ALARM + self._doubt
                self.sum_replies, self.sum_refused = self.trial_replies, self.trial_refused
            return Verdict.HELPED
        self.replies = self.sum_replies + self.trial_replies
        self.refused = self.sum_refused + self.trial_refused
        self._acquit()
        return Verdict.FUTILE

    def may_be_alone(self, limit: float) -> bool:
        """Return whether a refusal at this limit may be a fault that no later request shares."""
        return not self.confirmed or limit < self.highest / 2

    def settle(self, limit: float) -> None:
        """Note a loss at a limit that was held for long, as losses by a constant limit are."""
        self.highest, self.losses = limit, 0.0
        self.sum_replies = self.sum_refused = 0.0

    def is_futile(self, limit: float, *, refused: bool) -> bool:
        """Count a reply while each refusal is a loss, which lowers `limit`.

        Return True when so many losses at less than half the highest limit show that the rate is
        not to blame.
        """
        if refused:
            self.highest = max(self.highest, limit)
            if limit > self.highest / 2:
                return False
        if not self.highest:
            return False
        evidence = _evidence(_BY_FAULTS, _BY_LIMIT, refused=refused)
        self.losses = max(0.0, self.losses + evidence)
        if not self.losses:
            self.sum_replies = self.sum_refused = 0.0
            return False
        self.sum_replies += 1
        self.sum_refused += refused
        if self.losses < _FUTILE + self._doubt:
            return False
        self.replies, self.refused = self.sum_replies, self.sum_refused
        self._acquit()
        return True

    def dismissed(self) -> None:
        """Note that no later request shared a refusal, and excuse the kind after some of them."""
        self.alone += 1
        if self.alone < self.alone_needed:
            return
        self.alone, self.alone_needed = 0.0, 2 * self.alone_needed
        self.excused, self.confirmed = 1.0, 0.0
        self._forget()

    def _acquit(self) -> None:
        self.excused, self.confirmed = 1.0, 0.0
        self.acquittals += 1
        self._forget()

    def _forget(self) -> None:
        self.sum = self.sum_replies = self.sum_refused = 0.0
        self.trial_share = self.highest = self.losses = 0.0


def _evidence(share: float, other: float, *, refused: bool) -> float:
    """Return the nats of a reply for a share of refusals, against another share."""
    share, other = min(_MOST_SHARE, share), min(_MOST_SHARE, other)
    return math.log(share / other) if refused else math.log((1 - share) / (1 - other))


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

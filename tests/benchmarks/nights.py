"""Nights with two sheets, colleagues, exports, undo files, failed rows and kills: does North have
what the sheets say, and does a ledger claim only what North acknowledged?

    python -m tests.benchmarks.nights [--nights 200] [--seed 1] [--seeds 1] [--whole]

The rules are those of `tests.models.nights`. A history that breaks one is reduced to few nights and
printed; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from bulk_sync.clock import SystemClock
from tests.models.histories import history, reduced, violation
from tests.models.person import Night


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--nights", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--minutes", type=float, default=4, help="at most, to reduce a history")
    parser.add_argument("--whole", action="store_true", help="reduce nothing")
    options = parser.parse_args()
    broken = 0
    for seed in range(options.seed, options.seed + options.seeds):
        begun = SystemClock().monotonic()
        nights = history(seed, options.nights)
        found = violation(seed, nights)
        seconds = SystemClock().monotonic() - begun
        print(f"seed {seed}: {len(nights)} nights in {seconds:.1f} s: {found or 'all rules hold'}")
        if found is None:
            continue
        broken += 1
        if options.whole:
            continue
        rule = found.partition(": ")[2].partition(":")[0]
        until = SystemClock().monotonic() + 60 * options.minutes

        def still(
            some: Sequence[Night], seed: int = seed, rule: str = rule, until: float = until
        ) -> bool:
            is_late = SystemClock().monotonic() > until
            return not is_late and rule in (violation(seed, some) or "")

        short = reduced(nights[: int(found.split()[1].rstrip(":"))], still)
        print(f"  reduced to {len(short)} nights: {violation(seed, short)}")
        for number, night in enumerate(short, start=1):
            print(f"  {number}. {night}")
        sys.stdout.flush()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

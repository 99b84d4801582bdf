"""Time that passes several times as fast, in this process or in one that runs the program.

    python tests/fast_time.py TIMES ORIGIN BEGAN push showings.csv ...

Waits, rates and bounds keep their proportions; time-outs of connections are as long as ever. This
module imports nothing of the tests, because it is also run as a script.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from bulk_sync.clock import SystemClock

_monotonic, _sleep = SystemClock.monotonic, SystemClock.sleep


@dataclass(frozen=True)
class FastTime:
    """A clock that agrees with the machine's at one instant and runs `times` as fast.

    Processes with equal ones have equal clocks.
    """

    times: float
    origin: float
    """An instant of the machine's monotonic clock."""
    began: float
    """The time of day at that instant, as a timestamp."""

    @classmethod
    def from_now(cls, times: float) -> Self:
        """Return a clock that leaves the machine's now."""
        clock = SystemClock()
        return cls(times, _monotonic(clock), clock.now().timestamp())

    def methods(self) -> dict[str, Callable[..., Any]]:
        """Return the methods that take the place of `SystemClock`'s."""
        times, began = self.times, datetime.fromtimestamp(self.began, UTC)

        async def sleep(clock: SystemClock, seconds: float) -> None:
            await _sleep(clock, seconds / times)

        return {
            "monotonic": lambda clock: times * _monotonic(clock),
            "now": lambda clock: (
                began + timedelta(seconds=times * (_monotonic(clock) - self.origin))
            ),
            "sleep": sleep,
        }

    def command(self, *arguments: object) -> list[str]:
        """Return the command that runs the program in a process of its own, at this speed."""
        numbers = (self.times, self.origin, self.began)
        return [sys.executable, "-P", __file__, *map(repr, numbers), *map(str, arguments)]


def main() -> None:
    """Run the program at the speed of the first three arguments."""
    fast = FastTime(*map(float, sys.argv[1:4]))
    for name, method in fast.methods().items():
        setattr(SystemClock, name, method)
    sys.argv[1:4] = []
    from bulk_sync.cli import main as program  # its time is fast from the start

    program()


if __name__ == "__main__":
    main()

"""The scenarios of `pace_table`: servers, jobs and goals.

The goals are those of issue 23. Windows of over 10 seconds are an allowance, shorter ones a rate;
a job fits into what is left of an allowance, needs one and a half windows, or five.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from bulk_sync.quantities import Rate
from bulk_sync.settings.sending import Sending
from tests.models.apis import REAL_APIS
from tests.models.optimum import Latency
from tests.models.rules import (
    FixedWindow,
    LeakyBucket,
    LockOut,
    Rule,
    Several,
    SlidingCounter,
    SlidingLog,
    TokenBucket,
    WindowFromFirst,
)
from tests.models.telling import (
    Teller,
    nothing,
    per_window,
    ratelimit,
    ratelimit_07,
    retry_after,
    separate,
)
from tests.simulation import START, Faults, Server, heavy_tail, steady

LATENCY = steady(0.02)

_OWN_REQUESTS = 40
"""Room in a job that ends with its last window: the requests for `users/me` count, too.

One leaves at the start, after each reset, and after a refusal, from each of four processes.
"""


@dataclass(frozen=True)
class Case:
    """A server and a job.

    The time is compared with that of the greedy schedule, by `yardstick` where the server's own
    rule says more than anyone can know; or, `without_faults`, with that of our own run against the
    server without its faults and the row that it always refuses.
    """

    label: str
    rows: int
    rule: Rule | None = None
    tells: Teller = nothing
    rates: tuple[Rate, ...] = ()
    answers_me: bool = False
    me_counts: bool = True
    latency: Latency = LATENCY
    workers: int = Sending.workers
    processes: int = 1
    refuses_with: int = 429
    faults: Faults | None = None
    always_refused: str = ""
    seed: int = 1
    yardstick: Rule | None = None
    without_faults: bool = False

    def server(self, *, sound: bool = False) -> Server:
        """Return a fresh server; a sound one has no faults."""
        return Server(
            self.rule,
            self.tells,
            self.latency,
            self.seed,
            self.refuses_with,
            self.answers_me,
            self.me_counts,
            None if sound else self.faults,
            chokes_on=lambda key, _: not sound and key == self.always_refused,
            chokes_with=429,
        )


@dataclass(frozen=True)
class Scenario:
    """Cases with a common goal: `over` times the yardstick plus `plus` seconds, in the mean.

    `refused` is per 100 requests, without faults.
    """

    name: str
    over: float
    refused: float
    cases: Sequence[Case]
    plus: float = 0.0


@dataclass(frozen=True)
class _Allowance:
    """A rule with a long window, of which `left` requests are left at the start."""

    label: str
    rule: Rule
    quota: int
    left: int

    def jobs(self) -> Iterator[tuple[str, int]]:
        """Yield the jobs that fit, and that need one and a half and five windows."""
        yield "fits", max(1, int(0.9 * self.left))
        yield "1.5 windows", self.left + self.quota // 2
        yield "5 windows", self.left + 4 * self.quota - _OWN_REQUESTS


def _allowance(kind: str, quota: int, seconds: int, used: int = 0) -> _Allowance:
    rules: dict[str, Rule] = {
        "aligned": FixedWindow(quota, seconds, used=used),
        # It ends soon after the start, so that nearly two quotas pass at once.
        "ends soon": FixedWindow(quota, seconds, phase=START + 0.02 * seconds, used=used),
        # It ends before a second question about it is due.
        "ends at once": FixedWindow(quota, seconds, phase=START + 20, used=used),
        "from first": WindowFromFirst(quota, seconds),
        "sliding": SlidingLog(quota, seconds),
    }
    return _Allowance(f"{kind} {Rate(quota, seconds)}", rules[kind], quota, quota - used)


HOURS = (
    _allowance("aligned", 100, 3600),
    _allowance("aligned", 1000, 3600, used=15),
    _allowance("ends soon", 1000, 3600),
    _allowance("from first", 1000, 3600),
    _allowance("sliding", 1000, 3600),
    _allowance("aligned", 5000, 3600, used=4015),
    _allowance("from first", 5000, 3600),
    _allowance("sliding", 5000, 3600),
)
MINUTES = (
    _allowance("aligned", 600, 60),
    _allowance("from first", 100, 60),
    _allowance("sliding", 1000, 60),
    _allowance("from first", 300, 300),
    _allowance("aligned", 900, 900, used=100),
)
SHORT: tuple[tuple[str, Rule, float], ...] = (
    ("token bucket 2/s", TokenBucket(2, 2), 2),
    ("token bucket 10/s", TokenBucket(10, 10), 10),
    ("token bucket 100/s", TokenBucket(100, 100), 100),
    ("leaky bucket 10/s, burst 5", LeakyBucket(10, 5), 10),
    ("leaky bucket 100/s, burst 20", LeakyBucket(100, 20), 100),
    ("aligned 10/s", FixedWindow(10, 1), 10),
    ("aligned 100/10s", FixedWindow(100, 10), 10),
    ("from first 20/5s", WindowFromFirst(20, 5), 4),
    ("sliding 10/s", SlidingLog(10, 1), 10),
    ("sliding 100/10s", SlidingLog(100, 10), 10),
    ("sliding counter 100/10s", SlidingCounter(100, 10), 10),
)
"""Label, rule and requests per second."""


def _allowances(which: Sequence[_Allowance], **terms: object) -> list[Case]:
    return [
        replace(Case(f"{one.label}, {job}", rows, one.rule), **terms)  # type: ignore[arg-type]
        for one in which
        for job, rows in one.jobs()
    ]


def _rates(seconds: Sequence[int], **terms: object) -> list[Case]:
    return [
        replace(Case(f"{label}, {length} s", int(rate * length), rule), **terms)  # type: ignore[arg-type]
        for length in seconds
        for label, rule, rate in SHORT
    ]


def _each(cases: Sequence[Case], **terms: object) -> list[Case]:
    return [replace(case, **terms) for case in cases]  # type: ignore[arg-type]


def _some(cases: Sequence[Case], step: int) -> list[Case]:
    return list(cases[::step])


_TOLD = (*HOURS[1:5], HOURS[5], *MINUTES)
_SPELLINGS: tuple[tuple[str, Teller], ...] = (
    ("RateLimit", ratelimit()),
    ("RateLimit, rounded down", ratelimit("down")),
    ("RateLimit without a policy", ratelimit(policy=False)),
    ("RateLimit of draft 07", ratelimit_07),
    ("X-RateLimit in seconds", separate()),
    ("X-RateLimit in seconds, rounded down", separate(rounding="down")),
    ("X-RateLimit as epoch", separate(reset="epoch")),
    ("X-RateLimit as epoch, rounded down", separate(reset="epoch", rounding="down")),
    ("X-RateLimit as epoch in ms", separate(reset="epoch-ms")),
    ("X-RateLimit as ISO time, decimals", separate(reset="iso", decimals=True)),
)


def _spellings() -> list[Case]:
    cases = []
    for number, (name, teller) in enumerate(_SPELLINGS):
        # Each spelling with other rules, so that together they cover all.
        picked = _some(_allowances(_TOLD[number % 3 :: 3]), 1) + _some(_rates([100]), 4)
        cases += [replace(case, label=f"{name}: {case.label}", tells=teller) for case in picked]
    return cases


def _given() -> list[Case]:
    """Rates that the user gives, against the strictest rule that a server can mean by them."""
    cases = []
    for quota, seconds in ((10, 1), (600, 60), (1000, 3600), (10_000, 86_400)):
        rate, rule = Rate(quota, seconds), SlidingLog(quota, seconds)
        jobs = [("fits", int(0.9 * quota)), ("1.5 windows", quota * 3 // 2)]
        jobs += [("5 windows", 5 * quota - _OWN_REQUESTS)] if seconds < 86_400 else []
        if seconds == 1:
            jobs = [("60 s", 600)]
        for job, rows in jobs if seconds < 86_400 else jobs[:1]:
            cases.append(Case(f"--rate {rate}, {job}", rows, rule, rates=(rate,)))
            # The server's window is an aligned one; its boundary is known to nobody.
            aligned = FixedWindow(quota, seconds)
            label = f"--rate {rate}, {job}, aligned server"
            cases.append(Case(label, rows, aligned, rates=(rate,), yardstick=rule))
    both = (Rate(10, 1), Rate(1000, 3600))
    several = Several(SlidingLog(10, 1), SlidingLog(1000, 3600))
    cases.append(Case("--rate 10/s --rate 1000/h", 1500, several, rates=both))
    return cases


def _several() -> list[Case]:
    second_minute = Several(FixedWindow(10, 1), FixedWindow(300, 60))
    second_hour = Several(TokenBucket(10, 10), FixedWindow(1000, 3600, used=15))
    minute_hour = Several(SlidingLog(100, 60), WindowFromFirst(1000, 3600))
    ten_seconds = Several(FixedWindow(100, 10), FixedWindow(500, 60))
    return [
        Case("Kong's headers: 10/s and 300/m", 1500, second_minute, per_window),
        Case("RateLimit list: 10/s and 300/m", 1500, second_minute, ratelimit()),
        Case("RateLimit list: 10/s and 1000/h", 1500, second_hour, ratelimit()),
        Case("RateLimit list: 100/m and 1000/h", 1500, minute_hour, ratelimit()),
        Case("RateLimit list: 100/10s and 500/m", 2500, ten_seconds, ratelimit("down")),
        Case("Kong's headers: 100/m and 1000/h", 1500, minute_hour, per_window),
        Case("RateLimit list, fits", 250, second_hour, ratelimit()),
    ]


def _lock_outs() -> list[Case]:
    locks: list[tuple[str, Rule, int]] = [
        ("sliding 5/s", SlidingLog(5, 1), 3000),
        ("aligned 5/s", FixedWindow(5, 1), 3000),
        ("token bucket 10/s", TokenBucket(10, 10), 6000),
        ("sliding 50/10s", SlidingLog(50, 10), 3000),
    ]
    return [
        Case(f"{label}{', not renewed' if not renewed else ''}", rows, lock)
        for label, rule, rows in locks
        for renewed in (True, False)
        for lock in (LockOut(rule, 30, renewed=renewed),)
    ]


def _faults_and_limit(share: float, tells: Teller) -> list[Case]:
    bucket = TokenBucket(100, 100)
    return [
        Case(f"seed {n}", 10_000, bucket, tells, faults=Faults(share), seed=n) for n in range(1, 6)
    ]


def _faults_only(share: float, status: int) -> list[Case]:
    return [
        Case(f"seed {n}", 10_000, None, faults=Faults(share, status), seed=n, without_faults=True)
        for n in range(1, 6)
    ]


def _real() -> list[Case]:
    return [
        Case(
            api.name,
            api.rows,
            api.rule,
            api.tells,
            answers_me=api.answers_me,
            refuses_with=api.refuses_with,
            latency=steady(0.2) if "Twilio" in api.name else steady(0.1),
            workers=32 if "Twilio" in api.name else Sending.workers,
        )
        for api in REAL_APIS
    ]


def _slow_tail(cases: Sequence[Case]) -> list[Case]:
    return [
        replace(case, label=f"{case.label}, slow tail", latency=heavy_tail(0.15), workers=64)
        for case in cases
    ]


_AT_ONCE = (_allowance("ends at once", 1000, 3600), _allowance("ends at once", 600, 60))
_ME = _allowances(HOURS + MINUTES + _AT_ONCE, answers_me=True)
_UNTOLD_SHORT = _rates([300])
_UNTOLD_HOURS = _allowances(HOURS)


def _scenarios() -> Iterator[Scenario]:
    yield Scenario("told by users/me", 1.03, 0, _ME, 2)
    free = _each(_some(_ME, 3), me_counts=False)
    yield Scenario("told by users/me, which costs nothing", 1.03, 0, free, 2)
    yield Scenario("told in headers", 1.03, 0, _spellings(), 2)
    tails = _slow_tail(_some(_rates([100], tells=ratelimit()), 3))
    yield Scenario("told in headers, slow tail of replies", 1.03, 0, tails, 2)
    yield Scenario("told with --rate", 1.03, 0, _given(), 2)
    yield Scenario("several windows told", 1.05, 0, _several(), 2)
    after = _rates([300], tells=retry_after) + _allowances(
        (HOURS[1], HOURS[4], *MINUTES), tells=retry_after
    )
    yield Scenario("Retry-After only", 1.10, 0.5, after, 2)
    yield Scenario("nothing told, short windows", 1.15, 1, _UNTOLD_SHORT)
    tails = _slow_tail(_some(_UNTOLD_SHORT, 3))
    yield Scenario("nothing told, short windows, slow tail", 1.15, 1, tails)
    as_503 = _each(_some(_UNTOLD_SHORT, 2), refuses_with=503)
    yield Scenario("nothing told, short windows, bare 503s", 1.15, 1, as_503)
    minutes = _allowances(MINUTES)
    yield Scenario("nothing told, windows of minutes", 1.15, 1, minutes, 2)
    yield Scenario("nothing told, hourly window", 1.10, 1, _UNTOLD_HOURS, 2)
    yield Scenario("lock-out of 30 s", 1.30, 1, _lock_outs())
    for share in (0.01, 0.03):
        for name, tells in (("Retry-After", retry_after), ("bare 429s", nothing)):
            title = f"{share:.0%} random 503s beside 100/s, {name}"
            yield Scenario(title, 1.10, 1, _faults_and_limit(share, tells))
    for share, over in ((0.002, 1.05), (0.01, 1.11), (0.03, 1.11)):
        for status in (503, 429):
            title = f"no limit, {share:.1%} random {status}s"
            yield Scenario(title, over, 0, _faults_only(share, status))
    alone = Case("k500 of 1000", 1000, None, always_refused="k500", without_faults=True)
    yield Scenario("one row always gets 429", 1.10, 0, [alone], 2)
    yield Scenario("real APIs", 1.15, 1, _real(), 2)
    four = {"processes": 4, "workers": 8}
    yield Scenario("four processes, told by users/me", 1.03, 0, _each(_some(_ME, 5), **four), 2)
    told = _each(_some(_spellings(), 7), **four)
    yield Scenario("four processes, told in headers", 1.03, 0, told, 2)
    yield Scenario("four processes, --rate", 1.03, 0, _each(_given(), **four), 2)
    yield Scenario("four processes, several told", 1.05, 0, _each(_several(), **four), 2)
    short = _each(_some(_UNTOLD_SHORT, 2), **four)
    yield Scenario("four processes, nothing told, short windows", 1.15, 1, short)
    hours = _each(_some(_UNTOLD_HOURS, 4), **four)
    yield Scenario("four processes, nothing told, hourly window", 1.10, 1, hours, 2)


SCENARIOS = tuple(_scenarios())

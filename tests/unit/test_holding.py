"""Two hosts whose locks are their own: of two holders one stops, and one alone never does."""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bulk_sync.job.holding import (
    RENEWAL_SECONDS,
    SILENCE_SECONDS,
    Claim,
    Found,
    Holder,
    Watch,
)

STEP = 1.0
"""The simulation's step, in seconds."""


@dataclass
class Folder:
    """A folder on a file server: one note, seen by all."""

    note: Holder | None = None
    is_down: bool = False

    def read(self) -> Holder | None:
        if self.is_down:
            raise OSError(errno.EIO, "down")
        return self.note

    def write(self, holder: Holder) -> None:
        if self.is_down:
            raise OSError(errno.EIO, "down")
        self.note = holder


@dataclass
class Host:
    """A host that pushes again and again; it runs only while it is stepped."""

    name: str
    folder: Folder
    boots: int = 0
    runs: int = 0
    now: float = 0.0
    watch: Watch | None = None
    claim: Claim | None = None
    renewed: float = 0.0
    lost: int = 0
    has_looked: bool = False
    alive: set[str] = field(default_factory=set)

    @property
    def boot(self) -> str:
        return f"{self.name}-{self.boots}"

    @property
    def sends(self) -> bool:
        return self.claim is not None

    def is_gone(self, holder: Holder) -> bool:
        return holder.boot == self.boot and holder.token not in self.alive

    def step(self) -> None:
        self.now += STEP
        if self.claim is None:
            self.begin()
        elif self.now - self.renewed >= RENEWAL_SECONDS:
            self.renewed = self.now
            if not self.claim.renew():
                self.lost += 1
                self.end()

    def begin(self) -> None:
        if self.watch is None:
            self.watch = Watch(self.is_gone)
        try:
            note = self.folder.read()
        except OSError:
            return
        found = Found.NOT_YET_KNOWN if self.has_looked else self.watch.look(note, self.now)
        if found is Found.HELD:
            self.watch = None  # exit code 7, and the next night
        elif found is Found.FREE and not self.has_looked:
            self.has_looked = True  # the other host may look before this one writes
        elif self.has_looked:
            self.has_looked = False
            self.runs += 1
            token = f"{self.boot}-{self.runs}"
            own = Holder(7, self.name, "2026-03-02", None, self.boot, token)
            self.folder.write(own)
            self.alive, self.renewed = {token}, self.now
            self.claim = Claim(own, self.folder.read, self.folder.write)

    def end(self) -> None:
        """End a run properly."""
        if self.claim is not None and self.claim.is_own() and not self.folder.is_down:
            self.folder.note = None
        self.kill()

    def kill(self) -> None:
        self.watch = self.claim = None
        self.has_looked = False
        self.alive = set()

    def boot_again(self) -> None:
        self.kill()
        self.boots += 1


DEEDS: dict[str, Callable[[Host], None]] = {
    "end": Host.end,
    "kill": Host.kill,
    "boot": Host.boot_again,
}

# Which hosts run (a host that doesn't is stopped or suspended), for how many steps, and what
# happens to the first of them before.
PHASES = st.lists(
    st.tuples(
        st.sampled_from([(0,), (1,), (0, 1)]),
        st.integers(1, int(3 * SILENCE_SECONDS)),
        st.sampled_from([None, None, *DEEDS]),
    ),
    max_size=12,
)


@given(PHASES)
def test_of_two_holders_that_run_one_stops_within_a_renewal(
    phases: list[tuple[tuple[int, ...], int, str | None]],
) -> None:
    folder = Folder()
    hosts = [Host("a", folder), Host("b", folder)]
    both = 0.0
    for running, steps, deed in phases:
        if deed is not None:
            DEEDS[deed](hosts[running[0]])
        for _ in range(steps):
            for place in running:
                hosts[place].step()
            together = all(host.sends for host in hosts) and len(running) == 2
            both = both + STEP if together else 0.0
            assert both <= RENEWAL_SECONDS


@given(PHASES)
def test_a_host_alone_never_stops_whatever_happens_to_it(
    phases: list[tuple[tuple[int, ...], int, str | None]],
) -> None:
    host = Host("a", Folder())
    for _, steps, deed in phases:
        if deed is not None:
            DEEDS[deed](host)
        for _ in range(steps):
            host.step()
        assert host.lost == 0
        # A boot that isn't known again costs a wait, and nothing else.
        assert host.sends or steps <= SILENCE_SECONDS + 2


@given(st.integers(2, 100), st.integers(1, 100))
def test_a_file_server_that_is_down_ends_no_run(up: int, down: int) -> None:
    host = Host("a", Folder())
    for is_down, steps in ((False, up), (True, down), (False, up)):
        host.folder.is_down = is_down
        for _ in range(steps):
            host.step()
    assert host.sends
    assert host.lost == 0


def test_a_note_that_is_renewed_is_of_a_run_that_lives() -> None:
    one = Holder(7, "a", "2026-03-02", None, "boot", "token")
    watch = Watch(lambda _: False)
    assert watch.look(one, 0) is Found.NOT_YET_KNOWN
    assert watch.look(one, SILENCE_SECONDS - 0.1) is Found.NOT_YET_KNOWN
    assert watch.look(replace(one, renewals=1), SILENCE_SECONDS) is Found.HELD
    silent = Watch(lambda _: False)
    assert silent.look(one, 0) is Found.NOT_YET_KNOWN
    assert silent.look(one, SILENCE_SECONDS) is Found.FREE
    assert Watch(lambda _: True).look(one, 0) is Found.FREE


def test_a_run_whose_note_is_gone_or_anothers_does_not_write_it_again() -> None:
    folder = Folder()
    own = Holder(7, "a", "2026-03-02", None, "boot", "token")
    claim = Claim(own, folder.read, folder.write)
    folder.write(own)
    assert claim.renew()
    assert folder.note == replace(own, renewals=1)
    for other in (replace(own, token="other"), None):
        folder.note = other
        assert not claim.renew()
        assert folder.note == other

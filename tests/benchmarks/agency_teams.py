"""The teams of `agency`: what each API is like, what a sheet says, what a checkpoint says of it."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.agency_servers import Api
from tests.benchmarks.crash_findings import rows_of
from tests.helpers import Witness, write_sheet


@dataclass(frozen=True)
class Kind:
    """A kind of team: its API's options, its job's, and how its job ends.

    `stated` is whether the program knows the limit before it sends.
    """

    name: str
    sandbox: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    api: Mapping[str, Any] = field(default_factory=dict)
    stated: bool = True
    code: int = 0


KINDS = (
    Kind(
        "given",
        {"limit": "20/s", "limit_style": "sliding-window", "limit_headers": "none"},
        {"rate": "20/s"},
    ),
    Kind("stated", {"limit": "20/s", "limit_headers": "ratelimit"}),
    Kind(
        "windows",
        {"limit": "15/s", "limit_style": "fixed-window", "limit_headers": "x-ratelimit"},
    ),
    Kind("hourly", {"allowance": ["60/h"], "speed": "360"}),
    Kind("found", {"limit": "15/s"}, stated=False),
    Kind("concurrent", {"limit": "4/s", "limit_style": "concurrency", "latency": "50ms"}),
    Kind("faulty", {"fault": ["5%:503"], "latency": "10ms"}, {"rate": "25/s"}),
    Kind("free", {"latency": "20ms"}),
)
REFUSED = Kind("refused", api={"refuses": True}, code=5)
FOREIGN = Kind("foreign", job={"team": "Somebody Else"}, code=5)
KEYLESS = Kind("keyless", job={"key-file": "keys/none"}, code=2)
BROKEN = Kind("broken", code=4)
OUTAGE = Kind("outage", job={"rate": "20/s"}, api={"down_after": 5, "down_seconds": 1.0})
DOWN = Kind(
    "down",
    job={"rate": "20/s", "retry-for": "1s", "max-wait": "1s"},
    api={"down_after": 5, "down_seconds": 86400.0},
    code=6,
)
TWIN = Kind("twin", {"limit": "15/s", "limit_headers": "ratelimit"})
SPECIAL = (REFUSED, FOREIGN, KEYLESS, BROKEN, OUTAGE, DOWN, TWIN, TWIN)


@dataclass
class Broken:
    """The rules that were broken, each with the first places."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def expect(self, true: object, rule: str, where: object) -> None:
        """Note the place where a rule does not hold."""
        if not true:
            self.places.setdefault(rule, []).append(str(where))


class Team:
    """A team's job: what its sheet says, what its checkpoint says, what its API saw."""

    def __init__(self, name: str, kind: Kind, folder: Path, rows: int) -> None:
        self.name, self.kind = name, kind
        self.folder = folder / name
        self.witness = Witness("", "")
        self.shares_key_of: Team | None = None
        self.in_flight: Counter[str] = Counter()
        self.unrecorded_seconds = 0.0
        self._known: set[str] = set()
        self._marked: set[str] = set()
        self._looked = 0
        self.folder.mkdir(parents=True)
        self.sheet = {
            f"{name}_{number}": {"feedback": f"{name} says {number}", "rating": number % 5 + 1}
            for number in range(rows)
        }
        header = ("a", "b", "c") if kind is BROKEN else ("unique_showing_key", "feedback", "rating")
        write_sheet(
            self.folder / "showings.csv",
            [(key, row["feedback"], row["rating"]) for key, row in self.sheet.items()],
            header,
        )

    @property
    def key(self) -> str:
        """The API key."""
        if self.shares_key_of is not None:
            return self.shares_key_of.key
        # Random, as North's are: parts of a key are masked in replies, also in a team's name.
        return f"north_sk_test_{hashlib.sha256(self.name.encode()).hexdigest()[:32]}"

    @property
    def api(self) -> Api:
        """The description of the API."""
        return Api(team=self.name, key=self.key, sandbox=dict(self.kind.sandbox), **self.kind.api)

    def journal(self) -> list[dict[str, Any]]:
        """Return the patches of this team's sheet that its API saw."""
        return [entry for entry in self.witness.patches() if entry["key"] in self.sheet]

    def holder(self) -> int | None:
        """Return the process that holds the checkpoint."""
        try:
            note = (self.folder / "showings.checkpoint.sqlite.holder").read_text("utf-8")
            return int(json.loads(note)["pid"])
        except (OSError, ValueError):
            return None

    def sent_again(self) -> Counter[str]:
        """Return how often rows were sent again although nothing but a kill was the reason."""
        # A request that met a fault, or a limit, is repeated in the same run.
        entries = [e for e in self.journal() if e["fault"] is None and e["status"] != 429]
        return Counter(entry["key"] for entry in entries) - Counter(self.sheet.keys())

    def look(self, broken: Broken, struck_at: float, *, killed: bool) -> None:
        """Compare journal and checkpoint after a strike, and keep what must hold from now on."""
        kept = rows_of(self.folder / "showings.checkpoint.sqlite")
        updated = {key for key, row in kept.items() if row.state == "updated"}
        # Replies of the killed run that are not in the checkpoint.
        late = [
            struck_at - entry["ended_at"]
            for entry in self.journal()
            if entry["seq"] > self._looked and entry["applied"] and entry["key"] not in updated
        ]
        if killed:
            self.unrecorded_seconds = max([self.unrecorded_seconds, *late])
        self.compare(updated, broken)
        # Those of an earlier kill stay until a run reads the sheet.
        in_flight = {key for key, row in kept.items() if row.in_flight}
        new = sorted(in_flight - self._marked)
        broken.expect(killed or not new, "in flight after a stop", f"{self.name}: {new}")
        self.in_flight.update(in_flight)
        self._marked = in_flight

    def compare(self, updated: set[str], broken: Broken) -> None:
        """Compare the acknowledged rows with the journal and with those of the look before."""
        journal = self.journal()
        applied = {entry["key"] for entry in journal if entry["applied"]}
        sent = {entry["key"] for entry in journal if entry["seq"] > self._looked}
        for rule, keys in (
            ("acknowledged and not applied", updated - applied),
            ("acknowledged and lost", self._known - updated),
            ("acknowledged and sent again", self._known & sent),
        ):
            broken.expect(not keys, rule, f"{self.name}: {sorted(keys)[:3]}")
        self._known = updated
        self._looked = max((entry["seq"] for entry in journal), default=self._looked)

"""North in memory, behind the seam of the transports: showings, two teams, faults, and colleagues.

It keeps what each ledger may know, too. A *family* is a set of jobs over one ledger. For every
showing and field it has `claims`: the value that North acknowledged last through the family,
as North stored it, while no later request of the family may have changed it. `unseen` has the
fields that somebody else changed since, which no export has shown to the family.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import anyio.lowlevel
from pydantic import SecretStr

from bulk_sync.send.transport.interface import Failure, Reply
from tests.helpers import KEY

Field = tuple[int, str]
"""A showing, by number, and the name of a field."""

FIELDS = ("feedback", "rating", "interested", "attendee_name")
LONGEST_FEEDBACK = 8
"""Characters that North keeps of a feedback that begins with "Long"."""

NEW_KEY = "north_sk_test_new_key_of_the_team"
FOREIGN_KEY = "north_sk_test_of_another_team_00"
_TEAMS = {KEY: "one", NEW_KEY: "one", FOREIGN_KEY: "two"}

FAULTS = ("refused", "gone", "lost", "applied and lost", "applied and lost once", "busy")
"""The possible fates of the requests for a showing in a night."""

_DOWN = Failure("connection", "refused", may_have_arrived=False)
_LOST = Failure("timeout", "no reply", may_have_arrived=True)


def stored(name: str, value: Any) -> Any:
    """Return a value as North keeps it."""
    if name == "feedback" and isinstance(value, str) and value.startswith("Long"):
        return value[:LONGEST_FEEDBACK]
    return value


def key_of(showing: int) -> str:
    return f"ext_{showing}"


def id_of(showing: int) -> str:
    return str(UUID(int=0x3C90C3CC_0D44_4B50_8888_8DD257360000 + showing))


@dataclass
class Family:
    """The values that jobs over one ledger may know; see the module."""

    claims: dict[Field, Any] = field(default_factory=dict)
    unseen: set[Field] = field(default_factory=set)
    ever: dict[Field, list[Any]] = field(default_factory=dict)  # acknowledged at any time
    last: dict[Field, int] = field(default_factory=dict)  # when it wrote, counted in writes

    def join(self, other: Family) -> None:
        """Take over another family: its ledger is joined to this one."""
        for one, values in other.ever.items():
            self.ever.setdefault(one, []).extend(values)
        for one in self.last.keys() | other.last.keys():
            mine, theirs = self.last.get(one, -1), other.last.get(one, -1)
            both = mine >= 0 and theirs >= 0
            if both and not (
                one in self.claims and one in other.claims and self.claims[one] == other.claims[one]
            ):
                # Both know that one of them changed it after the other.
                self.claims.pop(one, None)
                self.unseen.discard(one)
            elif theirs > mine:
                if one in other.claims:
                    self.claims[one] = other.claims[one]
                (self.unseen.add if one in other.unseen else self.unseen.discard)(one)
            self.last[one] = max(mine, theirs)


@dataclass
class North:
    """The showings of a team, as lists of fields by name."""

    showings: list[dict[str, Any]]
    families: list[Family] = field(default_factory=list)
    faults: dict[int, str] = field(default_factory=dict)
    writes: int = 0
    foreign_patches: int = 0
    is_down: Callable[[], bool] = lambda: False
    on_request: Callable[[str], None] = lambda _: None
    """Called with "before" and "after" the effect of each patch."""
    pushing: Family | None = None
    _numbers: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for showing in range(len(self.showings)):
            self._numbers[key_of(showing)] = self._numbers[id_of(showing)] = showing

    def number(self, name: str) -> int | None:
        """Return the showing with this key or id."""
        return self._numbers.get(name)

    def edit(self, showing: int, name: str, value: Any) -> None:
        """Let a colleague change a field."""
        if self.showings[showing][name] != value:
            self.showings[showing][name] = value
            for family in self.families:
                family.unseen.add((showing, name))

    def show(self, family: Family, seen: dict[Field, Any]) -> None:
        """Let a family know an export; values that North has no more show nothing."""
        for one, value in seen.items():
            if family.claims.get(one, value) != value:
                del family.claims[one]
            if self.showings[one[0]][one[1]] == value:
                family.unseen.discard(one)

    # Requests

    def patch(self, key: str, target: str, body: dict[str, Any]) -> Reply | Failure:
        """Answer a patch by the team of a key."""
        if self.is_down():
            return _DOWN
        if _TEAMS[key] != "one":
            self.foreign_patches += 1
            return _error(404, "Showing not found")
        self.on_request("before")
        if self.is_down():
            return _DOWN
        showing = self.number(target)
        fault = None if showing is None else self.faults.get(showing)
        values = {name: value for name, value in body.items() if name in FIELDS}
        if showing is None or fault == "gone":
            return _error(404, "Showing not found")
        if fault == "refused":
            return _error(422, "This showing is locked")
        if fault == "busy":
            return _error(503, "Busy")
        if fault is not None and fault.endswith("once"):
            del self.faults[showing]
        lost = fault is not None
        if fault != "lost":
            self._apply(showing, values)
        self._note(showing, values, lost=lost)
        self.on_request("after")
        # Somebody kills the program between the effect and the reply.
        return _LOST if lost or self.is_down() else self._reply(showing)

    def account(self, key: str) -> Reply | Failure:
        """Answer users/me."""
        team = _TEAMS[key]
        return _json(200, {"data": {"team": {"id": f"team-{team}", "name": f"Team {team}"}}})

    def _apply(self, showing: int, values: dict[str, Any]) -> None:
        self.writes += 1
        for name, value in values.items():
            kept = stored(name, value)
            for family in self.families:
                if family is not self.pushing and self.showings[showing][name] != kept:
                    family.unseen.add((showing, name))
            self.showings[showing][name] = kept

    def _note(self, showing: int, values: dict[str, Any], *, lost: bool) -> None:
        family = self.pushing
        assert family is not None, "nobody pushes"
        for name, value in values.items():
            one = (showing, name)
            family.unseen.discard(one)
            family.last[one] = self.writes
            if lost:
                family.claims.pop(one, None)
            else:
                family.claims[one] = stored(name, value)
                family.ever.setdefault(one, []).append(family.claims[one])

    def _reply(self, showing: int) -> Reply:
        echoed = {"id": id_of(showing), "feedback": self.showings[showing]["feedback"]}
        return _json(200, {"data": echoed | {"updated_at": "2026-03-02T15:00:00Z"}})


def _json(status: int, body: object) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps(body).encode())


def _error(status: int, message: str) -> Reply:
    return _json(status, {"error": {"message": message, "status": status}})


class _Transport:
    """The requests of one run."""

    def __init__(self, north: North, key: str) -> None:
        self._north = north
        self._key = key

    async def renew(self, *, for_good: bool) -> None:
        """There are no connections."""

    async def patch(self, path: str, body: bytes, _: str) -> Reply | Failure:
        await anyio.lowlevel.checkpoint()
        target = unquote(path.rpartition("/")[2])
        return self._north.patch(self._key, target, json.loads(body))

    async def post(self, *_: object) -> Reply | Failure:
        raise AssertionError("nothing is created here")

    async def get(self, _: str) -> Reply | Failure:
        await anyio.lowlevel.checkpoint()
        return self._north.account(self._key)


def transport_to(north: North) -> Callable[..., Any]:
    """Return what takes the place of `open_transport`."""

    @asynccontextmanager
    async def opened(_: str, __: str, key: SecretStr, **___: Any) -> AsyncIterator[_Transport]:
        yield _Transport(north, key.get_secret_value())

    return opened

"""The ledger's entries of a group of showings, in memory: the rules of `ledger.py`. Pure.

A group is loaded, changed and written as a whole, because SQLite finds a hundred names in one query
faster than ten in ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

Values = dict[str, Any]
"""Fields of a patch and their JSON values."""

Times = dict[str, str]
"""When the API acknowledged fields, in UTC; "" is any other field, or a time that is unknown."""

TRACE = "null"
"""The fields of an entry that is kept for its writer's sake alone."""

NOBODY = ""
"""The writer of an entry of which nobody knows the last patch."""


class Entry(NamedTuple):
    """A showing's acknowledged values."""

    target: str
    """Addresses the showing: its id or its key."""
    key: str
    """As the sheet has it; "" when it names none."""
    showing_id: str | None
    """North's id, as the API returned it."""
    fields: str
    """JSON object: the acknowledged fields and values; `TRACE` where there are none."""
    writer: str | None = None
    """Of the last patch; None is the checkpoint whose own ledger it is."""
    times: str | None = None
    """JSON, see `times_text`. It may name fields without a value: they may come back with it."""

    @property
    def values(self) -> Values:
        """The acknowledged fields and values."""
        return json.loads(self.fields) or {}

    @property
    def acknowledged(self) -> Times:
        """When its fields were acknowledged, as far as known."""
        return times_of(self.times)

    @property
    def names(self) -> set[str]:
        """Target, key and id: everything the showing is known by."""
        return {self.target, self.key, self.showing_id or ""} - {""}


class Entries:
    """The entries of a group, with a record of which ones changed."""

    def __init__(self, writer: str | None = None) -> None:
        self._writer = writer
        self._entries: dict[str, Entry] = {}  # by target
        self._targets: dict[str, set[str]] = {}  # by any name
        self._changed: set[str] = set()

    def load(self, entries: Iterable[Entry]) -> None:
        """Add entries of the file; those already present stay as they are."""
        for entry in entries:
            if entry.target not in self._entries:
                self._keep(entry)

    def ids(self) -> set[str]:
        """Return North's ids of all entries."""
        return {entry.showing_id for entry in self._entries.values() if entry.showing_id}

    def changes(self) -> tuple[list[Entry], list[str]]:
        """Return the entries to write, and the targets to delete."""
        written = [self._entries[target] for target in self._changed if target in self._entries]
        return written, [target for target in self._changed if target not in self._entries]

    def withdraw(self, target: str, key: str, body: str) -> Values:
        """Forget the fields of a patch about to be sent, and return the values they had."""
        before = self._entries.get(target)
        others = self._make_only(target, key)
        known = before.values if before else {}
        withdrawn = {name: known.pop(name) for name in json.loads(body) if name in known}
        # Without an entry to change, a checkpoint's own ledger needs none: nobody relies on it.
        if withdrawn or others or self._is_of_another(before):
            fields = json_text(known) if withdrawn else before.fields if before else TRACE
            self._put(target, key, fields, others, times=before and before.times)
        return withdrawn

    def restore(self, target: str, key: str, values: Values) -> None:
        """Put back the values that `withdraw` returned, because the patch did nothing."""
        before = self._entries.get(target)
        fields = json_text((before.values if before else {}) | values)
        self._put(target, key, fields, times=before and before.times)

    def learn(
        self, target: str, key: str, showing_id: str | None, body: str, at: str | None = None
    ) -> None:
        """Add the values of a patch that the API acknowledged, and when, if that is known."""
        before = self._entries.get(target)
        showing_id = showing_id or (before and before.showing_id)
        others = self._make_only(target, key, showing_id)
        known, learnt = body, json.loads(body)
        if before is not None and before.values:
            known = json_text({**before.values, **learnt})
        times = {**(before.acknowledged if before else {}), **dict.fromkeys(learnt, at or "")}
        self._put(target, key, known, others, showing_id, times_text(times))

    def forget(self, target: str, key: str = "") -> None:
        """Drop the values of a target, because North has no such showing, or another one.

        A trace stays, because another job may have been done with the showing before.
        """
        if target in self._entries or self._writer is not None:
            self._put(target, key, TRACE)

    def doubt(self, target: str, key: str, showing_id: str | None) -> None:
        """Drop the values of a showing, because North was found to hold others."""
        others = self._make_only(target, key, showing_id)
        self._put(target, key, TRACE, others, showing_id)
        self._write(self._entries[target]._replace(writer=NOBODY))

    def of(self, names: Iterable[str]) -> Iterator[Entry]:
        """Yield the entries with any of these names."""
        targets = {target for name in names if name for target in self._targets.get(name, ())}
        return (self._entries[target] for target in sorted(targets))

    def join(self, entry: Entry) -> None:
        """Take over an entry of another ledger: only what both know where both have the showing."""
        present = [*self.of(entry.names)]
        if not present:
            self._write(entry)
        known = entry.values
        for other in present:
            values = other.values
            kept = {name: values[name] for name in values if _has(known, name, values[name])}
            if kept != values or kept != known:
                fields = json_text(kept) if values else other.fields
                other = other._replace(fields=fields, writer=NOBODY)  # noqa: PLW2901
            self._write(other._replace(times=_later(other, entry, kept)))

    def _is_of_another(self, before: Entry | None) -> bool:
        """Return whether the entry is missing or another writer's, in a ledger that is shared."""
        return self._writer is not None if before is None else before.writer != self._writer

    def _make_only(self, target: str, key: str, showing_id: str | None = None) -> list[Entry]:
        """Drop and return the entries of the same showing under another target."""
        before = self._entries.get(target)
        names = {target, key, showing_id, before and before.showing_id} - {None, ""}
        others = [one for one in self.of(map(str, names)) if one.target != target]
        for other in others:
            self._drop(other.target)
        return others

    def _put(
        self,
        target: str,
        key: str,
        fields: str,
        others: Iterable[Entry] = (),
        showing_id: str | None = None,
        times: str | None = None,
    ) -> None:
        """Write the only entry of a showing; it keeps the key and the id that earlier ones had."""
        for earlier in (self._entries.get(target), *others):
            if earlier is not None:
                key, showing_id = key or earlier.key, showing_id or earlier.showing_id
        self._write(Entry(target, key, showing_id, fields, self._writer, times))

    def _drop(self, target: str) -> None:
        entry = self._entries.pop(target, None)
        if entry is not None:
            for name in entry.names:
                self._targets[name].discard(target)
            self._changed.add(target)

    def _write(self, entry: Entry) -> None:
        self._drop(entry.target)
        self._keep(entry)
        self._changed.add(entry.target)

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.target] = entry
        for name in entry.names:
            self._targets.setdefault(name, set()).add(entry.target)


def times_of(text: str | None) -> Times:
    """Return the times that `times_text` wrote."""
    found = json.loads(text) if text else {}
    return {field: at for at, fields in found.items() for field in fields.split() or [""]}


def times_text(times: Times) -> str | None:
    """Return times as JSON: the fields of each, joined by a space; None if none is known.

    Most fields of a showing were acknowledged together, so this is a third of the length of the
    times by their fields.
    """
    if not any(times.values()):
        return None
    others = times.get("", "")
    fields: dict[str, list[str]] = {others: [""]} if others else {}
    for field, at in times.items():
        if at != others:
            fields.setdefault(at, []).append(field)
    return json_text({at: " ".join(names) for at, names in fields.items()})


def time_of(times: Times, field: str) -> str | None:
    """Return when a field was acknowledged; None if that is unknown."""
    return times.get(field, times.get("")) or None


def _later(one: Entry, other: Entry, fields: Iterable[str]) -> str | None:
    """Return when two entries' fields were acknowledged last, as far as known."""
    known = [each.acknowledged for each in (one, other)]
    latest = {field: max(time_of(times, field) or "" for times in known) for field in fields}
    return times_text({**known[0], **latest})


def _has(values: Values, name: str, value: object) -> bool:
    """Return whether values have this very value; True is not 1."""
    return name in values and json_text({name: values[name]}) == json_text({name: value})


def holds(values: Values, body: str) -> bool:
    """Return whether a showing with these values is known to have all of a patch."""
    return all(_has(values, name, value) for name, value in json.loads(body).items())


def json_text(values: Mapping[str, Any]) -> str:
    """Return values as JSON the way patches are written, so that equal values have equal texts."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

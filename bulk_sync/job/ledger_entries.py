"""The ledger's entries of a group of showings, in memory: the rules of `ledger.py`. Pure.

A group is loaded, changed and written as a whole, because SQLite finds a hundred names in one query
faster than ten in ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Values = dict[str, Any]
"""Fields of a patch and their JSON values."""


class Entry(NamedTuple):
    """A showing's acknowledged values."""

    target: str
    """Addresses the showing: its id or its key."""
    key: str
    """As the sheet has it; "" when it names none."""
    showing_id: str | None
    """North's id, as the API returned it."""
    fields: str
    """JSON object: the acknowledged fields and values."""

    @property
    def names(self) -> set[str]:
        """Target, key and id: everything the showing is known by."""
        return {self.target, self.key, self.showing_id or ""} - {""}


class Entries:
    """The entries of a group, with a record of which ones changed."""

    def __init__(self) -> None:
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
        self._forget_namesakes(target, key, before and before.showing_id)
        if before is None:
            return {}
        known = json.loads(before.fields)
        withdrawn = {name: known.pop(name) for name in json.loads(body) if name in known}
        if withdrawn:
            self._write(Entry(target, key, before.showing_id, json_text(known)))
        return withdrawn

    def restore(self, target: str, key: str, values: Values) -> None:
        """Put back the values that `withdraw` returned, because the patch did nothing."""
        before = self._entries.get(target)
        known = json.loads(before.fields) if before else {}
        self._write(Entry(target, key, before and before.showing_id, json_text(known | values)))

    def learn(self, target: str, key: str, showing_id: str | None, body: str) -> None:
        """Add the values of a patch that the API acknowledged."""
        before = self._entries.get(target)
        showing_id = showing_id or (before and before.showing_id)
        self._forget_namesakes(target, key, showing_id)
        known = body
        if before is not None and before.fields != "{}":
            known = json_text({**json.loads(before.fields), **json.loads(body)})
        self._write(Entry(target, key, showing_id, known))

    def forget(self, target: str) -> None:
        """Drop the entry of a target."""
        entry = self._entries.pop(target, None)
        if entry is not None:
            for name in entry.names:
                self._targets[name].discard(target)
            self._changed.add(target)

    def forget_all_of(self, name: str) -> None:
        """Drop every entry of a showing with this key or id."""
        self._forget_namesakes("", name, None)

    def _forget_namesakes(self, target: str, key: str, showing_id: str | None) -> None:
        """Drop entries of the same showing under another target."""
        for name in (target, key, showing_id):
            if name:
                for other in self._targets.get(name, set()) - {target}:
                    self.forget(other)

    def _write(self, entry: Entry) -> None:
        self.forget(entry.target)
        self._keep(entry)
        self._changed.add(entry.target)

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.target] = entry
        for name in entry.names:
            self._targets.setdefault(name, set()).add(entry.target)


def json_text(values: Mapping[str, Any]) -> str:
    """Return values as JSON the way patches are written, so that equal values have equal texts."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

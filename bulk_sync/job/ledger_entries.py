"""What a ledger knows of a group of showings, in memory: the rules of `ledger.py`, without its
file. Pure.

A group is loaded, changed and written as a whole: SQLite finds a hundred names in one query faster
than ten in ten.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

Values = dict[str, Any]
"""Fields of a patch, as JSON has them."""


class Entry(NamedTuple):
    """What was acknowledged for a showing."""

    target: str
    """What addresses it: its id or its key."""
    key: str
    """As the sheet has it; "" when it names none."""
    showing_id: str | None
    """As the API said."""
    fields: str
    """JSON object: the fields and the values that were acknowledged."""

    @property
    def names(self) -> set[str]:
        """All that it goes by."""
        return {self.target, self.key, self.showing_id or ""} - {""}


class Entries:
    """The entries of a group, and which of them were changed."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}  # by target
        self._targets: dict[str, set[str]] = {}  # by any name
        self._changed: set[str] = set()

    def load(self, entries: Iterable[Entry]) -> None:
        """Take what the file holds; what is here already stays as it is."""
        for entry in entries:
            if entry.target not in self._entries:
                self._keep(entry)

    def ids(self) -> set[str]:
        """North's ids of all showings here."""
        return {entry.showing_id for entry in self._entries.values() if entry.showing_id}

    def changes(self) -> tuple[list[Entry], list[str]]:
        """What is to be written, and the targets of which nothing is known any more."""
        written = [self._entries[target] for target in self._changed if target in self._entries]
        return written, [target for target in self._changed if target not in self._entries]

    def take_out(self, target: str, key: str, body: str) -> Values:
        """A patch is about to be sent: forget its fields, and return what was known of them."""
        before = self._entries.get(target)
        self._forget_namesakes(target, key, before and before.showing_id)
        if before is None:
            return {}
        known = json.loads(before.fields)
        taken = {name: known.pop(name) for name in json.loads(body) if name in known}
        if taken:
            self._write(Entry(target, key, before.showing_id, text_of(known)))
        return taken

    def put_back(self, target: str, key: str, values: Values) -> None:
        """The patch did nothing: what was known before is known again."""
        before = self._entries.get(target)
        known = json.loads(before.fields) if before else {}
        self._write(Entry(target, key, before and before.showing_id, text_of(known | values)))

    def learn(self, target: str, key: str, showing_id: str | None, body: str) -> None:
        """The API acknowledged a patch."""
        before = self._entries.get(target)
        showing_id = showing_id or (before and before.showing_id)
        self._forget_namesakes(target, key, showing_id)
        known = (
            body
            if before is None or before.fields == "{}"
            else text_of(_joined(before.fields, body))
        )
        self._write(Entry(target, key, showing_id, known))

    def forget(self, target: str) -> None:
        """Know nothing any more of what is addressed so."""
        entry = self._entries.pop(target, None)
        if entry is not None:
            for name in entry.names:
                self._targets[name].discard(target)
            self._changed.add(target)

    def forget_all_of(self, name: str) -> None:
        """Know nothing any more of a showing that goes by this key or id."""
        self._forget_namesakes("", name, None)

    def _forget_namesakes(self, target: str, key: str, showing_id: str | None) -> None:
        """Forget what is known of the same showing under another name."""
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


def _joined(known: str, body: str) -> Values:
    return {**json.loads(known), **json.loads(body)}


def text_of(values: Mapping[str, Any]) -> str:
    """As a patch's body is written, so that what is equal has equal texts."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

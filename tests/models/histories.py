"""Histories of nights: drawn, played, and reduced to the nights that a violation needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.helpers import KEY
from tests.models.nights import Nights, Violation
from tests.models.north import FAULTS, FIELDS, FOREIGN_KEY, NEW_KEY
from tests.models.person import SHEETS, SHOWINGS, TEXTS, VALUES, Cut, Night, Options


def draw(dice: random.Random) -> Night:
    """Draw a night."""
    edits = tuple(_drawn_edit(dice) for _ in range(dice.choice((0, 1, 1, 2, 3))))
    name = dice.choice(SHEETS)
    sheet_acts: list[tuple[Any, ...]] = [
        *[("push", name)] * 8,
        ("own", name, "failed", dice.random() < 0.6),
        ("own", name, "failed", dice.random() < 0.6),
        ("own", name, "undo", False),
        ("own", name, "undo", False),
        ("own", name, "changes", False),
        *[
            (
                "reconcile",
                name,
                dice.choice((0, 0, 0, 1, 3)),
                dice.random() < 0.8,
                dice.choice((None, None, 1, 2)),
            )
        ]
        * 4,
        ("ledger", name, dice.random() < 0.7),
    ]
    options = Options(
        clear=dice.random() < 0.3,
        blank_clears=dice.random() < 0.15,
        on_duplicate=dice.choice(("error", "error", "last", "merge")),
        limit=dice.choice((None, None, None, None, 1, 3)),
        only_changed=dice.random() < 0.35,
        fresh=dice.random() < 0.07,
        key=dice.choices((KEY, NEW_KEY, FOREIGN_KEY), (20, 1, 1))[0],
        new_key=dice.random() < 0.1,
        ambiguous=dice.choice(("retry", "retry", "stop")),
        names_ledger=dice.random() < 0.7,
    )
    if options.on_duplicate == "merge" and options.blank_clears:
        options = replace(options, blank_clears=False)
    if options.fresh and options.key == FOREIGN_KEY:
        options = replace(options, fresh=False)
    faults = tuple(
        (dice.randrange(SHOWINGS), dice.choice(FAULTS)) for _ in range(dice.choice((0, 0, 1, 2)))
    )
    cut = None
    if dice.random() < 0.3:
        kind = dice.choice(("stop", "before", "after", "commit", "commit", "torn"))
        most = 5 if kind in {"stop", "before", "after"} else 16
        cut = Cut(kind, dice.randint(1, most))
    return Night(dice.choice(sheet_acts), edits, options, faults, cut)


def _drawn_edit(dice: random.Random) -> tuple[Any, ...]:
    sheet, name, showing = dice.choice(SHEETS), dice.choice(FIELDS), dice.randrange(SHOWINGS)
    text = dice.choice(TEXTS[name])
    some = tuple(sorted(dice.sample(range(SHOWINGS), SHOWINGS - 2)))
    return dice.choice(
        (
            *[("cell", sheet, dice.randrange(8), name, text)] * 5,
            ("add", sheet, showing, name, text or TEXTS[name][1]),
            ("drop", sheet, dice.randrange(8)),
            ("address", sheet, showing, dice.choice(("key", "id", "both"))),
            ("sort", sheet, dice.randrange(99)),
            *[("colleague", showing, name, dice.choice(VALUES[name]))] * 3,
            *[("export", FIELDS, tuple(range(SHOWINGS)))] * 3,
            ("export", ("rating", "feedback"), tuple(range(SHOWINGS))),
            ("export", FIELDS, some),
        )
    )


def history(seed: int, nights: int) -> list[Night]:
    """Draw a history."""
    dice = random.Random(seed)
    return [draw(dice) for _ in range(nights)]


def violation(seed: int, nights: Sequence[Night], folder: Path | None = None) -> str | None:
    """Play a history; return the rule that it broke, and in which night, or None."""
    with TemporaryDirectory(dir=folder) as place:
        world = Nights(Path(place), seed)
        for number, night in enumerate(nights):
            try:
                world.play(night)
                if number % 3 == 0:
                    world.check_comparison(SHEETS[number % 2])
            except Violation as broken:
                return f"night {number + 1}: {broken}"
    return None


def reduced(nights: Sequence[Night], still: Callable[[Sequence[Night]], bool]) -> list[Night]:
    """Leave out nights, and then edits, faults and options, that a violation does not need."""
    kept = [*nights]
    size = max(1, len(kept) // 2)
    while size:
        at = 0
        while at < len(kept):
            without = kept[:at] + kept[at + size :]
            if still(without):
                kept = without
            else:
                at += size
        size //= 2
    for at in range(len(kept)):
        for simpler in _simpler(kept, at):
            changed = [*kept[:at], simpler(kept[at]), *kept[at + 1 :]]
            if changed != kept and still(changed):
                kept = changed
    return kept


def _simpler(nights: Sequence[Night], at: int) -> list[Callable[[Night], Night]]:
    def usual(night: Night, name: str) -> Night:
        options = replace(night.options, **{name: getattr(Options, name)})
        return replace(night, options=options)

    def without(night: Night, edit: tuple[Any, ...]) -> Night:
        return replace(night, edits=tuple(one for one in night.edits if one is not edit))

    return [
        lambda night: replace(night, cut=None),
        lambda night: replace(night, faults=()),
        *(partial(usual, name=name) for name in vars(Options())),
        *(partial(without, edit=edit) for edit in nights[at].edits),
    ]

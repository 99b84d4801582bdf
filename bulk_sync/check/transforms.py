"""Transformations that turn the values of a field there into those here. Pure.

A recogniser sees the two values of each row that has both, equal or not, in any order. It keeps
counts only, so its memory does not grow with the sheets. A transformation is found when it explains
nearly all differing rows, and most rows in which it would make a difference: a few edits of people
that happen to be alike are none.
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, TypeGuard

from bulk_sync.check.showing import INSTANTS, ShowingPatch
from bulk_sync.model.problems import Fact
from bulk_sync.model.systematic import Pattern, Systematic

# Different entries of a counter; what comes later counts as unexplained.
_MOST_ENTRIES = 20_000


def nearly_all(rows: int, of: int) -> bool:
    """Return whether it is nine in ten."""
    return rows * 10 >= of * 9


def most(rows: int, of: int) -> bool:
    """Return whether it is four in five."""
    return rows * 5 >= of * 4


def _nearly_every(rows: int, of: int) -> bool:
    """Return whether it is nineteen in twenty."""
    return rows * 20 >= of * 19


class Recogniser(Protocol):
    """Sees pairs of values that are not blank; finds the transformation between them."""

    def see(self, there: object, here: object) -> None:
        """Take a row's values."""

    def found(self, field: str) -> Systematic | None:
        """Return the transformation, if there is one."""


def recogniser_of(field: str) -> Recogniser:
    """Return a recogniser for the values of a field."""
    if field in INSTANTS:
        return Instants()
    kind = ShowingPatch.model_fields[field].annotation
    return Texts() if kind == str | None else Values()


# Dates with times

# Fewer could be edits that are alike. Under summer time alone, half of the rows are the same.
_LEAST_TIMES = 3
_LEAST_SUMMER_TIMES = 10
_HOUR = 60


class Instants:
    """Recognises one offset (two with summer time), and days and months in each other's place."""

    def __init__(self) -> None:
        # Rows by day there and offset in minutes.
        self._offsets: Counter[tuple[str, float]] = Counter()
        self._same_clock = self._swapped = self._swappable = self._rows = 0

    def see(self, there: object, here: object) -> None:
        """Take a row's instants, in RFC 3339."""
        if not (isinstance(there, str) and isinstance(here, str)):
            return
        self._rows += 1
        day, month = there[8:10], there[5:7]
        self._swappable += day <= "12" and day != month
        offset = 0.0
        if there != here:
            passed = datetime.fromisoformat(here) - datetime.fromisoformat(there)
            offset = passed / timedelta(minutes=1)
            self._same_clock += offset != 0 and there[:19] == here[:19]
            self._swapped += (
                day != month and here[:19] == f"{there[:4]}-{day}-{month}{there[10:19]}"
            )
        entry = (there[:10], offset)
        if entry in self._offsets or len(self._offsets) < _MOST_ENTRIES:
            self._offsets[entry] += 1

    def found(self, field: str) -> Systematic | None:
        """Return the offset, or that days and months are in each other's place."""
        totals: Counter[float] = Counter()
        for (_, offset), count in self._offsets.items():
            totals[offset] += count
        differing = self._rows - totals.pop(0.0, 0)
        if differing < _LEAST_TIMES:
            return None
        if nearly_all(self._swapped, differing) and most(self._swapped, self._swappable):
            return Systematic(Pattern.DAY_AND_MONTH, field, self._swapped, self._swappable)
        first, count = totals.most_common(1)[0]
        for second in (first - _HOUR, first + _HOUR):
            explained = count + (totals[second] if second else 0)
            equal = self._rows - differing if not second else 0
            least = _LEAST_TIMES if second else _LEAST_SUMMER_TIMES
            if (
                (totals[second] or equal)
                and explained >= least
                and nearly_all(explained, differing)
                and most(explained + equal, self._rows)
                and self._by_season(first, second)
            ):
                return self._offset(field, explained, (first, second))
        if nearly_all(count, differing) and most(count, self._rows):
            return self._offset(field, count, (first,))
        return None

    def _offset(self, field: str, rows: int, offsets: tuple[float, ...]) -> Systematic:
        minutes = sorted((round(one) for one in offsets), key=abs)
        facts: dict[str, Fact] = {"minutes": minutes}
        facts["same_clock"] = int(nearly_all(self._same_clock, rows))
        return Systematic(Pattern.TIME_OFFSET, field, rows, self._rows, facts)

    def _by_season(self, one: float, other: float) -> bool:
        """Return whether days have one of two offsets, and change it about twice a year."""
        days: dict[str, int] = {}
        rows = 0
        for (day, offset), count in self._offsets.items():
            if offset in (one, other):
                days[day] = days.get(day, 0) + (count if offset == one else -count)
                rows += count
        clear = sum(abs(lead) for lead in days.values())
        signs = [lead > 0 for _, lead in sorted(days.items()) if lead]
        changes = sum(a is not b for a, b in pairwise(signs))
        years = len({day[:4] for day in days})
        return nearly_all(clear, rows) and changes <= 2 * years


# Numbers, and words of a list

_LEAST_VALUES = 4
# One of two words is the other in half of all rows by chance.
_LEAST_WORDS = 8
# The most frequent pairs of values, from which a transformation is guessed.
_GUESSES = 3


class Values:
    """Recognises a factor, a summand, a reversed scale, and yes in place of no."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[object, object]] = Counter()

    def see(self, there: object, here: object) -> None:
        """Take a row's values."""
        entry = (there, here)
        if entry in self._pairs or len(self._pairs) < _MOST_ENTRIES:
            self._pairs[entry] += 1

    def found(self, field: str) -> Systematic | None:
        """Return the transformation that explains most rows."""
        differing = [pair for pair, _ in self._pairs.most_common() if pair[0] != pair[1]]
        found = [
            self._explained(field, guess, differing)
            for pair in differing[:_GUESSES]
            for guess in _guesses(*pair)
        ]
        return max((one for one in found if one), key=lambda one: one.rows, default=None)

    def _explained(
        self, field: str, guess: _Guess, differing: list[tuple[object, object]]
    ) -> Systematic | None:
        """Return the finding if a guess holds for at least two different values."""
        pattern, facts, transformed = guess
        hits = [pair for pair in differing if transformed(pair[0]) == pair[1]]
        rows = sum(self._pairs[pair] for pair in hits)
        changed = sum(n for (there, _), n in self._pairs.items() if transformed(there) != there)
        if (
            # One value may have changed for any reason.
            len({there for there, _ in hits}) < 2
            or rows < (_LEAST_VALUES if facts else _LEAST_WORDS)
            or not nearly_all(rows, sum(self._pairs[pair] for pair in differing))
            or not (most if facts else _nearly_every)(rows, changed)
        ):
            return None
        return Systematic(pattern, field, rows, changed, facts)


_Guess = tuple[Pattern, dict[str, Fact], Callable[[object], object]]


def _guesses(there: object, here: object) -> list[_Guess]:
    """Return the transformations that turn one value into the other."""
    if not (_is_number(there) and _is_number(here)):
        # Of a list of two words, each takes the other's place.
        swap = {there: here, here: there}
        return [(Pattern.REVERSED, {}, lambda value: swap.get(value, value))]
    guesses: list[_Guess] = []
    if there and here:
        ratio = Fraction(here, there)
        facts: dict[str, Fact] = {"times": ratio.numerator, "parts": ratio.denominator}
        guesses.append((Pattern.SCALED, facts, lambda value: _number(value) * ratio))
    plus, total = here - there, here + there
    guesses += [
        (Pattern.ADDED, {"plus": plus}, lambda value: _number(value) + plus),
        (Pattern.REVERSED, {"sum": total}, lambda value: total - _number(value)),
    ]
    return guesses


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


# Texts

_LEAST_TEXTS = 3
_LEAST_EDITED_TEXTS = 5
_LEAST_LONGEST = 10
# How much shorter than the bound a cut text may be: blanks and half characters are dropped.
_SLACK = 4
_DOTS = ("...", "\u2026")
# Characters of texts whose forms are compared, which takes a microsecond for each of them.
_LONGEST_JUDGED = 10_000


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(one for one in decomposed if not unicodedata.combining(one))


def _letters(text: str) -> str:
    return "".join(one for one in text.casefold() if one.isalnum())


# What may be different about the form of a text, the narrowest form first. People edit the first
# ones and the last, so those count only when most texts have them.
_FORMS: dict[str, tuple[Callable[[str], str], bool]] = {
    "spaces": (lambda text: " ".join(text.split()), True),
    "entities": (html.unescape, False),
    "case": (str.casefold, True),
    "accents": (_without_accents, False),
    "punctuation": (_letters, True),
}


class _Cut:
    """Texts of one side that begin like those of the other and end earlier."""

    def __init__(self, measure: Callable[[str], int]) -> None:
        self._measure = measure
        self.rows = 0
        self.longest = 0
        self._shortest_cut: int | None = None
        # A few different texts: one that repeats may have been continued by hand.
        self._texts: set[str] = set()

    def see(self, text: str, other: str) -> None:
        """Take a text of this side, and that of the other."""
        length = self._measure(text)
        self.longest = max(self.longest, length)
        if text == other or len(text) >= len(other):
            return
        kept = text
        for dots in _DOTS:
            kept = kept.removesuffix(dots)
        if kept and other.startswith(kept.rstrip()):
            self.rows += 1
            shortest = length if self._shortest_cut is None else self._shortest_cut
            self._shortest_cut = min(length, shortest)
            if len(self._texts) < _LEAST_TEXTS:
                self._texts.add(text)

    def is_found(self, differing: int) -> bool:
        """Return whether all end at one length, which no text of this side exceeds."""
        return (
            self._shortest_cut is not None
            and len(self._texts) == _LEAST_TEXTS
            and nearly_all(self.rows, differing)
            and self.longest >= _LEAST_LONGEST
            and self.longest - self._shortest_cut <= _SLACK
        )


class Texts:
    """Recognises texts that one side cuts, or writes in another form."""

    def __init__(self) -> None:
        self._rows = self._differing = 0
        self._forms: Counter[str] = Counter()
        self._cuts = {
            (side, unit): _Cut(measure)
            for side in ("there", "here")
            for unit, measure in (
                ("characters", len),
                ("bytes", lambda text: len(text.encode(errors="surrogatepass"))),
            )
        }

    def see(self, there: object, here: object) -> None:
        """Take a row's texts."""
        if not (isinstance(there, str) and isinstance(here, str)):
            return
        self._rows += 1
        for (side, _), cut in self._cuts.items():
            cut.see(*((there, here) if side == "there" else (here, there)))
        if there == here:
            return
        self._differing += 1
        if max(len(there), len(here)) > _LONGEST_JUDGED:
            return
        for form, (written, _) in _FORMS.items():
            if written(there) == written(here):
                self._forms[form] += 1

    def found(self, field: str) -> Systematic | None:
        """Return the cut, or the form, that explains nearly all differing texts."""
        if self._differing < _LEAST_TEXTS:
            return None
        for (side, unit), cut in self._cuts.items():
            if cut.is_found(self._differing):
                facts: dict[str, Fact] = {"in": side, "unit": unit, "longest": cut.longest}
                return Systematic(Pattern.CUT, field, cut.rows, self._rows, facts)
        for form, (_, is_edited) in _FORMS.items():
            rows = self._forms[form]
            enough = rows >= _LEAST_EDITED_TEXTS and most(rows, self._rows)
            if nearly_all(rows, self._differing) and (enough or not is_edited):
                return Systematic(Pattern.TEXT_FORM, field, rows, self._rows, {"form": form})
        return None

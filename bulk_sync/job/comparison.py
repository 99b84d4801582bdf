"""The rows of two sheets, or three, paired by showing.

Each sheet is staged in a store of its own, and attached to the first one's database. Rows are
paired by North's id when both have one, else by key. All of it is on disk, so memory does not grow
with the sheets.

Invariant: every row here and every row there is part of exactly one pair, or has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from bulk_sync.job.database import Database
from bulk_sync.model.comparison import Author, Compared, Difference, RowClass
from bulk_sync.model.problems import LONGEST_VALUE, Expected, Fact, Reason, Remedy, decoded, encoded
from bulk_sync.model.rows import State

_CACHE_KIB = 32 * 1024
# Pairs in one commit.
_GROUP = 2000

Values = dict[str, Any]


class Pair(Struct, frozen=True):
    """A showing whose patches in the two sheets differ as texts: the JSON values of each.

    `base` is None without a third sheet, or when it lacks the showing.
    """

    id: int
    here: Values
    there: Values
    base: Values | None


class Comparison:
    """Pairs the rows of staged sheets; its tables are made in the first database."""

    def __init__(self, here: Database, there: Database, base: Database | None = None) -> None:
        self._db = here.attach({"there": there} | ({"base": base} if base else {}))
        self._db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._sides = ("main", "there", *(("base",) if base else ()))
        self.superseded, self.superseded_there = self._drop_superseded()
        self._db.executescript(
            "CREATE TABLE mate (here INTEGER PRIMARY KEY, there INTEGER, base INTEGER);"
            # Rows here that are not the same there.
            "CREATE TABLE row_class (here INTEGER PRIMARY KEY, row_class TEXT);"
            # Rows there without a mate.
            "CREATE TABLE alone (there INTEGER PRIMARY KEY, row_class TEXT);"
            "CREATE TABLE difference (here INTEGER, field TEXT, value_there TEXT, value_here TEXT, "
            "value_base TEXT, author TEXT);"
        )
        self._pair("there")
        if base:
            self._pair("base")
        self._pair_lookalikes()
        self._db.execute("CREATE INDEX mate_there ON mate (there)")
        self._refuse_two_for_one()

    def _drop_superseded(self) -> tuple[int, int]:
        """Delete superseded rows; return how many there were here and there."""
        counts = [
            self._db.execute(
                f"DELETE FROM {side}.staged WHERE state = '{State.SUPERSEDED}'"
            ).rowcount
            for side in self._sides
        ]
        return counts[0], counts[1]

    def _pair(self, side: str) -> None:
        """Find each row's mate: by target first, then by key where one of them has no id."""
        self._db.execute("BEGIN")
        self._db.execute(
            f"INSERT INTO mate (here, {side}) SELECT h.id, t.id FROM main.staged AS h "
            f"CROSS JOIN {side}.staged AS t ON t.target = h.target WHERE h.target <> '' "
            f"ON CONFLICT (here) DO UPDATE SET {side} = coalesce({side}, excluded.{side})"
        )
        alone = f"h.key <> '' AND h.id NOT IN (SELECT here FROM mate WHERE {side} IS NOT NULL)"
        if self._db.execute(f"SELECT 1 FROM main.staged AS h WHERE {alone} LIMIT 1").fetchone():
            self._db.execute(f"CREATE INDEX {side}.staged_key ON staged (key)")
            has_id = "{0}.target NOT IN ('', {0}.key)"
            self._db.execute(
                f"INSERT INTO mate (here, {side}) SELECT h.id, t.id FROM main.staged AS h "
                f"CROSS JOIN {side}.staged AS t ON t.key = h.key WHERE {alone} "
                f"AND NOT ({has_id.format('h')} AND {has_id.format('t')}) "
                f"ON CONFLICT (here) DO UPDATE SET {side} = coalesce({side}, excluded.{side})"
            )
        self._db.execute("COMMIT")

    def _pair_lookalikes(self) -> None:
        """Pair rows whose keys a person takes for the same, and refuse the one here.

        North knows the key there, and would not find the one here.
        """
        seen = "SELECT {0}.id, {0}.key, coalesce({0}.twin, {0}.key) AS seen FROM {1}.staged AS {0}"
        if not any(
            self._db.execute(
                f"SELECT 1 FROM {side}.staged WHERE twin IS NOT NULL LIMIT 1"
            ).fetchone()
            for side in ("main", "there")
        ):
            return
        pairs = self._db.execute(
            f"SELECT h.id, h.key, min(t.id), t.key FROM ({seen.format('h', 'main')}) AS h "
            f"JOIN ({seen.format('t', 'there')}) AS t ON t.seen = h.seen "
            "WHERE h.key <> '' AND h.key <> t.key "
            "AND h.id NOT IN (SELECT here FROM mate WHERE there IS NOT NULL) "
            "AND t.id NOT IN (SELECT there FROM mate WHERE there IS NOT NULL) GROUP BY h.id"
        ).fetchall()
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO mate (here, there) VALUES (?1, ?2) "
            "ON CONFLICT (here) DO UPDATE SET there = excluded.there",
            ((here, there) for here, _, there, _ in pairs),
        )
        self._db.executemany(
            "UPDATE main.staged SET state = 'invalid', error = 'bad_key', reasons = ?2 "
            "WHERE id = ?1 AND state = 'pending'",
            ((here, encoded((_spelt(key, other),))) for here, key, _, other in pairs),
        )
        self._db.execute("COMMIT")

    def _refuse_two_for_one(self) -> None:
        """Make two rows here invalid that are one showing, one by its key and one by its id."""
        groups = self._db.execute(
            "SELECT m.there, json_group_array(h.number) FROM mate AS m "
            "JOIN main.staged AS h ON h.id = m.here "
            "WHERE m.there IS NOT NULL AND h.state = 'pending' "
            "GROUP BY m.there HAVING count(*) > 1"
        ).fetchall()
        self._db.executemany(
            "UPDATE staged SET state = 'invalid', error = 'duplicate_key', reasons = ?2 "
            "WHERE id IN (SELECT here FROM mate WHERE there = ?1) AND state = 'pending'",
            ((there, encoded((_two_rows(json.loads(rows)),))) for there, rows in groups),
        )

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs whose patches differ as texts, in input order.

        The key is a value of a row that is addressed by id. Pairs may be settled meanwhile.
        """
        base = (
            "LEFT JOIN base.staged AS b ON b.id = m.base AND b.state = 'pending'"
            if "base" in self._sides
            else ""
        )
        found = self._db.execute(
            "SELECT h.id, h.body, t.body, t.key, "
            f"{'b.body, b.key' if base else 'NULL, NULL'} "
            "FROM main.staged AS h JOIN mate AS m ON m.here = h.id "
            f"JOIN there.staged AS t ON t.id = m.there {base} "
            "WHERE h.state = 'pending' AND t.state = 'pending' AND h.body <> t.body ORDER BY h.id"
        )
        for row, here, there, key, body, base_key in found:
            yield Pair(
                row,
                json.loads(here),
                _values(there, key),
                None if body is None else _values(body, base_key),
            )

    def values(self, order: Literal["here", "there"]) -> Iterator[tuple[Values, Values]]:
        """Yield the values of all pairs, (here, there), in the order of a sheet's rows."""
        found = self._db.execute(
            "SELECT h.body, t.body FROM mate AS m CROSS JOIN main.staged AS h ON h.id = m.here "
            "CROSS JOIN there.staged AS t ON t.id = m.there "
            f"WHERE h.state = 'pending' AND t.state = 'pending' ORDER BY m.{order}"
        )
        for here, there in found:
            values = json.loads(here)
            yield values, values if here == there else json.loads(there)

    def there(self, columns: Iterable[str]) -> Iterator[tuple[str, str, Values]]:
        """Yield the showings of the other sheet: target, key, and the values of these columns."""
        blank = dict.fromkeys(columns)
        found = self._db.execute(
            "SELECT target, key, body FROM there.staged WHERE state = 'pending' ORDER BY id"
        )
        for target, key, body in found:
            yield target, key, blank | json.loads(body)

    def settle(self, compared: Iterable[tuple[int, Sequence[Difference]]]) -> None:
        """Store the differences of pairs, by id, and then the class of every showing."""
        self._db.execute("BEGIN")
        for count, (row, differences) in enumerate(compared, start=1):
            if count % _GROUP == 0:
                self._db.execute("COMMIT")
                self._db.execute("BEGIN")
            if differences:
                conflict = any(one.author is Author.BOTH for one in differences)
                row_class = RowClass.CONFLICT if conflict else RowClass.DIFFERS
                self._db.execute("INSERT INTO row_class VALUES (?, ?)", (row, row_class))
                self._db.executemany(
                    "INSERT INTO difference VALUES (?, ?, ?, ?, ?, ?)",
                    (_difference_values(row, one) for one in differences),
                )
        self._db.execute(
            "INSERT INTO row_class SELECT h.id, "
            "CASE WHEN h.state = 'pending' AND t.id IS NULL THEN 'only_here' ELSE 'problem' END "
            f"FROM {_HERE} WHERE h.state <> 'pending' OR t.state IS NOT 'pending'"
        )
        self._db.execute(
            "INSERT INTO alone SELECT id, "
            "CASE WHEN state = 'pending' THEN 'only_there' ELSE 'problem' END "
            "FROM there.staged AS t WHERE NOT EXISTS (SELECT 1 FROM mate WHERE mate.there = t.id)"
        )
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX difference_here ON difference (here)")

    # Reporting

    def counts(self) -> dict[RowClass, int]:
        """Return the number of showings by class."""
        counts = self.counts_here()
        for name, count in self._db.execute(_COUNTS.format("alone")):
            counts[RowClass(name)] += count
        return counts

    def counts_here(self) -> dict[RowClass, int]:
        """Return the number of rows here by class."""
        counts = dict.fromkeys(RowClass, 0)
        for name, count in self._db.execute(_COUNTS.format("row_class")):
            counts[RowClass(name)] = count
        (rows,) = self._db.execute("SELECT count(*) FROM main.staged").fetchone()
        counts[RowClass.SAME] = rows - sum(counts.values())
        return counts

    def counts_there(self) -> dict[RowClass, int]:
        """Return the number of rows there by class."""
        counts = dict.fromkeys(RowClass, 0)
        for name, count in self._db.execute(
            "SELECT row_class, count(*) FROM (SELECT min(coalesce(c.row_class, 'same')) AS "
            "row_class FROM mate AS m LEFT JOIN row_class AS c ON c.here = m.here "
            "WHERE m.there IS NOT NULL GROUP BY m.there) GROUP BY row_class "
            f"UNION ALL {_COUNTS.format('alone')}"
        ):
            counts[RowClass(name)] += count
        return counts

    def fields(self) -> dict[str, int]:
        """Return the number of different values by field, the most frequent first."""
        return dict(
            self._db.execute(
                "SELECT field, count(*) FROM difference GROUP BY field ORDER BY 2 DESC, 1"
            )
        )

    def authored(self, author: Author) -> int:
        """Return how many values a side changed."""
        found = self._db.execute(
            "SELECT count(*) FROM difference WHERE author = ?", (author,)
        ).fetchone()
        return int(found[0])

    def is_sent(self, field: str, *, prefer_here: bool) -> bool:
        """Return whether a push would send a value of a field."""
        authors = [Author.HERE, *([Author.BOTH] if prefer_here else [])]
        wanted = ", ".join(f"'{author}'" for author in authors)
        found = self._db.execute(
            "SELECT 1 FROM difference WHERE field = ? AND "
            f"(author IS NULL OR author IN ({wanted})) LIMIT 1",
            (field,),
        )
        return found.fetchone() is not None

    def lone_keys(self, form_of: Callable[[str], str]) -> tuple[int, Iterator[tuple[str, str]]]:
        """Return the smaller number of keys that only one sheet has, and pairs of one form.

        A form of several keys of a sheet pairs none of them.
        """
        self._db.execute("CREATE TEMP TABLE lone (is_here INTEGER, form TEXT, key TEXT)")
        there = "alone AS c CROSS JOIN there.staged AS s ON s.id = c.there"
        here = "row_class AS c CROSS JOIN main.staged AS s ON s.id = c.here"
        counts = []
        self._db.execute("BEGIN")
        for is_here, rows, row_class in (
            (0, there, RowClass.ONLY_THERE),
            (1, here, RowClass.ONLY_HERE),
        ):
            keys = self._db.execute(
                f"SELECT DISTINCT s.key FROM {rows} WHERE c.row_class = ? AND s.key <> ''",
                (row_class,),
            )
            added = self._db.executemany(
                "INSERT INTO lone VALUES (?, ?, ?)",
                ((is_here, form_of(key), key) for (key,) in keys),
            )
            counts.append(max(added.rowcount, 0))
        self._db.execute("COMMIT")
        self._db.execute("CREATE INDEX lone_form ON lone (form)")
        pairs = self._db.execute(
            "SELECT max(iif(is_here, key, '')), max(iif(is_here, '', key)) FROM lone "
            "WHERE form <> '' GROUP BY form HAVING count(*) = 2 AND sum(is_here) = 1 "
            "ORDER BY min(rowid)"
        )
        return min(counts), pairs

    def are_met(self) -> bool:
        """Return whether any row here has a row there."""
        found = self._db.execute("SELECT 1 FROM mate WHERE there IS NOT NULL LIMIT 1")
        return found.fetchone() is not None

    def first(self, field: str, count: int) -> list[Compared]:
        """Return the first showings that differ in a field, each with that difference alone."""
        found = self._db.execute(
            f"SELECT {_COLUMNS}, {_DIFFERENCE} FROM difference AS d "
            "CROSS JOIN row_class AS c ON c.here = d.here "
            f"{_JOIN_ROWS} WHERE d.field = ? ORDER BY d.rowid LIMIT ?",
            (field, count),
        )
        return [_compared(row[:8], [row[8:]]) for row in found]

    def rows(self, *classes: RowClass, limit: int = -1) -> Iterator[Compared]:
        """Yield showings in these classes, except `same`: those here, then those only there.

        Each group is in input order; `limit` bounds their number.
        """
        names = ", ".join(f"'{row_class}'" for row_class in classes)
        here = self._db.execute(
            f"SELECT {_COLUMNS}, c.here FROM row_class AS c {_JOIN_ROWS} "
            f"WHERE row_class IN ({names}) ORDER BY c.here LIMIT ?",
            (limit,),
        )
        left = limit
        for *columns, here_id in here:
            left -= 1
            differences = self._db.execute(_DIFFERENCES_OF_ROW, (here_id,)).fetchall()
            yield _compared(columns, differences)
        there = self._db.execute(
            f"SELECT row_class, NULL, t.number, t.target, t.key, {_ID.format('t')}, t.reasons, 0 "
            "FROM alone CROSS JOIN there.staged AS t ON t.id = alone.there "
            f"WHERE row_class IN ({names}) ORDER BY alone.there LIMIT ?",
            (left if limit >= 0 else -1,),  # a negative number is no limit
        )
        for row in there:
            yield _compared(row, [])


# Parts of statements, all of them constant.
_COUNTS = "SELECT row_class, count(*) FROM {} GROUP BY row_class"
_ID = "CASE WHEN {0}.target NOT IN ('', {0}.key) THEN {0}.target ELSE '' END"
_HERE = (
    "main.staged AS h LEFT JOIN mate AS m ON m.here = h.id "
    "LEFT JOIN there.staged AS t ON t.id = m.there"
)
_JOIN_ROWS = (
    "CROSS JOIN main.staged AS h ON h.id = c.here LEFT JOIN mate AS m ON m.here = h.id "
    "LEFT JOIN there.staged AS t ON t.id = m.there"
)
_COLUMNS = (
    "c.row_class, h.number, t.number, h.target, "
    "CASE WHEN h.key = '' THEN coalesce(t.key, '') ELSE h.key END, "
    f"coalesce(nullif({_ID.format('h')}, ''), {_ID.format('t')}, ''), "
    "CASE WHEN h.state <> 'pending' THEN h.reasons WHEN t.state <> 'pending' THEN t.reasons END, "
    "h.state = 'pending'"
)
_DIFFERENCE = "d.field, d.value_there, d.value_here, d.value_base, d.author"
_DIFFERENCES_OF_ROW = f"SELECT {_DIFFERENCE} FROM difference AS d WHERE d.here = ? ORDER BY d.rowid"


def _values(body: str, key: str) -> Values:
    values: Values = json.loads(body)
    return values | {"unique_showing_key": key} if key else values


def _spelt(here: str, there: str) -> Reason:
    here, there = here[:LONGEST_VALUE], there[:LONGEST_VALUE]
    # In ASCII, because they look the same.
    facts: dict[str, Fact] = {"here": ascii(here), "there": ascii(there)}
    return Reason(
        Expected.KEY_AS_NORTH_HAS_IT, "unique_showing_key", here, Remedy.CORRECT_KEY, facts
    )


def _two_rows(rows: list[int]) -> Reason:
    return Reason(
        Expected.ONE_ROW_BY_KEY_OR_ID, remedy=Remedy.KEEP_ONE, facts={"rows": sorted(rows)}
    )


def _difference_values(row: int, one: Difference) -> tuple[Any, ...]:
    return (
        row,
        one.field,
        json.dumps(one.there),
        json.dumps(one.here),
        json.dumps(one.base),
        one.author,
    )


def _compared(columns: Sequence[Any], differences: Sequence[Sequence[Any]]) -> Compared:
    row_class, number, number_there, target, key, showing_id, reasons, are_there = columns
    return Compared(
        RowClass(row_class),
        number,
        number_there or None,
        target,
        key,
        showing_id,
        tuple(
            Difference(
                field,
                json.loads(there),
                json.loads(here),
                json.loads(base),
                Author(author) if author else None,
            )
            for field, there, here, base, author in differences
        ),
        decoded(reasons) if reasons else (),
        bool(are_there),
    )

"""Forged checkpoints and ledgers: wrong values in every column, foreign tables, cut and flipped
files, side files of others.

`forgeries` makes them of a folder with a job (`make_folder`), and `judge` runs the commands on one.
A command may refuse a forged file or, where nothing shows that it is one, take it; it never ends as
a bug, and it sends no patch that the sound file would not.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple

from bulk_sync.job.layout import Column, read_layout, tables_of
from tests.helpers import Ran, Witness, numbered, write_sheet

SHEET = [*numbered(9), ("ext_90", "", 9), *numbered(3, first=20)]
FILES = CHECKPOINT, LEDGER = "x.checkpoint.sqlite", "north.ledger"

DAMAGED = frozenset({4})
REFUSED_OR_TAKEN = frozenset({0, 2, 3, 4, 5, 8})

# Values of another type, as SQL.
_IN_TEXT = {
    "bytes": "x'00ff'",
    "no UTF-8": "CAST(x'66ff6f' AS TEXT)",
}
_IN_NUMBERS = {
    "bytes": "x'00ff'",
    "a text": "'word'",
    "infinity": "9e999",
    "less than infinity": "-9e999",
    "negative": "-9",
}
_IN_INTEGERS = {"a fraction": "0.5", "the largest": str(2**63 - 1)}
# Texts that may or may not be right in a column.
_TEXTS = {
    "empty": "''",
    "huge": "printf('%.*c', 3000000, 'x')",
    "deep JSON": "printf('%.*c', 100000, '[')",
    "too many digits": "'{\"rating\":' || printf('%.*c', 5000, '9') || '}'",
    "infinite JSON": "'{\"rating\":1e999}'",
    "a lone surrogate": "'[\"\\ud800\"]'",
    "a control sequence": "char(27) || '[2J' || char(0, 7)",
    "no instant": "'2026-99-99T99:99:99Z'",
    "null": "'null'",
}

_OF_PRIMARY_KEYS = {
    ("ledger", "base_url"),
    ("ledger", "target"),
    ("timeline", "run"),
    ("timeline", "at_ms"),
}

# A view that never ends, and one that doubles with each step.
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
_DOUBLING = "".join(
    f"CREATE VIEW v{n} AS SELECT a.x FROM v{n - 1} AS a, v{n - 1} AS b; "  # noqa: S608
    for n in range(1, 30)
)

_SCRIPTS = {
    "a foreign table": "CREATE TABLE more (x)",
    "a foreign view": f"CREATE VIEW more AS {ENDLESS}",
    "doubling views": f"CREATE VIEW v0 AS SELECT 1 AS x; {_DOUBLING}",
    "a trigger": "CREATE TRIGGER more AFTER UPDATE ON ledger BEGIN DELETE FROM ledger; END",
    "a foreign index": "CREATE INDEX more ON ledger (fields)",
    "a virtual table": "CREATE VIRTUAL TABLE more USING fts5(x)",
    "statistics": "ANALYZE",
    "a column more": "ALTER TABLE ledger ADD COLUMN more TEXT",
    "a computed column": "ALTER TABLE ledger ADD COLUMN more TEXT AS (upper(target))",
    "a column less": "ALTER TABLE ledger_account DROP COLUMN team_id",
    "a table less": "DROP TABLE ledger_account",
    "a view for a table": f"DROP TABLE ledger_account; CREATE VIEW ledger_account AS {ENDLESS}",
    "a table without types": (
        "DROP TABLE ledger_account; CREATE TABLE ledger_account "
        "(base_url PRIMARY KEY, key_fingerprint, team_id) WITHOUT ROWID"
    ),
    "letters alike": (
        "DROP TABLE ledger_account; CREATE TABLE ledger_account (base_url TEXT COLLATE NOCASE "
        "PRIMARY KEY, key_fingerprint TEXT NOT NULL, team_id TEXT) WITHOUT ROWID"
    ),
    "two hundred tables": "".join(f"CREATE TABLE t{n} (x); " for n in range(200)),
    "another program's": "PRAGMA application_id = 7",
    "a future version": "PRAGMA user_version = 99",
    "the last version": f"PRAGMA user_version = {2**31 - 1}",
    "no version": "PRAGMA user_version = 0",
    "a negative version": "PRAGMA user_version = -1",
    **{f"version {n} by its number": f"PRAGMA user_version = {n}" for n in (1, 2)},
}


class Forgery(NamedTuple):
    """A way to forge a file, with the exit codes that a command may end with."""

    name: str
    forge: Callable[[Path], None]
    codes: frozenset[int] = DAMAGED


def make_folder(folder: Path, run: Callable[..., Ran], witness: Witness) -> None:
    """Make a checkpoint with rows of every kind, and a ledger that another job uses."""
    folder.mkdir(parents=True)
    sheet, other = folder / "x.csv", folder / "other.csv"
    write_sheet(sheet, SHEET)
    write_sheet(other, numbered(4, first=50))
    address = ["--base-url", witness.base_url]
    assert run("push", sheet, *address, "--limit", 8).code in {0, 3}
    assert run("push", sheet, *address, "--limit", 10).code in {0, 3}
    assert run("push", other, *address, "--ledger", folder / LEDGER).code == 0
    (folder / f"{CHECKPOINT}.lock").unlink(missing_ok=True)


def forgeries(path: Path) -> Iterator[Forgery]:
    """Yield forgeries of a sound checkpoint or ledger."""
    for name, script in _SCRIPTS.items():
        yield Forgery(name, _script(script))
    yield from _of_values(path)
    yield from _of_bytes(path.stat().st_size)
    yield from _of_side_files()
    yield Forgery("a schema of billions of rows", _without_end)


def _script(script: str) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        with closing(sqlite3.connect(path)) as db:
            db.executescript(script)

    return forge


# Values


def _of_values(path: Path) -> Iterator[Forgery]:
    with closing(sqlite3.connect(path)) as db:
        tables = list(tables_of(read_layout(db)))
    for table, columns in tables:
        for column in columns:
            for what, value, codes in _wrong_values(column):
                if what == "NULL" and (table, column.name) in _OF_PRIMARY_KEYS:
                    continue  # no file can have it
                name = f"{table}.{column.name}: {what}"
                yield Forgery(name, _value(table, column, value), codes)


def _wrong_values(column: Column) -> Iterator[tuple[str, str, frozenset[int]]]:
    is_key = column.name in {"id", "only"}
    if column.filled:
        yield "NULL", "NULL", DAMAGED
    if column.type == "TEXT":
        for what, value in _IN_TEXT.items():
            yield what, value, DAMAGED
        for what, value in _TEXTS.items():
            yield what, value, REFUSED_OR_TAKEN
        return
    for what, value in _IN_NUMBERS.items() if not is_key else [("negative", "-9")]:
        yield what, value, DAMAGED
    if column.type == "INTEGER" and not is_key:
        for what, value in _IN_INTEGERS.items():
            # The largest modification time is only another one.
            taken = column.name == "changed_ns" and what == "the largest"
            yield what, value, REFUSED_OR_TAKEN if taken else DAMAGED


def _value(table: str, column: Column, value: str) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            _fill(db, table)
            (sql,) = db.execute(
                "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
            ).fetchone()
            # Let a column that is never NULL be NULL for the moment.
            _set_sql(db, table, sql.replace(" NOT NULL", ""))
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("PRAGMA ignore_check_constraints = ON")
            db.execute(f"UPDATE OR REPLACE {table} SET {column.name} = {value}")  # noqa: S608
            _set_sql(db, table, sql)

    return forge


def _fill(db: sqlite3.Connection, table: str) -> None:
    """Give a table that the job left empty a row."""
    if db.execute(f"SELECT 1 FROM {table}").fetchone():  # noqa: S608
        return
    rows = {"creation": "('ext_2')", "sealed": "(1, 5)", "acknowledged": "('[1]')"}
    if table == "ledger":
        db.execute(
            "INSERT INTO ledger (base_url, target, key, fields) VALUES ('u', 't', 't', '{}')"
        )
    elif table == "ledger_account":
        db.execute("INSERT INTO ledger_account VALUES ('u', 'f', NULL)")
    elif table == "report":
        db.execute("INSERT INTO report VALUES ('p', 'd')")
    else:
        db.execute(f"INSERT INTO {table} VALUES {rows[table]}")  # noqa: S608


def _set_sql(db: sqlite3.Connection, table: str, sql: str) -> None:
    db.execute("PRAGMA writable_schema = ON")
    db.execute("UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?", (sql, table))
    db.execute("PRAGMA writable_schema = OFF")


# Bytes


def _of_bytes(size: int) -> Iterator[Forgery]:
    for share in range(12):
        yield Forgery(f"cut to {share} of 12", _bytes(_cut(share)))
    yield Forgery("cut by a byte", _bytes(lambda data: data[:-1]))
    yield Forgery("a byte more", _bytes(lambda data: data + b"\0"))
    yield Forgery("no database", _bytes(lambda _: b"unique_showing_key,rating\n" * 99))
    # The header of the file; some of it means nothing (sqlite.org/fileformat2.html, section 1.3).
    for place in range(100):
        for value in (0, 255):
            name = f"header byte {place} is {value}"
            yield Forgery(name, _bytes(_set(place, value)), REFUSED_OR_TAKEN)
    for number in range(60):
        place = (100 + number * 7919 * 13) % size
        yield Forgery(f"bit flipped at {place}", _bytes(_flip(place)), REFUSED_OR_TAKEN)


def _bytes(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def forge(path: Path) -> None:
        path.write_bytes(change(path.read_bytes()))

    return forge


def _cut(share: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: len(data) * share // 12]


def _set(place: int, value: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([value]) + data[place + 1 :]


def _flip(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :]


def _without_end(path: Path) -> None:
    """Let the schema's table have pages that are linked many times over: 700 to the fourth rows."""
    size, levels = 4096, 4
    row = b"\x06\x17\x0f\x0f\x01\x2f" + b"tablett\x02CREATE TABLE t(x)"
    cells = 300
    header = path.read_bytes()[:100]
    pages = [bytearray(size) for _ in range(levels + 1)]
    for number in range(levels):
        offset = 100 if number == 0 else 0
        pages[number][:offset] = header[:offset]
        child = struct.pack(">I", number + 2)
        start = size - 6 * cells
        head = struct.pack(">BHHHBI", 5, 0, cells, start, 0, number + 2)
        pages[number][offset : offset + 12] = head
        for cell in range(cells):
            at = start + 6 * cell
            pages[number][at : at + 6] = child + bytes([0x81 + cell // 128, cell % 128])
            place = offset + 12 + 2 * cell
            pages[number][place : place + 2] = struct.pack(">H", at)
    leaf = pages[levels]
    at = size - len(row) - 2
    leaf[:8] = struct.pack(">BHHHB", 13, 0, 1, at, 0)
    leaf[8:10] = struct.pack(">H", at)
    leaf[at:] = bytes([len(row), 1]) + row
    data = bytearray(b"".join(pages))
    data[28:32] = struct.pack(">I", len(pages))
    path.write_bytes(data)


# Side files


def _of_side_files() -> Iterator[Forgery]:
    def wal_of_another(path: Path) -> None:
        other = path.with_name("another.sqlite")
        with closing(sqlite3.connect(other, isolation_level=None)) as db:
            db.executescript("PRAGMA journal_mode = WAL; CREATE TABLE more (x)")
            shutil.copy(f"{other}-wal", f"{path}-wal")
        other.unlink()

    def rubbish(ending: str, size: int) -> Callable[[Path], None]:
        def forge(path: Path) -> None:
            path.with_name(path.name + ending).write_bytes(bytes(range(256)) * (size // 256))

        return forge

    yield Forgery("the WAL of another", wal_of_another)
    for ending in ("-wal", "-journal"):
        for size in (256, 65536):
            yield Forgery(
                f"{ending} of {size} bytes of rubbish", rubbish(ending, size), REFUSED_OR_TAKEN
            )


# Judgement


class Judge:
    """Runs the commands on forged copies of a folder, in another folder."""

    def __init__(
        self, folder: Path, run: Callable[..., Ran], witness: Witness, workplace: Path
    ) -> None:
        self._folder = folder
        self._run = run
        self._witness = witness
        self._workplace = workplace
        # All that a sound file may send, whatever it knows.
        self._sound = {name: self._sent(name, lambda path: path.unlink())[1] for name in FILES}

    def judge(self, name: str, forgery: Forgery) -> list[str]:
        """Return what is wrong in the ends of the commands on a forged file; empty if nothing."""
        ends, sent = self._sent(name, forgery.forge)
        wrong = [
            f"{command}: {end.code} {end.err[-500:]}"
            for command, end in ends.items()
            if end.code not in forgery.codes or not _is_told(end)
        ]
        if more := sent - (self._sound[name] if forgery.codes != DAMAGED else set()):
            wrong.append(f"sent {sorted(more)[:3]}")
        return [f"{name}: {forgery.name}: {one}" for one in wrong]

    def _sent(
        self, name: str, forge: Callable[[Path], None]
    ) -> tuple[dict[str, Ran], set[tuple[str, str, str]]]:
        """Run the commands on a copy; return how they end, and the values sent by key and field."""
        shutil.rmtree(self._workplace, ignore_errors=True)
        shutil.copytree(self._folder, self._workplace)
        forge(self._workplace / name)
        before = len(self._witness.patches())
        ends = {str(command[0]): self._run(*command) for command in self._commands(name)}
        sent = {
            (entry["key"], field, str(value))
            for entry in self._witness.patches()[before:]
            for field, value in json.loads(entry["body"]).items()
        }
        return ends, sent

    def _commands(self, name: str) -> Iterator[list[object]]:
        sheet, ledger = self._workplace / "x.csv", self._workplace / LEDGER
        address = ["--base-url", self._witness.base_url]
        if name == LEDGER:
            new = self._workplace / "new.csv"
            with suppress(FileExistsError):
                write_sheet(new, numbered(2, first=50))
            yield ["reconcile", new, "--with", "ledger", "--ledger", ledger]
            yield ["push", new, "--only-changed", "--ledger", ledger, *address]
            return
        yield ["status", sheet]
        yield ["explain", sheet, "--row", 2]
        yield ["report", sheet, "--page", self._workplace / "x.html"]
        yield ["reconcile", sheet, "--with", "ledger"]
        yield ["push", sheet, "--only-changed", *address]


def _is_told(end: Ran) -> bool:
    """Return whether a command ended with its documented words."""
    if "Traceback" in end.err or "this is a bug" in end.err:
        return False
    return end.code in {0, 3} or "Error: " in end.err or end.code == 8

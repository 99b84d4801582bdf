"""The tables of a checkpoint, and its migrations from older versions.

A row is written when its sheet is staged, and hardly ever again. Its outcome goes into a table of
its own, narrow and in the order of sending, so recording one costs an insert at the end of few
pages instead of a new copy of the row. Readers see both as one: the view `row`.

Invariants:

1. Anything but staging that changes a row gives it an outcome; without one it is as it was staged.
2. A pending row without an outcome, whose id is at most the job's `taken`, was handed out and is in
   flight. So handing out rows for the first time costs one number, not a mark in each.
3. No such row is at or below the job's `ended`: rows that a crash left in flight are beyond it.
4. Whether a row may have been applied is in the column of that name alone, never in its message.
5. A showing is in `creation` from before a POST for it leaves until a reply settles what became of
   it (see `send.creating`).
"""

from __future__ import annotations

from functools import cache

from bulk_sync.job import ledger, timeline
from bulk_sync.job.layout import KINDS, Layout, difference, layout_of_script
from bulk_sync.job.purge import PURGED_MESSAGE, PURGED_REASONS

SCHEMA_VERSION = 12

APPLICATION_ID = 0x6253796E  # "bSyn"
"""Marks our files among other SQLite files (PRAGMA application_id)."""

_SEALED = """
CREATE TABLE sealed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    changed_ns INTEGER NOT NULL    -- the modification time that the file got: see `sealing.seal`
);
"""

_HOLDER = """
CREATE TABLE holder (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    token TEXT NOT NULL            -- random, of the run that opened the file last: see `fence`
);
"""

_PLACE = """
CREATE TABLE ledger_place (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    writer TEXT NOT NULL,          -- random: see `Database.writer`
    path TEXT                      -- of the ledger that the last run used; NULL: this file's
);
INSERT INTO ledger_place VALUES (1, lower(hex(randomblob(8))), NULL);
"""

_TABLES = """
CREATE TABLE staged (
    id INTEGER PRIMARY KEY,        -- grows in input order
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,       -- row number, as a spreadsheet program shows it
    cells TEXT NOT NULL,           -- JSON list: the original cells, see `model.own.typed`
    target TEXT NOT NULL,          -- addresses the showing: its id or its key
    key TEXT NOT NULL,             -- the key as the sheet has it
    content TEXT,                  -- digest of all that the sheet says of the showing
    body TEXT,                     -- the patch; with --only-changed, without acknowledged values
    digest TEXT,                   -- of the body
    fields TEXT NOT NULL DEFAULT '',
    before TEXT,                   -- JSON object: the ledger's earlier values of the body's fields
    state TEXT NOT NULL,           -- staging's decision, as the two below
    error TEXT,
    {creating}{why_column}
);
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,        -- the staged row's
    state TEXT NOT NULL,
    in_flight INTEGER NOT NULL DEFAULT 0,  -- 1 from handing it out again until its outcome
    may_have_been_applied INTEGER NOT NULL DEFAULT 0,  -- 1 while an attempt has no answer
    tried_before INTEGER NOT NULL DEFAULT 0,  -- 1 when an earlier run attempted it: sent last
    http_status INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    throttled INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    message TEXT,
    showing_id TEXT,
    updated_at TEXT,
    sent_at TEXT,
    duration_ms INTEGER{last}
);
CREATE INDEX staged_target ON staged (target, content);
CREATE INDEX outcome_not_updated ON outcome (state, tried_before) WHERE state <> 'updated';
"""
_VIEW = """
CREATE VIEW row AS
    SELECT staged.id, generation, number, cells, target, key, content, body, digest, fields, before,
        coalesce(outcome.state, staged.state) AS state,
        coalesce(in_flight, staged.state = 'pending' AND generation > 0
            AND staged.id <= (SELECT taken FROM job), 0) AS in_flight,
        coalesce(may_have_been_applied, 0) AS may_have_been_applied,
        coalesce(tried_before, 0) AS tried_before,
        http_status, coalesce(attempts, 0) AS attempts, coalesce(throttled, 0) AS throttled,
        iif(outcome.id IS NULL, staged.error, outcome.error) AS error,
        {why},
        showing_id, updated_at, sent_at, duration_ms{echo}
    FROM staged LEFT JOIN outcome ON outcome.id = staged.id;
"""
_WHY = "outcome.message, iif(outcome.id IS NULL, staged.reasons, NULL) AS reasons, given_up"
_VIEW_OF_VERSION_9 = _VIEW.format(why=_WHY, echo="")
_VIEW_OF_VERSION_10 = _VIEW.format(why=_WHY, echo=", echo")
_VIEW_OF_VERSION_11 = _VIEW.format(why=_WHY, echo=", echo, tries")
_CREATING = """report_id TEXT,                -- of a showing that has to be created
    whole TEXT,                    -- the patch before --only-changed cut it down; else NULL
    blank TEXT,                    -- the fields of the body that a blank cell clears; else NULL
    twin TEXT,                     -- the key as a person reads it, where that is another text
    """
_TWINS = "CREATE INDEX staged_twin ON staged (twin) WHERE twin IS NOT NULL;"
_CREATION = """
CREATE TABLE creation (
    target TEXT PRIMARY KEY        -- of a showing for which a POST may have been applied
) WITHOUT ROWID;
"""
_ROWS = (
    _TABLES.format(
        why_column="reasons TEXT                   -- JSON list, see `model.problems`",
        last=(
            ",\n    given_up TEXT,                 -- see `model.rows.GivenUp`"
            "\n    echo TEXT,                     -- JSON list of `model.rows.Echo`; else NULL"
            "\n    tries TEXT                     -- JSON list; see `job.tries`; else NULL"
        ),
        creating=_CREATING,
    )
    + _VIEW_OF_VERSION_11
)

_SCHEMA = f"""
CREATE TABLE job (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    generation INTEGER NOT NULL,
    input TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    meaning TEXT NOT NULL,
    partial INTEGER NOT NULL,      -- 1 when rows of the sheet were left out by choice
    headers TEXT NOT NULL,         -- JSON list: the sheet's header row
    base_url TEXT NOT NULL,
    key_fingerprint TEXT,          -- of the key that the API accepted; NULL until it accepted one
    seconds REAL NOT NULL DEFAULT 0,
    of_settled INTEGER NOT NULL DEFAULT 0,  -- 0 for a part of an unsettled job of version 9
    taken INTEGER NOT NULL DEFAULT 0,       -- id of the last row handed out for the first time
    ended INTEGER NOT NULL DEFAULT 0,       -- up to this id no row is in flight for the first time
    staged_states TEXT NOT NULL DEFAULT '{{}}',  -- JSON object: rows by the state that staging gave
    team_id TEXT,                  -- of the team that users/me named for that key
    team_name TEXT,
    key_proven INTEGER NOT NULL DEFAULT 0,  -- 1 once the API acknowledged a row with that key
    source TEXT NOT NULL DEFAULT '',        -- JSON: how cells were read, see `model.own.Source`
    elsewhere TEXT NOT NULL DEFAULT '',     -- digest of what other files decided about its rows
    command TEXT NOT NULL DEFAULT '[]',     -- JSON list: the words of the last push, no secrets
    ended_at TEXT,                 -- when the last push ended, UTC; NULL until then
    exit_code INTEGER              -- of that push
);
{_ROWS}
{_TWINS}
{_CREATION}
CREATE TABLE report (
    path TEXT NOT NULL,
    digest TEXT NOT NULL,          -- of the file as written; one with another digest was edited.
                                   -- Or `results`, `page`: an output of a run has this path
    PRIMARY KEY (path, digest)
);
CREATE TABLE acknowledged (
    ids TEXT NOT NULL              -- JSON list: acknowledged rows not learnt by the ledger
);
{_SEALED}
{_PLACE}
{_HOLDER}
"""

_LEDGER = ledger.SCHEMA.format(schema="main")
_LEDGER_OF_VERSION_4 = ledger.EARLIER_SCHEMA.format(schema="main")
CREATE = (
    f"BEGIN; {_SCHEMA} {timeline.SCHEMA} {_LEDGER} PRAGMA application_id = {APPLICATION_ID}; "
    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
)

# The tables of version 1, from which the migrations lead to those of every other.
_CREATE_VERSION_1 = """
CREATE TABLE job (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    generation INTEGER NOT NULL,
    input TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    meaning TEXT NOT NULL,
    partial INTEGER NOT NULL,
    headers TEXT NOT NULL,
    base_url TEXT NOT NULL,
    key_fingerprint TEXT,
    seconds REAL NOT NULL DEFAULT 0
);
CREATE TABLE row (
    id INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,
    cells TEXT NOT NULL,
    target TEXT NOT NULL,
    body TEXT,
    digest TEXT,
    fields TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL,
    in_flight INTEGER NOT NULL DEFAULT 0,
    http_status INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    throttled INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    message TEXT,
    showing_id TEXT,
    updated_at TEXT,
    sent_at TEXT,
    duration_ms INTEGER
);
CREATE TABLE report (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE INDEX row_target ON row (target, digest);
CREATE INDEX row_pending ON row (generation, id) WHERE state = 'pending';
"""

# Selects the rows of version 6 that were changed since they were staged.
_ENDED = (
    "(state IN ('updated', 'rejected', 'failed') OR in_flight OR may_have_been_applied "
    "OR tried_before OR attempts > 0)"
)

# Sentences that versions 1 to 7 wrote into messages.
_SUFFIX = "; it may have been applied all the same"
_SENTENCES = ", ".join(
    f"'{sentence}; run again'"
    for sentence in (
        "It may have been applied all the same",
        "It was on its way when a run was cut off and may have been applied",
        "It was on its way when a run was cut off or an answer was lost, and may have been applied",
        "It was with a process that ended unexpectedly, and may have been applied",
    )
)
_PURGED = ", ".join(
    f"'{sentence} removed by --purge'"
    for sentence in ("It may have been applied; the rest was", "What was said was")
)

# Up to version 8 a staged row had a sentence, as outcomes still have.
_ROWS_OF_VERSION_7 = _TABLES.format(why_column="message TEXT", last="", creating="") + _VIEW.format(
    why="iif(outcome.id IS NULL, staged.message, outcome.message) AS message", echo=""
)
_EARLIER_TEXT = (
    "json_array(json_object('expected', 'earlier_text', 'facts', json_object('text', reasons)))"
)

# Up to version 9 an outcome had a sentence on the fields that came back with another value.
_ECHOES = {
    "the API's reply has another feedback than was sent": '[{"field":"feedback"}]',
    "the API's reply has another showing_date than was sent": '[{"field":"showing_date"}]',
    "the API's reply has another feedback and showing_date than was sent": (
        '[{"field":"feedback"},{"field":"showing_date"}]'
    ),
}
_MOVE_ECHOES = "".join(
    f"UPDATE outcome SET echo = '{echo}', message = NULL WHERE state IN ('updated', 'created') "
    f"AND message = '{sentence.replace(chr(39), chr(39) * 2)}'; "
    for sentence, echo in _ECHOES.items()
)

# Statements that bring a checkpoint from a version to the next.
MIGRATIONS = {
    1: "ALTER TABLE row ADD COLUMN key TEXT NOT NULL DEFAULT ''; UPDATE row SET key = target;",
    # In version 2 only the message said that a row may have been applied.
    2: """
        ALTER TABLE job ADD COLUMN of_settled INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE row ADD COLUMN may_have_been_applied INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE row ADD COLUMN tried_before INTEGER NOT NULL DEFAULT 0;
        UPDATE row SET may_have_been_applied = 1
            WHERE state IN ('pending', 'failed') AND message LIKE '%may have been applied%';
        DROP INDEX row_pending;
        CREATE INDEX row_pending ON row (generation, tried_before, id) WHERE state = 'pending';
        ALTER TABLE report RENAME TO report_before;
        CREATE TABLE report (path TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (path, digest));
        INSERT INTO report SELECT path, digest FROM report_before;
        DROP TABLE report_before;
    """,
    # Version 3 had no ledger; one begins with the acknowledged rows of its job.
    3: f"""
        ALTER TABLE row ADD COLUMN content TEXT;
        ALTER TABLE row ADD COLUMN before TEXT;
        UPDATE row SET content = digest;
        DROP INDEX row_target;
        CREATE INDEX row_target ON row (target, content);
        {_LEDGER_OF_VERSION_4}
        INSERT OR IGNORE INTO ledger SELECT base_url, target, key, showing_id, body FROM row, job
            WHERE state = 'updated' AND body IS NOT NULL AND key_fingerprint IS NOT NULL
            AND row.generation IN (job.generation, -1);
        INSERT INTO ledger_account SELECT base_url, key_fingerprint FROM job
            WHERE key_fingerprint IS NOT NULL;
    """,
    4: timeline.EARLIER_SCHEMA,
    5: f"CREATE TABLE acknowledged (ids TEXT NOT NULL); {ledger.NEW_INDEXES}",
    # Version 6 had outcomes in the rows.
    6: f"""
        ALTER TABLE job ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN staged_states TEXT NOT NULL DEFAULT '{{}}';
        ALTER TABLE row RENAME TO row_before;
        DROP INDEX row_target;
        DROP INDEX row_pending;
        {_ROWS_OF_VERSION_7}
        {_SEALED}
        INSERT INTO staged SELECT id, generation, number, cells, target, key, content, body, digest,
            fields, before, iif({_ENDED}, 'pending', state),
            iif({_ENDED}, NULL, error), iif({_ENDED}, NULL, message)
            FROM row_before ORDER BY id;
        INSERT INTO outcome SELECT id, state, in_flight, may_have_been_applied, tried_before,
            http_status, attempts, throttled, error, message, showing_id, updated_at, sent_at,
            duration_ms FROM row_before WHERE {_ENDED} ORDER BY id;
        UPDATE job SET staged_states = (SELECT json_group_object(state, rows) FROM
            (SELECT state, count(*) AS rows FROM staged
            WHERE generation = job.generation GROUP BY state));
        DROP TABLE row_before;
    """,
    # Up to version 7 messages repeated that a row may have been applied; now reports add it.
    7: f"""
        UPDATE outcome SET may_have_been_applied = 1,
            message = substr(message, 1, length(message) - length('{_SUFFIX}'))
            WHERE state IN ('pending', 'failed') AND message LIKE '%{_SUFFIX}';
        UPDATE outcome SET may_have_been_applied = 1, message = NULL
            WHERE state IN ('pending', 'failed') AND message IN ({_SENTENCES});
        UPDATE outcome SET message = '{PURGED_MESSAGE}' WHERE message IN ({_PURGED});
        UPDATE staged SET message = '{PURGED_MESSAGE}' WHERE message IN ({_PURGED});
    """,
    # The sentences of version 8 are kept as they are: a reason that is a text.
    8: f"""
        DROP VIEW row;
        ALTER TABLE staged RENAME COLUMN message TO reasons;
        UPDATE staged SET reasons =
            iif(reasons = '{PURGED_MESSAGE}', '{PURGED_REASONS}', {_EARLIER_TEXT})
            WHERE reasons IS NOT NULL;
        ALTER TABLE outcome ADD COLUMN given_up TEXT;
        {_VIEW_OF_VERSION_9}
    """,
    9: f"""
        ALTER TABLE staged ADD COLUMN report_id TEXT;
        ALTER TABLE staged ADD COLUMN whole TEXT;
        ALTER TABLE staged ADD COLUMN blank TEXT;
        ALTER TABLE staged ADD COLUMN twin TEXT;
        {_TWINS}
        {_CREATION}
        {_PLACE}
        ALTER TABLE job ADD COLUMN team_id TEXT;
        ALTER TABLE job ADD COLUMN team_name TEXT;
        ALTER TABLE job ADD COLUMN key_proven INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN source TEXT NOT NULL DEFAULT '';
        ALTER TABLE job ADD COLUMN elsewhere TEXT NOT NULL DEFAULT '';
        ALTER TABLE job ADD COLUMN command TEXT NOT NULL DEFAULT '[]';
        ALTER TABLE job ADD COLUMN ended_at TEXT;
        ALTER TABLE job ADD COLUMN exit_code INTEGER;
        UPDATE job SET key_proven = key_fingerprint IS NOT NULL;
        {ledger.NEW_COLUMNS.format(schema="main")}
        DROP VIEW row;
        ALTER TABLE outcome ADD COLUMN echo TEXT;
        {_VIEW_OF_VERSION_10}
        {_MOVE_ECHOES}
        {timeline.MIGRATE}
    """,
    # Up to version 10 nothing was known of attempts before the last one, and when values were
    # acknowledged.
    10: f"""
        DROP VIEW row;
        ALTER TABLE outcome ADD COLUMN tries TEXT;
        {_VIEW_OF_VERSION_11}
        {ledger.NEW_TIMES.format(schema="main")}
    """,
    11: _HOLDER,
}


@cache
def layout_of(version: int) -> Layout:
    """Return the layout of a checkpoint of some version."""
    if version == SCHEMA_VERSION:
        return layout_of_script(CREATE)
    return layout_of_script(_CREATE_VERSION_1, *map(MIGRATIONS.__getitem__, range(1, version)))


def difference_from(version: int, found: Layout) -> str | None:
    """Return how a checkpoint's layout differs from that of its version; None if it doesn't."""
    if version == SCHEMA_VERSION:
        exactly: tuple[str, ...] = KINDS
    else:
        # The migrations from versions 1 to 5 make all indexes anew.
        exactly = ("index",) if version > 5 else ()
    return difference(found, layout_of(version), exactly, also=ledger.EARLIER_INDEXES)

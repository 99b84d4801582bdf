"""What stands in a checkpoint: its tables, and how one of an older version becomes one of this.

A row is written when its sheet is staged, and hardly ever again. What sending makes of it stands in
a table of its own, narrow and in the order of sending, so that recording an outcome costs an insert
at the end of few pages, not a new copy of all that the sheet says. Readers see both as one: the
view `row`.

Invariants:

1. A row has an outcome as soon as anything became of it that staging did not decide; without one it
   is as it was
   staged.
2. A pending row without an outcome, whose id is at most the job's `taken`, was handed out and is on
   its way. So handing
   rows out that nobody tried before costs one number, not a mark in each.
3. Up to the job's `ended` there is none of those: what a run that was cut off left on its way lies
   beyond it.
"""

from __future__ import annotations

import sqlite3

from bulk_sync.job import ledger
from bulk_sync.job.health import APPLICATION_ID
from bulk_sync.job.purge import PURGED_MESSAGE
from bulk_sync.job.timeline import SCHEMA as _TIMELINE

SCHEMA_VERSION = 8

_SEALED = """
CREATE TABLE sealed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    changed_ns INTEGER NOT NULL    -- the time of change that the file was given last: see `health.seal`
);
"""

_ROWS = """
CREATE TABLE staged (
    id INTEGER PRIMARY KEY,        -- grows in input order
    generation INTEGER NOT NULL,
    number INTEGER NOT NULL,       -- as a spreadsheet program shows it
    cells TEXT NOT NULL,           -- JSON list: the original cells
    target TEXT NOT NULL,          -- what addresses the showing: its id or its key
    key TEXT NOT NULL,             -- the key as the sheet has it
    content TEXT,                  -- the digest of all that the sheet says of the showing
    body TEXT,                     -- the patch: without what the API is known to hold, with --only-changed
    digest TEXT,                   -- of the body
    fields TEXT NOT NULL DEFAULT '',
    before TEXT,                   -- JSON object: what the ledger knew of the body's fields when it was handed out
    state TEXT NOT NULL,           -- what staging decided, as the two below
    error TEXT,
    message TEXT
);
CREATE TABLE outcome (
    id INTEGER PRIMARY KEY,        -- the row's
    state TEXT NOT NULL,
    in_flight INTEGER NOT NULL DEFAULT 0,  -- 1 from the moment a run takes it again until its outcome is recorded
    may_have_been_applied INTEGER NOT NULL DEFAULT 0,  -- 1 while an attempt of whatever run is without an answer
    tried_before INTEGER NOT NULL DEFAULT 0,  -- 1 when an earlier run attempted it: its turn is after the others'
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
CREATE INDEX staged_target ON staged (target, content);
CREATE INDEX outcome_not_updated ON outcome (state, tried_before) WHERE state <> 'updated';
CREATE VIEW row AS
    SELECT staged.id, generation, number, cells, target, key, content, body, digest, fields, before,
        coalesce(outcome.state, staged.state) AS state,
        coalesce(in_flight, staged.state = 'pending' AND staged.id <= (SELECT taken FROM job), 0) AS in_flight,
        coalesce(may_have_been_applied, 0) AS may_have_been_applied, coalesce(tried_before, 0) AS tried_before,
        http_status, coalesce(attempts, 0) AS attempts, coalesce(throttled, 0) AS throttled,
        iif(outcome.id IS NULL, staged.error, outcome.error) AS error,
        iif(outcome.id IS NULL, staged.message, outcome.message) AS message,
        showing_id, updated_at, sent_at, duration_ms
    FROM staged LEFT JOIN outcome ON outcome.id = staged.id;
"""

_SCHEMA = f"""
CREATE TABLE job (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    generation INTEGER NOT NULL,
    input TEXT NOT NULL,
    input_digest TEXT NOT NULL,
    meaning TEXT NOT NULL,
    partial INTEGER NOT NULL,      -- 1 when --limit left out rows of the sheet
    headers TEXT NOT NULL,         -- JSON list: the header row as it was
    base_url TEXT NOT NULL,
    key_fingerprint TEXT,          -- of the key that the API accepted; NULL until it accepted one
    seconds REAL NOT NULL DEFAULT 0,
    of_settled INTEGER NOT NULL DEFAULT 0,  -- 1 when --limit took a part of a job that was settled
    taken INTEGER NOT NULL DEFAULT 0,       -- the last row that was handed out for the first time
    ended INTEGER NOT NULL DEFAULT 0,       -- up to this row none is on its way for the first time
    staged_states TEXT NOT NULL DEFAULT '{{}}'  -- JSON object: how many rows staging gave which state
);
{_ROWS}
CREATE TABLE report (
    path TEXT NOT NULL,
    digest TEXT NOT NULL,          -- of the file as the program wrote it: tells whether somebody edited it since
    PRIMARY KEY (path, digest)
);
CREATE TABLE acknowledged (
    ids TEXT NOT NULL              -- JSON list: rows of which the ledger does not know yet
);
{_SEALED}
"""

_LEDGER = ledger.SCHEMA.format(schema="main")
CREATE = (
    f"BEGIN; {_SCHEMA} {_TIMELINE} {_LEDGER} PRAGMA application_id = {APPLICATION_ID}; "
    f"PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
)

_ENDED = "(state IN ('updated', 'rejected', 'failed') OR in_flight OR may_have_been_applied OR tried_before OR attempts > 0)"
"""Rows of version 6 of which more became than staging decided."""

# The sentences of doubt that versions 1 to 7 wrote into messages.
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
_PURGED = "It may have been applied; the rest was removed by --purge"

_MIGRATIONS = {
    1: "ALTER TABLE row ADD COLUMN key TEXT NOT NULL DEFAULT ''; UPDATE row SET key = target;",
    # Version 2 knew what may have been applied by the words of the message alone.
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
    # Version 3 kept no ledger; what was acknowledged for the rows of its job begins one.
    3: f"""
        ALTER TABLE row ADD COLUMN content TEXT;
        ALTER TABLE row ADD COLUMN before TEXT;
        UPDATE row SET content = digest;
        DROP INDEX row_target;
        CREATE INDEX row_target ON row (target, content);
        {_LEDGER}
        INSERT OR IGNORE INTO ledger SELECT base_url, target, key, showing_id, body FROM row, job
            WHERE state = 'updated' AND body IS NOT NULL AND key_fingerprint IS NOT NULL
            AND row.generation IN (job.generation, -1);
        INSERT INTO ledger_account SELECT base_url, key_fingerprint FROM job WHERE key_fingerprint IS NOT NULL;
    """,
    4: _TIMELINE,
    5: f"CREATE TABLE acknowledged (ids TEXT NOT NULL); {ledger.NEW_INDEXES}",
    # Version 6 kept outcomes in the rows.
    6: f"""
        ALTER TABLE job ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE job ADD COLUMN staged_states TEXT NOT NULL DEFAULT '{{}}';
        ALTER TABLE row RENAME TO row_before;
        DROP INDEX row_target;
        DROP INDEX row_pending;
        {_ROWS}
        {_SEALED}
        INSERT INTO staged SELECT id, generation, number, cells, target, key, content, body, digest, fields, before,
            iif({_ENDED}, 'pending', state), iif({_ENDED}, NULL, error), iif({_ENDED}, NULL, message)
            FROM row_before ORDER BY id;
        INSERT INTO outcome SELECT id, state, in_flight, may_have_been_applied, tried_before, http_status, attempts,
            throttled, error, message, showing_id, updated_at, sent_at, duration_ms FROM row_before
            WHERE {_ENDED} ORDER BY id;
        UPDATE job SET staged_states = (SELECT json_group_object(state, rows) FROM
            (SELECT state, count(*) AS rows FROM staged WHERE generation = job.generation GROUP BY state));
        DROP TABLE row_before;
    """,
    # Up to version 7 a message said whether its row may have been applied; now the column alone
    # does, and reports add the sentence.
    7: f"""
        UPDATE outcome SET may_have_been_applied = 1,
            message = substr(message, 1, length(message) - length('{_SUFFIX}'))
            WHERE state IN ('pending', 'failed') AND message LIKE '%{_SUFFIX}';
        UPDATE outcome SET may_have_been_applied = 1, message = NULL
            WHERE state IN ('pending', 'failed') AND message IN ({_SENTENCES});
        UPDATE outcome SET message = '{PURGED_MESSAGE}' WHERE message = '{_PURGED}';
        UPDATE staged SET message = '{PURGED_MESSAGE}' WHERE message = '{_PURGED}';
    """,
}
"""What makes a checkpoint of a version one of the next."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a checkpoint up to this version, each step in a transaction of its own."""
    while (
        version := int(connection.execute("PRAGMA user_version").fetchone()[0])
    ) < SCHEMA_VERSION:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[version]} PRAGMA user_version = {version + 1}; COMMIT;"
        )

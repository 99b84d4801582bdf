"""SQL for the column `tries` of an outcome: the attempts before its last one.

Invariant: an attempt is in `tries` once the outcome describes a later one, or none because another
run is to try the row. So nothing is written for a row that needs one attempt.
"""

from __future__ import annotations

from bulk_sync.model.attempts import KEPT_FIRST, KEPT_LAST, LONGEST_WHY

_JOINED = (
    "(SELECT nullif(json_group_array(json(value)), '[]') FROM (SELECT value FROM ("
    "SELECT value, row_number() OVER () AS place, count(*) OVER () AS total FROM ("
    "SELECT value FROM json_each(coalesce({earlier}, '[]')) UNION ALL {later})) "
    f"WHERE place <= {KEPT_FIRST} OR place > total - {KEPT_LAST} ORDER BY place))"
)

ADDED = "iif(excluded.tries IS NULL, outcome.tries, {})".format(
    _JOINED.format(
        earlier="outcome.tries",
        later="SELECT json_set(value, '$.number', json_extract(value, '$.number') "
        "+ outcome.attempts) FROM json_each(excluded.tries)",
    )
)
"""The attempts of an outcome with those of this run's, which counts them from 1."""


def with_last(table: str) -> str:
    """Return the attempts of an outcome in a table with the one that it describes, if any."""
    last = (
        "SELECT json_object('number', {0}.attempts, 'sent_at', {0}.sent_at, "
        "'duration_ms', {0}.duration_ms, 'http_status', {0}.http_status, "
        "'error', iif({0}.http_status IS NULL, {0}.error, NULL), "
        f"'why', substr({{0}}.message, 1, {LONGEST_WHY})) AS value"
    )
    joined = _JOINED.format(earlier=f"{table}.tries", later=last.format(table))
    return (
        f"iif({table}.attempts > 0 AND {table}.sent_at IS NOT NULL "
        f"AND coalesce(json_extract({table}.tries, '$[#-1].number'), 0) < {table}.attempts, "
        f"{joined}, {table}.tries)"
    )

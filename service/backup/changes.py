"""Which changes of old entries does an incremental backup still find?

Those of the last five weeks: an erasure or a retention leaves a row for each entry, and these would
grow with the log. Invariant: `forgotten` is at or above every transaction whose rows are gone, so a
backup that needs one of them knows, and is a full one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

# Longer than a month: whoever adds to a backup once a month need not copy everything.
KEPT = timedelta(days=35)

_FORGET = """
WITH gone AS (
    DELETE FROM ledger_changed WHERE changed_at < $1 RETURNING transaction::text::bigint AS number
)
UPDATE database_lineage SET forgotten = greatest(forgotten, (SELECT max(number) FROM gone))
WHERE EXISTS (SELECT FROM gone)
"""
_FORGOTTEN = "SELECT forgotten FROM database_lineage"


async def forget_changes(connection: Any, now: datetime) -> None:
    """Delete what is older than five weeks at `now`. Raises what asyncpg raises."""
    await connection.execute(_FORGET, now - KEPT)


async def are_there(connection: Any, since: int) -> bool:
    """Say whether every change from transaction `since` on can still be found."""
    return int(await connection.fetchval(_FORGOTTEN)) < since

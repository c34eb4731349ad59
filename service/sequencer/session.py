"""What is a sequencer's session with PostgreSQL, and when has the leader stopped moving?

The lock lives as long as the session, and a session lives as long as its process keeps the
connection open, even when the process is frozen. So whoever stands by looks at when the leader last
said something, and ends a session that was silent for too long. Invariant: ending a session that
was alive after all costs a hand-over, never a fork: the tree is fenced by its term.
"""

from __future__ import annotations

import os
from typing import Any

import asyncpg

from service.ledger.drain import CONNECT_SECONDS

# Any number will do, as long as it is always this one: "tree seq".
LOCK = 0x7472656520736571
NAME = "touchstone-sequencer"
# A leader says something every 0.5 s, also in the middle of a long round.
HUNG_SECONDS = 5.0

SESSION = {
    "jit": "off",
    # The queue is nearly always far smaller than the last statistics say, and the entries far more
    # than when the statement was planned: a plan that reads all of them would take seconds for a
    # round of milliseconds. What is left are look-ups by key.
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    # With the values known, a list of 10,000 ids is hashed; without, it is searched for each row.
    "plan_cache_mode": "force_custom_plan",
    # A leader's machine that vanished: its lock is free after 15 s, whoever stands by.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "2",
    # A leader that died while the server sorted for it.
    "client_connection_check_interval": "1s",
}

# The server works for the leader while the state is `active`, unless it waits for the leader to
# read or send (`Client`).
_END_IF_HUNG = """
SELECT pg_terminate_backend(activity.pid)
FROM pg_locks held JOIN pg_stat_activity activity USING (pid)
WHERE held.locktype = 'advisory' AND held.granted AND held.objsubid = 1
  AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (held.classid::bigint << 32 | held.objid::bigint) = $1
  AND activity.state_change < clock_timestamp() - make_interval(secs => $2)
  AND (activity.state <> 'active' OR activity.wait_event_type = 'Client')
"""


async def opened(dsn: str) -> Any:
    """Return a connection to lead with, named after this process; raises what asyncpg raises."""
    name = f"{NAME} {os.getpid()}"
    return await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, server_settings={"application_name": name, **SESSION}
    )


async def end_hung_leader(dsn: str, hung_seconds: float = HUNG_SECONDS) -> bool:
    """End the leader's session when it said nothing for so long; return whether it was ended.

    Raises what asyncpg raises.
    """
    connection: Any = await asyncpg.connect(
        dsn, timeout=CONNECT_SECONDS, server_settings={"application_name": f"{NAME}-standby"}
    )
    try:
        return bool(await connection.fetch(_END_IF_HUNG, LOCK, hung_seconds))
    finally:
        await connection.close(timeout=CONNECT_SECONDS)

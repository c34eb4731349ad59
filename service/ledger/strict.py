"""Does PostgreSQL keep what it has committed?

Invariant: with `fsync`, `full_page_writes` or `synchronous_commit` off a commit may be lost in a
crash, so a writer does not start on such a server, and does not come back to one. That commits wait
for the disk is fixed for the session.
"""

from __future__ import annotations

from typing import Any

from service.ledger.errors import NotDurable

# With every other value of these a commit is on this server's disk before it is confirmed.
_REQUIRED_ON = ("fsync", "full_page_writes", "synchronous_commit")
_ASK = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')"  # noqa: E501 -- one statement
_PIN = "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false)"


async def check_durability(connection: Any) -> None:
    """Raise `NotDurable`, naming every setting that is off in this session."""
    values = await connection.fetchrow(_ASK)
    off = [name for name, value in zip(_REQUIRED_ON, values, strict=True) if value == "off"]
    if off:
        raise NotDurable(
            f"PostgreSQL runs with {', '.join(off)} off: a commit may be lost in a crash. "
            "Set them to on and start again."
        )
    # A server may be told to forget while sessions last; this one keeps what it began with.
    await connection.execute(_PIN)

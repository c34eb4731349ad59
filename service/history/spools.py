"""Is everything that was answered in the ledger's table?

Entries may wait in the spools of writers on this machine; spools of other machines cannot be seen
from here. Invariant: nothing that a living writer holds is touched.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from service.ledger.drain import CONNECT_SECONDS, connect, drain_leftovers
from service.ledger.errors import SpoolBroken
from service.ledger.keys import Keyring
from service.ledger.spool import Spool, leftover_paths

POLL_SECONDS = 0.2


class EntriesWait(Exception):
    """Entries wait in a spool: the table does not have the whole history."""

    code = "entries_wait"


async def bring_in_spools(
    directory: Path, dsn: str, ring: Keyring, *, wait_seconds: float = 0
) -> None:
    """Bring in what dead writers left, and wait for living ones to bring in theirs.

    Raises `EntriesWait` when some are left after `wait_seconds`, and as `ledger.drain.connect`.
    """
    waiting = filled_spools(directory)
    if not waiting:
        return
    connection = await connect(dsn, ring)
    try:
        await drain_leftovers(connection, ring, directory)
    finally:
        await connection.close()
    deadline = asyncio.get_running_loop().time() + wait_seconds
    while waiting := filled_spools(directory):
        if asyncio.get_running_loop().time() >= deadline:
            raise EntriesWait(
                f"entries wait in {len(waiting)} spool file(s) of {directory}: they are brought in "
                "as soon as the service reaches PostgreSQL; run this again then"
            )
        await asyncio.sleep(POLL_SECONDS)
    await _settled(dsn, deadline)


async def _settled(dsn: str, deadline: float) -> None:
    """Return when no key waits to be compared with the erasures; the service does that."""
    connection = await asyncpg.connect(dsn, timeout=CONNECT_SECONDS)
    try:
        while await connection.fetchval("SELECT EXISTS (SELECT FROM late_subject_key)"):
            if asyncio.get_running_loop().time() >= deadline:
                raise EntriesWait(
                    "keys that a spool brought in wait to be compared with the erasures: a running "
                    "service does that within a second; run this again then"
                )
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()


def filled_spools(directory: Path) -> list[Path]:
    """Return the spool files that have entries in them."""
    filled = []
    for path in leftover_paths(directory):
        try:
            spool = Spool.peek(path)
        except SpoolBroken:  # gone, or not ours to read
            continue
        if not spool.is_empty:
            filled.append(path)
        spool.release()
    return filled

"""What do all writers of a log agree on about their keys?

One row, whose `epoch` grows with each change. A writer's session holds a shared advisory lock on
the epoch that it follows, so whoever rotates keys sees who does not follow yet, crashes included.
Invariant: what a session that holds the lock of an epoch stores is sealed and wrapped as that epoch
says.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from service.ledger.errors import WrongKek
from service.ledger.keys import Keyring
from service.ledger.table import month_keys_in_use

CHANNEL = "ledger_keys"
# The first half of the advisory lock's key; any number will do, if it is always this. The second
# half is the epoch.
LOCK = 0x6B657973

_READ = "SELECT epoch, kek, next_kek, old_kek, months, subjects FROM ledger_keys"
_HELD = """
SELECT objid::bigint AS epoch, pid, coalesce(host(client_addr), 'this machine') AS machine,
       application_name
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND classid = $1 AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
# Locks count: one that is taken twice is not given up once.
_ENTER = """
SELECT pg_advisory_lock_shared($1::int, $2::int) WHERE NOT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = $1::bigint AND objsubid = 2
        AND objid = $2::bigint AND pid = pg_backend_pid() AND granted
)
"""
_LEAVE_OTHERS = """
SELECT pg_advisory_unlock_shared($1::int, objid::bigint::int) FROM pg_locks
WHERE locktype = 'advisory' AND classid = $1::bigint AND objsubid = 2 AND pid = pg_backend_pid()
  AND objid <> $2::bigint
"""


class Agreed(NamedTuple):
    """The row. Ids of key-encryption keys; see 0016_keys.sql."""

    epoch: int
    kek: bytes | None
    next_kek: bytes | None
    old_kek: bytes | None
    months: int
    subjects: int


class Session(NamedTuple):
    """A writer's session, as the server knows it."""

    epoch: int
    pid: int
    machine: str
    application: str


async def read_agreed(connection: Any) -> Agreed:
    """Return what is agreed at the moment."""
    return Agreed(*await connection.fetchrow(_READ))


async def get_ready(ring: Keyring, agreed: Agreed) -> None:
    """Get the key-encryption keys that this asks for; may take seconds.

    Raises `WrongKek` when one cannot be had here.
    """
    for kek_id in (agreed.kek, agreed.next_kek):
        if kek_id is not None and not await asyncio.to_thread(ring.holds_kek, kek_id):
            raise WrongKek(
                f"the ledger's keys are wrapped with the key-encryption key {kek_id.hex()}, and "
                "no key file here holds it"
            )


async def joinable(ring: Keyring, agreed: Agreed) -> Agreed:
    """Return what a session that begins can follow: what is agreed, or what was before it.

    Nothing is wrapped with a next key-encryption key yet, so who lacks it can work; the rotation
    waits for it. May take seconds. Raises `WrongKek` when the one that wraps cannot be had here.
    """
    next_kek = agreed.next_kek
    if next_kek is not None and not await asyncio.to_thread(ring.holds_kek, next_kek):
        agreed = agreed._replace(epoch=agreed.epoch - 1, next_kek=None)
    await get_ready(ring, agreed)
    return agreed


async def take_up(connection: Any, ring: Keyring, agreed: Agreed) -> None:
    """Seal and wrap as this says from here on, and let others see it.

    Call it while nothing is being stored over the connection, after `get_ready`.
    """
    ring.follow(agreed.kek, agreed.months, agreed.subjects)
    for name, wrapped in await month_keys_in_use(connection):
        ring.learn_month_key(name, wrapped)
    await connection.execute(_ENTER, LOCK, agreed.epoch)
    await connection.execute(_LEAVE_OTHERS, LOCK, agreed.epoch)


async def sessions_behind(connection: Any, epoch: int) -> list[Session]:
    """Return the writers' sessions that follow an earlier epoch."""
    held = [Session(*row) for row in await connection.fetch(_HELD, LOCK)]
    return [session for session in held if session.epoch < epoch]

"""How do spooled entries get into the log when PostgreSQL is back?

In order, several groups a transaction, each entry exactly once however often a drain is cut
short: a file is cleared or removed only after its last group is committed, and entries that are
there already are skipped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from service.ledger.agreed import joinable, read_agreed, take_up
from service.ledger.errors import LedgerError, SpoolBroken
from service.ledger.frames import Group, decoded
from service.ledger.keys import Keyring
from service.ledger.spool import Damage, Found, Spool, leftover_paths
from service.ledger.strict import check_durability
from service.ledger.table import Absorbed, absorb

log = logging.getLogger(__name__)

CONNECT_SECONDS = 2.0
# Groups are put together to about this many rows a transaction, 30 ms: a drain must be faster than
# callers at full load, who fill the spool with groups of a few rows.
DRAIN_ROWS = 512
# A server that needs this long for them hangs.
GROUP_SECONDS = 10.0
# The insert takes arrays, whose lengths PostgreSQL would plan for anew each time: one plan for all
# saves a quarter of what a commit of one entry costs, and no index is chosen by a value here.
_SESSION = {
    "application_name": "touchstone-ledger",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
}

# What a server that is down, starting, stopping or out of reach answers, or does not.
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that died between two statements
)


class Drained(NamedTuple):
    """What a drain did. `damaged`: places of a spool file that could not be read."""

    stored: int = 0
    already_there: int = 0
    superseded: int = 0
    damaged: int = 0

    def plus(self, other: Absorbed | Drained) -> Drained:
        """Return the sum."""
        damaged = other.damaged if isinstance(other, Drained) else 0
        return Drained(
            self.stored + other.stored,
            self.already_there + other.already_there,
            self.superseded + other.superseded,
            self.damaged + damaged,
        )


async def connect(dsn: str, ring: Keyring) -> Any:
    """Return a connection to a durable server that was sealed under our KEK, to store with.

    Raises one of `AWAY`, `NotDurable`, `WrongKek`, `SealBroken` or what asyncpg raises.
    """
    connection = await asyncpg.connect(
        dsn,
        timeout=CONNECT_SECONDS,
        server_settings=_SESSION,
    )
    try:
        async with at_most(connection, CONNECT_SECONDS):
            await check_durability(connection)
        await _join(connection, ring)
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _join(connection: Any, ring: Keyring) -> None:
    """Seal and wrap as all writers agree, from the connection's first entry on."""
    async with at_most(connection, CONNECT_SECONDS):
        agreed = await read_agreed(connection)
    joined = None
    while joined != agreed:
        followed = await joinable(ring, agreed)
        async with at_most(connection, CONNECT_SECONDS):
            await take_up(connection, ring, followed)
            joined = agreed
            # What changed before the session could be seen, nobody waited for it with.
            agreed = await read_agreed(connection)


@asynccontextmanager
async def at_most(connection: Any, seconds: float) -> AsyncIterator[None]:
    """Drop the connection when the body takes longer; the statement under way then fails.

    Unlike asyncpg's own timeout it does not ask the server to cancel: a server that hangs would not
    answer that either. Whatever a body raises once its connection is closed (asyncpg then trips
    over its own missing protocol) leaves as a TimeoutError or as one of `AWAY`.
    """
    timer = asyncio.get_running_loop().call_later(seconds, connection.terminate)
    try:
        yield
    except AWAY:
        raise
    except Exception as error:
        if connection.is_closed():
            raise TimeoutError(f"the connection was closed: {type(error).__name__}") from error
        raise
    finally:
        timer.cancel()


async def drain(
    connection: Any, ring: Keyring, spool: Spool, begin: int | None = None, *, once: bool = False
) -> tuple[Drained, int]:
    """Absorb every group that is in the spool now; return what was done and where it ended.

    With `once` it ends after the first transaction. Keys that were wrapped under an earlier KEK are
    stored under the one of the moment; raises `WrongKek` when that cannot be.
    """
    drained, end = Drained(), spool.end
    pending = Group([], [], [])
    for piece in spool.groups(begin):
        if isinstance(piece, Found):
            try:
                group = decoded(piece.payload)
            except SpoolBroken:
                drained = _damaged(drained, spool, Damage(piece.begin, piece.end, torn=False))
                continue
            pending.month_keys.extend(group.month_keys)
            pending.subject_keys.extend(group.subject_keys)
            pending.rows.extend(group.rows)
            if len(pending.rows) >= DRAIN_ROWS:
                drained = drained.plus(await _absorbed(connection, ring, pending))
                if once:
                    return drained, piece.end
                pending = Group([], [], [])
        else:
            drained = _damaged(drained, spool, piece)
    if pending.rows:
        drained = drained.plus(await _absorbed(connection, ring, pending))
    return drained, end


async def _absorbed(connection: Any, ring: Keyring, group: Group) -> Absorbed:
    group.month_keys[:] = [
        key._replace(wrapped=ring.rewrapped_month_key(*key)) for key in group.month_keys
    ]
    group.subject_keys[:] = [
        key._replace(wrapped=ring.rewrapped_subject_key(*key)) for key in group.subject_keys
    ]
    async with at_most(connection, GROUP_SECONDS):
        return await absorb(connection, group)


def _damaged(drained: Drained, spool: Spool, piece: Damage) -> Drained:
    if piece.torn:
        length = piece.end - piece.begin
        log.warning("%s ends in %d bytes of an unacknowledged group", spool.path, length)
        return drained
    log.error("%s is damaged from byte %d to %d", spool.path, piece.begin, piece.end)
    return drained._replace(damaged=drained.damaged + 1)


async def drain_leftovers(connection: Any, ring: Keyring, directory: Path) -> Drained:
    """Drain and remove the spools of writers that are no more.

    A damaged file gives what can be read of it and is kept under another name. A file that
    contradicts the log, or cannot be opened, stays as it is and is reported. Raises what asyncpg
    raises.
    """
    total = Drained()
    for path in leftover_paths(directory):
        try:
            spool = Spool.adopt(path)
        except SpoolBroken as error:
            log.error("%s", error)  # noqa: TRY400 -- its text says it all
            continue
        if spool is None:
            continue
        try:
            drained, _ = await drain(connection, ring, spool)
        except LedgerError:
            log.exception("%s stays: it cannot be drained", path)
            spool.release()
            total = total.plus(Drained(damaged=1))
            continue
        except BaseException:
            spool.release()
            raise
        if drained.damaged:
            log.error("kept what cannot be read as %s", spool.keep_as_damaged())
        else:
            spool.remove()
        log.info("drained %d entries of %s", drained.stored, path)
        total = total.plus(drained)
    return total

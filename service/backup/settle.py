"""Is an entry in the tree, so that what is copied after it has its place in it?

A backup says first that it is taken, and then copies. Entries that are copied without a place would
be given one in the old database and none in the restored one: its signer would call them lost.
Invariant: nothing waits for ever, and a log that cannot be placed is backed up as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import asyncpg

from service.ledger.errors import LedgerError
from service.sequencer.errors import NotLeader
from service.sequencer.sequencer import Sequencer

# A checkpoint takes one to two seconds, and has ten.
PATIENCE_SECONDS = 10.0
LOOK_SECONDS = 0.1
_PLACE = "SELECT idx FROM ledger_leaf WHERE entry_id = $1"
_SIGNED = "SELECT size FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"


async def settle(dsn: str, log: str, entry_id: bytes, *, places: bool) -> None:
    """Wait until an entry has its place and is signed, for `PATIENCE_SECONDS` at most.

    `places`: give it one from here where no sequencer runs; nobody signs then, and nobody is waited
    for. Raises what asyncpg raises.
    """
    connection = await asyncpg.connect(dsn)
    try:
        if places and await _placed_here(connection, dsn, log, entry_id):
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and not await _is_signed(connection, entry_id):  # noqa: ASYNC110 -- nothing tells
            await asyncio.sleep(LOOK_SECONDS)
    finally:
        await connection.close()


async def _placed_here(connection: Any, dsn: str, log: str, entry_id: bytes) -> bool:
    """Place what is queued, unless somebody else does; return whether nobody else does."""
    try:
        sequencer = await Sequencer.start(dsn, log)
    except NotLeader:
        return False
    except LedgerError:  # a damaged tree, which is evidence
        return True
    try:
        with contextlib.suppress(LedgerError):
            # Others may write faster than is placed.
            while await connection.fetchval(_PLACE, entry_id) is None:
                if not await sequencer.integrate():
                    break
    finally:
        await sequencer.close()
    return True


async def _is_signed(connection: Any, entry_id: bytes) -> bool:
    place = await connection.fetchval(_PLACE, entry_id)
    return place is not None and (await connection.fetchval(_SIGNED) or 0) > place

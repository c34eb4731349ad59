"""How does a test get its entries into the tree? Invariant: by the sequencer itself."""

from __future__ import annotations

import asyncio
import time

import asyncpg

from service.sequencer.errors import NotLeader
from service.sequencer.sequencer import Sequencer

PATIENCE_SECONDS = 20.0


async def sequenced(dsn: str, log: str) -> int:
    """Place every queued entry and return the size of the tree.

    Where another sequencer leads, as in a running service, wait until it has.
    """
    began = time.monotonic()
    while True:
        try:
            sequencer = await Sequencer.start(dsn, log)
        except NotLeader:
            if await _queued(dsn) == 0:
                return await _size(dsn)
            assert time.monotonic() - began < PATIENCE_SECONDS, "the leader places nothing"
            await asyncio.sleep(0.05)
            continue
        try:
            while await _queued(dsn):
                await sequencer.integrate()
            return sequencer.size
        finally:
            await sequencer.close()


async def _queued(dsn: str) -> int:
    return await _value(dsn, "SELECT count(*) FROM ledger_queue")


async def _size(dsn: str) -> int:
    return await _value(dsn, "SELECT coalesce(max(size), 0) FROM ledger_tree")


async def _value(dsn: str, query: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(query))
    finally:
        await connection.close()

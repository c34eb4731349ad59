"""How does a test get its entries into the tree, and signed?

Invariant: by the sequencer and by the signer themselves.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncpg

from service.sequencer.errors import NotLeader
from service.sequencer.sequencer import Sequencer
from service.signer.signer import Signer

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


async def checkpointed(dsn: str, directory: Path, log: str) -> str:
    """Place every queued entry, sign the tree and return the note of the last checkpoint.

    `directory` is the signer's: the same for all calls of a test.
    """
    await sequenced(dsn, log)
    async with await Signer.open(directory, dsn, log) as signer:
        await signer.sign()
    connection = await asyncpg.connect(dsn)
    try:
        note = await connection.fetchval(
            "SELECT note FROM ledger_checkpoint ORDER BY id DESC LIMIT 1"
        )
    finally:
        await connection.close()
    assert note is not None, "an empty log has no checkpoint"
    return str(note)


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

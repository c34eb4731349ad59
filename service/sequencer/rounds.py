"""What does one round of the sequencer write?

Everything in the queue, in the order of the time observed, then writer and number; a writer's
entry never before one with a lower number, whatever its clock did. Invariant: a leaf is the hash of
the bytes that were read back from the table. Nothing in them is judged: a header that cannot be
parsed is placed like any other and is the verifier's to report.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Node, Peaks
from service.ledger.tree.stored import STORED_LEVEL

# Read, hashed and written at a time: 4 MB of headers. A round may have millions of entries.
CHUNK_ROWS = 5_000

# The latest time observed by a writer up to an entry ascends with its numbers.
_QUEUED = """
SELECT queued.entry_id, entry.header, leaf.idx AS placed
FROM (SELECT DISTINCT entry_id FROM ledger_queue) queued
LEFT JOIN ledger_entry entry ON entry.entry_id = queued.entry_id
LEFT JOIN ledger_leaf leaf ON leaf.entry_id = queued.entry_id
ORDER BY max(entry.observed) OVER (PARTITION BY entry.writer ORDER BY entry.seq),
         entry.writer, entry.seq
"""
_EMPTY_QUEUE = "DELETE FROM ledger_queue"


@dataclass(slots=True)
class Round:
    """What a round did. `peaks` is the tree after it."""

    peaks: Peaks
    placed: int = 0
    taken: int = 0
    # In the queue, and no such entry: it was deleted before it was placed.
    lost: list[bytes] = field(default_factory=list)
    # In the queue, and in the tree already.
    again: list[bytes] = field(default_factory=list)


async def take(connection: Any, peaks: Peaks) -> Round:
    """Place what is queued behind `peaks`, which are not changed.

    To be called in a transaction with isolation REPEATABLE READ: what is read and what is deleted
    must be the same rows. Raises what asyncpg raises.
    """
    done = Round(peaks.copy())
    queued = await connection.cursor(_QUEUED)
    while rows := await queued.fetch(CHUNK_ROWS):
        leaves: list[tuple[int, bytes, bytes]] = []
        for row in rows:
            if row["placed"] is not None:
                done.again.append(row["entry_id"])
            elif row["header"] is None:
                done.lost.append(row["entry_id"])
            else:
                idx = done.peaks.size + len(leaves)
                leaves.append((idx, row["entry_id"], leaf_hash(row["header"])))
        if leaves:
            nodes = done.peaks.extend((leaf[2] for leaf in leaves), STORED_LEVEL)
            await _write(connection, leaves, nodes)
            done.placed += len(leaves)
    done.taken = int((await connection.execute(_EMPTY_QUEUE)).removeprefix("DELETE "))
    return done


async def _write(
    connection: Any, leaves: list[tuple[int, bytes, bytes]], nodes: list[Node]
) -> None:
    await connection.copy_records_to_table("ledger_leaf", records=leaves)
    if nodes:
        await connection.copy_records_to_table("ledger_node", records=nodes)

"""What does one round of the sequencer write?

It takes some rows of the queue and places every entry of their writers up to the highest number
among them, in the order of the time observed, then writer and number. Invariants: an entry never
stands before one of its writer with a lower number, whatever its clock did and whatever order the
queue has. A leaf is the hash of the bytes that were read back from the table; nothing in them is
judged: a header that cannot be parsed is placed like any other and is the verifier's to report.

Nothing is missing below the highest number because a writer, and the drain of its spool, commits a
number only after all lower ones. What is missing all the same was deleted, and is said.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.stored import STORED_LEVEL

# A round of so many takes half a second: a leader that dies costs no more work than that.
ROUND_ROWS = 10_000
# Read, hashed and written at a time: 4 MB of headers.
CHUNK_ROWS = 5_000

_TAKE = """
SELECT queued.place, queued.entry_id, entry.writer, entry.seq
FROM (SELECT ctid AS place, entry_id FROM ledger_queue LIMIT $1) queued
LEFT JOIN ledger_entry entry ON entry.entry_id = queued.entry_id
"""
_LAST_PLACED = """
SELECT seq FROM ledger_entry entry
WHERE writer = $1 AND EXISTS (SELECT FROM ledger_leaf leaf WHERE leaf.entry_id = entry.entry_id)
ORDER BY seq DESC LIMIT 1
"""
# The latest time observed by a writer up to an entry ascends with its numbers.
_ENTRIES = """
SELECT entry.entry_id, entry.header, entry.writer, entry.seq
FROM unnest($1::bytea[], $2::bigint[], $3::bigint[]) AS span (writer, after, upto)
CROSS JOIN LATERAL (
    SELECT * FROM ledger_entry
    WHERE writer = span.writer AND seq > span.after AND seq <= span.upto ORDER BY seq LIMIT $4
) entry
ORDER BY max(entry.observed) OVER (PARTITION BY entry.writer ORDER BY entry.seq),
         entry.writer, entry.seq
"""
_LATE = """
SELECT entry_id, header, writer, seq FROM ledger_entry entry
WHERE entry_id = ANY($1::bytea[])
  AND NOT EXISTS (SELECT FROM ledger_leaf leaf WHERE leaf.entry_id = entry.entry_id)
ORDER BY writer, seq
"""
# By their places: rows of the queue never change, and nobody else deletes any.
_REMOVE = "DELETE FROM ledger_queue WHERE ctid = ANY($1::tid[])"
# Reads the whole queue: 50 ms for 400,000 rows, and only when more waits than is taken.
_REMOVE_MORE = "DELETE FROM ledger_queue WHERE entry_id = ANY($1::bytea[])"


@dataclass(slots=True)
class Round:
    """What a round did. `peaks` is the tree after it, `last_placed` the numbers of its writers."""

    peaks: Peaks
    last_placed: dict[bytes, int]
    taken: int = 0
    # In the queue, and no such entry: it was deleted before it was placed.
    lost: list[bytes] = field(default_factory=list)
    # (writer, first, last) of numbers that are not there although a higher one is.
    holes: list[tuple[bytes, int, int]] = field(default_factory=list)
    # Not in the tree although a higher number of the writer is: placed out of order.
    late: list[bytes] = field(default_factory=list)
    placed_ids: set[bytes] = field(default_factory=set)

    @property
    def placed(self) -> int:
        """Entries that were placed."""
        return len(self.placed_ids)

    @property
    def is_full(self) -> bool:
        """Whether more may wait than was taken."""
        return self.taken >= ROUND_ROWS


async def take(connection: Any, peaks: Peaks, known: dict[bytes, int]) -> Round:
    """Place what waits behind `peaks`, ROUND_ROWS of each writer at most.

    To be called in a transaction. `known` says the last number placed of writers; it is looked up
    for others. Neither argument is changed. Raises what asyncpg raises.
    """
    rows = await connection.fetch(_TAKE, ROUND_ROWS)
    done = Round(peaks.copy(), {}, taken=len(rows))
    queued: defaultdict[bytes, list[Any]] = defaultdict(list)
    for row in rows:
        if row["writer"] is None:
            done.lost.append(row["entry_id"])
        else:
            queued[row["writer"]].append(row)
    spans, below = [], []
    for writer, waiting in queued.items():
        if writer not in known:
            last = await connection.fetchval(_LAST_PLACED, writer)
            known = {**known, writer: last or 0}
        after = known[writer]
        done.last_placed[writer] = after
        below += [row["entry_id"] for row in waiting if row["seq"] <= after]
        if (upto := max(row["seq"] for row in waiting)) > after:
            spans.append((writer, after, upto))
    if spans:
        await _place_spans(connection, done, spans)
    if below:
        late = await connection.fetch(_LATE, below)
        done.late = [row["entry_id"] for row in late]
        await _place(connection, done, late)
    # What a writer has beyond a round stays for the next one.
    settled = [
        row["place"]
        for row in rows
        if row["writer"] is None or row["seq"] <= done.last_placed[row["writer"]]
    ]
    await connection.execute(_REMOVE, settled)
    if more := done.placed_ids.difference(row["entry_id"] for row in rows):
        await connection.execute(_REMOVE_MORE, list(more))
    return done


async def _place_spans(connection: Any, done: Round, spans: list[tuple[bytes, int, int]]) -> None:
    last = done.last_placed
    entries = await connection.cursor(_ENTRIES, *zip(*spans, strict=True), ROUND_ROWS)
    while rows := await entries.fetch(CHUNK_ROWS):
        for row in rows:
            writer, number = row["writer"], row["seq"]
            if number != last[writer] + 1:
                done.holes.append((writer, last[writer] + 1, number - 1))
            last[writer] = number
        await _place(connection, done, rows)


async def _place(connection: Any, done: Round, rows: list[Any]) -> None:
    """Write leaves and the nodes that they complete."""
    begin = done.peaks.size
    hashes = [leaf_hash(row["header"]) for row in rows]
    leaves = [
        (idx, row["entry_id"], value)
        for idx, (row, value) in enumerate(zip(rows, hashes, strict=True), begin)
    ]
    nodes = done.peaks.extend(hashes, STORED_LEVEL)
    if leaves:
        await connection.copy_records_to_table("ledger_leaf", records=leaves)
        done.placed_ids.update(row["entry_id"] for row in rows)
    if nodes:
        await connection.copy_records_to_table("ledger_node", records=nodes)

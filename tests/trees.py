"""Is the stored tree whole? Held against the definition, reading every row."""

from __future__ import annotations

from collections import Counter
from typing import Any

from service.ledger.tree.hashes import leaf_hash
from service.ledger.tree.peaks import Peaks
from service.ledger.tree.stored import STORED_LEVEL

_LEAVES = """
SELECT leaf.idx, leaf.hash, leaf.entry_id, entry.header, entry.writer, entry.seq
FROM ledger_leaf leaf LEFT JOIN ledger_entry entry USING (entry_id) ORDER BY leaf.idx
"""
_NODES = "SELECT level, idx, hash FROM ledger_node ORDER BY level, idx"
_UNPLACED = """
SELECT entry_id FROM ledger_entry
WHERE NOT EXISTS (SELECT FROM ledger_leaf WHERE ledger_leaf.entry_id = ledger_entry.entry_id)
"""


async def whole_tree(connection: Any) -> Peaks:
    """Assert that the tree is whole, and return it as computed from the entries.

    Indices without gap or repeat; leaves that are the hashes of the stored headers; nodes and peaks
    that follow from them; every writer's numbers ascending without a hole from 1; every entry in
    the tree or waiting for it.
    """
    async with connection.transaction(isolation="repeatable_read"):
        stands = await connection.fetchrow("SELECT size, peaks FROM ledger_tree")
        leaves = await connection.fetch(_LEAVES)
        nodes = {tuple(row) for row in await connection.fetch(_NODES)}
        queued = {row[0] for row in await connection.fetch("SELECT entry_id FROM ledger_queue")}
        unplaced = {row[0] for row in await connection.fetch(_UNPLACED)}
    assert [row["idx"] for row in leaves] == list(range(stands["size"]))
    assert all(row["hash"] == leaf_hash(row["header"]) for row in leaves)
    tree = Peaks()
    assert nodes == {
        tuple(node) for node in tree.extend((row["hash"] for row in leaves), STORED_LEVEL)
    }
    assert stands["peaks"] == tree.to_bytes()
    last: Counter[bytes] = Counter()
    for row in leaves:
        assert row["seq"] == last[row["writer"]] + 1, "a writer's numbers do not ascend one by one"
        last[row["writer"]] += 1
    assert unplaced == queued
    return tree

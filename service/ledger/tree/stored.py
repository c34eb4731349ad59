"""What does the stored tree prove?

Reads `ledger_leaf` and `ledger_node`, which the sequencer only ever adds to: a proof for a size
that was there is the same at any later time. Invariant: nothing is believed here either; a proof
from tampered rows simply does not verify against the signed root.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

from service.ledger.tree.errors import OutOfTree, TreeBroken
from service.ledger.tree.hashes import node_hash
from service.ledger.tree.peaks import root_of
from service.ledger.tree.proofs import (
    NodeSource,
    aligned,
    consistency_path,
    inclusion_path,
    range_path,
)

# Subtrees from this level on are stored; lower ones are computed from at most 256 leaves.
STORED_LEVEL = 8

Proof = TypeVar("Proof")

_SIZE = "SELECT size FROM ledger_tree"
_NODES = """
SELECT level, idx, hash FROM ledger_node
WHERE (level, idx) IN (SELECT * FROM unnest($1::smallint[], $2::bigint[]))
"""
_LEAVES = """
SELECT leaf.idx, leaf.hash FROM unnest($1::bigint[], $2::bigint[]) AS span (first, last)
JOIN ledger_leaf leaf ON leaf.idx >= span.first AND leaf.idx < span.last
"""


class StoredTree:
    """The tree in the database. `connection` is an asyncpg connection, in any transaction.

    Every method raises `OutOfTree` for numbers that the tree does not have, `TreeBroken` when rows
    are missing that its size says are there, and what asyncpg raises.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def size(self) -> int:
        """Return the number of leaves that are placed."""
        size: int | None = await self._connection.fetchval(_SIZE)
        return size or 0

    async def root(self, size: int) -> bytes:
        """Return the root of the first `size` leaves."""
        await self._check(size)
        return await self._proved(
            lambda node: root_of([node(*place) for place in aligned(0, size)])
        )

    async def inclusion(self, idx: int, size: int) -> list[bytes]:
        """Return the proof that leaf `idx` is in the tree of the first `size` leaves."""
        await self._check(size)
        return await self._proved(lambda node: inclusion_path(node, idx, size))

    async def consistency(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of `first` leaves is the beginning of that of `second`."""
        await self._check(second)
        return await self._proved(lambda node: consistency_path(node, first, second))

    async def range_hashes(
        self, first: int, last: int, size: int
    ) -> tuple[list[bytes], list[bytes]]:
        """Return what stands left and right of the leaves [first, last) in the tree of `size`."""
        await self._check(size)
        return await self._proved(lambda node: range_path(node, first, last, size))

    async def _check(self, size: int) -> None:
        if not 0 <= size <= await self.size():
            raise OutOfTree("the tree never had this number of leaves, or does not have it yet")

    async def _proved(self, prove: Callable[[NodeSource], Proof]) -> Proof:
        """Ask once for what the proof needs, then compute it."""
        needed: set[tuple[int, int]] = set()

        def note(level: int, idx: int) -> bytes:
            needed.add((level, idx))
            return b""

        prove(note)
        known = await self.subtrees(needed)
        return prove(lambda level, idx: known[level, idx])

    async def subtrees(self, needed: Collection[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
        """Return the roots of perfect subtrees, each a `(level, idx)`."""
        known: dict[tuple[int, int], bytes] = {}
        if high := [place for place in needed if place[0] >= STORED_LEVEL]:
            for row in await self._connection.fetch(_NODES, *zip(*high, strict=True)):
                known[row["level"], row["idx"]] = row["hash"]
        if low := [place for place in needed if place[0] < STORED_LEVEL]:
            firsts = [idx << level for level, idx in low]
            lasts = [(idx + 1) << level for level, idx in low]
            rows = await self._connection.fetch(_LEAVES, firsts, lasts)
            leaves = {row["idx"]: row["hash"] for row in rows}
            for level, idx in low:
                try:
                    known[level, idx] = _perfect_root(leaves, level, idx)
                except KeyError as missing:
                    raise TreeBroken(f"leaf {missing} of the tree is missing") from missing
        if missing_nodes := set(needed) - known.keys():
            raise TreeBroken(f"nodes of the tree are missing: {sorted(missing_nodes)[:5]}")
        return known


def _perfect_root(leaves: dict[int, bytes], level: int, idx: int) -> bytes:
    row = [leaves[leaf] for leaf in range(idx << level, (idx + 1) << level)]
    while len(row) > 1:
        row = [node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=True)]
    return row[0]

"""Does the tree in the database prove what the tree of the RFC proves?"""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.ledger.tree.errors import OutOfTree, TreeBroken
from service.ledger.tree.stored import StoredTree
from service.ledger.tree.verifying import verify_consistency, verify_inclusion, verify_range
from service.migrate import MIGRATIONS, migrate
from tests.integration.ledger_cases import OBSERVED, Postgres
from tests.integration.sequencer_cases import LOG, add_rows
from tests.keeping import sequenced
from tests.oracles.naive_tree import NaiveTree
from tests.trees import whole_tree

pytest_plugins = ["tests.integration.ledger_fixtures"]
pytestmark = pytest.mark.asyncio

SIZE = 1_300


async def naive_tree(connection: Any) -> NaiveTree:
    """The tree by its definition, over the stored leaves."""
    rows = await connection.fetch("SELECT hash FROM ledger_leaf ORDER BY idx")
    return NaiveTree([row["hash"] for row in rows])


async def test_proofs_of_the_stored_tree(ledger_dsn: str, connection: Any) -> None:
    """Roots, inclusion, consistency and range proofs from the tables are the defined ones."""
    for _ in range(SIZE // 100):
        await add_rows(connection, 100, writer=os.urandom(16))
        await sequenced(ledger_dsn, LOG)
    naive, stored = await naive_tree(connection), StoredTree(connection)
    assert await stored.size() == SIZE
    chosen = random.Random(3)
    sizes = [0, 1, 255, 256, 257, 511, 512, 768, 1023, 1024, 1025, 1280, SIZE]
    for size in [*sizes, *(chosen.randrange(SIZE) for _ in range(20))]:
        root = naive.root(0, size)
        assert await stored.root(size) == root
        for idx in {0, size // 2, size - 1, chosen.randrange(max(size, 1))}:
            if 0 <= idx < size:
                path = await stored.inclusion(idx, size)
                assert path == naive.path(idx, 0, size)
                verify_inclusion(naive.leaves[idx], idx, size, path, root)
        for old in {0, 1, size // 3, 256, size, chosen.randrange(size + 1)}:
            if old <= size:
                path = await stored.consistency(old, size)
                verify_consistency(old, naive.root(0, old), size, root, path)
                first, last = min(old, size - 1), max(old, size - 1)
                if first >= 0:
                    sides = await stored.range_hashes(first, last, size)
                    verify_range(first, naive.leaves[first:last], size, *sides, root)


async def test_proofs_of_missing_parts(ledger_dsn: str, connection: Any) -> None:
    """Numbers that the tree does not have, and rows that are gone, are errors of their own."""
    await add_rows(connection, 600)
    await sequenced(ledger_dsn, LOG)
    stored = StoredTree(connection)
    for ask in (stored.root(601), stored.inclusion(0, 601), stored.consistency(0, 601)):
        with pytest.raises(OutOfTree):
            await ask
    for ask in (stored.inclusion(600, 600), stored.inclusion(-1, 600), stored.root(-1)):
        with pytest.raises(OutOfTree):
            await ask
    with pytest.raises(OutOfTree):
        await stored.range_hashes(5, 4, 600)
    with pytest.raises(OutOfTree):
        await stored.root(10**5000)
    await connection.execute("DELETE FROM ledger_leaf WHERE idx = 3")
    await connection.execute("DELETE FROM ledger_node WHERE level = 8 AND idx = 1")
    with pytest.raises(TreeBroken):
        await stored.inclusion(2, 600)
    with pytest.raises(TreeBroken):
        await stored.consistency(256, 600)


async def test_no_tree_yet(ledger_dsn: str, connection: Any) -> None:
    """Before the first sequencer there is the empty tree."""
    stored = StoredTree(connection)
    assert await stored.size() == 0
    assert await stored.root(0) == NaiveTree([]).root(0, 0)
    assert ledger_dsn


@pytest.fixture
async def older_dsn(ledger_postgres: Postgres, tmp_path: Path) -> AsyncIterator[str]:
    """A database of the release before the tree, with 500 entries of two writers."""
    admin = await asyncpg.connect(ledger_postgres.dsn)
    await admin.execute("DROP DATABASE IF EXISTS older")
    await admin.execute("CREATE DATABASE older")
    dsn = ledger_postgres.dsn.replace("/postgres?", "/older?")
    for file in MIGRATIONS.glob("000*.sql"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    await migrate(dsn, tmp_path)
    connection = await asyncpg.connect(dsn)
    await connection.executemany(
        "INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header) "
        "VALUES ($1, 'decision', $2, $3, $4, $5)",
        [
            (os.urandom(16), name * 16, seq, OBSERVED, b"%b %d" % (name, seq))
            for name in (b"a", b"b")
            for seq in random.Random(1).sample(range(1, 251), 250)
        ],
    )
    await connection.close()
    yield dsn
    await admin.execute("DROP DATABASE older")
    await admin.close()


async def test_entries_of_an_older_database(older_dsn: str) -> None:
    """Entries that were there before there was a tree are placed in it."""
    await migrate(older_dsn)
    assert await sequenced(older_dsn, LOG) == 500
    connection = await asyncpg.connect(older_dsn)
    assert (await whole_tree(connection)).size == 500
    await connection.close()

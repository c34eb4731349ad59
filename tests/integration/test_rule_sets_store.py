"""Rule sets in the database: what is stored comes back to the letter, and what runs is known."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from rules.files import RuleSetFiles
from service.rule_sets.store import deployed, import_first, read_files, stops


@pytest.fixture
async def database(fresh_postgres_url: str) -> AsyncIterator[Any]:
    """A connection to an empty, migrated database."""
    connection = await asyncpg.connect(fresh_postgres_url)
    yield connection
    await connection.close()


async def test_the_first_set_is_imported_once(database: Any, fresh_postgres_url: str) -> None:
    """Of several processes that start at once one imports, and all see the same deployment."""
    files = RuleSetFiles.load()

    async def start() -> Any:
        connection = await asyncpg.connect(fresh_postgres_url)
        try:
            async with connection.transaction():
                return await import_first(connection, files)
        finally:
            await connection.close()

    found = await asyncio.gather(*(start() for _ in range(4)))
    assert {one.revision for one in found} == {found[0].revision}
    running = await deployed(database)
    assert (running.action, running.live, running.actor) == ("first", files.version, "system")
    assert running.live_since == running.revision
    assert running.versions == (files.version,)
    assert await stops(database) == []


async def test_files_come_back_to_the_letter(database: Any) -> None:
    """A stored version has the same bytes, comments, line ends and Chinese texts included."""
    texts = dict(RuleSetFiles.load().texts)
    texts["packs/extra.yaml"] = "# 注释 \r\npack: extra\n\n\nrules: []   # trailing\n"
    files = RuleSetFiles.of(texts)
    async with database.transaction():
        await import_first(database, files)
    assert await read_files(database, files.version) == files

"""What people do comes into the record together with its effect, or neither does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from service.actions import Actions, StoreAway
from service.ledger.entry import parse_header, unframed
from service.ledger.errors import LedgerUnavailable
from service.ledger.keys import FileKek, Keyring
from service.ledger.reader import LedgerReader
from service.ledger.seal import open_sealed
from service.ledger.writer import LedgerWriter, WriterSettings

LOG = "actions"
WHO = {"actor": "ana", "key": "k1"}


@pytest.fixture
async def dsn(fresh_postgres_url: str) -> str:
    connection = await asyncpg.connect(fresh_postgres_url)
    await connection.execute(
        "CREATE TABLE note (text text PRIMARY KEY);"
        "CREATE TABLE line (text text REFERENCES note (text) DEFERRABLE INITIALLY DEFERRED)"
    )
    await connection.close()
    return fresh_postgres_url


@pytest.fixture
async def ring() -> Keyring:
    return Keyring(FileKek(b"k" * 32))


@pytest.fixture
async def writer(dsn: str, ring: Keyring, tmp_path: Path) -> AsyncIterator[LedgerWriter]:
    settings = WriterSettings(dsn=dsn, log=LOG, spool_dir=tmp_path, spool_max_bytes=0)
    opened = await LedgerWriter.start(settings, ring)
    yield opened
    await opened.close()


async def rows(dsn: str, query: str, *arguments: object) -> list[Any]:
    connection = await asyncpg.connect(dsn)
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


async def test_an_action_leaves_its_change_and_an_entry(
    dsn: str, writer: LedgerWriter, ring: Keyring
) -> None:
    """The entry says what was done in its core block and who did it in the staff block."""
    async with Actions(dsn, writer).action("note.add", WHO, text="one") as action:
        await action.connection.execute("INSERT INTO note VALUES ('one')")
        action.what["count"] = 1
    assert [row["text"] for row in await rows(dsn, "SELECT text FROM note")] == ["one"]
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        entry = await LedgerReader(pool, ring, LOG).find_by_entry_id(action.entry_id)
    assert entry is not None
    assert entry.type == "note.add"
    assert entry.core == {"action": "note.add", "text": "one", "count": 1}
    [row] = await rows(dsn, "SELECT entry_id, header, staff FROM ledger_entry")
    name = str(parse_header(row["header"]).blocks["staff"][0])
    [wrapped] = await rows(dsn, "SELECT wrapped FROM ledger_key WHERE name = $1", name)
    key = ring.open_month_key(name, wrapped["wrapped"])
    sealed = unframed(open_sealed(key, LOG, row["entry_id"], "staff", row["staff"]))
    assert orjson.loads(sealed.content) == WHO


async def test_an_action_that_fails_leaves_nothing(dsn: str, writer: LedgerWriter) -> None:
    """Neither change nor entry, whatever was raised."""
    twice = "INSERT INTO note VALUES ('one'); INSERT INTO note VALUES ('one')"
    with pytest.raises(asyncpg.UniqueViolationError):
        async with Actions(dsn, writer).action("note.add", WHO) as action:
            await action.connection.execute(twice)
    assert await rows(dsn, "SELECT * FROM note") == []
    assert await rows(dsn, "SELECT * FROM ledger_entry") == []


async def test_an_action_that_cannot_be_recorded_changes_nothing(
    dsn: str, writer: LedgerWriter
) -> None:
    """No record, no change."""
    await writer.close()
    with pytest.raises(LedgerUnavailable):
        async with Actions(dsn, writer).action("note.add", WHO) as action:
            await action.connection.execute("INSERT INTO note VALUES ('one')")
    assert await rows(dsn, "SELECT * FROM note") == []


async def test_an_action_whose_commit_fails_says_so(
    dsn: str, writer: LedgerWriter, ring: Keyring
) -> None:
    """The entry is durable before the commit, so a failed commit is recorded, too."""
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        async with Actions(dsn, writer).action("line.add", WHO) as action:
            await action.connection.execute("INSERT INTO line VALUES ('nowhere')")
    assert await rows(dsn, "SELECT * FROM line") == []
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
        entry = await LedgerReader(pool, ring, LOG).find_by_entry_id(action.entry_id)
    assert entry is not None
    assert entry.type == "action.failed"
    assert entry.core is not None
    assert entry.core["failed"] == "line.add"
    types = [row["type"] for row in await rows(dsn, "SELECT type FROM ledger_entry ORDER BY seq")]
    assert types == ["line.add", "action.failed"]


async def test_an_action_without_a_database_is_refused(writer: LedgerWriter) -> None:
    """The caller is told that nothing was changed."""
    nowhere = Actions("postgresql://nobody@127.0.0.1:1/none", writer)
    with pytest.raises(StoreAway):
        async with nowhere.action("note.add", WHO):
            pass


async def test_a_connection_that_breaks_in_an_action_is_a_store_that_is_away(
    dsn: str, writer: LedgerWriter
) -> None:
    """The caller is told to try again; nothing was changed."""
    other = await asyncpg.connect(dsn)
    with pytest.raises(StoreAway):
        async with Actions(dsn, writer).action("note.add", WHO) as action:
            await _broken(action.connection, other)
    await other.close()
    assert await rows(dsn, "SELECT * FROM note") == []


async def _broken(connection: Any, other: Any) -> None:
    await connection.execute("INSERT INTO note VALUES ('one')")
    await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
    await connection.execute("INSERT INTO note VALUES ('two')")

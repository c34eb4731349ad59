"""What do tests of backups stand on? A log that grows, and what a database holds, by table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from service.backup.chain import chain
from service.backup.restore import load
from service.backup.tables import quoted, tables
from service.backup.take import Source, Taken, take
from service.ledger.entry import EntryDraft
from service.ledger.keys import FileKek, Keyring
from service.ledger.writer import LedgerWriter, WriterSettings
from tests.integration.ledger_cases import KEK, draft
from tests.keeping import checkpointed

LOG = "test"
_DIGEST = "SELECT count(*) AS rows, md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {} t"


@dataclass(frozen=True)
class Log:
    """A log of its own in a database of its own."""

    dsn: str
    folder: Path

    @property
    def signer(self) -> Path:
        """The signer's directory."""
        return self.folder / "signer"

    @property
    def backups(self) -> Path:
        """Where backups lie."""
        return self.folder / "backups"

    async def add(self, entries: int, *, sign: bool = True, persons: int = 20) -> list[EntryDraft]:
        """Append entries; with `sign` they are in the tree and covered by a checkpoint."""
        settings = WriterSettings(self.dsn, LOG, self.folder / "spool")
        writer = await LedgerWriter.start(settings, Keyring(FileKek(KEK)))
        drafts = [
            draft(f"event-{os.urandom(8).hex()}", person=f"user:{number % persons}")
            for number in range(entries)
        ]
        try:
            for one in drafts:
                await writer.append(one, timeout_s=10)
        finally:
            await writer.close()
        if sign:
            await checkpointed(self.dsn, self.signer, LOG)
        return drafts

    async def back_up(self, *, full: bool = False) -> Taken:
        """Take a backup and put it in its place."""
        source = Source(self.dsn, LOG, self.folder, FileKek(KEK))
        taken = await take(source, self.backups, full=full)
        taken.place()
        return taken

    async def restored(self, backup_id: str | None = None) -> str:
        """Restore the latest backup, or this one, into an empty database and return its URL."""
        dsn = await empty_database(self.dsn)
        await load(dsn, chain(self.backups, backup_id), FileKek(KEK))
        return dsn


async def empty_database(beside: str) -> str:
    """Make a database without any table on the server of this one, and return its URL."""
    name = f"empty_{os.urandom(6).hex()}"
    await run_sql(beside, f"CREATE DATABASE {name}")
    path, _, options = beside.partition("?")
    return f"{path.rpartition('/')[0]}/{name}?{options}"


async def held(dsn: str, without: Sequence[str] = ()) -> dict[str, tuple[int, str]]:
    """Return for each table that is backed up how many rows it has, and a digest of them."""
    connection = await asyncpg.connect(dsn)
    try:
        found = {}
        for table in await tables(connection):
            if table.name not in without:
                row = await connection.fetchrow(_DIGEST.format(quoted(table.name)))
                found[table.name] = (row["rows"], row["md5"])
        return found
    finally:
        await connection.close()


async def run_sql(dsn: str, statement: str, *arguments: object) -> Any:
    """Execute one statement and return what it returns."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await connection.close()

"""How is the database copied while it is in use?

In one snapshot (REPEATABLE READ): all rows of all tables, or, after an earlier backup, the entries
since then and all other tables whole, so that the keys in a chain are those of its last backup.
Invariant: a backup is in its place only when it is complete and on disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from service.backup.chain import PARTIAL, Backup, backups, chain
from service.backup.changes import are_there
from service.backup.errors import BackupDamaged, written_in
from service.backup.manifest import (
    BUNDLES,
    BackupFile,
    Manifest,
    Part,
    key_name,
    read_manifest,
    write_manifest,
)
from service.backup.sealed_file import SealedWriter
from service.backup.tables import Table, quoted, sequences, tables
from service.ledger.keys import KEY_BYTES, KeyWrapper
from service.ledger.tree.errors import OutOfTree, TreeBroken
from service.ledger.tree.stored import StoredTree

ENTRIES, LEAVES, NODES = "ledger_entry", "ledger_leaf", "ledger_node"
_IN_RANGE = {
    ENTRIES: """
        SELECT {columns} FROM ledger_leaf leaf JOIN ledger_entry USING (entry_id)
        WHERE leaf.idx >= {first} AND leaf.idx < {size}
    """,
    LEAVES: "SELECT {columns} FROM ledger_leaf WHERE idx >= {first} AND idx < {size}",
    # A node is there once the last leaf under it is.
    NODES: """
        SELECT {columns} FROM ledger_node
        WHERE (idx + 1) << level > {first} AND (idx + 1) << level <= {size}
    """,
}
_ALL = "SELECT {columns} FROM {table}"
_WAITING = """
SELECT {columns} FROM ledger_entry
WHERE NOT EXISTS (SELECT FROM ledger_leaf leaf WHERE leaf.entry_id = ledger_entry.entry_id)
"""
_CHANGED_IDS = """
SELECT DISTINCT entry_id FROM ledger_changed WHERE transaction >= {since}::text::xid8
"""
_CHANGED = (
    """
SELECT {columns} FROM ledger_entry JOIN ledger_leaf leaf USING (entry_id)
WHERE leaf.idx < {first} AND entry_id IN ("""
    + _CHANGED_IDS
    + ")"
)
_GONE = (
    """
SELECT entry_id FROM ("""
    + _CHANGED_IDS
    + """) changed
WHERE NOT EXISTS (SELECT FROM ledger_entry WHERE entry_id = changed.entry_id)
"""
)
_STEP = timedelta(microseconds=1)
# Asked first: it begins the snapshot.
_SNAPSHOT = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_LINEAGE = "SELECT id::text FROM database_lineage"
_MIGRATIONS = "SELECT name, sha256 FROM schema_migration ORDER BY name"
_CHECKPOINT = "SELECT note FROM ledger_checkpoint WHERE size <= $1 ORDER BY id DESC LIMIT 1"
_COUNT = "SELECT count(*) FROM ledger_entry"


class Taken(NamedTuple):
    """A backup that is complete; `place` puts it where it is found."""

    backup: Backup
    home: Path
    why_full: str | None

    def place(self) -> Path:
        """Move the backup to its place and return that; raises `BackupNotWritten`."""
        with written_in(self.home.parent):
            self.backup.directory.rename(self.home)
            _fsync(self.home.parent)
        return self.home

    def discard(self) -> None:
        """Delete the backup."""
        shutil.rmtree(self.backup.directory, ignore_errors=True)


class Source(NamedTuple):
    """What is backed up, and the keys that its backups are wrapped with."""

    dsn: str
    log: str
    var: Path
    wrapper: KeyWrapper


def new_id() -> str:
    """Return the id of a backup to be."""
    return secrets.token_hex(16)


async def take(
    source: Source, directory: Path, *, full: bool = False, backup_id: str | None = None
) -> Taken:
    """Copy the database into `directory`; full where there is nothing to add to, or on request.

    Raises `BackupError`, what asyncpg raises; then nothing of it is left.
    """
    before = None if full else _latest(directory)
    moment = _after(_newest(directory), datetime.now(UTC))
    fresh = directory / f"{backup_id or new_id()}{PARTIAL}"
    connection = await asyncpg.connect(source.dsn)
    try:
        with written_in(directory):
            await asyncio.to_thread(fresh.mkdir, mode=0o700, parents=True)
            return await _taken(connection, source, fresh, before, moment)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    finally:
        await connection.close()


async def _taken(
    connection: Any, source: Source, fresh: Path, before: Backup | None, moment: datetime
) -> Taken:
    backup_id = fresh.stem
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        copy = _Copy(connection, source, fresh, backup_id)
        await copy.begin(before)
        manifest = await copy.run(moment)
    write_manifest(fresh, manifest, copy.data_key)
    _keep(fresh)
    home = fresh.parent / f"{moment:%Y%m%dT%H%M%SZ}-{manifest.kind}-{backup_id[:8]}"
    return Taken(Backup(fresh, *read_manifest(fresh)), home, copy.why_full)


def _newest(directory: Path) -> str | None:
    try:
        found = backups(directory)
    except BackupDamaged:  # a full one is taken all the same
        return None
    return found[-1].manifest.created_at if found else None


def _after(newest: str | None, now: datetime) -> datetime:
    """Return the time of a backup: the last one taken is the latest, whatever the clock does.

    >>> _after("2026-11-22T15:00:00+00:00", datetime(2026, 11, 22, 14, tzinfo=UTC)).isoformat()
    '2026-11-22T15:00:00.000001+00:00'
    """
    return now if newest is None else max(now, datetime.fromisoformat(newest) + _STEP)


def _latest(directory: Path) -> Backup | None:
    return chain(directory)[-1] if backups(directory) else None


class _Copy:
    """One backup under way, on a connection inside its snapshot."""

    def __init__(self, connection: Any, source: Source, fresh: Path, backup_id: str) -> None:
        self._connection = connection
        self._source = source
        self._fresh = fresh
        self._id = backup_id
        self._parent: Backup | None = None
        self._files: list[BackupFile] = []
        self.data_key = secrets.token_bytes(KEY_BYTES)
        self.why_full: str | None = None

    async def begin(self, parent: Backup | None) -> None:
        """Take the snapshot and decide what this backup adds to."""
        self._changes_from: int = await self._connection.fetchval(_SNAPSHOT)
        self._lineage: str = await self._connection.fetchval(_LINEAGE)
        rows = await self._connection.fetch(_MIGRATIONS)
        self._migrations = {row["name"]: row["sha256"] for row in rows}
        self._tree = StoredTree(self._connection)
        if parent is not None:
            self.why_full = await self._why_not_after(parent.manifest)
            self._parent = None if self.why_full else parent

    async def _why_not_after(self, before: Manifest) -> str | None:
        if before.lineage != self._lineage:
            return "the backups there are of another database"
        if before.migrations != self._migrations:
            return "the tables have changed since"
        if not await are_there(self._connection, before.changes_from):
            return "the backup before is older than the changes of old entries that are known"
        root = await self._root(before.size)
        if root is None or before.root is None:
            return "the tree of the log is damaged"
        return None if root == before.root else "the log is not the one backed up before"

    async def _root(self, size: int) -> str | None:
        """Return the root of the tree. A damaged log is backed up as it is: it is evidence."""
        try:
            return (await self._tree.root(size)).hex()
        except (OutOfTree, TreeBroken):
            return None

    async def run(self, moment: datetime) -> Manifest:
        """Write the files and return the manifest."""
        before = None if self._parent is None else self._parent.manifest
        first = 0 if before is None else before.size
        size = await self._tree.size()
        for table in await tables(self._connection):
            if table.name in _IN_RANGE:
                await self._range(table, first, size)
            else:
                query = _ALL.format(columns=_columns(table), table=quoted(table.name))
                await self._file(query, table)
        bundles_sha256 = self._bundles(None if before is None else before.bundles_sha256)
        return Manifest(
            id=self._id,
            kind="full" if self._parent is None else "incremental",
            log=self._source.log,
            created_at=moment.isoformat(timespec="microseconds"),
            lineage=self._lineage,
            parent=None if before is None else before.id,
            parent_sha256=None if self._parent is None else self._parent.sha256,
            first=first,
            size=size,
            root=await self._root(size),
            entries=await self._connection.fetchval(_COUNT),
            checkpoint=await self._connection.fetchval(_CHECKPOINT, size),
            changes_from=self._changes_from,
            migrations=self._migrations,
            sequences=await sequences(self._connection),
            bundles_sha256=bundles_sha256,
            files=tuple(self._files),
            wrapped_key=self._source.wrapper.wrap(key_name(self._id), self.data_key).hex(),
        )

    async def _range(self, table: Table, first: int, size: int) -> None:
        columns = _columns(table)
        query = _IN_RANGE[table.name].format(columns=columns, first=first, size=size)
        await self._file(query, table, "range")
        if table.name != ENTRIES:
            return
        await self._file(_WAITING.format(columns=columns), table, "waiting")
        if self._parent is not None:
            since = self._parent.manifest.changes_from
            query = _CHANGED.format(columns=columns, first=first, since=since)
            await self._file(query, table, "changed")
            ids = Table(ENTRIES, ("entry_id",))
            await self._file(_GONE.format(since=since), ids, "gone")

    async def _file(self, query: str, table: Table, part: Part = "whole") -> None:
        name = f"{len(self._files):03d}-{table.name}-{part}.sealed"
        with SealedWriter(self._fresh / name, self.data_key, self._id) as writer:

            async def sink(data: bytes) -> None:
                writer.write(data)

            told = await self._connection.copy_from_query(query, output=sink, format="binary")
        written = writer.written()
        self._files.append(
            BackupFile(
                name=name,
                table=table.name,
                part=part,
                columns=table.columns,
                rows=int(told.rpartition(" ")[2]),
                size=written.size,
                sha256=written.sha256,
            )
        )

    def _bundles(self, before: str | None) -> str | None:
        """Copy VAR/bundles, unless the backup before has it as it is; return its digest."""
        folder = self._source.var / BUNDLES
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        if not paths:
            return None
        digest = hashlib.sha256()
        for path in paths:
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            digest.update(str(path.relative_to(folder)).encode() + b"\0")
        if digest.hexdigest() == before:
            return before
        name = f"{len(self._files):03d}-{BUNDLES}.sealed"
        with (
            SealedWriter(self._fresh / name, self.data_key, self._id) as writer,
            tarfile.open(fileobj=writer, mode="w|") as tar,  # type: ignore[call-overload]
        ):
            for path in paths:
                tar.add(path, str(path.relative_to(folder)), recursive=False)
        written = writer.written()
        self._files.append(
            BackupFile(
                name=name, table="", part="bundles", columns=(), rows=len(paths),
                size=written.size, sha256=written.sha256,
            )
        )  # fmt: skip
        return digest.hexdigest()


def _columns(table: Table) -> str:
    return ", ".join(f"{quoted(table.name)}.{quoted(column)}" for column in table.columns)


def _keep(directory: Path) -> None:
    for path in directory.iterdir():
        _fsync(path)
    _fsync(directory)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

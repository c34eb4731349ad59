"""How does a backup become a database again?

A chain is loaded into an empty database in one transaction: the tables as they were made then, the
entries of every backup in order, everything else as the last one has it. Invariants: all of it or
nothing; the root of the tree and the number of entries are those that were backed up.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import asyncpg

from service.backup.chain import Backup
from service.backup.errors import BackupDamaged, NotEmpty, OtherRelease
from service.backup.manifest import BUNDLES, BackupFile
from service.backup.sealed_file import opened
from service.backup.tables import Table, quoted, tables
from service.ledger.keys import KeyWrapper
from service.ledger.tree.errors import OutOfTree, TreeBroken
from service.ledger.tree.stored import StoredTree
from service.migrate import MigrationError, make_tables, migrate

_IS_EMPTY = """
SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'S'))
"""
_MAKE_STAGED = "CREATE TEMPORARY TABLE staged AS SELECT {columns} FROM {table} WITH NO DATA"
_DELETE_STAGED = "DELETE FROM {table} WHERE entry_id IN (SELECT entry_id FROM staged)"
_INSERT_STAGED = "INSERT INTO {table} ({columns}) SELECT {columns} FROM staged"
_SET_SEQUENCE = "SELECT setval($1::text::regclass, $2, $3)"


async def check_empty(connection: Any) -> None:
    """Raise `NotEmpty` when there is any table, and say whether there is anything in it."""
    if await connection.fetchval(_IS_EMPTY):
        return
    has_log = await connection.fetchval("SELECT to_regclass('ledger_entry') IS NOT NULL")
    entries = await connection.fetchval("SELECT count(*) FROM ledger_entry") if has_log else 0
    raise NotEmpty(
        f"the database is not empty ({entries:,} entries of a log), and nothing is restored over "
        "what is there: name an empty one in TOUCHSTONE_POSTGRES__URL, or, with embedded servers, "
        "stop the service and move VAR/postgres away (a start after the loss makes one without "
        "entries)"
    )


async def load(dsn: str, line: list[Backup], wrapper: KeyWrapper) -> None:
    """Load a chain into the empty database at `dsn` and bring its tables up to this release.

    Raises `NotEmpty`, `OtherRelease`, `BackupDamaged`, `WrongKek`, what asyncpg raises; then the
    database is empty as before.
    """
    last = line[-1].manifest
    connection = await asyncpg.connect(dsn)
    try:
        await check_empty(connection)
        async with connection.transaction():
            try:
                await make_tables(connection, last.migrations)
            except MigrationError as error:
                raise OtherRelease(f"{error}: restore with the release that backed up") from None
            every = await tables(connection)
            await _switch_triggers(connection, every, "DISABLE")
            names = ", ".join(quoted(table.name) for table in every)
            await connection.execute(f"TRUNCATE {names}")
            for backup in line:
                await _add(connection, backup, wrapper, is_last=backup is line[-1])
            for name, (value, is_called) in last.sequences.items():
                await connection.execute(_SET_SEQUENCE, quoted(name), value, is_called)
            await _switch_triggers(connection, every, "ENABLE")
            await _check(connection, line[-1])
    finally:
        await connection.close()
    await migrate(dsn)


async def _add(connection: Any, backup: Backup, wrapper: KeyWrapper, *, is_last: bool) -> None:
    """Bring in what one backup of the chain has over those before it."""
    data_key = backup.manifest.data_key(wrapper)
    by_part: dict[str, list[BackupFile]] = {}
    for file in backup.manifest.files:
        by_part.setdefault(file.part, []).append(file)

    def content(file: BackupFile) -> Iterator[bytes]:
        return opened(backup.directory / file.name, data_key, backup.manifest.id)

    # What was taken out of earlier entries first: a later entry may have their event key.
    for file in by_part.get("gone", []) + by_part.get("changed", []):
        await _restate(connection, file, content(file))
    for file in by_part.get("range", []):
        await _fill(connection, file, content(file))
    if is_last:
        for file in by_part.get("waiting", []) + by_part.get("whole", []):
            await _fill(connection, file, content(file))


async def _fill(
    connection: Any, file: BackupFile, content: Iterator[bytes], table: str | None = None
) -> None:
    told = await connection.copy_to_table(
        table or file.table, source=_stream(content), columns=list(file.columns), format="binary"
    )
    if (rows := int(told.rpartition(" ")[2])) != file.rows:
        raise BackupDamaged(f"{file.name} has {rows} rows, not the {file.rows} that were written")


async def _restate(connection: Any, file: BackupFile, content: Iterator[bytes]) -> None:
    """Put rows in the place of those that are there, or (of deleted ones) nothing."""
    table, columns = quoted(file.table), ", ".join(map(quoted, file.columns))
    await connection.execute(_MAKE_STAGED.format(table=table, columns=columns))
    await _fill(connection, file, content, "staged")
    await connection.execute(_DELETE_STAGED.format(table=table))
    if file.part == "changed":
        await connection.execute(_INSERT_STAGED.format(table=table, columns=columns))
    await connection.execute("DROP TABLE staged")


async def _stream(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in content:
        yield chunk


async def _switch_triggers(connection: Any, every: list[Table], verb: str) -> None:
    # They guard how rows come to be; these are rows that came to be.
    for table in every:
        await connection.execute(f"ALTER TABLE {quoted(table.name)} {verb} TRIGGER USER")


async def _check(connection: Any, last: Backup) -> None:
    manifest = last.manifest
    entries = await connection.fetchval("SELECT count(*) FROM ledger_entry")
    if entries != manifest.entries:
        raise BackupDamaged(
            f"{last.directory} makes {entries} entries, and {manifest.entries} were backed up"
        )
    if manifest.root is None:
        return
    try:
        root = await StoredTree(connection).root(manifest.size)
    except (OutOfTree, TreeBroken) as error:
        raise BackupDamaged(f"{last.directory} does not make a tree: {error}") from None
    if root.hex() != manifest.root:
        raise BackupDamaged(f"{last.directory} makes another tree than the one backed up")


def restore_bundles(line: list[Backup], wrapper: KeyWrapper, var: Path) -> int:
    """Put back VAR/bundles where there are none; return how many files. Raises as `load`, OSError.

    Before the database, which is loaded once: what is cut short here is done again.
    """
    folder = var / BUNDLES
    if folder.is_dir() and any(folder.iterdir()):
        return 0
    for backup in reversed(line):
        for file in backup.manifest.files:
            if file.part == "bundles":
                data_key = backup.manifest.data_key(wrapper)
                chunks = opened(backup.directory / file.name, data_key, backup.manifest.id)
                fresh = folder.with_name(f"{BUNDLES}.new")
                shutil.rmtree(fresh, ignore_errors=True)
                fresh.mkdir(parents=True)
                with tarfile.open(fileobj=_Readable(chunks), mode="r|") as tar:  # type: ignore[call-overload]
                    _extract(tar, fresh, backup)
                fresh.rename(folder)
                return file.rows
    return 0


def _extract(tar: tarfile.TarFile, folder: Path, backup: Backup) -> None:
    """Write the files of `tar` under `folder`, and nothing beside it.

    By hand: `extractall(filter=…)` came with Python 3.11.4, and Debian 12 has 3.11.2.
    """
    for member in tar:
        place = PurePosixPath(member.name)
        content = tar.extractfile(member) if member.isfile() else None
        if content is None or place.is_absolute() or ".." in place.parts:
            raise BackupDamaged(f"{backup.directory} has {member.name!r} among its bundles")
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(content, file)


class _Readable:
    """An iterator of chunks, for who wants to `read`."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
            self._rest += chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

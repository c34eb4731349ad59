"""Does the database have the tables that this code needs?

Applies `migrations/NNNN_name.sql` in order, each in a transaction, once. Invariant: what was
applied is what the files say: a changed file, or a migration that only a newer release knows, is
refused.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

MIGRATIONS = Path(__file__).parent / "migrations"

# Any number will do, as long as it is always this one: `int.from_bytes(b"touchstn")` without sign.
_LOCK = 0x746F756368737461
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migration (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_NAME = re.compile(r"\d{4}_[a-z0-9_]+\.sql")


class MigrationError(Exception):
    """The database and the migration files contradict each other; nothing was applied."""

    code = "migration_refused"


class Migration(NamedTuple):
    """A migration file."""

    name: str
    sql: str
    sha256: str


def migrations(directory: Path = MIGRATIONS) -> list[Migration]:
    """Return the migration files in order; raises `MigrationError` for a badly named one."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        if _NAME.fullmatch(path.name) is None:
            raise MigrationError(f"{path.name} is not named NNNN_what_it_does.sql")
        sql = path.read_bytes()
        found.append(Migration(path.name, sql.decode(), hashlib.sha256(sql).hexdigest()))
    numbers = [migration.name[:4] for migration in found]
    if len(set(numbers)) != len(numbers):
        raise MigrationError("two migrations have the same number")
    return found


async def migrate(dsn: str, directory: Path = MIGRATIONS) -> list[str]:
    """Apply what is missing and return the names; several processes may do so at once.

    Raises `MigrationError`, and what asyncpg raises (then the migration in question left no trace).
    """
    files = migrations(directory)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        missing = _missing(files, await _applied(connection))
        for migration in missing:
            async with connection.transaction():
                await _apply(connection, migration)
        return [migration.name for migration in missing]
    finally:
        await connection.close()


async def make_tables(
    connection: Any, wanted: Mapping[str, str], directory: Path = MIGRATIONS
) -> None:
    """Apply exactly the migrations of another database (name, SHA-256) to an empty one.

    In the caller's transaction. Raises `MigrationError` when one is not among the files as it was
    there, and what asyncpg raises.
    """
    by_name = {migration.name: migration for migration in migrations(directory)}
    for name, sha256 in wanted.items():
        if name not in by_name or by_name[name].sha256 != sha256:
            raise MigrationError(f"this release does not have the {name} that was applied there")
    await connection.execute(_TABLE)
    for name in sorted(wanted):
        await _apply(connection, by_name[name])


async def _apply(connection: Any, migration: Migration) -> None:
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO schema_migration (name, sha256) VALUES ($1, $2)",
        migration.name,
        migration.sha256,
    )


async def pending(dsn: str, directory: Path = MIGRATIONS) -> list[str]:
    """Return the names of migrations that are not applied; changes nothing. Raises as `migrate`."""
    connection = await asyncpg.connect(dsn)
    try:
        there = await connection.fetchval("SELECT to_regclass('schema_migration') IS NOT NULL")
        applied = await _applied(connection) if there else {}
        return [migration.name for migration in _missing(migrations(directory), applied)]
    finally:
        await connection.close()


async def _applied(connection: Any) -> dict[str, str]:
    rows = await connection.fetch("SELECT name, sha256 FROM schema_migration")
    return {row["name"]: row["sha256"] for row in rows}


def _missing(files: Iterable[Migration], applied: dict[str, str]) -> list[Migration]:
    by_name = {migration.name: migration for migration in files}
    if unknown := sorted(applied.keys() - by_name.keys()):
        raise MigrationError(
            f"the database has {', '.join(unknown)}, which this release does not know: "
            "run the newer release"
        )
    changed = sorted(name for name, sha256 in applied.items() if by_name[name].sha256 != sha256)
    if changed:
        raise MigrationError(
            f"{', '.join(changed)} changed after it was applied: put the file back, "
            "and write what is new as a migration of its own"
        )
    missing = [migration for migration in by_name.values() if migration.name not in applied]
    last = max(applied, default="")
    if late := [migration.name for migration in missing if migration.name < last]:
        raise MigrationError(f"{', '.join(late)} is older than {last}, which is applied already")
    return missing

"""Which tables are there, and in which order can they be filled again?

Asked of the database itself, so that a table that comes with a later migration is in the backup
without anybody thinking of it. Invariant: a table comes after all that it refers to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from service.backup.errors import BackupError

# Filled by the restore itself: the migrations; and what tells one database from another.
OUTSIDE = frozenset({"schema_migration", "database_lineage", "ledger_changed"})

_TABLES = """
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
    AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
GROUP BY c.relname ORDER BY c.relname
"""
_REFERENCES = """
SELECT c.relname AS name, r.relname AS refers_to
FROM pg_catalog.pg_constraint k
JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
    AND c.relnamespace = current_schema()::regnamespace
"""
_SEQUENCES = """
SELECT c.relname AS name FROM pg_catalog.pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'S' ORDER BY c.relname
"""
_STANDS_AT = "SELECT last_value, is_called FROM {}"


class Table(NamedTuple):
    """A table and the columns that are copied."""

    name: str
    columns: tuple[str, ...]


async def tables(connection: Any) -> list[Table]:
    """Return the tables of the schema but for `OUTSIDE`, each after those it refers to."""
    found = {
        row["name"]: Table(row["name"], tuple(row["columns"]))
        for row in await connection.fetch(_TABLES)
        if row["name"] not in OUTSIDE
    }
    before: dict[str, set[str]] = {name: set() for name in found}
    for row in await connection.fetch(_REFERENCES):
        before[row["name"]].add(row["refers_to"])
    ordered: list[Table] = []
    while before:
        free = sorted(name for name, needed in before.items() if not needed & before.keys())
        if not free:
            names = ", ".join(sorted(before))
            raise BackupError(f"tables refer to each other in a circle: {names}")
        for name in free:
            ordered.append(found[name])
            del before[name]
    return ordered


async def sequences(connection: Any) -> dict[str, tuple[int, bool]]:
    """Return where each sequence stands. It is no part of a snapshot: ask after the rows."""
    names = [row["name"] for row in await connection.fetch(_SEQUENCES)]
    rows = {name: await connection.fetchrow(_STANDS_AT.format(quoted(name))) for name in names}
    return {name: (row["last_value"], row["is_called"]) for name, row in rows.items()}


def quoted(name: str) -> str:
    """Return an identifier as SQL.

    >>> print(quoted('a "b" c'))
    "a ""b"" c"
    """
    return '"' + name.replace('"', '""') + '"'

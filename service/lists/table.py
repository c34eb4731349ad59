"""What is in the lists, and how is it changed?

Invariants: one transaction at a time changes entries (the database numbers their changes in the
order of their commits), and what leaves a list stays in the table with its times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from rules.human_review import HUMAN_REVIEW
from service.lists.entries import Entity, StatedEntry
from service.lists.errors import ListExists, ListsFull, UnknownList
from service.turns import in_parts

# The number of touchstone_list_turn in 0006_lists.sql.
TURN = 7308604898
REPLACED = "replaced by another entry"

_IN_FORCE = "removed_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())"
_LISTS = f"""
SELECT l.*, coalesce(c.counts, '{{}}') AS counts FROM list l LEFT JOIN (
    SELECT list, jsonb_object_agg(kind, n) AS counts FROM (
        SELECT list, kind, count(*) AS n FROM list_entry WHERE {_IN_FORCE} GROUP BY 1, 2
    ) each GROUP BY list
) c ON c.list = l.name
WHERE $1::text IS NULL OR l.name = $1 ORDER BY l.name
"""  # noqa: S608 - a constant of this file
# Planned for what is sent each time. The plan that PostgreSQL makes once for all would look at the
# whole table for every row of an import: 1 s for 1,000 rows into 20,000, and 10 ms with this.
_PLAN = "SET LOCAL plan_cache_mode = force_custom_plan"
_CLOSE = """
UPDATE list_entry SET removed_at = $4, removed_by = $5, removal = $6
WHERE list = $1 AND kind = $2 AND tag = ANY($3::text[]) AND removed_at IS NULL
RETURNING expires_at IS NULL OR expires_at > $4 AS was_in_force
"""
_RESERVE = """
INSERT INTO list (name, purpose, description, actor)
VALUES ($1, 'watch', 'People whom no machine alone declines: a decline becomes a review.', 'system')
ON CONFLICT (name) DO NOTHING
"""
_ADD = """
INSERT INTO list_entry (list, kind, tag, reason, owner, expires_at, added_by, added_at)
SELECT $1, kind, tag, reason, owner, expires_at, $7, $8
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
     AS row (kind, tag, reason, owner, expires_at)
"""
_PAGE = """
SELECT * FROM list_entry WHERE list = $1 AND id > $2 AND ($3::text IS NULL OR kind = $3)
  AND CASE $4 WHEN 'active' THEN removed_at IS NULL AND (expires_at IS NULL OR expires_at > now())
              WHEN 'expired' THEN removed_at IS NULL AND expires_at <= now()
              WHEN 'removed' THEN removed_at IS NOT NULL
              ELSE true END
ORDER BY id LIMIT $5
"""
_ON = f"""
SELECT * FROM list_entry WHERE kind = $1 AND tag = $2 AND {_IN_FORCE} ORDER BY list
"""  # noqa: S608 - a constant of this file


class ListRow(NamedTuple):
    """A list; `counts` are its entries in force by kind."""

    name: str
    purpose: str
    description: str
    actor: str
    created_at: datetime
    counts: Mapping[str, int]


class EntryRow(NamedTuple):
    """An entry as it is kept."""

    id: int
    list: str
    kind: str
    tag: str
    reason: str
    owner: str
    added_by: str
    added_at: datetime
    expires_at: datetime | None
    removed_by: str | None
    removed_at: datetime | None
    removal: str | None


class Added(NamedTuple):
    """What became of entries: those of entities that were not on the list, and all others."""

    added: int
    replaced: int


async def create_list(
    connection: Any, name: str, purpose: str, description: str, actor: str
) -> ListRow:
    """Make a list and return it. Raises `ListExists`."""
    status = await connection.execute(
        "INSERT INTO list (name, purpose, description, actor) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (name) DO NOTHING",
        name, purpose, description, actor,
    )  # fmt: skip
    if status == "INSERT 0 0":
        raise ListExists(f"There is a list `{name}` already.")
    return await list_named(connection, name)


async def all_lists(connection: Any) -> list[ListRow]:
    """Return every list, by name."""
    return [_list(row) for row in await connection.fetch(_LISTS, None)]


async def list_named(connection: Any, name: str) -> ListRow:
    """Return a list. Raises `UnknownList`."""
    row = await connection.fetchrow(_LISTS, name)
    if row is None:
        raise UnknownList
    return _list(row)


async def add_entries(
    connection: Any, name: str, entries: Sequence[StatedEntry], actor: str, most: int
) -> Added:
    """Put entries on a list; one of an entity that is on it already takes the place of the other.

    Runs within a transaction. Raises `UnknownList`, and `ListsFull` when there would be more than
    `most` entries in force on all lists.
    """
    if name == HUMAN_REVIEW:
        await connection.execute(_RESERVE, name)
    at = await _turn(connection, name)
    replaced = 0
    for part in in_parts(entries):
        columns = [[entry[place] for entry in part] for place in range(len(StatedEntry._fields))]
        replaced += await _close(connection, name, part, at, actor, REPLACED)
        await connection.execute(_ADD, name, *columns, actor, at)
    in_force = await connection.fetchval(
        f"SELECT count(*) FROM list_entry WHERE {_IN_FORCE}"  # noqa: S608 - a constant
    )
    if in_force > most:
        raise ListsFull(
            f"The lists would hold {in_force} entries; TOUCHSTONE_LISTS__MAX_ENTRIES is {most}."
        )
    return Added(len(entries) - replaced, replaced)


async def remove_entries(
    connection: Any, name: str, entities: Sequence[Entity], removal: str, actor: str
) -> int:
    """Take entities off a list; return how many were on it. Raises `UnknownList`."""
    at = await _turn(connection, name)
    return await _close(connection, name, entities, at, actor, removal)


async def page_of_entries(
    connection: Any, name: str, after: int, limit: int, *, kind: str | None, state: str
) -> list[EntryRow]:
    """Return entries in the order in which they were added. `state`: active, expired, removed or
    all. Raises `UnknownList`."""
    if await connection.fetchval("SELECT name FROM list WHERE name = $1", name) is None:
        raise UnknownList
    return [_entry(row) for row in await connection.fetch(_PAGE, name, after, kind, state, limit)]


async def entries_of(connection: Any, entity: Entity) -> list[EntryRow]:
    """Return the entries in force of one entity, by list."""
    return [_entry(row) for row in await connection.fetch(_ON, *entity)]


async def _close(
    connection: Any,
    name: str,
    entities: Sequence[Entity | StatedEntry],
    at: datetime,
    actor: str,
    removal: str,
) -> int:
    """Close the entries of entities; return how many were in force."""
    tags: dict[str, list[str]] = {}
    for entity in entities:
        tags.setdefault(entity.kind, []).append(entity.tag)
    count = 0
    for kind, some in tags.items():
        closed = await connection.fetch(_CLOSE, name, kind, some, at, actor, removal)
        count += sum(row["was_in_force"] for row in closed)
    return count


async def _turn(connection: Any, name: str) -> datetime:
    """Wait for the turn to change entries, and return the time that the changes have."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", TURN)
    await connection.execute(_PLAN)
    if await connection.fetchval("SELECT name FROM list WHERE name = $1", name) is None:
        raise UnknownList
    at: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return at


def _list(row: Any) -> ListRow:
    return ListRow(**{**dict(row), "counts": orjson.loads(row["counts"])})


def _entry(row: Any) -> EntryRow:
    return EntryRow(**{name: row[name] for name in EntryRow._fields})

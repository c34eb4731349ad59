"""What is destroyed when a person is erased?

1. `retire`: no worker seals with the person's keys from here on; they learn of it within a second.
2. `erase`: the keys, every subject block under them, links, search terms, event keys, labels, list
   entries, packages that hold them, and what is left in the velocity store.

Invariant: headers, core and staff blocks and what others did stay to the byte; done again, it does
nothing. The caller holds a transaction; one erasure runs at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from service.rights.held import PAGE, HeldEntries
from service.rights.traces import Traces, no_traces, traces_of_entries

# Workers look every half second, or are told at once: `service/changes.py`.
FORGOTTEN_AFTER = timedelta(seconds=1.2)

# Any number will do: "rights" in letters.
_TURN = 0x726967687473
# The keys of a person that sealed something up to a second, or nothing at all.
_KEYS = """
SELECT k.key_id FROM {table} k
WHERE k.subject_tag = ANY($1::text[]) AND (
    NOT EXISTS (SELECT FROM entry_subject s WHERE s.key_id = k.key_id)
    OR EXISTS (
        SELECT FROM entry_subject s JOIN ledger_entry e ON e.entry_id = s.entry_id
        WHERE s.key_id = k.key_id AND e.observed <= $2))
"""
_RETIRE = """
INSERT INTO destroyed_key (key_id) SELECT unnest($1::bytea[]) ON CONFLICT (key_id) DO NOTHING
"""
_NEWEST = "SELECT max(retired_at) FROM destroyed_key WHERE key_id = ANY($1::bytea[])"
_DESTROY = (
    "DELETE FROM subject_key WHERE key_id = ANY($1::bytea[])",
    "DELETE FROM late_subject_key WHERE key_id = ANY($1::bytea[])",
)
_UNLINK = """
WITH gone AS (DELETE FROM entry_subject WHERE key_id = ANY($1::bytea[]) RETURNING entry_id)
SELECT e.entry_id, e.event_key FROM gone JOIN ledger_entry e ON e.entry_id = gone.entry_id
"""
_CLEAR = """
UPDATE ledger_entry SET subject = NULL, event_key = NULL, body_hash = NULL
WHERE entry_id = ANY($1::bytea[])
"""
_LABELS = "DELETE FROM label WHERE event_tag = ANY($1::text[])"
_EXAMPLES = """
UPDATE shadow_tally SET examples = ARRAY(
    SELECT example FROM unnest(examples) AS example WHERE example <> ALL ($1::bytea[]))
WHERE examples && $1::bytea[]
"""
_PACKAGES = """
UPDATE export_job j SET
    state = CASE WHEN j.state = 'ready' THEN 'expired' ELSE j.state END,
    is_cancelled = j.is_cancelled OR j.state <> 'ready'
FROM export x
WHERE x.id = j.export_id AND j.state IN ('queued', 'running', 'ready')
  AND 'subject' = ANY (x.blocks) AND EXISTS (
    SELECT FROM ledger_leaf l
    WHERE l.entry_id = ANY($1::bytea[]) AND l.idx >= x.first AND l.idx < x.last)
"""
_UNLIST = """
UPDATE list_entry SET removed_at = clock_timestamp(), removed_by = $2, removal = 'erased'
WHERE kind || ':' || tag = ANY($1::text[]) AND kind = ANY($3::text[]) AND tag = ANY($4::text[])
  AND removed_at IS NULL
"""
# Closed at least this long: every worker has read that they are closed.
_LISTED = """
DELETE FROM list_entry
WHERE kind || ':' || tag = ANY($1::text[]) AND kind = ANY($2::text[]) AND tag = ANY($3::text[])
  AND removed_at < clock_timestamp() - interval '1 second'
"""
# Entries that a writer sealed under a key which it had not forgotten.
_LEFT_OVER = """
SELECT DISTINCT s.key_id FROM entry_subject s JOIN destroyed_key d ON d.key_id = s.key_id
WHERE d.retired_at BETWEEN $1 AND $2
  AND NOT EXISTS (SELECT FROM subject_key k WHERE k.key_id = d.key_id)
"""


class Counts(NamedTuple):
    """How much was erased."""

    keys: int = 0
    entries: int = 0
    labels: int = 0
    list_entries: int = 0
    packages: int = 0

    def plus(self, other: Counts) -> Counts:
        """Return the sum."""
        return Counts(*(one + more for one, more in zip(self, other, strict=True)))


async def take_turn(connection: Any) -> None:
    """Wait until no other transaction erases; this one's turn ends with it."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _TURN)


async def keys_of(connection: Any, tags: Sequence[str], until: datetime) -> list[bytes]:
    """Return the keys of these tags that sealed something up to the end of a whole second."""
    return [
        row["key_id"]
        for table in ("subject_key", "late_subject_key")
        for row in await connection.fetch(_KEYS.format(table=table), list(tags), until)
    ]


async def retire(connection: Any, key_ids: Sequence[bytes]) -> datetime | None:
    """Have every worker forget the keys; return when the last of them was retired."""
    await connection.execute(_RETIRE, key_ids)
    retired_at: datetime | None = await connection.fetchval(_NEWEST, key_ids)
    return retired_at


async def unlist(connection: Any, tags: Sequence[str], actor: str) -> int:
    """Take a person off every list; the rows are deleted by `erase`, a second later at least."""
    return _count(await connection.execute(_UNLIST, list(tags), actor, *_columns(tags)))


async def erase(
    connection: Any, held: HeldEntries, tags: Sequence[str], key_ids: Sequence[bytes]
) -> tuple[Counts, Traces]:
    """Destroy the keys, what they sealed and what leads to it; return what the store still has."""
    traces = no_traces()
    entry_ids = await connection.fetch(
        "SELECT entry_id FROM entry_subject WHERE key_id = ANY($1::bytea[])", key_ids
    )
    for at in range(0, len(entry_ids), PAGE):
        page = await held.named([row["entry_id"] for row in entry_ids[at : at + PAGE]])
        traces.add(traces_of_entries(tags, page, is_owner=True))
    counts = await destroy(connection, key_ids)
    listed = _count(await connection.execute(_LISTED, list(tags), *_columns(tags)))
    return counts._replace(list_entries=listed), traces


async def destroy(connection: Any, key_ids: Sequence[bytes]) -> Counts:
    """Destroy keys and what they sealed, in the database."""
    await connection.execute(_RETIRE, key_ids)
    for statement in _DESTROY:
        await connection.execute(statement, key_ids)
    gone = await connection.fetch(_UNLINK, key_ids)
    entry_ids = [row["entry_id"] for row in gone]
    if not entry_ids:
        return Counts(keys=len(key_ids))
    event_tags = [row["event_key"].decode() for row in gone if row["event_key"] is not None]
    packages = await connection.execute(_PACKAGES, entry_ids)
    await connection.execute(_CLEAR, entry_ids)
    await connection.execute(_EXAMPLES, entry_ids)
    labels = await connection.execute(_LABELS, event_tags)
    return Counts(len(key_ids), len(entry_ids), _count(labels), 0, _count(packages))


async def sweep(connection: Any, since: datetime) -> Counts:
    """Erase what was sealed under keys that were destroyed since then: a writer was slow to learn.

    A key that is still there is being erased by a request.
    """
    until = datetime.now(UTC) - FORGOTTEN_AFTER
    rows = await connection.fetch(_LEFT_OVER, since, until)
    key_ids = [row["key_id"] for row in rows]
    if not key_ids:
        return Counts()
    return (await destroy(connection, key_ids))._replace(keys=0)


def _columns(tags: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return kinds and tags for the index of lists, which has them apart."""
    parts = [tag.partition(":") for tag in tags]
    return [kind for kind, _, _ in parts], [tag for _, _, tag in parts]


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])

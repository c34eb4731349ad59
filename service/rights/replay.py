"""How are erasures done again on a database that was restored from before them?

Every tag in it is compared with the journal, which outlived the restore in a file. Invariant: done
again it does nothing; nobody is erased who was not erased before.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.rights.erasing import Counts, destroy, keys_of, take_turn
from service.rights.journal import Digests, Erased, Record, add_records, records_since

_TAGS = """
SELECT DISTINCT subject_tag FROM subject_key
UNION SELECT DISTINCT subject_tag FROM late_subject_key
"""
_LISTED = "SELECT DISTINCT kind, tag FROM list_entry WHERE added_at <= $1"
_CLOSE = """
UPDATE list_entry SET removed_at = clock_timestamp(), removed_by = 'system', removal = 'erased'
WHERE kind = $1 AND tag = $2 AND removed_at IS NULL
"""
_UNLIST = "DELETE FROM list_entry WHERE kind = $1 AND tag = $2 AND added_at <= $3"
_DESTROYED = """
SELECT key_id FROM destroyed_key d WHERE EXISTS (
    SELECT FROM subject_key k WHERE k.key_id = d.key_id)
AND NOT EXISTS (SELECT FROM rights_request WHERE state = 'executing')
"""


class Replayed(NamedTuple):
    """What was erased again: `tags` of persons, and how much of theirs."""

    tags: int
    counts: Counts


async def replay_journal(
    connection: Any, digests: Digests, records: Iterable[Record] = ()
) -> Replayed:
    """Erase whoever the journal names; `records` are those of its file (`JournalFile.read`).

    One transaction; no service may run on the database, and the velocity store is rebuilt after it
    (`touchstone features rebuild`). Takes about 2 µs for each key of a person. Raises what asyncpg
    raises.
    """
    async with connection.transaction():
        await take_turn(connection)
        await add_records(connection, records)
        known, _ = await records_since(connection, 0)
        erased = Erased(digests, known)
        total, tags = Counts(), 0
        async for row in connection.cursor(_TAGS, prefetch=5_000):
            until = erased.until(row["subject_tag"])
            if until is None:
                continue
            keys = await keys_of(connection, [row["subject_tag"]], until)
            if keys:
                total, tags = total.plus(await destroy(connection, keys)), tags + 1
        retired = [row["key_id"] for row in await connection.fetch(_DESTROYED)]
        if retired:
            total = total.plus(await destroy(connection, retired))
        for row in await connection.fetch(_LISTED, datetime.now(UTC)):
            until = erased.until(f"{row['kind']}:{row['tag']}")
            if until is not None:
                await connection.execute(_CLOSE, row["kind"], row["tag"])
                gone = await connection.execute(_UNLIST, row["kind"], row["tag"], until)
                total = total.plus(Counts(list_entries=int(gone.rpartition(" ")[2])))
    return Replayed(tags, total)

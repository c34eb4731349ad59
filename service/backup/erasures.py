"""Who of the persons in an old backup was erased since?

The journal of erasures lies beside the database (VAR/erasures.journal) and outlives it. Invariant:
after a restore no key of a person whom the journal names can be found by a reader; the service then
destroys them with all that they sealed, as it does with keys that a late spool brings.
"""

from __future__ import annotations

from typing import Any

from service.rights.journal import Digests, Erased, Record, add_records

_TAGS = "SELECT DISTINCT subject_tag FROM subject_key"
_SET_ASIDE = """
WITH aside AS (DELETE FROM subject_key WHERE subject_tag = ANY($1::text[]) RETURNING *)
INSERT INTO late_subject_key (key_id, subject_tag, wrapped)
SELECT key_id, subject_tag, wrapped FROM aside ON CONFLICT (key_id) DO NOTHING
"""
_JOURNAL = "SELECT digest, erased_until FROM erasure_journal"


async def repeat_erasures(connection: Any, digests: Digests, records: list[Record]) -> int:
    """Set aside the keys of everybody whom the journal names; return how many persons' tags.

    `records` are those of the file; they are added to the table. Raises what asyncpg raises; then
    nothing was changed.
    """
    async with connection.transaction():
        await add_records(connection, records)
        rows = await connection.fetch(_JOURNAL)
        erased = Erased(digests, [Record(row["digest"], row["erased_until"]) for row in rows])
        tags = [
            row["subject_tag"]
            for row in await connection.fetch(_TAGS)
            if erased.until(row["subject_tag"]) is not None
        ]
        await connection.execute(_SET_ASIDE, tags)
    return len(tags)

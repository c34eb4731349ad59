"""How do sealed rows get into PostgreSQL?

`insert` is the live path: one statement for a batch, all or nothing. `absorb` is the drain: rows
that were acknowledged already, in any state of "is it there yet". Invariant: an entry id is stored
once, and an acknowledged row is never dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import asyncpg

from service.ledger.errors import LedgerError
from service.ledger.frames import Group, MonthKeyRow, SubjectKeyRow
from service.ledger.row import StoredRow

# One statement, so one round trip and one commit: about 0.4 ms for 1 row, 1.2 ms for 16. The terms
# of an entry, 4 bytes each, come joined: there is no array of arrays of different lengths.
_INSERT = """
WITH new_keys AS (
    INSERT INTO subject_key (key_id, subject_tag, wrapped)
    SELECT * FROM unnest($12::bytea[], $13::text[], $14::bytea[])
    ON CONFLICT (key_id) DO NOTHING
), links AS (
    INSERT INTO entry_subject (entry_id, key_id, terms)
    SELECT entry_id, key_id, CASE WHEN joined <> '' THEN ARRAY(
        SELECT substr(joined, at, 4) FROM generate_series(1, length(joined), 4) AS at
    ) END
    FROM unnest($15::bytea[], $16::bytea[], $17::bytea[]) AS link (entry_id, key_id, joined)
), queued AS (
    INSERT INTO ledger_queue (entry_id) SELECT unnest($1::bytea[])
)
INSERT INTO ledger_entry (entry_id, type, writer, seq, observed, header, core, subject, staff,
                          event_key, body_hash)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::bigint[], $5::timestamptz[],
                     $6::bytea[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[],
                     $11::bytea[])
"""
_ADD_WRITERS = """
INSERT INTO ledger_writer (writer) SELECT unnest($1::bytea[]) ON CONFLICT (writer) DO NOTHING
"""
_ADD_MONTH_KEYS = """
INSERT INTO ledger_key (name, wrapped) SELECT * FROM unnest($1::text[], $2::bytea[])
ON CONFLICT (name) DO NOTHING
"""
_CLOSE_WRITER = """
UPDATE ledger_writer SET closed_at = now(), last_seq = $2 WHERE writer = $1
"""
_FIND_IDS = "SELECT entry_id, header FROM ledger_entry WHERE entry_id = ANY($1::bytea[])"
_FIND_KEYS = "SELECT event_key, entry_id FROM ledger_entry WHERE event_key = ANY($1::bytea[])"
_MONTH_KEYS_IN_USE = """
SELECT DISTINCT ON (substring(name FROM '^[^/]+/[^/]+')) name, wrapped FROM ledger_key
WHERE retired_at IS NULL
ORDER BY substring(name FROM '^[^/]+/[^/]+'), created_at, name
"""
_ERASED_UP_TO = "SELECT max(erased_until) FROM erasure_journal"
_DESTROYED = "SELECT key_id FROM destroyed_key WHERE key_id = ANY($1::bytea[])"
_ADD_LATE_KEYS = """
INSERT INTO late_subject_key (key_id, subject_tag, wrapped)
SELECT * FROM unnest($1::bytea[], $2::text[], $3::bytea[]) ON CONFLICT (key_id) DO NOTHING
"""
_ABSORB_ATTEMPTS = 5


class Absorbed(NamedTuple):
    """What became of a drained group. `superseded`: stored without their event key."""

    stored: int
    already_there: int
    superseded: int


async def insert(
    connection: Any,
    rows: Sequence[StoredRow],
    subject_keys: Sequence[SubjectKeyRow],
    month_keys: Sequence[MonthKeyRow] = (),
    new_writers: Iterable[bytes] = (),
) -> None:
    """Store the rows and what they need in one transaction; raises what asyncpg raises."""
    columns = list(zip(*rows, strict=True))
    linked = [
        (row.entry_id, row.key_id, b"".join(row.terms)) for row in rows if row.key_id is not None
    ]
    arguments = (
        *columns[:11],
        *(zip(*subject_keys, strict=True) if subject_keys else ((), (), ())),
        *(zip(*linked, strict=True) if linked else ((), (), ())),
    )
    writers = list(new_writers)
    if not writers and not month_keys:
        await connection.execute(_INSERT, *arguments)
        return
    async with connection.transaction():
        if writers:
            await connection.execute(_ADD_WRITERS, writers)
        if month_keys:
            await connection.execute(_ADD_MONTH_KEYS, *zip(*month_keys, strict=True))
        await connection.execute(_INSERT, *arguments)


async def absorb(connection: Any, group: Group) -> Absorbed:
    """Store a group of acknowledged rows, each at most once, whatever is there already.

    A row whose event key belongs to another entry is stored without it: its answer has left, so the
    record stays. Raises `LedgerError` when an entry id is there with another header, and what
    asyncpg raises.
    """
    for attempt in range(1, _ABSORB_ATTEMPTS + 1):
        stored = await connection.fetch(_FIND_IDS, [row.entry_id for row in group.rows])
        headers = {found["entry_id"]: found["header"] for found in stored}
        for row in group.rows:
            if headers.get(row.entry_id, row.header) != row.header:
                raise LedgerError(f"entry {row.entry_id.hex()} is in the log with another header")
        missing = [row for row in group.rows if row.entry_id not in headers]
        rows = await _with_free_event_keys(connection, missing)
        try:
            async with connection.transaction():
                if rows:
                    rows = await _without_erased(connection, rows)
                    keys = await _keys_to_add(connection, group, rows)
                    writers = {row.writer for row in rows}
                    await insert(connection, rows, keys, group.month_keys, writers)
        except asyncpg.UniqueViolationError:
            # Someone stored one of them between the look and the insert: look again.
            if attempt == _ABSORB_ATTEMPTS:
                raise
            continue
        superseded = sum(
            1
            for row, kept in zip(missing, rows, strict=True)
            if row.event_key != kept.event_key and kept.key_id == row.key_id
        )
        return Absorbed(len(rows), len(group.rows) - len(rows), superseded)
    raise AssertionError("unreachable")


async def owners_of_event_keys(connection: Any, event_keys: Sequence[bytes]) -> dict[bytes, bytes]:
    """Return the entry id that each of the event keys belongs to, if any."""
    found = await connection.fetch(_FIND_KEYS, event_keys)
    return {row["event_key"]: row["entry_id"] for row in found}


async def stored_entry_ids(connection: Any, entry_ids: Sequence[bytes]) -> set[bytes]:
    """Return those of the entry ids that are in the log."""
    return {row["entry_id"] for row in await connection.fetch(_FIND_IDS, entry_ids)}


async def close_writer(connection: Any, writer: bytes, last_seq: int) -> None:
    """Note that the writer stopped in an orderly way after this number."""
    await connection.execute(_CLOSE_WRITER, writer, last_seq)


async def month_keys_in_use(connection: Any) -> list[MonthKeyRow]:
    """Return the first-made key of each purpose and month: the one that writers agree on."""
    return [
        MonthKeyRow(row["name"], row["wrapped"])
        for row in await connection.fetch(_MONTH_KEYS_IN_USE)
    ]


async def _without_erased(connection: Any, rows: list[StoredRow]) -> list[StoredRow]:
    """Return the rows without what was sealed under keys that an erasure destroyed meanwhile."""
    found = await connection.fetch(_DESTROYED, [row.key_id for row in rows])
    destroyed = {row["key_id"] for row in found}
    return [
        row._replace(subject=None, event_key=None, body_hash=None, key_id=None, terms=())
        if row.key_id in destroyed
        else row
        for row in rows
    ]


async def _keys_to_add(
    connection: Any, group: Group, rows: Sequence[StoredRow]
) -> Sequence[SubjectKeyRow]:
    """Return the subject keys to store; those that may be of erased persons are put aside.

    `service/rights/late.py` looks at them within a second.
    """
    erased_up_to = await connection.fetchval(_ERASED_UP_TO) if group.subject_keys else None
    if erased_up_to is None or min(row.observed for row in rows) > erased_up_to:
        return group.subject_keys
    await connection.execute(_ADD_LATE_KEYS, *zip(*group.subject_keys, strict=True))
    return ()


async def _with_free_event_keys(connection: Any, rows: list[StoredRow]) -> list[StoredRow]:
    wanted = [row.event_key for row in rows if row.event_key is not None]
    taken = set(await owners_of_event_keys(connection, wanted)) if wanted else set()
    kept = []
    for row in rows:
        if row.event_key is not None and row.event_key in taken:
            kept.append(row._replace(event_key=None))
        else:
            kept.append(row)
            if row.event_key is not None:
                taken.add(row.event_key)
    return kept

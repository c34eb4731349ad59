"""How are erasures done again on a database that was restored from before them?

Every tag in it is compared with the journal, which outlived the restore in a file: by `touchstone
restore`, and at every start of the service, whichever way the database was restored. Invariant:
done again it does nothing; nobody is erased whom two people did not agree to erase.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from service.audit.blind_index import BlindIndex, delete_terms
from service.keys import open_wrapper
from service.ledger.keys import Keyring
from service.rights.erasing import Counts, destroy, keys_of, take_turn
from service.rights.held import HeldEntries
from service.rights.journal import (
    FILE_NAME,
    Digests,
    Erased,
    JournalFile,
    Record,
    add_records,
    records_since,
)
from service.rights.mentions import mentions, terms_of
from service.rights.parts import Opening, Opens
from service.secrets_files import read_key
from service.settings import Settings

log = logging.getLogger(__name__)

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


async def replay_file(connection: Any, settings: Settings) -> Replayed | None:
    """Replay the journal when its file names erasures that the database knows nothing of.

    Called before the service runs. Returns None where nothing is missing. Raises as
    `replay_journal`, `KeyFileError`, `KeyServiceError`, OSError.
    """
    records = await asyncio.to_thread(JournalFile(settings.var / FILE_NAME).read)
    known, _ = await records_since(connection, 0)
    if not set(records) - set(known):
        return None
    tag_key = read_key(settings.tag_key_path)
    ring = Keyring(await asyncio.to_thread(open_wrapper, settings))
    opens = Opening(ring, settings.ledger.log_name, BlindIndex(tag_key))
    replayed = await replay_journal(connection, Digests(tag_key), records, opens)
    log.warning(
        "the database is from before erasures that %s names: %d entries of %d tags are erased "
        "again. `touchstone features rebuild` takes them out of the velocities, too",
        settings.var / FILE_NAME,
        replayed.counts.entries,
        replayed.tags,
    )
    return replayed


async def replay_journal(
    connection: Any, digests: Digests, records: Iterable[Record], opens: Opens
) -> Replayed:
    """Erase whoever the journal names; `records` are those of its file (`JournalFile.read`).

    One transaction; no service may run on the database, and the velocity store is rebuilt after it
    (`touchstone features rebuild`). Takes about 2 µs for each key of a person, and opens the
    entries of those who are erased. Raises what asyncpg raises.
    """
    async with connection.transaction():
        await take_turn(connection)
        await add_records(connection, records)
        known, _ = await records_since(connection, 0)
        erased = Erased(digests, known)
        total, tags = Counts(), 0
        held = HeldEntries(connection, opens.ring, opens.log_name)
        named: dict[str, datetime] = {}
        async for row in connection.cursor(_TAGS, prefetch=5_000):
            until = erased.until(row["subject_tag"])
            if until is None:
                continue
            keys = await keys_of(connection, [row["subject_tag"]], until)
            if keys:
                # A journal has digests only: what the person's others are called, they tell.
                async for page in held.of([row["subject_tag"]]):
                    for tag in {f"{kind}:{tag}" for one in page for kind, tag in one.tags.items()}:
                        if (until := erased.until(tag)) is not None:
                            named[tag] = until
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
        for tag, until in named.items():
            terms = await terms_of(connection, opens, [tag])
            async for page in mentions(connection, opens, [tag]):
                old = [entry.entry_id for entry in page if entry.observed <= until]
                await delete_terms(connection, old, terms)
    return Replayed(tags, total)

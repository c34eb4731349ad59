"""Are the keys that a drain brought in those of erased persons?

A spool may hold keys and entries from before an erasure. When a drain brings in an entry as old as
that, its keys go to `late_subject_key`, where no reader finds them, until they were compared with
the journal here. Invariant: a key of an erased person that sealed something before the erasure is
never in `subject_key` again.
"""

from __future__ import annotations

import logging
from typing import Any

from service.rights.erasing import erase, keys_of, take_turn
from service.rights.held import HeldEntries
from service.rights.journal import Erased
from service.rights.parts import RightsParts

log = logging.getLogger(__name__)

_LATE = """
SELECT key_id, subject_tag FROM late_subject_key l
WHERE NOT EXISTS (SELECT FROM destroyed_key d WHERE d.key_id = l.key_id) LIMIT 1000
"""
_RELEASE = """
WITH released AS (DELETE FROM late_subject_key WHERE key_id = ANY($1::bytea[]) RETURNING *)
INSERT INTO subject_key (key_id, subject_tag, wrapped)
SELECT key_id, subject_tag, wrapped FROM released ON CONFLICT (key_id) DO NOTHING
"""


async def settle_late_keys(connection: Any, parts: RightsParts, erased: Erased) -> int:
    """Release the keys that are nobody's who was erased, erase the others; return how many keys.

    `erased` knows the whole journal. Raises what asyncpg raises and `VelocityUnavailable`; then
    they are late still.
    """
    async with connection.transaction():
        await take_turn(connection)
        late = await connection.fetch(_LATE)
        # Nobody sees them in `subject_key` before this is committed.
        await connection.execute(_RELEASE, [row["key_id"] for row in late])
        held = HeldEntries(connection, parts.ring, parts.log_name)
        gone = 0
        for subject_tag in sorted({row["subject_tag"] for row in late}):
            until = erased.until(subject_tag)
            if until is None:
                continue
            keys = await keys_of(connection, [subject_tag], until)
            counts, traces = await erase(connection, held, [subject_tag], keys)
            await parts.traces.erase(traces, ())
            gone += counts.entries
    if gone:
        log.warning("a spool had %d entries of persons that were erased: they are, too", gone)
    return len(late)

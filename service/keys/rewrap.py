"""How do stored keys come under another KEK?

Row by row, only if the row is still what was read: a key that an erasure deletes meanwhile stays
deleted. Invariants: no key changes, only what wraps it; what is done stays done when this is cut
short, and the rest is found again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from service.ledger.errors import SealBroken, WrongKek
from service.ledger.keys import Keyring

# About 10 ms a batch, and nobody waits for its locks: keys are not changed by anything else.
BATCH = 500

_MONTHS = "SELECT name, wrapped FROM ledger_key WHERE substring(wrapped FROM 2 FOR 8) <> $1"
_PUT_MONTH = "UPDATE ledger_key SET wrapped = $3 WHERE name = $1 AND wrapped = $2"
_SUBJECTS = """
SELECT key_id, subject_tag, wrapped FROM {table}
WHERE key_id > $2 AND substring(wrapped FROM 2 FOR 8) <> $1 ORDER BY key_id LIMIT $3
"""
_PUT_SUBJECTS = """
UPDATE {table} AS k SET wrapped = n.fresh
FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS n (key_id, before, fresh)
WHERE k.key_id = n.key_id AND k.wrapped = n.before
"""
# Late keys first: they become keys of persons meanwhile, and are found there then.
_TABLES = ("late_subject_key", "subject_key")


class Rewrapped(NamedTuple):
    """How many keys came under the KEK of the moment. `broken`: rows that no held KEK opens."""

    months: int = 0
    subjects: int = 0
    broken: int = 0


async def rewrap(
    connection: Any, ring: Keyring, kek_id: bytes, progress: Callable[[int], None]
) -> Rewrapped:
    """Wrap every stored key that another KEK wrapped with this one, with which `ring` wraps.

    `progress` gets the number of keys done so far. Raises what asyncpg raises.
    """
    months = broken = 0
    for name, wrapped in await connection.fetch(_MONTHS, kek_id):
        try:
            fresh = ring.rewrapped_month_key(name, wrapped)
        except (SealBroken, WrongKek):
            broken += 1
            continue
        await connection.execute(_PUT_MONTH, name, wrapped, fresh)
        months += 1
    subjects = 0
    for table in _TABLES:
        last = b""
        while rows := await connection.fetch(_SUBJECTS.format(table=table), kek_id, last, BATCH):
            changed: list[tuple[bytes, bytes, bytes]] = []
            for key_id, tag, wrapped in rows:
                try:
                    fresh = ring.rewrapped_subject_key(key_id, tag, wrapped)
                except (SealBroken, WrongKek):
                    broken += 1
                else:
                    changed.append((key_id, wrapped, fresh))
            if changed:
                columns = map(list, zip(*changed, strict=True))
                await connection.execute(_PUT_SUBJECTS.format(table=table), *columns)
            subjects += len(changed)
            last = rows[-1]["key_id"]
            progress(months + subjects)
    return Rewrapped(months, subjects, broken)

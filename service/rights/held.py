"""Which entries of the ledger are a person's, and what do they say?

Those whose subject block is sealed under a key of one of the person's tags. Invariant: what is
given is what was sealed; a block that does not open is given as None, never guessed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from service.ledger.entry import parse_header, unframed
from service.ledger.errors import SealBroken
from service.ledger.keys import Keyring
from service.ledger.seal import open_sealed

# Opened together: 5 ms, in which a worker answers nobody.
PAGE = 100

_OF_TAGS = """
SELECT e.entry_id, e.type, e.observed, e.header, e.core, e.subject, e.event_key,
       k.key_id, k.subject_tag, k.wrapped
FROM subject_key k
JOIN entry_subject s ON s.key_id = k.key_id
JOIN ledger_entry e ON e.entry_id = s.entry_id
WHERE k.subject_tag = ANY($1::text[])
ORDER BY e.observed, e.entry_id
"""
_OF_IDS = """
SELECT e.entry_id, e.type, e.observed, e.header, e.core, e.subject, e.event_key,
       k.key_id, k.subject_tag, k.wrapped
FROM ledger_entry e
JOIN entry_subject s ON s.entry_id = e.entry_id
JOIN subject_key k ON k.key_id = s.key_id
WHERE e.entry_id = ANY($1::bytea[])
"""
_MONTH_KEYS = "SELECT name, wrapped FROM ledger_key WHERE name LIKE 'core/%'"


class HeldEntry(NamedTuple):
    """One entry of a person; `core` only when asked for."""

    entry_id: bytes
    type: str
    observed: datetime
    event_key: bytes | None
    subject_tag: str
    versions: dict[str, str]
    subject: dict[str, Any] | None
    core: dict[str, Any] | None

    @property
    def tags(self) -> dict[str, str]:
        """Kind to tag of every entity that the event names."""
        return dict(self.subject.get("tags", {})) if self.subject else {}


class HeldEntries:
    """Opens entries of persons. `connection` is an asyncpg connection."""

    def __init__(self, connection: Any, ring: Keyring, log: str) -> None:
        self._connection = connection
        self._ring = ring
        self._log = log
        self._subject_keys: dict[bytes, bytes] = {}
        self._month_keys: dict[str, bytes] | None = None

    async def of(
        self, subject_tags: Sequence[str], *, with_core: bool = False
    ) -> AsyncIterator[list[HeldEntry]]:
        """Yield the entries of these tags, oldest first; the caller holds a transaction."""
        cursor = await self._connection.cursor(_OF_TAGS, list(subject_tags))
        while rows := await cursor.fetch(PAGE):
            yield [await self._entry(row, with_core) for row in rows]

    async def named(self, entry_ids: Sequence[bytes]) -> list[HeldEntry]:
        """Return those of the entries that have a subject key, in no order."""
        rows = await self._connection.fetch(_OF_IDS, list(entry_ids))
        return [await self._entry(row, with_core=False) for row in rows]

    async def _entry(self, row: Any, with_core: bool) -> HeldEntry:
        header = parse_header(row["header"])
        subject = self._opened(self._subject_key(row), row, "subject")
        core = None
        if with_core:
            key = (await self._core_keys()).get(str(header.blocks["core"][0]))
            core = self._opened(key, row, "core")
        return HeldEntry(
            row["entry_id"], row["type"], row["observed"], row["event_key"], row["subject_tag"],
            header.versions, subject, core,
        )  # fmt: skip

    def _opened(self, key: bytes | None, row: Any, block: str) -> dict[str, Any] | None:
        if key is None or row[block] is None:
            return None
        try:
            plaintext = open_sealed(key, self._log, row["entry_id"], block, row[block])
            content: dict[str, Any] = orjson.loads(unframed(plaintext).content)
        except (SealBroken, ValueError):
            return None
        return content

    def _subject_key(self, row: Any) -> bytes | None:
        key_id = row["key_id"]
        key = self._subject_keys.get(key_id)
        if key is None:
            try:
                key = self._ring.open_subject_key(key_id, row["subject_tag"], row["wrapped"])
            except SealBroken:
                return None
            self._subject_keys[key_id] = key
        return key

    async def _core_keys(self) -> dict[str, bytes]:
        if self._month_keys is None:
            self._month_keys = {
                row["name"]: self._ring.open_month_key(row["name"], row["wrapped"])
                for row in await self._connection.fetch(_MONTH_KEYS)
            }
        return self._month_keys

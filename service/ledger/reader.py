"""What does the log say about an entry, or about an event?

Invariant: what is returned is what was sealed: a block that does not open is an error, never a
guess. Entries that this process spooled are found as well, without PostgreSQL.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

from service.ledger.drain import AWAY
from service.ledger.entry import Header, claims_of, parse_header, unframed
from service.ledger.errors import KeyMissing, LedgerUnavailable, SealBroken
from service.ledger.keys import Keyring
from service.ledger.seal import open_sealed
from service.ledger.writer import LedgerWriter

_FIND = """
SELECT e.entry_id, e.header, e.core, e.event_key, e.body_hash, e.subject,
       k.key_id, k.subject_tag, k.wrapped,
       $2 AND k.subject_tag IN (SELECT subject_tag FROM restricted_subject) AS restricted
FROM ledger_entry e
LEFT JOIN entry_subject s ON $2 AND s.entry_id = e.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE e.{column} = $1
"""
_FIND_BY_ENTRY_ID = _FIND.format(column="entry_id")
_FIND_BY_EVENT_KEY = _FIND.format(column="event_key")
_MONTH_KEY = "SELECT wrapped FROM ledger_key WHERE name = $1"


class FoundEntry(NamedTuple):
    """An entry, opened.

    `core` is `None` when its retention is over. `subject` is there only when asked for and
    `subject_state` is `open`; other states: `none` (it never had one), `sealed` (not asked for),
    `erased` (its key or the block is gone), `restricted` (nobody may read it, see
    `service/rights`), `spooled` (not in the table yet, and its key is not at hand).
    """

    entry_id: bytes
    type: str
    event_key: bytes | None
    body_hash: bytes | None
    observed_at: datetime
    versions: dict[str, str]
    core: dict[str, Any] | None
    subject: dict[str, Any] | None
    subject_state: str


class LedgerReader:
    """Looks entries up in one log. `pool` is an asyncpg pool; share `ring` with the writer.

    With `writer` it also finds what that writer has spooled.
    """

    def __init__(
        self,
        pool: Any,
        ring: Keyring,
        log: str,
        *,
        writer: LedgerWriter | None = None,
        timeout_s: float = 1,
    ) -> None:
        self._pool = pool
        self._ring = ring
        self._log = log
        self._writer = writer
        self._timeout_s = timeout_s

    async def find_by_entry_id(
        self, entry_id: bytes, *, with_subject: bool = False
    ) -> FoundEntry | None:
        """Return the entry; raises `LedgerUnavailable`, `SealBroken`, `KeyMissing`, `WrongKek`."""
        return await self._find(_FIND_BY_ENTRY_ID, entry_id, with_subject)

    async def find_by_event_key(
        self, event_key: bytes, *, with_subject: bool = False, even_restricted: bool = False
    ) -> FoundEntry | None:
        """Return the entry of an event; raises as `find_by_entry_id`.

        `even_restricted` is for answering a repeat of the event as it was answered, to whoever
        sent it.
        """
        return await self._find(_FIND_BY_EVENT_KEY, event_key, with_subject, even_restricted)

    async def ping(self) -> None:
        """Ask PostgreSQL for a sign of life; raises `LedgerUnavailable`."""
        await self._fetch("SELECT 1")

    async def _find(
        self, query: str, value: bytes, with_subject: bool, even_restricted: bool = False
    ) -> FoundEntry | None:
        spooled = self._find_spooled(query, value, with_subject)
        if spooled is not None:
            return spooled
        found = await self._fetch(query, value, with_subject)
        if found is None:
            return None
        header = parse_header(found["header"])
        place = self._log, found["entry_id"]
        event_key, body_hash = found["event_key"], found["body_hash"]
        core = None
        if found["core"] is not None:
            core_key = await self._month_key(str(header.blocks["core"][0]))
            core = _opened(core_key, *place, "core", found["core"], found["header"])
        subject, state = None, "none"
        if "subject" in header.blocks:
            state = "sealed"
            if found["subject"] is None or (with_subject and found["wrapped"] is None):
                state = "erased"
            elif found["restricted"] and not even_restricted:
                state = "restricted"
            elif with_subject:
                key = self._ring.open_subject_key(
                    found["key_id"], found["subject_tag"], found["wrapped"]
                )
                subject = _opened(key, *place, "subject", found["subject"], found["header"])
                state = "open"
        return _entry(header, event_key, body_hash, core, subject, state)

    def _find_spooled(self, query: str, value: bytes, with_subject: bool) -> FoundEntry | None:
        if self._writer is None:
            return None
        if query is _FIND_BY_EVENT_KEY:
            row = self._writer.find_spooled(event_key=value)
        else:
            row = self._writer.find_spooled(entry_id=value)
        if row is None or row.core is None:
            return None
        header = parse_header(row.header)
        key = self._ring.held_month_key(str(header.blocks["core"][0]))
        core = (
            None
            if key is None
            else _opened(key, self._log, row.entry_id, "core", row.core, row.header)
        )
        subject, state = None, "spooled"
        subject_key = self._ring.held_subject_key(row.key_id) if with_subject else None
        if row.subject is not None and subject_key is not None:
            place = self._log, row.entry_id
            subject = _opened(subject_key, *place, "subject", row.subject, row.header)
            state = "open"
        return _entry(header, row.event_key, row.body_hash, core, subject, state)

    async def _month_key(self, name: str) -> bytes:
        held = self._ring.held_month_key(name)
        if held is not None:
            return held
        found = await self._fetch(_MONTH_KEY, name)
        if found is None:
            raise KeyMissing(f"the key {name} is not in the database")
        return self._ring.open_month_key(name, found["wrapped"])

    async def _fetch(self, query: str, *arguments: object) -> Any:
        try:
            async with self._pool.acquire(timeout=self._timeout_s) as connection:
                return await connection.fetchrow(query, *arguments, timeout=self._timeout_s)
        except (asyncpg.PostgresError, *AWAY) as error:
            raise LedgerUnavailable(
                f"PostgreSQL cannot be asked: {type(error).__name__}"
            ) from error


def _opened(
    key: bytes, log: str, entry_id: bytes, block: str, sealed: bytes, header: bytes
) -> dict[str, Any]:
    opened = unframed(open_sealed(key, log, entry_id, block, sealed))
    if block == "core" and opened.claims != claims_of(header):
        raise SealBroken("the header's time, type or versions are not those that were sealed")
    content: dict[str, Any] = orjson.loads(opened.content)
    return content


def _entry(
    header: Header,
    event_key: bytes | None,
    body_hash: bytes | None,
    core: dict[str, Any] | None,
    subject: dict[str, Any] | None,
    state: str,
) -> FoundEntry:
    return FoundEntry(
        header.entry_id,
        header.type,
        event_key,
        body_hash,
        header.time,
        header.versions,
        core,
        subject,
        state,
    )

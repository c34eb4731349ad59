"""How does an erasure come to its end, and how does every worker forget?

Each worker looks (`refresh`, by `service/changes.py`): it drops retired keys and answers from its
memory, keeps the journal's file complete, and one of them at a time finishes what is due.
Invariant: all state is in the database, so whoever looks next goes on where another stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from service.audit.blind_index import delete_terms
from service.rights.erasing import (
    FORGOTTEN_AFTER,
    Counts,
    erase,
    keys_of,
    retire,
    sweep,
    take_turn,
)
from service.rights.held import HeldEntries
from service.rights.journal import Erased, records_since
from service.rights.late import settle_late_keys
from service.rights.mentions import mentions, terms_of
from service.rights.parts import RightsParts
from service.rights.traces import traces_of_entries, traces_of_tags

log = logging.getLogger(__name__)

CHANNEL = "touchstone_rights"
# From the beginning of an erasure: requests under way are over, and keys that they made are known.
SETTLED_AFTER = timedelta(seconds=2)
# Retired keys are looked at again for so long: transactions become visible out of order.
LOOK_BACK = timedelta(seconds=60)
SWEEP_BACK = timedelta(hours=1)
SWEEP_EVERY = timedelta(seconds=5)
_MOST_AT_ONCE = 50
# One worker finishes at a time; any number will do.
_FINISHING = 0x72696768747374
_TRY = "SELECT pg_try_advisory_lock($1)"

_LOOK = """
SELECT coalesce((SELECT max(id) FROM erasure_journal), 0) AS journal,
       EXISTS (SELECT FROM late_subject_key) AS late,
       EXISTS (SELECT FROM rights_request WHERE state = 'executing') AS executing,
       EXISTS (SELECT FROM destroyed_key WHERE retired_at > $1) AS retired
"""
_RETIRED = "SELECT key_id FROM destroyed_key WHERE retired_at > $1"
_EXECUTING = """
SELECT id, tags, erased_until, decided_by, decided_at, counts FROM rights_request
WHERE state = 'executing' ORDER BY id LIMIT $1
"""
_STILL = "SELECT state FROM rights_request WHERE id = $1 FOR UPDATE"
_DONE = """
UPDATE rights_request SET state = 'executed', tags = '{}', counts = $2 WHERE id = $1
"""


class Rights:
    """Follows erasures for one worker."""

    def __init__(self, parts: RightsParts) -> None:
        self.parts = parts
        self._journal_id = 0
        self._erased = Erased(parts.digests)
        self._forgotten: frozenset[bytes] = frozenset()
        self._swept = datetime.fromtimestamp(0, UTC)

    async def refresh(self, connection: Any) -> None:
        """Look at what is to be forgotten and finished; a `Refresh` of `service.changes`."""
        since = datetime.now(UTC) - LOOK_BACK
        seen = await connection.fetchrow(_LOOK, since)
        if seen["retired"]:
            await self._forget(connection, since)
        if seen["journal"] > self._journal_id:
            await self._follow_journal(connection)
        if seen["late"]:
            await settle_late_keys(connection, self.parts, self._erased)
        if seen["executing"] and await connection.fetchval(_TRY, _FINISHING):
            try:
                await self._finish(connection)
            finally:
                await connection.execute("SELECT pg_advisory_unlock($1)", _FINISHING)
        if datetime.now(UTC) - self._swept > SWEEP_EVERY:
            self._swept = datetime.now(UTC)
            await self._sweep(connection)

    async def _forget(self, connection: Any, since: datetime) -> None:
        retired = frozenset(row["key_id"] for row in await connection.fetch(_RETIRED, since))
        if fresh := retired - self._forgotten:
            self.parts.ring.forget_subject_keys(fresh)
            self.parts.once.forget_answers()
        self._forgotten = retired

    async def _follow_journal(self, connection: Any) -> None:
        first = self._journal_id == 0
        records, last = await records_since(connection, self._journal_id)
        self._erased.add(records)
        known = set(await asyncio.to_thread(self.parts.file.read)) if first else set()
        if missing := [record for record in records if record not in known]:
            await asyncio.to_thread(self.parts.file.add, missing)
        self._journal_id = last

    async def _finish(self, connection: Any) -> None:
        for row in await connection.fetch(_EXECUTING, _MOST_AT_ONCE):
            tags, until = list(row["tags"]), row["erased_until"]
            keys = await keys_of(connection, tags, until)
            retired_at = await retire(connection, keys)
            now = datetime.now(UTC)
            is_settled = now - row["decided_at"] > SETTLED_AFTER
            if is_settled and (retired_at is None or now - retired_at > FORGOTTEN_AFTER):
                await self._mentions(connection, tags)
                with contextlib.suppress(_DoneMeanwhile):
                    await self._end(row["id"], tags, until, row["decided_by"])

    async def _end(self, request_id: int, tags: list[str], until: datetime, actor: str) -> None:
        """Erase what was retired, and close the request. Raises `VelocityUnavailable`."""
        parts = self.parts
        async with parts.actions.action(
            "subject.erase", {"actor": actor}, request=request_id, step="done"
        ) as action:
            connection = action.connection
            await take_turn(connection)
            if await connection.fetchval(_STILL, request_id) != "executing":
                raise _DoneMeanwhile
            held = HeldEntries(connection, parts.ring, parts.log_name)
            keys = await keys_of(connection, tags, until)
            counts, traces = await erase(connection, held, tags, keys)
            traces.add(traces_of_tags(tags, parts.catalog()))
            await parts.traces.erase(traces, tags)
            action.what["counts"] = counts._asdict()
            await connection.execute(_DONE, request_id, orjson.dumps(counts._asdict()).decode())

    async def _mentions(self, connection: Any, tags: list[str]) -> None:
        """Make others' entries that mention the person impossible to find by the person's tags."""
        terms = await terms_of(connection, self.parts, tags)
        async for page in mentions(connection, self.parts, tags):
            await self.parts.traces.erase(traces_of_entries(tags, page, is_owner=False), ())
            await delete_terms(connection, [entry.entry_id for entry in page], terms)

    async def _sweep(self, connection: Any) -> None:
        async with connection.transaction():
            await take_turn(connection)
            swept: Counts = await sweep(connection, datetime.now(UTC) - SWEEP_BACK)
        if swept.entries:
            log.warning("%d entries under keys that were erased are cleared", swept.entries)


class _DoneMeanwhile(Exception):
    """Another worker has finished it."""

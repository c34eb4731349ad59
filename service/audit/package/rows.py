"""How do entries come out of the database, in the order of the tree?

Page by page, each one statement: a page is as the database is at that moment, so what was erased or
restricted before a page was read is not in it. The next page is under way while this one is worked
on. Invariant: every leaf of the range comes, in order, also one whose entry is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from service.audit.package.request import PackageRequest

PAGE_ENTRIES = 500
# What reads a socket gets a turn after so many entries, some milliseconds.
TURN_ENTRIES = 50

# Indices find each row; statistics that are old may suggest to read the whole table for a page.
_PLAN = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off"
_PAGE = """
SELECT l.idx, l.hash, l.entry_id, e.header,
       CASE WHEN {core} THEN e.core END AS core,
       CASE WHEN {staff} THEN e.staff END AS staff,
       CASE WHEN {subject} THEN e.subject END AS subject,
       k.key_id, k.subject_tag, k.wrapped,
       k.subject_tag IN (SELECT subject_tag FROM restricted_subject) AS is_restricted
FROM (SELECT $3::text[] AS types) w CROSS JOIN ledger_leaf l
LEFT JOIN ledger_entry e ON e.entry_id = l.entry_id
LEFT JOIN entry_subject s ON {subject} AND s.entry_id = l.entry_id
LEFT JOIN subject_key k ON k.key_id = s.key_id
WHERE l.idx >= $1 AND l.idx < $2
ORDER BY l.idx
"""
_MONTH_KEYS = "SELECT name, wrapped FROM ledger_key"
_WANTED_TYPE = "(w.types IS NULL OR e.type = ANY(w.types))"


class EntryRows:
    """The rows of a range of leaves. `connection` is an asyncpg connection of its own."""

    def __init__(self, connection: Any, request: PackageRequest) -> None:
        self._connection = connection
        self._query = _query(request.blocks)
        self._types = None if request.types is None else list(request.types)

    async def month_keys(self) -> dict[str, bytes]:
        """Return the wrapped keys of core and staff blocks by name."""
        rows = await self._connection.fetch(_MONTH_KEYS)
        return {row["name"]: row["wrapped"] for row in rows}

    async def read(self, first: int, last: int) -> AsyncIterator[Sequence[Any]]:
        """Yield the rows of the leaves [first, last) in small lists. Raises what asyncpg raises."""
        await self._connection.execute(_PLAN)
        page = self._page(first, last)
        try:
            while first < last:
                first += PAGE_ENTRIES
                rows = await page
                page = self._page(first, last)
                for at in range(0, len(rows), TURN_ENTRIES):
                    await asyncio.sleep(0)
                    yield rows[at : at + TURN_ENTRIES]
        finally:
            page.cancel()
            await asyncio.gather(page, return_exceptions=True)

    def _page(self, first: int, last: int) -> asyncio.Task[Sequence[Any]]:
        until = min(last, first + PAGE_ENTRIES)
        return asyncio.ensure_future(
            self._connection.fetch(self._query, first, until, self._types)
            if first < last
            else _nothing()
        )


async def _nothing() -> Sequence[Any]:
    return ()


def _query(blocks: Sequence[str]) -> str:
    shown = {
        block: _WANTED_TYPE if block in blocks else "false"
        for block in ("core", "staff", "subject")
    }
    return _PAGE.format(**shown)
